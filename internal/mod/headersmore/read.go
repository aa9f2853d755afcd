package headersmore

import (
	"strings"

	"moongate/internal/conf"
	"moongate/internal/engine"
)

// read reads a directive; options are those it may have.
func read(c *conf.Cmd, options string, clear bool, to *[]*command) error {
	cmd := &command{}
	for i := 0; i < len(c.Args); i++ {
		a := c.Args[i]
		if a == "" {
			continue
		}
		if a[0] != '-' {
			if err := cmd.readHeader(c, a, clear); err != nil {
				return err
			}
			continue
		}
		if len(a) != 2 || !strings.Contains(options, a[1:]) {
			return c.Errorf("%s: invalid option name: \"%s\"", c.Name, a)
		}
		if a[1] == 't' || a[1] == 's' {
			if i++; i == len(c.Args) {
				return c.Errorf("%s: option %s takes an argument.", c.Name, a)
			}
		}
		switch a[1] {
		case 't':
			for _, t := range strings.FieldsFunc(c.Args[i], func(c rune) bool { return isSpace(c) || c == ';' }) {
				cmd.types = append(cmd.types, []byte(t))
			}
		case 's':
			if err := cmd.readStatuses(c, c.Args[i]); err != nil {
				return err
			}
		case 'a':
			cmd.add = true
		case 'r':
			cmd.existing = true
		}
	}
	*to = append(*to, cmd)
	return nil
}

func isSpace(c rune) bool { return c == ' ' || c == '\t' }

func (cmd *command) readStatuses(c *conf.Cmd, text string) error {
	for _, word := range strings.FieldsFunc(text, isSpace) {
		n := 0
		for _, d := range word {
			if d < '0' || d > '9' {
				return c.Errorf("%s: invalid digit \"%c\" found in the status code list \"%s\"", c.Name, d, text)
			}
			n = min(n*10+int(d-'0'), 1000)
		}
		cmd.statuses = append(cmd.statuses, engine.Status(n))
	}
	return nil
}

func (cmd *command) readHeader(c *conf.Cmd, text string, clear bool) error {
	name, value, _ := strings.Cut(text, ":")
	name = strings.Trim(name, " \t")
	value = strings.TrimLeft(value, " \t")
	if name == "" {
		return c.Errorf("%s: no key found in the header argument: %s", c.Name, text)
	}
	h := header{name: []byte(name)}
	if strings.HasSuffix(name, "*") {
		if len(name) < 2 {
			return c.Errorf("%s: wildcard key too short: %s", c.Name, text)
		}
		h.name, h.wildcard = []byte(name[:len(name)-1]), true
	}
	if value != "" && !clear {
		t, err := engine.CompileArg(c, value)
		if err != nil {
			return err
		}
		h.value = t
	}
	cmd.headers = append(cmd.headers, h)
	return nil
}
