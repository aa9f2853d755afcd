package ssi

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"

	"moongate/internal/base/ascii"
	"moongate/internal/base/nlog"
	"moongate/internal/engine"
	"moongate/internal/http1"
	"moongate/internal/luajit"
)

// definition is what a command is made of.
type definition struct {
	params []string // mandatory ones begin with "!"
	flow   bool     // it is looked at in text that is not shown, too
	run    func(s *state, c *command) error
}

// define gives the definition of a command of nginx, nil for others.
func define(name string) *definition {
	switch name {
	case "include":
		return &definition{params: []string{"virtual", "file", "wait", "set", "stub"}, run: include}
	case "echo":
		return &definition{params: []string{"!var", "default", "encoding"}, run: echo}
	case "config":
		return &definition{params: []string{"errmsg", "timefmt"}, run: settings}
	case "set":
		return &definition{params: []string{"!var", "!value"}, run: set}
	case "if":
		return &definition{params: []string{"!expr"}, flow: true, run: ifTrue}
	case "elif":
		return &definition{params: []string{"!expr"}, flow: true, run: elif}
	case "else":
		return &definition{flow: true, run: otherwise}
	case "endif":
		return &definition{flow: true, run: endif}
	case "block":
		return &definition{params: []string{"!name"}, run: block}
	case "endblock":
		return &definition{flow: true, run: endblock}
	}
	return nil
}

func (d *definition) check(c *command) error {
	for _, p := range c.params {
		known := false
		for _, name := range d.params {
			known = known || strings.TrimPrefix(name, "!") == p.name
		}
		if !known {
			return fmt.Errorf("invalid parameter name: \"%s\" in \"%s\" SSI command", p.name, c.name)
		}
	}
	seen := map[string]bool{}
	for _, p := range c.params {
		if seen[p.name] {
			return fmt.Errorf("duplicate \"%s\" parameter in \"%s\" SSI command", p.name, c.name)
		}
		seen[p.name] = true
	}
	for _, name := range d.params {
		if name[0] == '!' && !seen[name[1:]] {
			return fmt.Errorf("mandatory \"%s\" parameter is absent in \"%s\" SSI command", name[1:], c.name)
		}
	}
	return nil
}

func now(r *engine.Request) time.Time {
	return time.Unix(0, r.W.Loop.Wall())
}

// variable is a value by name: one that a command made, a group of the last regular expression, or the request's.
func (s *state) variable(name []byte) ([]byte, bool) {
	p := s.page
	if v, ok := p.vars[string(name)]; ok {
		return v, true
	}
	if len(name) == 1 && name[0] >= '0' && name[0] <= '9' {
		g := int(name[0]-'0') * 2
		if g+1 < len(p.groups) && p.groups[g] >= 0 {
			return p.subject[p.groups[g]:p.groups[g+1]], true
		}
		return nil, false
	}
	return s.r.VarNamed(ascii.AppendLower(nil, name))
}

// evaluate puts variables into a text and takes off quoting.
func (s *state) evaluate(text []byte) ([]byte, error) {
	var out []byte
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case '\\':
			i++
			if i == len(text) {
				break
			}
			if bytes.IndexByte([]byte(`\'"$`), text[i]) < 0 {
				out = append(out, '\\')
			}
			out = append(out, text[i])
		case '$':
			from, bracket := i+1, false
			if from < len(text) && text[from] == '{' {
				from, bracket = from+1, true
			}
			to := from
			for to < len(text) && wordByte(text[to]) {
				to++
			}
			if bracket && (to == len(text) || text[to] != '}') {
				return nil, fmt.Errorf("the closing bracket in \"%s\" variable is missing", text[from:to])
			}
			if to == from {
				return nil, fmt.Errorf("invalid variable name in \"%s\"", text)
			}
			v, _ := s.variable(text[from:to])
			out = append(out, v...)
			i = to - 1
			if bracket {
				i = to
			}
		default:
			out = append(out, c)
		}
	}
	return out, nil
}

func echo(s *state, c *command) error {
	name, _ := c.param("var")
	v, ok := s.variable(ascii.AppendLower(nil, name))
	if !ok {
		if v, ok = c.param("default"); !ok {
			return s.put([]byte("(none)"))
		}
		if len(v) == 0 {
			return nil
		}
	}
	enc, _ := c.param("encoding")
	switch string(enc) {
	case "", "entity":
		v = http1.AppendEscapeHTML(nil, v)
	case "url":
		v = http1.AppendEscape(nil, v, http1.EscapeHTML)
	case "none":
	default:
		return fmt.Errorf("unknown encoding \"%s\" in the \"echo\" command", enc)
	}
	return s.put(v)
}

func settings(s *state, c *command) (err error) {
	if v, ok := c.param("timefmt"); ok {
		if s.page.timefmt, err = s.evaluate(v); err != nil {
			return err
		}
	}
	if v, ok := c.param("errmsg"); ok {
		s.page.errmsg, err = s.evaluate(v)
	}
	return err
}

func set(s *state, c *command) error {
	name, _ := c.param("var")
	text, _ := c.param("value")
	v, err := s.evaluate(text)
	if err != nil {
		return err
	}
	s.page.vars[string(ascii.AppendLower(nil, name))] = v
	return nil
}

func invalidContext(c *command) error {
	return fmt.Errorf("invalid context of SSI command: \"%s\"", c.name)
}

func ifTrue(s *state, c *command) error {
	b := branch{}
	var err error
	if s.shown() {
		b.shown, err = s.holds(c)
		b.chosen = b.shown
	}
	s.branches = append(s.branches, b)
	return err
}

func (s *state) open(c *command) (*branch, error) {
	if len(s.branches) == 0 || s.branches[len(s.branches)-1].last {
		return nil, invalidContext(c)
	}
	return &s.branches[len(s.branches)-1], nil
}

func elif(s *state, c *command) (err error) {
	b, err := s.open(c)
	if err != nil {
		return err
	}
	b.shown = false
	if b.chosen {
		return nil
	}
	b.shown, err = s.holds(c)
	b.chosen = b.shown
	return err
}

func otherwise(s *state, c *command) error {
	b, err := s.open(c)
	if err != nil {
		return err
	}
	b.shown, b.chosen, b.last = !b.chosen, true, true
	return nil
}

func endif(s *state, c *command) error {
	if len(s.branches) == 0 {
		return invalidContext(c)
	}
	s.branches = s.branches[:len(s.branches)-1]
	return nil
}

// holds evaluates an expression: $v, $v = text, $v != text, $v = /regex/.
func (s *state) holds(c *command) (bool, error) {
	expr, _ := c.param("expr")
	end := bytes.IndexByte(expr, ' ')
	if end < 0 {
		end = len(expr)
	}
	left, err := s.evaluate(expr[:end])
	if err != nil {
		return false, err
	}
	rest := bytes.TrimLeft(expr[end:], " ")
	if len(rest) == 0 {
		return len(left) > 0, nil
	}
	equal := rest[0] == '='
	if equal {
		rest = rest[1:]
	} else if bytes.HasPrefix(rest, []byte("!=")) {
		rest = rest[2:]
	} else {
		return false, fmt.Errorf("invalid expression in \"%s\"", expr)
	}
	rest = bytes.TrimLeft(rest, " ")
	if len(rest) == 0 || rest[0] != '/' {
		right, err := s.evaluate(rest)
		return bytes.Equal(left, right) == equal, err
	}
	if len(rest) < 2 || rest[len(rest)-1] != '/' {
		return false, fmt.Errorf("invalid regexp in \"%s\"", expr)
	}
	found, err := s.match(left, string(rest[1:len(rest)-1]))
	return found == equal, err
}

var regexSlot = engine.NewWorkerSlot() // map[string]*luajit.Regex

// maxRegexes bounds what a worker keeps: patterns come with pages.
const maxRegexes = 256

func (s *state) match(subject []byte, pattern string) (bool, error) {
	known, _ := s.r.W.Values[regexSlot].(map[string]*luajit.Regex)
	if known == nil || len(known) >= maxRegexes {
		known = map[string]*luajit.Regex{}
		s.r.W.Values[regexSlot] = known
	}
	x := known[pattern]
	if x == nil {
		var err error
		if x, err = luajit.CompileRegex(pattern, false); err != nil {
			return false, err
		}
		known[pattern] = x
	}
	p := s.page
	groups := make([]int32, 2*(x.NumCaptures()+1))
	rc := x.Match(subject, groups)
	if rc == luajit.RegexNoMatch {
		p.groups = nil
		return false, nil
	} else if rc < 0 {
		return false, fmt.Errorf("pcre2_match() failed: %d on \"%s\" using \"%s\"", rc, subject, pattern)
	}
	p.groups, p.subject = groups, subject
	for _, n := range x.Names() {
		if g := 2 * n.Group; g+1 < len(groups) && groups[g] >= 0 {
			p.vars[strings.ToLower(n.Name)] = subject[groups[g]:groups[g+1]]
		}
	}
	return true, nil
}

func block(s *state, c *command) error {
	name, _ := c.param("name")
	s.inBlock, s.blockOf, s.block = true, string(name), nil
	return nil
}

func endblock(s *state, c *command) error {
	if !s.inBlock {
		return invalidContext(c)
	}
	s.page.blocks[s.blockOf] = s.block
	s.inBlock, s.block = false, nil
	return nil
}

func include(s *state, c *command) error {
	text, virtual := c.param("virtual")
	file, byFile := c.param("file")
	switch {
	case virtual && byFile:
		return fmt.Errorf("inclusion may be either virtual=\"%s\" or file=\"%s\"", text, file)
	case !virtual && !byFile:
		return errors.New("no parameter in \"include\" SSI command")
	case byFile:
		text = file
	}
	set, keep := c.param("set")
	stub, stubbed := c.param("stub")
	if keep && byFile {
		return fmt.Errorf("\"set\" may not be used with file=\"%s\" in the \"include\" SSI command", file)
	}
	if wait, ok := c.param("wait"); ok && string(wait) != "yes" && string(wait) != "no" {
		return fmt.Errorf("invalid value \"%s\" in the \"wait\" parameter", wait)
	}
	var stubText []byte
	if stubbed {
		var ok bool
		if stubText, ok = s.page.blocks[string(stub)]; !ok {
			return fmt.Errorf("\"stub\"=\"%s\" for \"include\" not found", stub)
		}
	}
	uri, err := s.evaluate(text)
	if err != nil {
		return err
	}
	if len(uri) > 0 && uri[0] != '/' {
		at := bytes.LastIndexByte(s.r.URI, '/')
		uri = append(s.r.Copy(s.r.URI[:at+1]), uri...)
	}
	_, path, args, ok := http1.ParseUnsafeURI(nil, uri)
	if !ok {
		return fmt.Errorf("unsafe URI \"%s\" was detected", uri)
	}
	if err := s.flush(); err != nil {
		return err
	}
	o := &engine.SubOptions{KeepBody: true, ShareVars: true, Capture: keep || stubbed}
	sub, st := s.r.Subrequest(s.r.Copy(path), s.r.Copy(args), o)
	if st != engine.OK {
		return fmt.Errorf("\"include\" of \"%s\" failed", uri)
	}
	defer sub.Release()
	status := sub.Req.Out.Status
	switch {
	case keep:
		return s.keep(string(ascii.AppendLower(nil, set)), sub, status)
	case stubbed && (status >= 300 || len(sub.Body) == 0):
		return s.feed(bytes.Clone(stubText), false)
	case stubbed:
		return s.put(sub.Body)
	}
	return nil
}

// keep makes a response the value of a variable. One that is too large fails the request, as in nginx.
func (s *state) keep(name string, sub *engine.Captured, status engine.Status) error {
	s.page.vars[name] = []byte{}
	if status >= 300 {
		return nil
	}
	if max := sub.Req.Core().SubrequestBuffer.V; int64(len(sub.Body)) > max {
		s.r.Logf(nlog.Error, "too big subrequest response: %d", len(sub.Body))
		return engine.ErrClientGone
	}
	s.page.vars[name] = bytes.Clone(sub.Body)
	return nil
}

func wordByte(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z'
}
