package engine

import (
	"moongate/internal/base/nlog"
	"moongate/internal/conf"
	"moongate/internal/http1"
)

// Predicates is the value of a directive that holds when one of its strings is neither empty nor 0.
type Predicates []*Template

var predicates = conf.NewType("string ...", conf.OneMore, ParsePredicates)

// ParsePredicates reads the arguments of a directive as Predicates.
func ParsePredicates(c *conf.Cmd) (Predicates, error) {
	var p Predicates
	for _, a := range c.Args {
		t, err := CompileArg(c, a)
		if err != nil {
			return nil, err
		}
		p = append(p, t)
	}
	return p, nil
}

// Any reports whether one holds.
func (p Predicates) Any(r *Request) bool {
	for _, t := range p {
		if v := t.Eval(r); len(v) > 1 || len(v) == 1 && v[0] != '0' {
			return true
		}
	}
	return false
}

// Hinter is implemented by Streams that can send early hints.
type Hinter interface {
	// Hints sends an interim response 103 with these fields. It does not park.
	Hints(r *Request, fields []http1.Header) error
}

// SendHints sends early hints where the location wants that and the client can take them. The fields stay the caller's.
func (r *Request) SendHints(fields []http1.Header) error {
	h, ok := r.Stream.(Hinter)
	if !ok || !r.IsMain() || r.PostAction || r.HeaderSent || len(fields) == 0 || r.Aborted || !r.Core().EarlyHints.V.Any(r) {
		return nil
	}
	return h.Hints(r, fields)
}

var postActionType = conf.NewType("uri", conf.Take1, func(c *conf.Cmd) (string, error) {
	if c.Args[0] == "off" {
		return "", nil
	}
	return c.Args[0], nil
})

// postAction serves the request once more, by another location and for nobody. The response has left.
func (r *Request) postAction() {
	if r.PostAction || !r.IsMain() {
		return
	}
	to := r.Core().PostAction.V
	r.PostAction = true
	r.sink, r.Aborted, r.HeaderSent, r.HeadOnly, r.replaced = nowhere{}, false, false, true, false
	r.ErrStatus, r.errorPage = 0, false
	list, trailers := r.Out.List[:0], r.Out.Trailers[:0]
	r.Out = HeadersOut{List: list, Trailers: trailers, ContentLength: -1, LastModified: -1}
	r.uriChanges = maxURIChanges
	defer r.rescue()
	var st Status
	if to[0] == '/' {
		st = r.InternalRedirect([]byte(to), nil)
	} else {
		st = r.NamedRedirect([]byte(to))
	}
	if st == Restart {
		r.serve(r.restartAt)
	} else {
		r.Logf(nlog.Error, "post_action \"%s\" failed", to)
	}
}

// nowhere is the end of output that nobody gets.
type nowhere struct{}

func (nowhere) head(*Request, bool) error   { return nil }
func (nowhere) body(*Request, *Chunk) error { return nil }
