package ssi

import (
	"bytes"
	"fmt"

	"moongate/internal/base/nlog"
	"moongate/internal/engine"
)

// state is one response whose commands are carried out.
type state struct {
	r     *engine.Request
	c     *config
	page  *page
	held  []byte // came when nobody could wait
	part  []byte // the beginning of a command
	out   []byte
	ended bool

	branches []branch // the ifs that are open
	block    []byte   // the text of the open block, when there is one
	blockOf  string
	inBlock  bool
}

// branch is an if: whether the text here is shown, and whether one of its branches was.
type branch struct{ shown, chosen, last bool }

// Limits of one command.
const (
	maxName   = 100
	maxParams = 16
	passOn    = 16 << 10 // output gathered before it is passed on
)

var opening = []byte("<!--#")

func (s *state) shown() bool {
	for _, b := range s.branches {
		if !b.shown {
			return false
		}
	}
	return true
}

// feed takes the next piece of the body.
func (s *state) feed(data []byte, last bool) error {
	if len(s.part) > 0 {
		data = append(s.part, data...)
		s.part = nil
	}
	for len(data) > 0 {
		at := bytes.Index(data, opening)
		if at < 0 {
			keep := 0
			if !last {
				keep = tail(data)
			}
			if err := s.text(data[:len(data)-keep]); err != nil {
				return err
			}
			s.part = append(s.part, data[len(data)-keep:]...)
			return nil
		}
		if err := s.text(data[:at]); err != nil {
			return err
		}
		data = data[at:]
		var cmd command
		n, err := cmd.parse(data, int(s.c.valueLength.V))
		switch {
		case n == 0 && last: // it never became a command
			return s.text(data)
		case n == 0:
			s.part = append(s.part, data...)
			return nil
		}
		if err := s.command(&cmd, data[:n], err); err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

// tail is how many bytes at the end may begin a command.
func tail(data []byte) int {
	for n := min(len(opening)-1, len(data)); n > 0; n-- {
		if bytes.HasSuffix(data, opening[:n]) {
			return n
		}
	}
	return 0
}

// text is a piece without commands.
func (s *state) text(p []byte) error {
	switch {
	case len(p) == 0:
		return nil
	case s.inBlock:
		s.block = append(s.block, p...)
		return nil
	case !s.shown():
		return nil
	}
	return s.put(p)
}

func (s *state) put(p []byte) error {
	s.out = append(s.out, p...)
	if len(s.out) < passOn {
		return nil
	}
	return s.flush()
}

// flush passes on what was gathered.
func (s *state) flush() error {
	if len(s.out) == 0 {
		return nil
	}
	return s.pass(&engine.Chunk{Data: s.out})
}

func (s *state) pass(c *engine.Chunk) error {
	err := s.r.Next(c)
	s.out = s.out[:0]
	return err
}

// command is a command as written.
type command struct {
	name   string
	params []param
}

type param struct {
	name  string
	value []byte
}

func (c *command) param(name string) ([]byte, bool) {
	for _, p := range c.params {
		if p.name == name {
			return p.value, true
		}
	}
	return nil, false
}

func space(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// parse reads the command that b begins with. n is its length, 0 when it is not whole yet. After an error the command
// ends with the next "-->".
func (c *command) parse(b []byte, maxValue int) (n int, err error) {
	i := len(opening)
	skip := func() {
		for i < len(b) && space(b[i]) {
			i++
		}
	}
	word := func(stop string) (string, error) {
		from := i
		for i < len(b) && !space(b[i]) && bytes.IndexByte([]byte(stop), b[i]) < 0 {
			if i++; i-from > maxName {
				return "", fmt.Errorf("the \"%s...\" SSI command is too long", b[from:i])
			}
		}
		return string(b[from:i]), nil
	}
	bad := func(err error) (int, error) {
		end := bytes.Index(b[i:], []byte("-->"))
		if end < 0 {
			return 0, nil
		}
		return i + end + 3, err
	}
	skip()
	if c.name, err = word("-"); err != nil {
		return bad(err)
	}
	for {
		skip()
		if i == len(b) {
			return 0, nil
		}
		if b[i] == '-' {
			break
		}
		var p param
		if p.name, err = word("=-"); err != nil {
			return bad(err)
		}
		skip()
		if i == len(b) {
			return 0, nil
		}
		if b[i] != '=' {
			return bad(fmt.Errorf("unexpected \"%c\" symbol after \"%s\" parameter in \"%s\" SSI command", b[i], p.name, c.name))
		}
		i++
		skip()
		if i == len(b) {
			return 0, nil
		}
		quote := b[i]
		if quote != '"' && quote != '\'' {
			return bad(fmt.Errorf("unexpected \"%c\" symbol before value of \"%s\" parameter in \"%s\" SSI command", quote, p.name, c.name))
		}
		i++
		from := i
		for i < len(b) && b[i] != quote {
			if b[i] == '\\' {
				i++
			}
			if i++; i-from > maxValue {
				return bad(fmt.Errorf("too long \"%s%c...\" value of \"%s\" parameter in \"%s\" SSI command", b[from:min(i, len(b))-1], b[min(i, len(b))-1], p.name, c.name))
			}
		}
		if i >= len(b) {
			return 0, nil
		}
		p.value = b[from:i]
		i++
		if len(c.params) == maxParams {
			return bad(fmt.Errorf("too many SSI command parameters"))
		}
		c.params = append(c.params, p)
	}
	if len(b)-i < 3 {
		if !bytes.HasPrefix([]byte("-->"), b[i:]) {
			return bad(fmt.Errorf("unexpected \"%c\" symbol in \"%s\" SSI command", b[i], c.name))
		}
		return 0, nil
	}
	if string(b[i:i+3]) != "-->" {
		return bad(fmt.Errorf("unexpected \"%c\" symbol in \"%s\" SSI command", b[i+1], c.name))
	}
	return i + 3, nil
}

// command carries one out; failed is why it could not be read.
func (s *state) command(c *command, raw []byte, failed error) error {
	d := define(c.name)
	switch {
	case s.inBlock && (c.name != "endblock"):
		s.block = append(s.block, raw...)
		return nil
	case failed == nil && d == nil:
		failed = fmt.Errorf("invalid SSI command: \"%s\"", c.name)
	}
	flow := d != nil && d.flow
	if !s.shown() && !flow {
		return nil
	}
	if failed == nil {
		failed = d.check(c)
	}
	if failed == nil {
		failed = d.run(s, c)
	}
	if failed == engine.ErrClientGone {
		return failed
	}
	if failed == nil {
		return nil
	}
	s.r.Logf(nlog.Error, "%s", failed.Error())
	if s.c.silent.V || !s.shown() {
		return nil
	}
	return s.put(s.page.errmsg)
}
