// Command reference writes the manual in docs/reference from the declarations of the features: a page of directives per
// module, one of the variables, one of the Lua API, and an index. `make reference` runs it; a test says when the pages no longer agree with the declarations.
package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"moongate/internal/conf"
	"moongate/internal/modules"
)

func main() {
	if err := write(filepath.Join("docs", "reference")); err != nil {
		fmt.Fprintln(os.Stderr, "reference:", err)
		os.Exit(1)
	}
}

// write replaces the pages in dir.
func write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	pages, err := manual()
	if err != nil {
		return err
	}
	old, err := filepath.Glob(filepath.Join(dir, "*.md"))
	if err != nil {
		return err
	}
	for _, path := range old {
		if pages[filepath.Base(path)] == nil {
			if err := os.Remove(path); err != nil {
				return err
			}
		}
	}
	for name, text := range pages {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// manual returns the text of every page by file name.
func manual() (map[string][]byte, error) {
	all, err := pages(modules.Conf())
	if err != nil {
		return nil, err
	}
	all["variables.md"] = variables()
	names, err := modules.LuaNames()
	if err != nil {
		return nil, err
	}
	all["lua-api.md"] = luaAPI(names)
	return all, nil
}

// pages returns the pages of directives, and the index.
func pages(all []*conf.Module) (map[string][]byte, error) {
	pages := map[string][]byte{}
	for _, m := range all {
		if len(m.Directives) == 0 {
			continue
		}
		var page bytes.Buffer
		if err := conf.Reference(&page, m); err != nil {
			return nil, err
		}
		name := m.Name + ".md"
		if pages[name] != nil {
			return nil, fmt.Errorf("two modules are called %s", m.Name)
		}
		pages[name] = page.Bytes()
	}
	pages["README.md"] = index(all)
	return pages, nil
}

// index lists the directives by name, each with the pages that have it.
func index(all []*conf.Module) []byte {
	var b bytes.Buffer
	b.WriteString("# Reference\n\nMade from the declarations by `make reference`; do not edit.\n\n" +
		"See also the [variables](variables.md) and the [Lua API](lua-api.md).\n\n## Directives\n\n| directive | contexts | module |\n| --- | --- | --- |\n")
	var lines []string
	for _, m := range all {
		for i := range m.Directives {
			d := &m.Directives[i]
			lines = append(lines, fmt.Sprintf("| `%s` | %s | [%s](%s.md) |\n", d.Name, d.In, m.Name, m.Name))
		}
	}
	slices.Sort(lines)
	b.WriteString(strings.Join(slices.Compact(lines), ""))
	return b.Bytes()
}

func variables() []byte {
	var b bytes.Buffer
	b.WriteString("# Variables\n\n| variable | module | |\n| --- | --- | --- |\n")
	var lines []string
	for _, m := range modules.Set().Modules {
		for i := range m.Vars {
			v := &m.Vars[i]
			name := "$" + v.Name
			if v.Prefix {
				name += "NAME"
			}
			lines = append(lines, fmt.Sprintf("| `%s` | %s | %s |\n", name, m.Name, strings.ReplaceAll(v.Doc, "|", "\\|")))
		}
	}
	slices.Sort(lines)
	b.WriteString(strings.Join(lines, ""))
	return b.Bytes()
}

// luaAPI describes what is declared, by library, and lists the constants and what modules written in Lua bring.
func luaAPI(names []modules.LuaName) []byte {
	var b bytes.Buffer
	b.WriteString("# Lua API\n\nParameters are given as `name:type`, optional ones with `?`; what follows the arrow is returned.\n")
	lists := []struct{ kind, title string }{{"constant", "Constants"}, {"member", "From Lua modules"}}
	rest := map[string][]string{}
	for i := range names {
		n := &names[i]
		switch n.Kind {
		case "constant", "member":
			rest[n.Kind] = append(rest[n.Kind], "`"+n.Name+"`")
			continue
		}
		fmt.Fprintf(&b, "\n## %s\n\n", n.Name)
		if n.Kind == "function" {
			arguments, results, returns := strings.Cut(n.Sig, "->")
			fmt.Fprintf(&b, "- **Call:** `%s(%s)", n.Name, strings.TrimSpace(arguments))
			if returns {
				fmt.Fprintf(&b, " -> %s", strings.TrimSpace(results))
			}
			b.WriteString("`\n")
		}
		fmt.Fprintf(&b, "- **Phases:** %s\n", strings.ReplaceAll(n.Phases(), "*", "\\*"))
		if n.Doc != "" {
			fmt.Fprintf(&b, "\n%s\n", strings.TrimSpace(n.Doc))
		}
	}
	for _, l := range lists {
		if list := rest[l.kind]; len(list) > 0 {
			slices.Sort(list)
			fmt.Fprintf(&b, "\n## %s\n\n%s\n", l.title, strings.Join(list, "\n"))
		}
	}
	return b.Bytes()
}
