package conf

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Dump lists the directives of modules, one on a line, as tab separated columns under a
// line of headings. Coverage reports and editor grammars are made of it.
func Dump(w io.Writer, modules []*Module) error {
	b := bufio.NewWriter(w)
	fmt.Fprintln(b, "name\tcontexts\targuments\tsyntax\tdefault\tmodule\tsince\tdoc")
	for _, m := range modules {
		for i := range m.Directives {
			d := &m.Directives[i]
			columns := []string{d.Name, d.In.String(), d.arity().String(), d.syntax(),
				d.Default, m.Name, d.Since, d.Doc}
			for i, c := range columns {
				columns[i] = orDash(strings.Join(strings.Fields(c), " "))
			}
			fmt.Fprintln(b, strings.Join(columns, "\t"))
		}
	}
	return b.Flush()
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// Reference writes the manual page of a module in Markdown.
func Reference(w io.Writer, m *Module) error {
	b := bufio.NewWriter(w)
	fmt.Fprintf(b, "# %s\n", m.Name)
	for i := range m.Directives {
		d := &m.Directives[i]
		fmt.Fprintf(b, "\n## %s\n\n", d.Name)
		fmt.Fprintf(b, "- **Syntax:** `%s`\n", d.usage())
		if d.Default == "" {
			fmt.Fprintf(b, "- **Default:** none\n")
		} else {
			fmt.Fprintf(b, "- **Default:** `%s %s;`\n", d.Name, d.Default)
		}
		fmt.Fprintf(b, "- **Context:** %s\n", d.In)
		if d.Since != "" {
			fmt.Fprintf(b, "- **Since:** %s\n", d.Since)
		}
		if d.Doc != "" {
			fmt.Fprintf(b, "\n%s\n", strings.TrimSpace(d.Doc))
		}
	}
	return b.Flush()
}

// usage is the directive as it is written down: name, syntax and end.
func (d *Directive) usage() string {
	text, end := d.Name, ";"
	if d.arity()&Block != 0 {
		end = " { ... }"
	}
	syntax := d.syntax()
	if before, opens := strings.CutSuffix(strings.TrimSpace(syntax), "{ ... }"); opens {
		syntax = strings.TrimSpace(before) // the row has spelt its block out
	}
	if syntax != "" {
		text += " " + syntax
	}
	return text + end
}

// visible lists, for each block, the kinds of structs that its directives can reach.
var visible = map[Context][]Kind{
	Main:           {KindCore, KindEvents},
	Events:         {KindCore, KindEvents},
	HTTP:           {KindCore, KindEvents, KindMain, KindServer, KindLocation},
	Server:         {KindCore, KindEvents, KindMain, KindServer, KindLocation},
	Location:       {KindCore, KindEvents, KindMain, KindServer, KindLocation},
	ServerIf:       {KindCore, KindEvents, KindMain, KindServer, KindLocation},
	LocationIf:     {KindCore, KindEvents, KindMain, KindServer, KindLocation},
	LimitExcept:    {KindCore, KindEvents, KindMain, KindServer, KindLocation},
	Upstream:       {KindCore, KindEvents, KindMain, KindServer, KindLocation, KindUpstream},
	Stream:         {KindCore, KindEvents, KindStreamMain, KindStreamServer},
	StreamServer:   {KindCore, KindEvents, KindStreamMain, KindStreamServer},
	StreamUpstream: {KindCore, KindEvents, KindStreamMain, KindStreamServer, KindStreamUpstream},
}

// Check finds mistakes in rows: it is for the test of whoever assembles modules.
// Defaults are parsed outside of any block, prefix "/".
func Check(modules []*Module) error {
	var errs []error
	p := newConfig(Options{Modules: modules, Prefix: "/", Path: "nginx.conf"}).parser
	for _, r := range p.all {
		for _, problem := range p.check(r) {
			errs = append(errs, fmt.Errorf("%s: %s: %s", r.module.Name, r.Name, problem))
		}
	}
	return errors.Join(errs...)
}

func (p *parser) check(r *row) (problems []string) {
	if r.Name == "" || r.Set == nil || r.In == 0 || r.In&^Everywhere != 0 {
		return []string{"a row needs Name, In and Set"}
	}
	if r.Doc == "" {
		problems = append(problems, "no Doc")
	}
	for _, other := range p.rows[r.Name] {
		if other != r && other.In&r.In != 0 {
			problems = append(problems, "two rows for "+(other.In&r.In).String())
		}
	}
	m, inherits := r.Set.(merger)
	if !inherits {
		return problems
	}
	for ctx, kinds := range visible {
		seen := false
		for _, k := range kinds {
			seen = seen || k == m.kind()
		}
		if r.In&ctx != 0 && !seen {
			problems = append(problems, "its struct cannot be reached in "+ctx.String())
		}
	}
	if r.Default != "" {
		if err := m.checkDefault(p, r); err != nil {
			problems = append(problems, "default: "+err.Error())
		}
	}
	return problems
}
