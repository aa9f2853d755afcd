package echo

import (
	"bytes"
	"io"
	"time"

	"moongate/internal/base/nlog"
	"moongate/internal/base/units"
	"moongate/internal/engine"
	"moongate/internal/http1"
)

// piece is how much of a long output is made at once.
const piece = 32 << 10

func duplicate(r *engine.Request, _ *state, c *cmd) engine.Status {
	count, text := c.text(r, 0), c.text(r, 1)
	n := 0
	for _, d := range count {
		switch {
		case d == '_':
		case d < '0' || d > '9' || n > 1<<50:
			r.Logf(nlog.Error, "invalid size specified: \"%s\"", count)
			return 500
		default:
			n = n*10 + int(d-'0')
		}
	}
	if len(count) == 0 {
		r.Logf(nlog.Error, "invalid size specified: \"%s\"", count)
		return 500
	}
	if n == 0 || len(text) == 0 {
		return write(r, nil)
	}
	per := min(n, max(1, piece/len(text)))
	b := bytes.Repeat(text, per)
	for ; n > 0; n -= per {
		if st := write(r, b[:min(n, per)*len(text)]); st != goOn {
			return st
		}
	}
	return goOn
}

func flush(r *engine.Request, _ *state, _ *cmd) engine.Status {
	if st := sendHead(r); st != engine.OK {
		return st
	}
	if r.Flush() != nil {
		return engine.Error
	}
	return goOn
}

// delay is the time a sleep directive says; status is not goOn when it says none.
func delay(r *engine.Request, c *cmd) (d time.Duration, st engine.Status) {
	s := c.text(r, 0)
	ms, ok := units.Fixed(string(s), 3)
	if !ok {
		r.Logf(nlog.Error, "invalid sleep duration \"%s\"", s)
		return 0, 400
	}
	return time.Duration(ms) * time.Millisecond, goOn
}

func sleep(r *engine.Request, _ *state, c *cmd) engine.Status {
	d, st := delay(r, c)
	if st == goOn {
		r.W.Loop.Sleep(d)
	}
	return st
}

// blockingSleep holds the worker up, as it is asked to.
func blockingSleep(r *engine.Request, _ *state, c *cmd) engine.Status {
	d, st := delay(r, c)
	if st == goOn {
		time.Sleep(d)
		r.W.Loop.RenewClock()
	}
	return st
}

func resetTimer(r *engine.Request, x *state, _ *cmd) engine.Status {
	r.W.Loop.RenewClock()
	x.timer = r.W.Loop.Now()
	return goOn
}

func readBody(r *engine.Request, _ *state, _ *cmd) engine.Status {
	if st := r.ReadBody(); st != engine.OK {
		return st
	}
	return goOn
}

func requestBody(r *engine.Request, _ *state, _ *cmd) engine.Status {
	b := &r.Body
	if !b.Read || b.Size() == 0 {
		return goOn
	}
	if b.File == nil {
		return write(r, b.Mem)
	}
	buf := make([]byte, piece)
	for off := int64(0); off < b.FileSize; {
		n, err := b.File.ReadAt(buf, off)
		if n == 0 {
			if err != io.EOF {
				r.LogErr(nlog.Crit, err, "read() \"%s\" failed", b.File.Name())
			}
			return 500
		}
		off += int64(n)
		if st := write(r, buf[:n]); st != goOn {
			return st
		}
	}
	return goOn
}

func exec(r *engine.Request, _ *state, c *cmd) engine.Status {
	uri, args := c.text(r, 0), c.text(r, 1)
	if isNamed(uri) {
		if len(args) > 0 {
			r.Logf(nlog.Warn, "querystring %s ignored when exec'ing named location %s", args, uri)
		}
		return r.NamedRedirect(uri)
	}
	uri, own, ok := target(uri)
	if !ok {
		r.Logf(nlog.Error, "echo_exec sees unsafe uri: \"%s\"", c.text(r, 0))
		return engine.Error
	}
	if len(args) == 0 {
		args = own
	}
	return r.InternalRedirect(uri, args)
}

// target splits and checks the URI of a subrequest or redirect.
func target(uri []byte) (path, args []byte, ok bool) {
	if len(uri) == 0 {
		return nil, nil, false
	}
	_, path, args, ok = http1.ParseUnsafeURI(nil, uri)
	return path, args, ok
}

func foreach(r *engine.Request, x *state, c *cmd) engine.Status {
	if x.loop != nil {
		r.Logf(nlog.Error, "Nested echo_foreach not supported yet.")
		return 500
	}
	if len(c.args) < 2 {
		r.Logf(nlog.Error, "echo_foreach should take at least two arguments. (if your delimiter starts with \"-\", preceding it with a \"--\".)")
		return 500
	}
	l := &loop{first: x.next}
	for _, p := range bytes.Split(c.text(r, 1), c.text(r, 0)) {
		if len(p) > 0 {
			l.parts = append(l.parts, p)
		}
	}
	x.loop = l
	if len(l.parts) > 0 {
		return goOn
	}
	// Nothing to do: go on behind echo_end.
	x.loop = nil
	prog := loc.Of(r.Scope).content
	for x.next < len(prog) {
		x.next++
		if prog[x.next-1].isEnd {
			break
		}
	}
	return goOn
}

func end(r *engine.Request, x *state, _ *cmd) engine.Status {
	l := x.loop
	if l == nil {
		r.Logf(nlog.Error, "Found a echo_end that has no corresponding echo_foreach before it.")
		return engine.Error
	}
	if l.at++; l.at < len(l.parts) {
		x.next = l.first
	} else {
		x.loop = nil
	}
	return goOn
}
