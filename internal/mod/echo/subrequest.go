package echo

import (
	"os"

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
		if len(opt) != 2 || opt[0] != '-' {
			r.Logf(nlog.Error, "unknown option for echo_subrequest*: %s", opt)
			return 500
		}
		i++
		val := c.text(r, i)
		switch opt[1] {
		case 'q':
			args = val
		case 'b':
			o.Body, o.HasBody, o.KeepBody = val, true, false
		case 'f':
			name := r.H.Config.FullName(string(val))
			body, err := os.ReadFile(name)
			if err != nil {
				r.LogErr(nlog.Error, err, "open() \"%s\" failed", name)
				return 500
			}
			o.Body, o.HasBody, o.KeepBody = body, true, false
		default:
			r.Logf(nlog.Error, "unknown option for echo_subrequest*: %s", opt)
			return 500
		}
	}
	return send(r, name, uri, args, o)
}

// send serves a subrequest; what it answers is a part of the response.
func send(r *engine.Request, name string, uri, args []byte, o *engine.SubOptions) engine.Status {
	path, own, ok := target(uri)
	if !ok {
		r.Logf(nlog.Error, "%s sees unsafe uri: \"%s\"", name, uri)
		return 500
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
