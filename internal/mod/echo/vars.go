package echo

import (
	"fmt"
	"strconv"

	"moongate/internal/engine"
)

var vars = []engine.Var{
	{Name: "echo_timer_elapsed", NoCache: true, Get: timerElapsed, Doc: "Seconds, with milliseconds, since the request began or since echo_reset_timer."},
	{Name: "echo_request_method", NoCache: true, Get: func(r *engine.Request, _ *engine.Var) ([]byte, bool) { return r.MethodName, true },
		Doc: "The method of the request, or of the subrequest."},
	{Name: "echo_client_request_method", NoCache: true, Get: func(r *engine.Request, _ *engine.Var) ([]byte, bool) { return r.Main.MethodName, true },
		Doc: "The method of the client's request, in subrequests too."},
	{Name: "echo_client_request_headers", NoCache: true, Get: clientHeaders, Doc: "The head of the client's request as it was received."},
	{Name: "echo_request_uri", NoCache: true, Get: requestURI, Doc: "The URI of the request or subrequest."},
	{Name: "echo_cacheable_request_uri", Get: requestURI, Doc: "As `$echo_request_uri`, evaluated once."},
	{Name: "echo_request_body", NoCache: true, Get: bodyVar, Doc: "The request body, when it was read into memory."},
	{Name: "echo_it", NoCache: true, Get: it, Doc: "The part of the text that echo_foreach_split is at."},
	{Name: "echo_incr", NoCache: true, Get: incr, Doc: "A number that grows by one at each use, beginning with 1; subrequests count on."},
	{Name: "echo_response_status", NoCache: true, Get: func(r *engine.Request, _ *engine.Var) ([]byte, bool) {
		if r.Out.Status == 0 {
			return nil, false
		}
		return strconv.AppendInt(r.Alloc(8)[:0], int64(r.Out.Status), 10), true
	}, Doc: "The status of the response."},
}

func timerElapsed(r *engine.Request, _ *engine.Var) ([]byte, bool) {
	r.W.Loop.RenewClock()
	ms := max(0, (r.W.Loop.Now()-of(r).timer)/1e6)
	return fmt.Appendf(r.Alloc(24)[:0], "%d.%03d", ms/1000, ms%1000), true
}

func clientHeaders(r *engine.Request, _ *engine.Var) ([]byte, bool) {
	return r.Main.RawHead, true
}

// requestURI is without the arguments, whatever the documentation of the original says: it never had them.
func requestURI(r *engine.Request, _ *engine.Var) ([]byte, bool) { return r.URI, true }

func bodyVar(r *engine.Request, _ *engine.Var) ([]byte, bool) {
	if !r.Body.Read || r.Body.File != nil || len(r.Body.Mem) == 0 {
		return nil, false
	}
	return r.Body.Mem, true
}

func it(r *engine.Request, _ *engine.Var) ([]byte, bool) {
	if l := of(r).loop; l != nil {
		return l.parts[l.at], true
	}
	return nil, false
}

func incr(r *engine.Request, _ *engine.Var) ([]byte, bool) {
	x := of(r.Main)
	x.count++
	return strconv.AppendInt(r.Alloc(20)[:0], int64(x.count), 10), true
}
