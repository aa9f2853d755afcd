package pipe

import (
	"bytes"
	"syscall"
	"unsafe"

	"moongate/internal/base/nlog"
	"moongate/internal/lua"
	"moongate/internal/luahost"
	"moongate/internal/netio"
)

// How much a read wants.
const (
	all = iota
	exactly
	line
	atMost
)

func reader(name string, std, want int, doc string) *lua.Func {
	return method(name, lua.Async, func(c *lua.Call, p *proc) lua.Outcome {
		n := 0
		switch want {
		case exactly:
			if n = c.Int(2); n == 0 && c.IsNumber(2) {
				return c.ReturnString("")
			}
			if n <= 0 {
				return c.Errorf("bad len argument")
			}
		case atMost:
			if n = c.Int(2); n <= 0 {
				return c.Errorf("bad max argument")
			}
		}
		if !c.MayWait() {
			return c.Errorf("%s: API disabled in the context of %s", name, c.Phase())
		}
		return p.read(c, std, want, n)
	}, doc)
}

func (p *proc) read(c *lua.Call, std, want, n int) lua.Outcome {
	p.debugf("lua pipe read process:%X pid:%d", p.id(), p.pid)
	e := p.std[std]
	switch {
	case p.closed:
		return c.ReturnNilErr("closed")
	case e == nil:
		return c.ReturnNilErr("merged to stdout")
	case waits(e.by):
		return c.ReturnNilErr("pipe busy reading")
	case !e.open:
		return c.ReturnNilErr("closed")
	}
	var data []byte
	deadline := p.deadline(std)
	for {
		var done bool
		if data, n, done = e.take(data, want, n); done {
			return c.ReturnStr(data)
		}
		if e.eof {
			if want == all {
				return c.ReturnStr(data)
			}
			return failed(c, "closed", data)
		}
		if why := p.fill(c, e, std, deadline); why != "" {
			if c.Killed() {
				return c.Return()
			}
			if why == "closed" { // the process ended: what it left behind goes with the word
				data, _, _ = e.take(data, all, 0)
			}
			return failed(c, why, data)
		}
	}
}

func failed(c *lua.Call, why string, partial []byte) lua.Outcome {
	w := c.Push()
	w.Nil()
	w.String(why)
	w.Str(partial)
	return c.Return()
}

// take moves what is wanted from the buffer to data; n is what is still missing of a number of bytes.
func (e *end) take(data []byte, want, n int) ([]byte, int, bool) {
	have := e.buf[e.r:]
	if len(have) == 0 {
		return data, n, false
	}
	use, done := len(have), false
	switch want {
	case exactly:
		use = min(use, n)
		n -= use
		done = n == 0
	case atMost:
		use, done = min(use, n), true
	case line:
		if i := bytes.IndexByte(have, '\n'); i >= 0 {
			use, done = i+1, true
		}
		text := have[:use]
		if done {
			text = text[:use-1]
		}
		for _, b := range text { // carriage returns are left out wherever they stand
			if b != '\r' {
				data = append(data, b)
			}
		}
		e.r += use
		return data, n, done
	}
	data = append(data, have[:use]...)
	e.r += use
	return data, n, done
}

// fill reads into the empty buffer, waiting for bytes, or gives the word for why not. At the end it sets eof.
func (p *proc) fill(c *lua.Call, e *end, std int, deadline int64) string {
	waited := false
	for {
		got, err := e.readSome()
		switch {
		case err == nil:
			e.eof = got == 0
			return ""
		case err != syscall.EAGAIN:
			return errText(err)
		}
		if !waited {
			if ms := p.timeouts[std]; ms > 0 {
				p.debugf("lua pipe add timer for reading: %d(ms) process:%X pid:%d pipe:%X", ms, p.id(), p.pid, p.id())
			}
			p.debugf("lua pipe read yielding process:%X pid:%d pipe:%X", p.id(), p.pid, p.id())
		}
		waited = true
		e.by = c
		if why := p.waited(c, e, std, e.fd.WaitRead(deadline)); why != "" {
			return why
		}
	}
}

// waited looks at how waiting for e ended: "" when it is ready, or the word for why not.
func (p *proc) waited(c *lua.Call, e *end, std int, err error) string {
	if e.by == c {
		e.by = nil
	}
	if why := e.err; why != "" && !c.Killed() {
		e.err = ""
		return why
	}
	switch err {
	case nil:
		return ""
	case netio.ErrTimeout:
		return "timeout"
	case netio.ErrKilled:
		p.debugf("lua pipe proc %s cleanup", [...]string{"write", "read stdout", "read stderr"}[std])
		return "aborted"
	}
	return "closed"
}

// readSome reads once into the buffer, which is empty.
func (e *end) readSome() (int, error) {
	got, err := e.fd.Read(e.buf[:cap(e.buf)])
	if err == nil {
		e.buf, e.r = e.buf[:got], 0
	}
	return got, err
}

// drain reads what a process that has ended left in the pipe, for who waits there, and closes it.
func (e *end) drain() bool {
	if e.buf == nil {
		return false
	}
	var left []byte
	for {
		got, err := e.fd.Read(e.buf[:cap(e.buf)])
		if got <= 0 || err != nil {
			break
		}
		left = append(left, e.buf[:got]...)
	}
	e.buf, e.r = left, 0
	e.fd.Close()
	return true
}

func runWrite(c *lua.Call, p *proc) lua.Outcome {
	var b []byte
	switch c.Type(2) {
	case lua.Str, lua.Number, lua.Table:
		data, own, err := c.Payload(2)
		if err != nil {
			return c.Fail(err)
		}
		if b = data; own {
			b = bytes.Clone(b)
		}
	default:
		return c.Errorf("bad data arg: string, number, or table expected, got %s", luaType(c.Type(2)))
	}
	if !c.MayWait() {
		return luahost.WrongPhase(c)
	}
	p.debugf("lua pipe write process:%X pid:%d", p.id(), p.pid)
	e := p.std[0]
	switch {
	case p.closed:
		return c.ReturnNilErr("closed")
	case waits(e.by):
		return c.ReturnNilErr("pipe busy writing")
	case !e.open:
		return c.ReturnNilErr("closed")
	}
	total := len(b)
	if why := p.write(c, e, b); why != "" {
		if c.Killed() {
			return c.Return()
		}
		return c.ReturnNilErr(why)
	}
	return c.ReturnInt(total)
}

func (p *proc) write(c *lua.Call, e *end, b []byte) string {
	deadline := p.deadline(0)
	waited := false
	for len(b) > 0 {
		n, err := e.fd.Write(b)
		if err == nil {
			b = b[n:]
			continue
		}
		if err != syscall.EAGAIN {
			if l := p.log(); l.On(nlog.Debug) {
				l.Logf(nlog.Debug, nil, err, "lua pipe write data error pipe:%X", uintptr(unsafe.Pointer(e)))
			}
			if err == syscall.EPIPE {
				return "closed"
			}
			return errText(err)
		}
		if !waited {
			if ms := p.timeouts[0]; ms > 0 {
				p.debugf("lua pipe add timer for writing: %d(ms) process:%X pid:%d pipe:%X", ms, p.id(), p.pid, p.id())
			}
			p.debugf("lua pipe write yielding process:%X pid:%d pipe:%X", p.id(), p.pid, p.id())
		}
		waited = true
		e.by = c
		if why := p.waited(c, e, 0, e.fd.WaitWrite(deadline)); why != "" {
			return why
		}
	}
	return ""
}
