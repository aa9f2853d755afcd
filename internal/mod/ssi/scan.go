package ssi

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

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

// reader is what is left of a command to be read. It knows nothing of what follows: a command may end later than b.
type reader struct {
	b  []byte
	at int
}

// errShort says that the command is not whole yet.
var errShort = errors.New("short")

// next skips white space and gives the byte behind it.
func (r *reader) next() (byte, error) {
	for ; r.at < len(r.b); r.at++ {
		if !space(r.b[r.at]) {
			return r.b[r.at], nil
		}
	}
	return 0, errShort
}

// word reads up to white space or a byte of stop.
func (r *reader) word(stop string) (string, error) {
	from := r.at
	for r.at < len(r.b) && !space(r.b[r.at]) && strings.IndexByte(stop, r.b[r.at]) < 0 {
		if r.at++; r.at-from > maxName {
			return "", fmt.Errorf("the \"%s...\" SSI command is too long", r.b[from:r.at])
		}
	}
	return string(r.b[from:r.at]), nil
}

// parse reads the command that b begins with. n is its length, 0 when it is not whole yet. After an error the command
// ends with the next "-->".
func (c *command) parse(b []byte, maxValue int) (n int, err error) {
	r := reader{b: b, at: len(opening)}
	switch err := c.read(&r, maxValue); err {
	case nil:
		return r.at, nil
	case errShort:
		return 0, nil
	default:
		end := bytes.Index(b[r.at:], []byte("-->"))
		if end < 0 {
			return 0, nil
		}
		return r.at + end + 3, err
	}
}

func (c *command) read(r *reader, maxValue int) (err error) {
	r.next()
	if c.name, err = r.word("-"); err != nil {
		return err
	}
	for {
		b, err := r.next()
		if err != nil {
			return err
		}
		if b == '-' {
			return c.end(r)
		}
		p, err := c.readParam(r, maxValue)
		if err != nil {
			return err
		}
		if len(c.params) == maxParams {
			return errors.New("too many SSI command parameters")
		}
		c.params = append(c.params, p)
	}
}

// readParam reads name="value".
func (c *command) readParam(r *reader, maxValue int) (p param, err error) {
	if p.name, err = r.word("=-"); err != nil {
		return p, err
	}
	b, err := r.next()
	if err != nil {
		return p, err
	}
	if b != '=' {
		return p, fmt.Errorf("unexpected \"%c\" symbol after \"%s\" parameter in \"%s\" SSI command", b, p.name, c.name)
	}
	r.at++
	quote, err := r.next()
	if err != nil {
		return p, err
	}
	if quote != '"' && quote != '\'' {
		return p, fmt.Errorf("unexpected \"%c\" symbol before value of \"%s\" parameter in \"%s\" SSI command", quote, p.name, c.name)
	}
	r.at++
	from := r.at
	for r.at < len(r.b) && r.b[r.at] != quote {
		if r.b[r.at] == '\\' {
			if r.at++; r.at == len(r.b) {
				break
			}
		}
		if r.at++; r.at-from > maxValue {
			last := r.at - 1
			return p, fmt.Errorf("too long \"%s%c...\" value of \"%s\" parameter in \"%s\" SSI command", r.b[from:last], r.b[last], p.name, c.name)
		}
	}
	if r.at >= len(r.b) {
		return p, errShort
	}
	p.value = r.b[from:r.at]
	r.at++
	return p, nil
}

// end reads "-->".
func (c *command) end(r *reader) error {
	rest := r.b[r.at:]
	switch {
	case bytes.HasPrefix(rest, []byte("-->")):
		r.at += 3
		return nil
	case len(rest) >= 3:
		return fmt.Errorf("unexpected \"%c\" symbol in \"%s\" SSI command", rest[1], c.name)
	case !bytes.HasPrefix([]byte("-->"), rest):
		return fmt.Errorf("unexpected \"%c\" symbol in \"%s\" SSI command", rest[0], c.name)
	}
	return errShort
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
