package socket

import (
	"bytes"

	"moongate/internal/lua"
)

// pattern is what receiveuntil looks for, with the state of its iterator.
type pattern struct {
	s         *sock
	text      []byte
	back      []int // of each prefix, the length of its longest border
	inclusive bool
	// state is how much of text stands at the front of the socket's buffer, -1 when the end was given out in pieces.
	state int
}

// newPattern is receiveuntil: it returns the pattern, or nil and a message, or false and what is to be raised.
func newPattern(c *lua.Call) lua.Outcome {
	n := c.NArgs()
	fail := func(msg string) lua.Outcome { return c.ReturnFalseErr(msg) }
	if n != 2 && n != 3 {
		return fail("expecting 2 or 3 arguments (including the object), but got " + string(lua.AppendNumber(nil, float64(n))))
	}
	p := &pattern{}
	if n == 3 {
		if c.Type(3) != lua.Table {
			return fail("bad argument #2 to 'receiveuntil' (table expected, got " + c.Type(3).String() + ")")
		}
		t, err := c.Pack(3)
		if err != nil {
			return c.Fail(err)
		}
		switch v := t.Get("inclusive"); {
		case v.IsNil():
		case v.Type == lua.Bool:
			p.inclusive = v.Bool()
		default:
			return fail("bad \"inclusive\" option value type: " + v.Type.String())
		}
	}
	if c.Type(1) != lua.Table {
		return fail("bad argument #1 to 'receiveuntil' (table expected, got " + c.Type(1).String() + ")")
	}
	switch c.Type(2) {
	case lua.Str:
		p.text = append(p.text, c.Str(2)...)
	case lua.Number:
		p.text = lua.AppendNumber(nil, c.Num(2))
	default:
		return fail("bad argument #1 to 'receiveuntil' (string expected, got " + c.Type(2).String() + ")")
	}
	if debugs(c) {
		debugf(c, "lua tcp socket calling receiveuntil() method")
	}
	if len(p.text) == 0 {
		return c.ReturnNilErr("pattern is empty")
	}
	p.s, _ = c.Object(1).(*sock)
	p.back = borders(p.text)
	c.Push().Object("sockreader", p)
	return c.Return()
}

// borders gives, for each length of a prefix, the length of its longest border: a proper prefix that is a suffix too.
func borders(t []byte) []int {
	back := make([]int, len(t)+1)
	k := 0
	for i := 1; i < len(t); i++ {
		for k > 0 && t[i] != t[k] {
			k = back[k]
		}
		if t[i] == t[k] {
			k++
		}
		back[i+1] = k
	}
	return back
}

// step is a call of the iterator.
func step(c *lua.Call) lua.Outcome {
	p := c.Object(1).(*pattern)
	n := c.NArgs() - 1
	if n > 1 {
		return c.Errorf("expecting 0 or 1 argument, but seen %d", n)
	}
	limit := 0
	if n == 1 {
		if t := c.Type(2); t != lua.Number && !(t == lua.Str && isNumber(c.Str(2))) {
			return c.ArgError(1, "number expected, got "+t.String())
		}
		limit = max(c.Int(2), 0)
	}
	s := p.s
	if s == nil || s.c == nil || s.readClosed {
		return c.ReturnNilErr("closed")
	}
	if out, ok := s.check(c, idleConnect|idleRead); !ok {
		return out
	}
	if debugs(c) {
		debugf(c, "lua tcp socket receiveuntil iterator")
		debugf(c, "lua tcp socket read timeout: %d", s.readTimeout()/1e6)
	}
	if p.state == -1 {
		p.state = 0
		w := c.Push()
		w.Nil()
		w.Nil()
		w.Nil()
		return c.Return()
	}
	if s.until != p {
		s.unread()
		p.state = 0
		s.until = p
	}
	return p.search(c, limit)
}

// search reads up to the pattern, or limit bytes when that is not 0. What stands between the front of the buffer and
// the place where a part of the pattern begins is data.
func (p *pattern) search(c *lua.Call, limit int) lua.Outcome {
	s := p.s
	data := 0 // bytes at the front which are not of the pattern
	for {
		cn := s.c
		in := cn.buf[cn.r:cn.w]
		n, found := p.scan(in, data, limit)
		switch {
		case found:
			end := n
			if !p.inclusive {
				end -= len(p.text)
			}
			c.Push().Str(in[:end])
			p.state = 0
			if limit > 0 {
				p.state = -1
			}
			cn.took(cn.r+n, s)
			return c.Return()
		case limit > 0 && n >= limit:
			c.Push().Str(in[:n])
			cn.took(cn.r+n, s)
			return c.Return()
		}
		data = n
		if f := s.fill(c, 1); f != nil {
			if s.c == nil {
				return s.readFailed(c, f, nil)
			}
			out := s.readFailed(c, f, cn.buf[cn.r:cn.r+data])
			if !s.readClosed {
				cn.took(cn.r+data, s)
			} else {
				p.state = 0
			}
			return out
		}
	}
}

// scan goes on behind data+state bytes of in. It returns the number of data bytes now known, with found those up to and
// with the pattern. A limit is passed by no more than the length of the pattern, as in OpenResty.
func (p *pattern) scan(in []byte, data, limit int) (n int, found bool) {
	t, state := p.text, p.state
	for i := data + state; i < len(in); {
		ch := in[i]
		if ch == t[state] {
			i++
			state++
			if state == len(t) {
				p.state = state
				return i, true
			}
			continue
		}
		if state == 0 {
			skip := bytes.IndexByte(in[i:], t[0])
			if skip < 0 {
				skip = len(in) - i
			}
			if limit > 0 {
				skip = min(skip, limit-data)
			}
			i += skip
			data += skip
			if limit > 0 && data >= limit {
				p.state = 0
				return data, false
			}
			continue
		}
		k := p.back[state]
		for k > 0 && t[k] != ch {
			k = p.back[k]
		}
		if k > 0 { // a shorter part of the pattern ends here
			data += state - k
			state = k + 1
			i++
		} else {
			data += state
			state = 0
		}
		if limit > 0 && data >= limit {
			p.state = state
			return data, false
		}
	}
	p.state = state
	return data, false
}
