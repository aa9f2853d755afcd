package relay

import (
	"bytes"
	"container/list"
	"crypto/md5"
	"maps"
	"strconv"
	"sync"
	"time"

	"moongate/internal/base/nlog"
	"moongate/internal/engine"
	"moongate/internal/http1"
)

// Sticky has requests of a session go to one server.
type Sticky struct {
	Lookup []*engine.Template // the first that is not empty names the server, or with Sessions the session
	Cookie string             // the name of the cookie that is set; "" for none
	// Domain and SameSite of the cookie, nil for none; SameSite may be any value, one that is not known counts as strict.
	Domain, SameSite *engine.Template
	Expires          time.Duration // -1: none
	HTTPOnly, Secure bool
	Path             string
	// Sessions, when not nil, are learned: the first of Create that is not empty names the session.
	Sessions   *Sessions
	Create     []*engine.Template
	AfterHeads bool // as soon as the response head has come
}

// Forever is the value of Expires that lets a cookie live as long as may be.
const Forever = 1<<63 - 1

// Sessions is which session is with which server. All workers use it, and it outlives reloads.
type Sessions struct {
	mu      sync.Mutex
	timeout time.Duration
	max     int
	by      map[[16]byte]*list.Element
	used    list.List // the one used last first
}

type session struct {
	key  [16]byte
	sid  string
	last int64
}

var sessionZones = struct {
	sync.Mutex
	all map[string]*Sessions
}{all: map[string]*Sessions{}}

// sessionSize is the memory that nginx needs for a session.
const sessionSize = 128

// OpenSessions gives the sessions of a zone.
func OpenSessions(name string, size int64, timeout time.Duration) *Sessions {
	key := name + "\x00" + strconv.FormatInt(size, 10)
	sessionZones.Lock()
	defer sessionZones.Unlock()
	s := sessionZones.all[key]
	if s == nil {
		s = &Sessions{max: int(size / sessionSize), by: map[[16]byte]*list.Element{}}
		sessionZones.all[key] = s
	}
	s.mu.Lock()
	s.timeout = timeout
	s.mu.Unlock()
	return s
}

// KeepSessions forgets the zones that no group of a configuration which has taken over has.
func KeepSessions(list []*Group) {
	used := map[*Sessions]bool{}
	for _, g := range list {
		if g.Sticky != nil && g.Sticky.Sessions != nil {
			used[g.Sticky.Sessions] = true
		}
	}
	sessionZones.Lock()
	defer sessionZones.Unlock()
	maps.DeleteFunc(sessionZones.all, func(_ string, s *Sessions) bool { return !used[s] })
}

// Find gives the server of a session, "" for none.
func (s *Sessions) Find(id []byte, now int64) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire(now)
	if e := s.by[md5.Sum(id)]; e != nil {
		return e.Value.(*session).sid
	}
	return ""
}

// Learn ties a session to a server; one that is not known is made with create only.
func (s *Sessions) Learn(id []byte, sid string, create bool, now int64) {
	key := md5.Sum(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire(now)
	e := s.by[key]
	switch {
	case e != nil:
		n := e.Value.(*session)
		n.sid, n.last = sid, now
		s.used.MoveToFront(e)
	case create:
		if len(s.by) >= s.max {
			s.drop(s.used.Back())
		}
		s.by[key] = s.used.PushFront(&session{key, sid, now})
	}
}

// Len is the number of sessions.
func (s *Sessions) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.by)
}

func (s *Sessions) expire(now int64) {
	for e := s.used.Back(); e != nil && now-e.Value.(*session).last >= int64(s.timeout); e = s.used.Back() {
		s.drop(e)
	}
}

func (s *Sessions) drop(e *list.Element) {
	if e != nil {
		delete(s.by, e.Value.(*session).key)
		s.used.Remove(e)
	}
}

// stuck is what an exchange knows of its session.
type stuck struct {
	id     []byte
	cookie []byte // that was set
}

// stick finds the server that the request shall go to.
func (x *Exchange) stick() {
	s := x.Group.Sticky
	if s == nil {
		return
	}
	x.stuck.id = first(x.R, s.Lookup)
	if len(x.stuck.id) == 0 {
		return
	}
	if s.Sessions == nil {
		x.choice.Hint = x.stuck.id
	} else if sid := s.Sessions.Find(x.stuck.id, x.w.Loop.Now()); sid != "" {
		x.choice.Hint = append(x.R.Alloc(len(sid))[:0], sid...)
	}
}

func first(r *engine.Request, list []*engine.Template) []byte {
	for _, t := range list {
		if v := t.Eval(r); len(v) > 0 {
			return r.Copy(v)
		}
	}
	return nil
}

// learn ties the session to the server that has answered.
func (x *Exchange) learn(atHead bool) {
	if x.Group == nil || x.Group.Sticky == nil || x.Group.Sticky.Sessions == nil || x.choice.Peer == nil {
		return
	}
	s := x.Group.Sticky
	if s.AfterHeads != atHead {
		return
	}
	id := first(x.R, s.Create)
	create := len(id) > 0
	if !create {
		id = x.stuck.id
	}
	if len(id) > 0 {
		s.Sessions.Learn(id, x.choice.Peer.SID, create, x.w.Loop.Now())
	}
}

var nameSetCookie = []byte("Set-Cookie")

// setCookie tells the client the server that was chosen; a later try's server replaces it.
func (x *Exchange) setCookie() {
	if x.Group == nil || x.Group.Sticky == nil || x.Group.Sticky.Cookie == "" {
		return
	}
	if x.ownPeer {
		x.log(nlog.Warn, nil, "balancer does not support sticky")
		return
	}
	r, s := x.R, x.Group.Sticky
	b := make([]byte, 0, 128)
	b = append(append(append(b, s.Cookie...), '='), x.choice.Peer.SID...)
	switch {
	case s.Expires == Forever:
		b = append(b, "; expires=Thu, 31-Dec-37 23:55:55 GMT; max-age=315360000"...)
	case s.Expires >= 0:
		at := time.Unix(0, x.w.Loop.Wall()+int64(s.Expires)).UTC()
		b = at.AppendFormat(append(b, "; expires="...), "Mon, 02-Jan-06 15:04:05 GMT")
		b = strconv.AppendInt(append(b, "; max-age="...), int64(s.Expires/time.Second), 10)
	}
	if s.Domain != nil {
		if v := s.Domain.Eval(r); len(v) > 0 {
			b = append(append(b, "; domain="...), v...)
		}
	}
	if s.HTTPOnly {
		b = append(b, "; httponly"...)
	}
	if s.Secure {
		b = append(b, "; secure"...)
	}
	if s.SameSite != nil {
		if v := s.SameSite.Eval(r); len(v) > 0 {
			if !s.SameSite.IsLiteral() && !KnownSameSite(string(v)) {
				v = []byte("strict")
			}
			b = append(append(b, "; samesite="...), v...)
		}
	}
	b = r.Copy(append(b, s.Path...))
	for i := range r.Out.List {
		if h := &r.Out.List[i]; x.stuck.cookie != nil && bytes.Equal(h.Value, x.stuck.cookie) {
			h.Value, x.stuck.cookie = b, b
			return
		}
	}
	x.stuck.cookie = b
	r.AddHeader(http1.HSetCookie, nameSetCookie, b)
}

// KnownSameSite reports whether s is a value of the attribute.
func KnownSameSite(s string) bool {
	switch len(s) {
	case 3, 4, 6:
		l := string(bytes.ToLower([]byte(s)))
		return l == "strict" || l == "lax" || l == "none"
	}
	return false
}
