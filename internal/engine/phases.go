package engine

import (
	"runtime/debug"

	"moongate/internal/base/nlog"
)

// maxURIChanges is how often a request may change its URI (rewrites and internal redirects) before nginx gives up.
const maxURIChanges = 10

// Serve takes a request with a parsed head through its phases until the whole response is queued, then the log phase
// is the driver's to ask for (RunLog) once the response has left. It may park.
func (r *Request) Serve() {
	defer r.rescue()
	if c := CoreSrv(r.Server.Scope); c.EarlyRead.V.Any(r) {
		if st := r.ReadBody(); st != OK {
			r.finish(st)
			return
		}
	}
	r.detachable = r.Parent == nil
	r.serve(PostRead)
	r.detachable = false
}

// rescue keeps a broken invariant in one request from taking the worker down.
func (r *Request) rescue() {
	if p := recover(); p != nil {
		r.Logf(nlog.Alert, "panic while serving the request: %v\n%s", p, debug.Stack())
		if !r.HeaderSent {
			r.errorPage = true
			r.finish(500)
			return
		}
		r.fail()
	}
}

func (r *Request) serve(from Phase) {
	r.restartAt = from
	for {
		st := r.runFrom(r.restartAt)
		switch st {
		case Restart:
			continue
		case Detached:
			return
		}
		r.runDelayed()
		if st = r.finish(st); st != Restart {
			if r.instead {
				r.KeepAlive = false
			}
			return
		}
	}
}

// runFrom is the phase engine: straight down from the given phase.
func (r *Request) runFrom(from Phase) Status {
	switch from {
	case PostRead:
		if st, ok := r.steps(PostRead); !ok {
			return st
		}
		fallthrough
	case ServerRewrite:
		if st, ok := r.steps(ServerRewrite); !ok {
			return st
		}
		for {
			r.uriChanged = false
			if st := r.findConfig(); st != OK {
				return st
			}
			if st, ok := r.steps(Rewrite); !ok {
				return st
			}
			if !r.uriChanged {
				break
			}
			if st := r.spendURIChange(); st != OK {
				return st
			}
		}
	case Content: // a clone
		return r.content()
	case Rewrite: // a named location
		r.uriChanged = false
		if st, ok := r.steps(Rewrite); !ok {
			return st
		}
		for r.uriChanged {
			if st := r.spendURIChange(); st != OK {
				return st
			}
			r.uriChanged = false
			if st := r.findConfig(); st != OK {
				return st
			}
			if st, ok := r.steps(Rewrite); !ok {
				return st
			}
		}
	}
	if st, ok := r.steps(Preaccess); !ok {
		return st
	}
	if st := r.access(); st != OK {
		return st
	}
	if st, ok := r.steps(Precontent); !ok {
		return st
	}
	return r.content()
}

// steps runs one phase of the location's program. ok is false when the phase ended the run with st.
func (r *Request) steps(p Phase) (st Status, ok bool) {
	loc := r.Loc
	for i, last := 0, -1; ; i++ {
		if r.Loc != loc { // an "if" has replaced the location: go on behind the step that did it
			loc = r.Loc
			for i = 0; i < len(loc.order[p]) && loc.order[p][i] <= last; i++ {
			}
		}
		if i >= len(loc.steps[p]) {
			return OK, true
		}
		last = loc.order[p][i]
		switch st := loc.steps[p][i](r); st {
		case Declined:
		case OK:
			if p == Rewrite || p == ServerRewrite || p == PostRead {
				continue
			}
			return OK, true
		default:
			return st, false
		}
	}
}

func (r *Request) spendURIChange() Status {
	if r.uriChanges--; r.uriChanges < 0 {
		r.Logf(nlog.Error, "rewrite or internal redirection cycle while processing \"%s\"", r.URI)
		return 500
	}
	return OK
}

// access runs the access phase under "satisfy".
func (r *Request) access() Status {
	if r.Parent != nil {
		return OK
	}
	list := r.Loc.steps[Access]
	if len(list) == 0 {
		return OK
	}
	all := r.Core().Satisfy.V == SatisfyAll
	r.accessCode = 0
	for _, run := range list {
		st := run(r)
		switch {
		case st == Declined:
			continue
		case all:
			if st == OK {
				continue
			}
			return r.refuse(st)
		case st == OK: // satisfy any: one is enough
			r.accessCode = 0
			r.dropWWWAuthenticate()
			return OK
		case st == 403 || st == 401 || st == 407:
			if r.accessCode != 401 && r.accessCode != 407 {
				r.accessCode = st
			}
		default:
			return r.refuse(st)
		}
	}
	if r.accessCode != 0 {
		if r.accessCode == 403 {
			r.Logf(nlog.Error, "access forbidden by rule")
		}
		return r.refuse(r.accessCode)
	}
	return OK
}

// refuse ends the access phase with a status. One that asks for credentials has to wait (auth_delay), so that it is not
// told how long the check took.
func (r *Request) refuse(st Status) Status {
	if d := r.Core().AuthDelay.V; d > 0 && (st == 401 || st == 407) {
		r.Logf(nlog.Info, "delaying unauthorized request")
		if gone := r.Delay(d); gone != OK {
			return gone
		}
	}
	return st
}

// content runs the location's handler, or the content steps (index, autoindex, static) in their order.
func (r *Request) content() Status {
	if r.Content != nil {
		if st := r.Content(r); st != Declined {
			return st
		}
		r.Content = nil
	}
	for _, run := range r.Loc.steps[Content] {
		if st := run(r); st != Declined {
			return st
		}
	}
	if n := len(r.URI); n > 0 && r.URI[n-1] == '/' {
		r.Logf(nlog.Error, "directory index of \"%s\" is forbidden", r.MapPath(nil))
		return 403
	}
	r.Logf(nlog.Error, "no handler found")
	return 404
}

// findConfig chooses the location for the URI and checks what nginx checks there.
func (r *Request) findConfig() Status {
	r.Content = nil
	r.Loc = r.Server.Loc
	redirect := r.findLocation() == 301
	core := r.Loc.Core
	if !r.Internal && core.Internal.V {
		r.Scope, r.filters = r.Loc.Scope, r.Loc.filters
		return 404
	}
	r.enter()
	if r.Logger.On(nlog.Debug) {
		r.Logf(nlog.Debug, "http cl:%d max:%d", r.ContentLength, core.ClientMaxBodySize.V)
	}
	if n := core.ClientMaxBodySize.V; n != 0 && r.ContentLength > n && !r.Discarded && r.IsMain() {
		r.Logf(nlog.Error, "client intended to send too large body: %d bytes", r.ContentLength)
		r.expect = refused
		return 413
	}
	if redirect {
		return r.redirectToSlash()
	}
	return OK
}

// SwitchLocation makes an "if" block's or limit_except's configuration the one in force.
func (r *Request) SwitchLocation(l *Location) {
	r.Loc = l
	r.enter()
}

// enter applies the location's settings that the request keeps itself.
func (r *Request) enter() {
	l := r.Loc
	handler := l.Handler
	if l.Except != nil && !l.Except.Allows(r.Method) {
		l = l.Except.Loc
		r.Loc = l
		if l.Handler != nil {
			handler = l.Handler
		}
	}
	r.Scope = l.Scope
	r.Logger = l.Core.logger
	r.filters = l.filters
	if handler != nil {
		r.Content = handler
	}
	if r.IsMain() && r.KeepAlive {
		r.updateKeepAlive(l.Core)
	}
}

func (r *Request) updateKeepAlive(c *LocConf) {
	switch {
	case c.KeepaliveTimeout.V.Timeout == 0,
		r.Conn.Requests >= uint64(c.KeepaliveRequests.V),
		r.Conn.Worker.Loop.Now()-r.Conn.StartMono > int64(c.KeepaliveTime.V):
		r.KeepAlive = false
	}
}

// SetURI changes the URI in the rewrite phase; with jump the location is searched again after the phase.
func (r *Request) SetURI(uri []byte, jump bool) {
	r.URI = uri
	r.ValidUnparsed = false
	r.uriChanged = jump
	if !jump {
		r.ValidLocation = false
	}
}

// StayHere takes an announced search for another location back ("break").
func (r *Request) StayHere() {
	if r.uriChanged {
		r.uriChanged, r.ValidLocation = false, false
	}
}

// URIChanged reports whether the rewrite phase changed the URI so that a location is to be searched again.
func (r *Request) URIChanged() bool { return r.uriChanged }

// InternalRedirect sends the request through the phases again with another URI. The caller returns the status it gets.
// uri and args must live as long as the request.
func (r *Request) InternalRedirect(uri, args []byte) Status {
	if r.uriChanges--; r.uriChanges < 0 {
		r.Logf(nlog.Error, "rewrite or internal redirection cycle while internally redirecting to \"%s\"", uri)
		return 500
	}
	r.URI, r.Args = uri, args
	r.ValidUnparsed, r.ValidLocation = false, true
	r.Internal = true
	r.aliasWithURI = false
	r.gzipTested, r.Out.VaryEncoding = 0, false
	r.leaveLocation()
	r.Loc = r.Server.Loc
	r.Scope = r.Loc.Scope
	r.filters = r.Loc.filters
	r.Logger = r.Loc.Core.logger
	r.restartAt = ServerRewrite
	return Restart
}

// NamedRedirect sends the request on to a named location ("@name").
func (r *Request) NamedRedirect(name []byte) Status {
	if r.uriChanges--; r.uriChanges < 0 {
		r.Logf(nlog.Error, "rewrite or internal redirection cycle while redirect to named location \"%s\"", name)
		return 500
	}
	if len(r.URI) == 0 {
		r.Logf(nlog.Error, "empty URI in redirect to named location \"%s\"", name)
		return 500
	}
	l := r.Server.named[str(name)]
	if l == nil {
		r.Logf(nlog.Error, "could not find named location \"%s\"", name)
		return 500
	}
	r.Internal = true
	r.leaveLocation()
	r.Content = nil
	r.Loc = l
	r.enter()
	r.restartAt = Rewrite
	return Restart
}

// leaveLocation forgets what modules kept for the previous location, as nginx zeroes the module contexts.
func (r *Request) leaveLocation() {
	r.dropCtx()
	r.filterMask = 0
}

// dropWWWAuthenticate removes the challenge of an access module that was overruled by "satisfy any".
func (r *Request) dropWWWAuthenticate() { r.DelHeaderOut(hdrWWWAuthenticate) }
