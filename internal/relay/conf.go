package relay

import (
	"net/netip"
	"strings"
	"syscall"
	"time"

	"moongate/internal/base/ascii"
	"moongate/internal/base/units"
	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/http1"
	"moongate/internal/upstream"
)

// Conf is what all protocols let a location say. A protocol's config struct has one, and Rows makes its directives.
type Conf struct {
	ConnectTimeout, SendTimeout, ReadTimeout, NextTimeout conf.Opt[time.Duration]

	BufferSize, BusySize, MaxTempFile, TempWrite, SendLowat conf.Opt[int64]

	Buffers                      conf.Opt[conf.Buffers]
	Buffering, RequestBuffering  conf.Opt[bool]
	IgnoreClientAbort, Intercept conf.Opt[bool]
	PassRequestHeaders, PassBody conf.Opt[bool]
	SocketKeepalive, ForceRanges conf.Opt[bool]
	SocketRcvbuf, SocketSndbuf   conf.Opt[int64]
	Next                         conf.Opt[uint32]
	NextTries                    conf.Opt[int]
	Ignore                       conf.Opt[uint32]
	LimitRate                    conf.Opt[*engine.Template]
	Local                        conf.Opt[*Local]
	Temp                         conf.Opt[conf.Directory]
	Store                        conf.Opt[Store]
	StoreAccess                  conf.Opt[uint32]
	Caching                      CacheConf
	SSL                          SSL
	Intercept404                 bool // a 404 of the server is answered as one of ours
	Hide, Pass                   []string
	hidden                       names
	passesServer, passesDate     bool
	readBuffer                   int // of a response body
	readAhead                    int64
}

// Local is the address that connections to servers are made from.
type Local struct {
	value       *engine.Template
	sock        syscall.Sockaddr
	Transparent bool
}

// Bits of "next_upstream", in the order of its words.
const (
	onError uint32 = 1 << iota
	onTimeout
	onDenied
	onInvalidHeader
	onNonIdempotent
	on500
	on502
	on503
	on504
	on403
	on404
	on429
	onOff
	onNoLive
)

var nextWords = conf.Bits("error", "timeout", "denied", "invalid_header", "non_idempotent", "http_500", "http_502", "http_503", "http_504", "http_403", "http_404", "http_429", "off")

// NextType is the type of a protocol's "next_upstream" that has words of its own: words gives the common one for each.
func NextType(syntax string, words map[string]string) conf.Type[uint32] {
	return conf.NewType(syntax, conf.OneMore, func(c *conf.Cmd) (uint32, error) {
		d := *c
		d.Args = nil
		for _, a := range c.Args {
			w, ok := words[a]
			if !ok {
				return 0, c.Invalid(a)
			}
			d.Args = append(d.Args, w)
		}
		return nextWords.Parse(&d)
	})
}

// Bits of "ignore_headers", in the order of its words.
const (
	ignoreRedirect uint32 = 1 << iota
	ignoreExpiresXA
	ignoreLimitRate
	ignoreBuffering
	ignoreCharset
	ignoreExpires
	ignoreCacheControl
	ignoreSetCookie
	ignoreVary
)

var ignoreWords = conf.Bits("X-Accel-Redirect", "X-Accel-Expires", "X-Accel-Limit-Rate", "X-Accel-Buffering", "X-Accel-Charset", "Expires", "Cache-Control", "Set-Cookie", "Vary")

const anywhere = conf.HTTPServerLocation

var localType = conf.NewType("address [transparent] | off", conf.Take12, parseLocal)

func parseLocal(c *conf.Cmd) (*Local, error) {
	if len(c.Args) == 1 && c.Args[0] == "off" {
		return nil, nil
	}
	l := &Local{}
	t, err := engine.CompileArg(c, c.Args[0])
	if err != nil {
		return nil, err
	}
	if t.IsLiteral() {
		if l.sock = parseAddr(c.Args[0]); l.sock == nil {
			return nil, c.Errorf("invalid address \"%s\"", c.Args[0])
		}
	} else {
		l.value = t
	}
	if len(c.Args) == 2 {
		if c.Args[1] != "transparent" {
			return nil, c.InvalidParameter(c.Args[1])
		}
		l.Transparent = true
	}
	return l, nil
}

// parseAddr reads an address with or without a port; nil: it is none.
func parseAddr(s string) syscall.Sockaddr {
	if a, err := netip.ParseAddrPort(s); err == nil {
		return upstream.NewAddr(a).Sock
	}
	if a, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		return upstream.NewAddr(netip.AddrPortFrom(a, 0)).Sock
	}
	return nil
}

// Rows makes the directives that all protocols have, with the protocol's prefix ("proxy_"). of finds the Conf in the
// protocol's config struct.
func Rows[T any](prefix string, l *conf.Level[T], of func(*T) *Conf) []conf.Directive {
	flag := func(f func(*Conf) *conf.Opt[bool]) conf.Setter {
		return conf.Slot(l, conf.Flag, func(t *T) *conf.Opt[bool] { return f(of(t)) })
	}
	msec := func(f func(*Conf) *conf.Opt[time.Duration]) conf.Setter {
		return conf.Slot(l, conf.Msec, func(t *T) *conf.Opt[time.Duration] { return f(of(t)) })
	}
	size := func(f func(*Conf) *conf.Opt[int64]) conf.Setter {
		return conf.Slot(l, conf.Size, func(t *T) *conf.Opt[int64] { return f(of(t)) })
	}
	bits := func(typ conf.Type[uint32], f func(*Conf) *conf.Opt[uint32]) conf.Setter {
		return conf.Slot(l, typ, func(t *T) *conf.Opt[uint32] { return f(of(t)) })
	}
	word := func(c *conf.Cmd) (string, error) { return c.Args[0], nil }
	list := func(f func(*Conf) *[]string) conf.Setter {
		return conf.List(l, word, func(t *T) *[]string { return f(of(t)) })
	}
	return []conf.Directive{
		{Name: prefix + "connect_timeout", In: anywhere, Default: "60s", Set: msec(func(c *Conf) *conf.Opt[time.Duration] { return &c.ConnectTimeout }),
			Doc: "How long connecting to a server may take."},
		{Name: prefix + "send_timeout", In: anywhere, Default: "60s", Set: msec(func(c *Conf) *conf.Opt[time.Duration] { return &c.SendTimeout }),
			Doc: "How long a server may take nothing while the request is sent to it."},
		{Name: prefix + "read_timeout", In: anywhere, Default: "60s", Set: msec(func(c *Conf) *conf.Opt[time.Duration] { return &c.ReadTimeout }),
			Doc: "How long a server may send nothing while its response is awaited."},
		{Name: prefix + "next_upstream", In: anywhere, Default: "error timeout", Set: bits(nextWords, func(c *Conf) *conf.Opt[uint32] { return &c.Next }),
			Doc: "The failures and statuses after which the request goes to the next server; not after a part of a response has been passed on."},
		{Name: prefix + "next_upstream_tries", In: anywhere, Default: "0", Set: conf.Slot(l, conf.Number, func(t *T) *conf.Opt[int] { return &of(t).NextTries }),
			Doc: "How many servers are tried at most; 0 for all."},
		{Name: prefix + "next_upstream_timeout", In: anywhere, Default: "0", Set: msec(func(c *Conf) *conf.Opt[time.Duration] { return &c.NextTimeout }),
			Doc: "How long after the start of the first try another one may begin; 0 for ever."},
		{Name: prefix + "buffer_size", In: anywhere, Default: "4k", Set: size(func(c *Conf) *conf.Opt[int64] { return &c.BufferSize }),
			Doc: "The size a response head may have."},
		{Name: prefix + "buffers", In: anywhere, Default: "8 4k", Set: conf.Slot(l, conf.Bufs, func(t *T) *conf.Opt[conf.Buffers] { return &of(t).Buffers }),
			Doc: "How much of a response is read ahead of the client: the number of buffers and their size."},
		{Name: prefix + "busy_buffers_size", In: anywhere, Set: size(func(c *Conf) *conf.Opt[int64] { return &c.BusySize }), Syntax: "size",
			Doc: "How much of the buffers may be on its way to the client while the response is not complete; checked, and otherwise left to the connection."},
		{Name: prefix + "buffering", In: anywhere, Default: "on", Set: flag(func(c *Conf) *conf.Opt[bool] { return &c.Buffering }),
			Doc: "Whether responses are read ahead of the client; off passes on each piece as it comes."},
		{Name: prefix + "request_buffering", In: anywhere, Default: "on", Set: flag(func(c *Conf) *conf.Opt[bool] { return &c.RequestBuffering }),
			Doc: "Whether the whole request body is read before a server is asked; off passes it on as it comes, and to one server only."},
		{Name: prefix + "ignore_client_abort", In: anywhere, Default: "off", Set: flag(func(c *Conf) *conf.Opt[bool] { return &c.IgnoreClientAbort }),
			Doc: "Whether the exchange with the server goes on when the client has gone."},
		{Name: prefix + "intercept_errors", In: anywhere, Default: "off", Set: flag(func(c *Conf) *conf.Opt[bool] { return &c.Intercept }),
			Doc: "Whether error_page answers for error responses of servers."},
		{Name: prefix + "pass_request_headers", In: anywhere, Default: "on", Set: flag(func(c *Conf) *conf.Opt[bool] { return &c.PassRequestHeaders }),
			Doc: "Whether the client's header fields are passed on."},
		{Name: prefix + "pass_request_body", In: anywhere, Default: "on", Set: flag(func(c *Conf) *conf.Opt[bool] { return &c.PassBody }),
			Doc: "Whether the client's request body is passed on."},
		{Name: prefix + "socket_keepalive", In: anywhere, Default: "off", Set: flag(func(c *Conf) *conf.Opt[bool] { return &c.SocketKeepalive }),
			Doc: "Whether connections to servers have SO_KEEPALIVE."},
		{Name: prefix + "socket_rcvbuf", In: anywhere, Set: size(func(c *Conf) *conf.Opt[int64] { return &c.SocketRcvbuf }),
			Doc: "SO_RCVBUF of connections to servers."},
		{Name: prefix + "socket_sndbuf", In: anywhere, Set: size(func(c *Conf) *conf.Opt[int64] { return &c.SocketSndbuf }),
			Doc: "SO_SNDBUF of connections to servers."},
		{Name: prefix + "send_lowat", In: anywhere, Default: "0", Set: size(func(c *Conf) *conf.Opt[int64] { return &c.SendLowat }),
			Doc: "Accepted; it has no meaning on Linux."},
		{Name: prefix + "force_ranges", In: anywhere, Default: "off", Set: flag(func(c *Conf) *conf.Opt[bool] { return &c.ForceRanges }),
			Doc: "Whether byte ranges are served of every response, whatever Accept-Ranges says."},
		{Name: prefix + "limit_rate", In: anywhere, Default: "0", Syntax: "rate", Set: conf.Slot(l, engine.SizeTemplateType(), func(t *T) *conf.Opt[*engine.Template] { return &of(t).LimitRate }),
			Doc: "How many bytes per second of a response are read from the server, with buffering; 0 for no limit."},
		{Name: prefix + "bind", In: anywhere, Set: conf.Slot(l, localType, func(t *T) *conf.Opt[*Local] { return &of(t).Local }),
			Doc: "The local address of connections to servers; it may have variables. transparent lets it be another host's."},
		{Name: prefix + "ignore_headers", In: anywhere, Set: bits(ignoreWords, func(c *Conf) *conf.Opt[uint32] { return &c.Ignore }),
			Doc: "Header fields of responses that have no effect here."},
		{Name: prefix + "hide_header", In: anywhere, Args: conf.Take1, Syntax: "field", Set: list(func(c *Conf) *[]string { return &c.Hide }),
			Doc: "A header field of responses that is not passed on."},
		{Name: prefix + "pass_header", In: anywhere, Args: conf.Take1, Syntax: "field", Set: list(func(c *Conf) *[]string { return &c.Pass }),
			Doc: "A header field of responses that is passed on though it would be hidden."},
		{Name: prefix + "temp_path", In: anywhere, Default: strings.TrimSuffix(prefix, "_") + "_temp", Set: conf.Slot(l, conf.Dir, func(t *T) *conf.Opt[conf.Directory] { return &of(t).Temp }),
			Doc: "The folder of temporary files with responses."},
		{Name: prefix + "max_temp_file_size", In: anywhere, Default: "1024m", Set: conf.Slot(l, conf.Offset, func(t *T) *conf.Opt[int64] { return &of(t).MaxTempFile }),
			Doc: "How much of a response goes to a temporary file when the buffers are full and the client is slow; beyond that, or with 0, the server has to wait for the client."},
		{Name: prefix + "temp_file_write_size", In: anywhere, Set: size(func(c *Conf) *conf.Opt[int64] { return &c.TempWrite }), Syntax: "size",
			Doc: "Accepted for compatibility and checked: what was read at once is written at once."},
	}
}

// Complete checks and completes a merged Conf; protocols call it from their OnMerge. hidden are the fields that the
// protocol hides by default.
func (c *Conf) Complete(prefix string, parent *Conf, s *conf.Scope, hidden []string) error {
	bufs := c.Buffers.V
	if bufs.Num < 2 {
		return s.Errorf("there must be at least 2 \"%sbuffers\"", prefix)
	}
	most := max(c.BufferSize.V, bufs.Size)
	if !c.BusySize.IsSet {
		c.BusySize.V = 2 * most
	}
	if c.BusySize.V < most {
		return s.Errorf("\"%sbusy_buffers_size\" must be equal to or greater than the maximum of the value of \"%sbuffer_size\" and one of the \"%sbuffers\"", prefix, prefix, prefix)
	}
	if c.BusySize.V > int64(bufs.Num-1)*bufs.Size {
		return s.Errorf("\"%sbusy_buffers_size\" must be less than the size of all \"%sbuffers\" minus one buffer", prefix, prefix)
	}
	if c.TempWrite.IsSet && c.TempWrite.V < most {
		return s.Errorf("\"%stemp_file_write_size\" must be equal to or greater than the maximum of the value of \"%sbuffer_size\" and one of the \"%sbuffers\"", prefix, prefix, prefix)
	}
	if c.MaxTempFile.V != 0 && c.MaxTempFile.V < most {
		return s.Errorf("\"%smax_temp_file_size\" must be equal to zero to disable temporary files usage or must be equal to or greater than the maximum of the value of \"%sbuffer_size\" and one of the \"%sbuffers\"", prefix, prefix, prefix)
	}
	if c.Next.V&onOff != 0 {
		c.Next.V = onOff
	}
	if err := c.completeCache(prefix, parent, s); err != nil {
		return err
	}
	c.readAhead = c.BufferSize.V + int64(bufs.Num)*bufs.Size
	c.readBuffer = int(min(max(bufs.Size*int64(bufs.Num)/2, 4<<10), 64<<10))
	c.hidden = names{}
	for _, h := range append(append([]string{}, hidden...), c.Hide...) {
		c.hidden.add(h)
	}
	for _, p := range c.Pass {
		c.hidden.remove(p)
	}
	c.passesServer = !c.hidden.has(http1.HServer, nil)
	c.passesDate = !c.hidden.has(http1.HDate, nil)
	return nil
}

// names is a set of header names.
type names struct {
	ids   [4]uint64
	other []string
}

func (n *names) add(name string) {
	if id := http1.LookupHeader([]byte(name)); id != http1.HUnknown {
		n.ids[id>>6] |= 1 << (id & 63)
		return
	}
	n.other = append(n.other, name)
}

func (n *names) remove(name string) {
	if id := http1.LookupHeader([]byte(name)); id != http1.HUnknown {
		n.ids[id>>6] &^= 1 << (id & 63)
		return
	}
	for i := 0; i < len(n.other); i++ {
		if strings.EqualFold(n.other[i], name) {
			n.other = append(n.other[:i], n.other[i+1:]...)
			i--
		}
	}
}

func (n *names) has(id http1.HeaderID, name []byte) bool {
	if id != http1.HUnknown {
		return n.ids[id>>6]&(1<<(id&63)) != 0
	}
	for _, o := range n.other {
		if len(o) == len(name) && ascii.EqualFold(name, o) {
			return true
		}
	}
	return false
}

// rate is the value of limit_rate.
func (c *Conf) rate(r *engine.Request) int64 {
	t := c.LimitRate.V
	if t == nil || t.Text == "0" {
		return 0
	}
	n, ok := units.Offset(string(t.Eval(r)))
	if !ok {
		return 0
	}
	return n
}
