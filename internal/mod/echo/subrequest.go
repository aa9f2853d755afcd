package echo

import (
	"os"
	"strconv"

	"moongate/internal/base/nlog"
	"moongate/internal/engine"
	"moongate/internal/http1"
)

func location(r *engine.Request, _ *state, c *cmd) engine.Status {
	return runLocation(r, c, "echo_location")
}

func locationAsync(r *engine.Request, _ *state, c *cmd) engine.Status {
	return runLocation(r, c, "echo_location_async")
}

func runLocation(r *engine.Request, c *cmd, name string) engine.Status {
	return send(r, name, c.text(r, 0), c.text(r, 1), &engine.SubOptions{KeepBody: true})
}

func subrequest(r *engine.Request, _ *state, c *cmd) engine.Status {
	return runSubrequest(r, c, "echo_subrequest")
}

func subrequestAsync(r *engine.Request, _ *state, c *cmd) engine.Status {
	return runSubrequest(r, c, "echo_subrequest_async")
}

func runSubrequest(r *engine.Request, c *cmd, name string) engine.Status {
	method, uri := c.text(r, 0), c.text(r, 1)
	o := &engine.SubOptions{Method: http1.LookupMethod(method), MethodName: method, KeepBody: true}
	var args []byte
	for i := 2; i < len(c.args); i++ {
		opt := c.text(r, i)
		i++
		val := c.text(r, i)
		if len(opt) != 2 || opt[0] != '-' || opt[1] != 'q' && opt[1] != 'b' && opt[1] != 'f' {
			r.Logf(nlog.Error, "unknown option for echo_subrequest*: %s", opt)
			return engine.Error
		}
		switch {
		case opt[1] == 'q':
			args = val
		case len(val) == 0: // as if it was not there: the parent's body is passed on
		case opt[1] == 'b':
			o.Body, o.HasBody, o.KeepBody = val, true, false
			o.Prepare = func(sub *engine.Request) { setLength(sub, int64(len(val))) }
		default:
			st := bodyFromFile(r, o, string(val))
			if st != goOn {
				return st
			}
		}
	}
	return send(r, name, uri, args, o)
}

// bodyFromFile makes a file the body of a subrequest.
func bodyFromFile(r *engine.Request, o *engine.SubOptions, name string) engine.Status {
	name = r.H.Config.FullName(name)
	f, err := os.Open(name)
	if err != nil {
		r.LogErr(nlog.Error, err, "open() \"%s\" failed", name)
		return engine.Error
	}
	st, err := f.Stat()
	if err != nil || !st.Mode().IsRegular() {
		f.Close()
		return engine.Error
	}
	o.HasBody, o.KeepBody = true, false
	o.Prepare = func(sub *engine.Request) {
		sub.Body.File, sub.Body.FileSize, sub.Body.KeepFile = f, st.Size(), true
		setLength(sub, st.Size())
	}
	return goOn
}

// setLength makes a subrequest with a body of its own have the header for it.
func setLength(sub *engine.Request, n int64) {
	sub.ContentLength = n
	sub.OwnHead().Set([]byte("Content-Length"), strconv.AppendInt(nil, n, 10))
}

// send serves a subrequest; what it answers is a part of the response.
func send(r *engine.Request, name string, uri, args []byte, o *engine.SubOptions) engine.Status {
	path, own, ok := target(uri)
	if !ok {
		r.Logf(nlog.Error, "%s sees unsafe uri: \"%s\"", name, uri)
		return engine.Error
	}
	if len(args) == 0 {
		args = own
	}
	if st := sendHead(r); st != engine.OK {
		return st
	}
	if r.HeadOnly {
		return goOn
	}
	// Subrequests read their parent's body when they have none.
	if st := r.ReadBody(); st != engine.OK {
		return st
	}
	if x := of(r); loc.Of(r.Scope).before != nil && !x.beforeSent {
		// The subrequest's output does not pass this request's filter.
		if r.Output(&engine.Chunk{}) != nil {
			return engine.Error
		}
	}
	sub, st := r.Subrequest(path, args, o)
	if st != engine.OK {
		return 500
	}
	aborted := sub.Req.Ctx(abortSlot) != nil
	sub.Release()
	if aborted {
		// The subrequest has ended its parent: nothing more is written.
		if r.Output(&engine.Chunk{Last: true}) != nil {
			return engine.Error
		}
		return engine.OK
	}
	if r.Drain(engine.OutputLow) != nil {
		return engine.Error
	}
	return goOn
}

// abortSlot holds a value in subrequests that asked for their parent's end.
var abortSlot = engine.NewSlot()

func abortParent(r *engine.Request, _ *state, _ *cmd) engine.Status {
	if r.Parent != nil {
		r.SetCtx(abortSlot, true)
		return engine.OK
	}
	return goOn
}
