package headers

import (
	"strconv"
	"strings"
	"time"

	"moongate/internal/base/units"
	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/http1"
)

// expiryKind is the form of an expires value.
type expiryKind uint8

const (
	expiresOff expiryKind = iota
	expiresEpoch
	expiresMax
	expiresAccess   // from now
	expiresModified // from Last-Modified
	expiresDaily    // a time of the day
)

// expiry is one expires directive.
type expiry struct {
	kind  expiryKind
	secs  int64
	value *engine.Template // evaluated at run time; kind says how to read it
}

var expiryType = conf.NewType("[modified] time | epoch | max | off", conf.Take12, func(c *conf.Cmd) (expiry, error) {
	e := expiry{kind: expiresAccess}
	text := c.Args[0]
	if len(c.Args) == 2 {
		if text != "modified" {
			return e, c.Bad("invalid value")
		}
		e.kind, text = expiresModified, c.Args[1]
	}
	t, err := engine.CompileArg(c, text)
	if err != nil {
		return e, err
	}
	if !t.IsLiteral() {
		e.value = t
		return e, nil
	}
	if problem := e.parse(text); problem != "" {
		return e, c.Bad(problem)
	}
	return e, nil
})

// parse reads a value; the problem, if any, is in nginx's words.
func (e *expiry) parse(s string) (problem string) {
	if e.kind != expiresModified {
		switch s {
		case "epoch":
			e.kind = expiresEpoch
			return ""
		case "max":
			e.kind = expiresMax
			return ""
		case "off":
			e.kind = expiresOff
			return ""
		}
	}
	minus := false
	if s != "" {
		switch s[0] {
		case '@':
			if e.kind == expiresModified {
				return "daily time cannot be used with \"modified\" parameter"
			}
			e.kind, s = expiresDaily, s[1:]
		case '+':
			s = s[1:]
		case '-':
			minus, s = true, s[1:]
		}
	}
	secs, ok := units.Time(s, true)
	if !ok {
		return "invalid value"
	}
	if e.kind == expiresDaily && secs > 24*60*60 {
		return "daily time value must be less than 24 hours"
	}
	if e.secs = secs; minus {
		e.secs = -secs
	}
	return ""
}

var (
	nameExpires      = []byte("Expires")
	nameCacheControl = []byte("Cache-Control")
	noCache          = []byte("no-cache")
	ageZero          = []byte("max-age=0")
	ageTenYears      = []byte("max-age=315360000")
	timeEpoch        = []byte("Thu, 01 Jan 1970 00:00:01 GMT")
	timeMax          = []byte("Thu, 31 Dec 2037 23:55:55 GMT")
)

// apply sets Expires and Cache-Control. A value with variables that makes no sense sets nothing.
func (e *expiry) apply(r *engine.Request) {
	x := *e
	if e.value != nil {
		if x.parse(strings.Clone(e.value.EvalString(r))) != "" || x.kind == expiresOff {
			return
		}
	}
	expires, control := x.values(r, e.secs < 0)
	r.SetHeaderOut(http1.HExpires, nameExpires, expires)
	r.SetHeaderOut(http1.HCacheControl, nameCacheControl, control)
}

// values gives the two headers. past says that the time of the directive, as far as it was known when the configuration
// was read, lies before the one it counts from.
func (e *expiry) values(r *engine.Request, past bool) (expires, control []byte) {
	now := r.W.Loop.Wall() / 1e9
	at, age := e.secs, int64(0)
	switch {
	case e.kind == expiresEpoch:
		return timeEpoch, noCache
	case e.kind == expiresMax:
		return timeMax, ageTenYears
	case e.kind == expiresDaily:
		at = nextTime(now, e.secs)
		age = at - now
	case e.secs == 0:
		return r.Copy(r.W.Date()), ageZero
	case e.kind == expiresAccess || r.Out.LastModified == -1:
		age = e.secs
		at += now
	default:
		at += r.Out.LastModified
		age = at - now
	}
	expires = http1.AppendTime(r.Alloc(http1.TimeLen)[:0], at)
	if past || age < 0 {
		return expires, noCache
	}
	return expires, strconv.AppendInt(append(r.Alloc(8 + 20)[:0], "max-age="...), age, 10)
}

// nextTime is the next moment with a time of the day, local as in nginx.
func nextTime(now, secs int64) int64 {
	t := time.Unix(now, 0)
	y, m, d := t.Date()
	h, mi, s := int(secs/3600), int(secs/60%60), int(secs%60)
	next := time.Date(y, m, d, h, mi, s, 0, time.Local).Unix()
	if next-now > 0 {
		return next
	}
	return time.Date(y, m, d+1, h, mi, s, 0, time.Local).Unix()
}
