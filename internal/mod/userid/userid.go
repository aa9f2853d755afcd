// Package userid gives each client a number, in a cookie (userid): 16 bytes in base64, in the form of mod_uid.
package userid

import (
	"encoding/base64"
	"encoding/binary"
	"os"
	"sync/atomic"
	"time"

	"moongate/internal/base/ascii"
	"moongate/internal/base/nlog"
	"moongate/internal/base/units"
	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/http1"
)

type config struct {
	mode    conf.Opt[mode]
	service conf.Opt[int]
	name    conf.Opt[string]
	domain  conf.Opt[string]
	path    conf.Opt[string]
	expires conf.Opt[int64] // seconds; 0: the cookie ends with the session
	flags   conf.Opt[uint32]
	p3p     conf.Opt[string]
	mark    conf.Opt[byte] // 0: none
}

// mode is the value of userid.
type mode uint8

const (
	off mode = iota
	logOnly
	version1
	on
)

// forever says that the cookie lasts as long as very old browsers could tell: up to the end of 2037.
const (
	forever     = 1<<31 - 1
	foreverText = "Thu, 31-Dec-37 23:55:55 GMT"
)

var flagNames = []string{"off", "secure", "httponly", "samesite=strict", "samesite=lax", "samesite=none"}

var (
	loc  = conf.NewLevel[config](conf.KindLocation)
	text = conf.NewType("string", conf.Take1, conf.Str.Parse)
)

// orNone is a string, of which none is the empty one.
var orNone = conf.NewType("string | none", conf.Take1, func(c *conf.Cmd) (string, error) {
	if c.Args[0] == "none" {
		return "", nil
	}
	return c.Args[0], nil
})

var expiresType = conf.NewType("time | max | off", conf.Take1, func(c *conf.Cmd) (int64, error) {
	switch c.Args[0] {
	case "max":
		return forever, nil
	case "off":
		return 0, nil
	}
	d, ok := units.Sec(c.Args[0])
	if !ok {
		return 0, c.Bad("invalid value")
	}
	return int64(d / time.Second), nil
})

var markType = conf.NewType("letter | digit | = | off", conf.Take1, func(c *conf.Cmd) (byte, error) {
	a := c.Args[0]
	switch {
	case a == "off":
		return 0, nil
	case len(a) == 1 && (ascii.IsAlpha(a[0]) || ascii.IsDigit(a[0]) || a == "="):
		return a[0], nil
	}
	return 0, c.Bad("value must be \"off\" or a single letter, digit or \"=\"")
})

// Module is the userid family.
var Module = engine.Module{
	Module: conf.Module{Name: "userid", Directives: []conf.Directive{
		{Name: "userid", In: conf.HTTPServerLocation, Default: "off",
			Set: conf.Slot(loc, conf.Enum(conf.Case("on", on), conf.Case("v1", version1), conf.Case("log", logOnly), conf.Case("off", off)), func(c *config) *conf.Opt[mode] { return &c.mode }),
			Doc: "Sets a cookie with a number for clients that have none, in the second form (on) or the first (v1); `log` only reads it."},
		{Name: "userid_service", In: conf.HTTPServerLocation, Set: conf.Slot(loc, conf.Number, func(c *config) *conf.Opt[int] { return &c.service }),
			Doc: "The first part of the number, which tells servers apart; unset, it is the server's address, or 0 in the first form."},
		{Name: "userid_name", In: conf.HTTPServerLocation, Default: "uid", Set: conf.Slot(loc, text, func(c *config) *conf.Opt[string] { return &c.name }),
			Doc: "The name of the cookie."},
		{Name: "userid_domain", Syntax: "name | none", In: conf.HTTPServerLocation, Default: "none", Set: conf.Slot(loc, orNone, func(c *config) *conf.Opt[string] { return &c.domain }),
			Doc: "The domain of the cookie."},
		{Name: "userid_path", In: conf.HTTPServerLocation, Default: "/", Set: conf.Slot(loc, text, func(c *config) *conf.Opt[string] { return &c.path }),
			Doc: "The path of the cookie."},
		{Name: "userid_expires", In: conf.HTTPServerLocation, Default: "off", Set: conf.Slot(loc, expiresType, func(c *config) *conf.Opt[int64] { return &c.expires }),
			Doc: "How long browsers keep the cookie; `max` is up to the end of 2037, `off` the session."},
		{Name: "userid_flags", Syntax: "off | flag ...", In: conf.HTTPServerLocation, Args: conf.Take123, Default: "off", Set: conf.Slot(loc, conf.Bits(flagNames...), func(c *config) *conf.Opt[uint32] { return &c.flags }),
			Doc: "Attributes of the cookie: secure, httponly, samesite=strict, samesite=lax, samesite=none."},
		{Name: "userid_p3p", In: conf.HTTPServerLocation, Default: "none", Set: conf.Slot(loc, orNone, func(c *config) *conf.Opt[string] { return &c.p3p }),
			Doc: "The P3P header that is sent with the cookie."},
		{Name: "userid_mark", In: conf.HTTPServerLocation, Default: "off", Set: conf.Slot(loc, markType, func(c *config) *conf.Opt[byte] { return &c.mark }),
			Doc: "Takes the place of the first padding character; cookies with another one are sent anew with the same number."},
	}},
	Vars: []engine.Var{
		{Name: "uid_got", Get: got, Doc: "The cookie's name and the number that the client sent, in hexadecimal."},
		{Name: "uid_set", Get: set, Doc: "The cookie's name and the number that is sent to the client, in hexadecimal."},
		{Name: "uid_reset", Changeable: true, Get: func(*engine.Request, *engine.Var) ([]byte, bool) { return []byte{}, true },
			Doc: "A value other than empty and `0` gives the client a new number; `log` logs that, too."},
	},
}

// Filter sets the cookie.
var Filter = engine.Filter{
	Name:   "userid",
	Active: func(s *conf.Scope) bool { return loc.Of(s).mode.V >= version1 },
	Header: send,
}

var (
	slot       = engine.NewSlot()
	workerSlot = engine.NewWorkerSlot()
)

// state is what is known of a request's numbers. It is the worker's, lent to the request.
type state struct {
	got, set [16]byte
	cookie   []byte // as it came, from its value on
	reset    bool
	w        *engine.Worker
	next     *state
}

// ReleaseCtx gives the state back.
func (s *state) ReleaseCtx() {
	*s = state{w: s.w}
	s.next, _ = s.w.Values[workerSlot].(*state)
	s.w.Values[workerSlot] = s
}

// isSet reports whether there is a number.
func isSet(n *[16]byte) bool { return binary.LittleEndian.Uint32(n[12:]) != 0 }

// of reads the cookie of a main request, once.
func of(r *engine.Request, c *config) *state {
	if s, _ := r.Ctx(slot).(*state); s != nil {
		return s
	}
	s, _ := r.W.Values[workerSlot].(*state)
	if s == nil {
		s = &state{w: r.W}
	} else {
		r.W.Values[workerSlot] = s.next
		s.next = nil
	}
	r.SetCtx(slot, s)
	value, ok := r.In.Cookie([]byte(c.name.V))
	if !ok {
		return s
	}
	if len(value) < 22 {
		r.Logf(nlog.Error, "client sent too short userid cookie \"%s\"", r.In.Get(http1.HCookie))
		return s
	}
	s.cookie = value
	var n [18]byte
	// Marks and garbage instead of the padding do not count.
	if _, err := base64.RawStdEncoding.Decode(n[:], value[:22]); err != nil {
		r.Logf(nlog.Error, "client sent invalid userid cookie \"%s\"", r.In.Get(http1.HCookie))
		return s
	}
	copy(s.got[:], n[:])
	return s
}

func got(r *engine.Request, _ *engine.Var) ([]byte, bool) {
	m := r.Main
	c := loc.Of(m.Scope)
	if c.mode.V == off {
		return nil, false
	}
	s := of(m, c)
	if !isSet(&s.got) {
		return nil, false
	}
	return show(r, c, &s.got), true
}

func set(r *engine.Request, _ *engine.Var) ([]byte, bool) {
	m := r.Main
	c := loc.Of(m.Scope)
	if c.mode.V < version1 {
		return nil, false
	}
	s := of(m, c)
	s.create(m, c)
	if !isSet(&s.set) {
		return nil, false
	}
	return show(r, c, &s.set), true
}

// show writes a number as four words in hexadecimal, as the machine has them.
func show(r *engine.Request, c *config, n *[16]byte) []byte {
	return appendWords(append(append(r.Alloc(len(c.name.V) + 33)[:0], c.name.V...), '='), n)
}

func appendWords(b []byte, n *[16]byte) []byte {
	const digits = "0123456789ABCDEF"
	for w := 0; w < len(n); w += 4 {
		for i := w + 3; i >= w; i-- {
			b = append(b, digits[n[i]>>4], digits[n[i]&15])
		}
	}
	return b
}

var (
	startValue = uint32(time.Now().Nanosecond()/1000/20)<<16 | uint32(os.Getpid())
	sequence1  atomic.Uint32
	sequence2  atomic.Uint32
)

// create decides on the number to send, if there is one.
func (s *state) create(r *engine.Request, c *config) {
	if isSet(&s.set) {
		return
	}
	if isSet(&s.got) {
		v, _ := r.Var(r.FindVar("uid_reset"))
		if len(v) == 0 || string(v) == "0" {
			if m := c.mark.V; m != 0 && !(len(s.cookie) > 23 && s.cookie[22] == m && s.cookie[23] == '=') {
				s.set = s.got
			}
			return
		}
		s.reset = true
		if string(v) == "log" {
			r.Logf(nlog.Notice, "userid cookie \"%s=%s\" was reset", c.name.V, appendWords(nil, &s.got))
		}
	}
	now := uint32(r.W.Loop.Wall() / 1e9)
	if c.mode.V == version1 {
		le := binary.LittleEndian
		le.PutUint32(s.set[0:], uint32(c.service.V))
		le.PutUint32(s.set[4:], now)
		le.PutUint32(s.set[8:], startValue)
		le.PutUint32(s.set[12:], sequence1.Add(0x100)-0x100+1)
		return
	}
	be := binary.BigEndian
	if c.service.IsSet {
		be.PutUint32(s.set[0:], uint32(c.service.V))
	} else if a := r.Conn.LocalAddr(); !a.Unix && a.IP.IsValid() {
		ip := a.IP.Addr().As16() // an IPv4 address is the end of it
		copy(s.set[0:4], ip[12:])
	}
	be.PutUint32(s.set[4:], now)
	be.PutUint32(s.set[8:], startValue)
	be.PutUint32(s.set[12:], 0x03030302+sequence2.Add(0x100)-0x100)
}

var (
	nameSetCookie = []byte("Set-Cookie")
	nameP3P       = []byte("P3P")
)

func send(r *engine.Request) engine.Status {
	if !r.IsMain() {
		return engine.OK
	}
	c := loc.Of(r.Scope)
	s := of(r, c)
	s.create(r, c)
	if !isSet(&s.set) {
		return engine.OK
	}
	b := r.Alloc(len(c.name.V) + len(c.domain.V) + len(c.path.V) + 160)[:0]
	b = append(append(b, c.name.V...), '=')
	if !isSet(&s.got) || s.reset {
		b = base64.StdEncoding.AppendEncode(b, s.set[:])
		if c.mark.V != 0 {
			b[len(b)-2] = c.mark.V
		}
	} else {
		b = append(append(b, s.cookie[:22]...), c.mark.V, '=')
	}
	switch c.expires.V {
	case 0:
	case forever:
		b = append(b, "; expires="+foreverText...)
	default:
		b = appendTime(append(b, "; expires="...), r.W.Loop.Wall()/1e9+c.expires.V)
	}
	if c.domain.V != "" {
		b = append(append(b, "; domain="...), c.domain.V...)
	}
	b = append(append(b, "; path="...), c.path.V...)
	for i, name := range flagNames {
		if i > 0 && c.flags.V&(1<<i) != 0 {
			b = append(append(b, "; "...), name...)
		}
	}
	r.AddHeader(http1.HSetCookie, nameSetCookie, b)
	if c.p3p.V != "" {
		r.AddHeader(http1.HUnknown, nameP3P, r.CopyString(c.p3p.V))
	}
	return engine.OK
}

// appendTime appends a time as cookies had it: the year has two digits as long as old browsers understand those.
func appendTime(b []byte, sec int64) []byte {
	t := time.Unix(sec, 0).UTC()
	if t.Year() > 2037 {
		return t.AppendFormat(b, "Mon, 02-Jan-2006 15:04:05 GMT")
	}
	return t.AppendFormat(b, "Mon, 02-Jan-06 15:04:05 GMT")
}
