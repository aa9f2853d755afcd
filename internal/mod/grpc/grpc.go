// Package grpc passes calls on to gRPC servers: grpc_pass and its family. What a call has of its own is here: its
// deadline, its status and messages, and when it is made again; the exchange with the server, over HTTP/2 connections
// that carry many calls, is package relay's.
package grpc

import (
	"strings"
	"time"

	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/relay"
	"moongate/internal/upstream"
)

type config struct {
	relay.Conf
	target  *target
	headers []conf.Pair
	fields  *relay.FieldSet

	timeoutHeader conf.Opt[bool]
	retryOn       conf.Opt[uint32]
	retryTries    conf.Opt[int]
	backoff       conf.Opt[backoff]
	budget        conf.Opt[budget]
}

// target is where a grpc_pass passes calls on to.
type target struct {
	template *engine.Template // of an address with variables, else nil
	group    *relay.Group
	scheme   string
	host     string // for :authority
	name     string // for counters; "" with variables
}

// backoff is how long is waited before a further try: a part of base, doubled with each try up to max.
type backoff struct{ base, max time.Duration }

// budget is how many of the calls in flight may be further tries.
type budget struct{ percent, atLeast int64 }

var loc = conf.NewLevel[config](conf.KindLocation).OnMerge(merge)

const anywhere = conf.HTTPServerLocation

// Module has the directives and variables.
var Module = engine.Module{
	Module: conf.Module{Name: "grpc", Directives: append([]conf.Directive{
		{Name: "grpc_pass", Syntax: "address", In: conf.Location | conf.LocationIf, Args: conf.Take1, Set: conf.Func(readPass),
			Doc: "Passes calls on to a gRPC server or a group of them, at grpc:// or, with TLS, grpcs://. The address may have variables. With keepalive in the group, calls share connections; else each has its own."},
		{Name: "grpc_set_header", Syntax: "field value", In: anywhere, Args: conf.Take2, Default: "Content-Length $content_length", Set: conf.Func(readSetHeader),
			Doc: "A field of the request to the server; an empty value leaves it out."},
		{Name: "grpc_timeout_header", In: anywhere, Default: "on", Set: conf.Slot(loc, conf.Flag, func(c *config) *conf.Opt[bool] { return &c.timeoutHeader }),
			Doc: "Whether the deadline that a client gives in grpc-timeout is enforced here as well: when it has passed, the server's side of the call is cancelled and the client gets DEADLINE_EXCEEDED."},
		{Name: "grpc_retry_on", In: anywhere, Default: "off", Set: conf.Slot(loc, conf.Bits(retryWords...), func(c *config) *conf.Opt[uint32] { return &c.retryOn }),
			Doc: "The statuses after which a call is made again, as long as the server has answered with nothing but the status and the messages sent so far are in memory."},
		{Name: "grpc_retry_tries", In: anywhere, Default: "1", Set: conf.Slot(loc, conf.Number, func(c *config) *conf.Opt[int] { return &c.retryTries }),
			Doc: "How many further tries grpc_retry_on allows."},
		{Name: "grpc_retry_backoff", In: anywhere, Default: "25ms 250ms", Set: conf.Slot(loc, backoffType, func(c *config) *conf.Opt[backoff] { return &c.backoff }),
			Doc: "How long is waited before a further try: a random part of the first time, which is doubled with each try up to the second (ten times the first unless given)."},
		{Name: "grpc_retry_budget", In: anywhere, Default: "20% 3", Set: conf.Slot(loc, budgetType, func(c *config) *conf.Opt[budget] { return &c.budget }),
			Doc: "How many of a worker's calls in flight to a group may be further tries, in per cent, and how many may be in any case."},
	}, append(common(relay.Rows("grpc_", loc, confOf)), relay.SSLRows("grpc_", loc, confOf)...)...)},
	Vars: []engine.Var{
		{Name: "grpc_status", NoCache: true, Get: getStatus, Doc: "The number of the status that the call has ended with (grpc-status), in whichever protocol the client was told."},
		{Name: "grpc_message", NoCache: true, Get: getMessage, Doc: "The text that came with the status, as grpc-message has it: percent-encoded."},
		{Name: "grpc_request_messages", NoCache: true, Get: getRequestMessages, Doc: "How many messages of the client were passed on to the server, or received by the service that answers here."},
		{Name: "grpc_response_messages", NoCache: true, Get: getResponseMessages, Doc: "How many messages came from the server, or were sent by the service that answers here."},
		{Name: "grpc_internal_trailers", NoCache: true, Get: getTrailers, Doc: "What TE says to the server: trailers, when the client wants them."},
	},
}

func confOf(c *config) *relay.Conf { return &c.Conf }

// common picks the directives that all protocols have and gRPC has as well: there is nothing to buffer.
func common(rows []conf.Directive) []conf.Directive {
	var out []conf.Directive
	for _, d := range rows {
		switch strings.TrimPrefix(d.Name, "grpc_") {
		case "bind", "socket_keepalive", "socket_rcvbuf", "socket_sndbuf", "connect_timeout", "send_timeout", "read_timeout", "intercept_errors", "buffer_size",
			"next_upstream", "next_upstream_tries", "next_upstream_timeout", "pass_header", "hide_header", "ignore_headers":
			out = append(out, d)
		}
	}
	return out
}

func readSetHeader(c *conf.Cmd) error {
	cf := loc.Of(c.Scope)
	cf.headers = append(cf.headers, conf.Pair{Key: c.Args[0], Value: c.Args[1]})
	_, err := engine.CompileArg(c, c.Args[1])
	return err
}

func readPass(c *conf.Cmd) error {
	cf := loc.Of(c.Scope)
	if cf.target != nil {
		return c.Duplicate()
	}
	l := engine.LocationOf(c.Scope)
	l.Handler = handle
	if n := len(l.Name); n > 0 && l.Name[n-1] == '/' {
		l.AutoRedirect = true
	}
	t := &target{}
	cf.target = t
	tmpl, err := engine.CompileArg(c, c.Args[0])
	if err != nil {
		return err
	}
	if !tmpl.IsLiteral() {
		t.template = tmpl
		return nil
	}
	scheme, rest := splitScheme(c.Args[0])
	u, problem := upstream.ParseURL(rest, 0, false)
	if problem != "" {
		return c.Errorf("%s in upstream \"%s\"", problem, rest)
	}
	if t.group, err = relay.Add(c, u); err != nil {
		return err
	}
	t.scheme, t.host, t.name = scheme, hostOf(&u), t.group.FullName()
	return nil
}

const plain, secure = "grpc://", "grpcs://"

// splitScheme cuts the scheme off; without one it is that without TLS.
func splitScheme(url string) (scheme, rest string) {
	switch {
	case len(url) >= len(plain) && strings.EqualFold(url[:len(plain)], plain):
		return plain, url[len(plain):]
	case len(url) >= len(secure) && strings.EqualFold(url[:len(secure)], secure):
		return secure, url[len(secure):]
	}
	return plain, url
}

func hostOf(u *upstream.URL) string {
	switch {
	case u.Unix:
		return "localhost"
	case u.NoPort:
		return u.Host
	}
	return u.Host + ":" + u.PortText
}

// hiddenFields of responses are not passed on unless grpc_pass_header says so.
var hiddenFields = []string{"Date", "Server", "X-Accel-Expires", "X-Accel-Redirect", "X-Accel-Limit-Rate", "X-Accel-Buffering", "X-Accel-Charset"}

// notPassed are the client's fields that are its connection's, or that grpc_set_header has defaults for.
var notPassed = []string{"Content-Length", "TE", "Host", "Connection", "Proxy-Connection", "Transfer-Encoding", "Keep-Alive", "Expect", "Upgrade"}

var ownFields = map[string]func(x *relay.Exchange) []byte{
	"content-length": func(x *relay.Exchange) []byte {
		if x.Editor != nil { // what goes up may be longer or shorter
			return nil
		}
		return x.Number(x.R.ContentLength)
	},
	"te": (*relay.Exchange).WantsTrailers,
}

func merge(parent, child *config, s *conf.Scope) error {
	if l := engine.LocationOf(s); l != nil && l.IsIf && child.target == nil && parent.target != nil {
		child.target = parent.target // the handler stays that of the location around
	}
	child.Buffers.V = conf.Buffers{Num: 8, Size: child.BufferSize.V}
	child.PassRequestHeaders.V, child.PassBody.V = true, true
	if err := child.Complete("grpc_", &parent.Conf, s, hiddenFields); err != nil {
		return err
	}
	if t := child.target; t != nil && (t.template != nil || t.scheme == secure) {
		if err := child.CompleteSSL("grpc_", s); err != nil {
			return err
		}
	}
	if child.headers == nil {
		child.headers = parent.headers
	}
	var err error
	child.fields, err = relay.NewFieldSet(s, child.headers, ownFields, notPassed)
	return err
}
