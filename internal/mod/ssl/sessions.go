package ssl

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"moongate/internal/base/units"
	"moongate/internal/conf"
	"moongate/internal/engine"
)

// Sessions are kept by clients, as tickets, or here, with a number as the ticket: crypto/tls knows no other way for a
// client to name its session. With TLS 1.3 it is the same in OpenSSL; a client of TLS 1.2 has to understand tickets
// either way.

// cacheConf is what ssl_session_cache says.
type cacheConf struct {
	shared  string
	size    int64 // in bytes
	builtin bool
}

var sessionCache = conf.NewType("off | none | [builtin[:size]] [shared:name:size]", conf.OneMore, func(c *conf.Cmd) (cc cacheConf, err error) {
	for _, a := range c.Args {
		bad := c.Errorf("invalid session cache \"%s\"", a)
		kind, rest, more := strings.Cut(a, ":")
		switch {
		case a == "off" || a == "none":
		case a == "builtin":
			cc.builtin = true
		case kind == "builtin" && more:
			if n, err := strconv.Atoi(rest); err != nil || n < 0 {
				return cc, bad
			}
			cc.builtin = true
		case kind == "shared" && more:
			name, size, _ := strings.Cut(rest, ":")
			n, ok := units.Size(size)
			if name == "" || !ok {
				return cc, bad
			}
			if n < minCache {
				return cc, c.Errorf("session cache \"%s\" is too small", a)
			}
			zones := zonesOf(c)
			if was, ok := zones[name]; ok && was != n {
				return cc, c.Errorf("the size %d of shared memory zone \"%s\" conflicts with already declared size %d", n, name, was)
			}
			zones[name] = n
			cc.shared, cc.size = name, n
		default:
			return cc, bad
		}
	}
	return cc, nil
})

type zonesKey struct{}

// zonesOf are the sizes of the shared caches that a configuration has named so far.
func zonesOf(c *conf.Cmd) map[string]int64 {
	h := engine.FromConfig(c.Config())
	zones, _ := h.Values[zonesKey{}].(map[string]int64)
	if zones == nil {
		zones = map[string]int64{}
		h.Values[zonesKey{}] = zones
	}
	return zones
}

// minCache is the least size of a cache.
const minCache = 8 * 4096

// builtinSize is the room of a builtin cache.
const builtinSize = 5 << 20

// cache keeps sessions by number; the oldest make room for new ones. Workers share it.
type cache struct {
	mu    sync.Mutex
	room  int64
	m     map[string]*kept
	first *kept // the oldest
	last  *kept
}

type kept struct {
	id, session string
	next        *kept
}

// keptCost is what a session takes besides its bytes.
const keptCost = 128

func (k *kept) cost() int64 { return int64(len(k.id) + len(k.session) + keptCost) }

// get gives a session and keeps it: clients may use one several times.
func (c *cache) get(id []byte) (string, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.m[string(id)]
	if k == nil {
		return "", false
	}
	return k.session, true
}

func (c *cache) put(id, session []byte) {
	k := &kept{id: string(id), session: string(session)}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.room -= k.cost()
	for c.room < 0 && c.first != nil {
		old := c.first
		c.first = old.next
		delete(c.m, old.id)
		c.room += old.cost()
	}
	if c.first == nil {
		c.last = nil
	}
	c.m[k.id] = k
	if c.last != nil {
		c.last.next = k
	} else {
		c.first = k
	}
	c.last = k
}

// caches are the shared ones of the process, which reloads do not touch.
var caches struct {
	sync.Mutex
	m map[string]*cache
}

func newCache(size int64) *cache { return &cache{room: size, m: map[string]*kept{}} }

func sharedCache(name string, size int64) *cache {
	key := fmt.Sprintf("%s:%d", name, size)
	caches.Lock()
	defer caches.Unlock()
	c := caches.m[key]
	if c == nil {
		if caches.m == nil {
			caches.m = map[string]*cache{}
		}
		c = newCache(size)
		caches.m[key] = c
	}
	return c
}

// sessions are those of one server.
type sessions struct {
	// mark tells sessions apart that must not be resumed elsewhere: with other certificates, or other trust in clients.
	mark  []byte
	life  time.Duration
	keys  func() []*ticketKey // nil: clients keep nothing but a number
	cache *cache
}

// sessions sets up how sessions are resumed, for no longer than ssl_session_timeout.
func (c *config) sessions() *sessions {
	s := &sessions{life: c.timeout.V}
	mark := sha256.New()
	for i := range c.certificates {
		fmt.Fprintf(mark, "%q", c.certificates[i].text)
	}
	fmt.Fprintf(mark, "%q", []string{c.clientCertificate.V, c.trusted.V, c.crl.V})
	fmt.Fprint(mark, c.verify.V, c.depth.V, c.ocsp.V)
	s.mark = mark.Sum([]byte("moongate"))[:markSize]
	if c.tickets.V {
		s.keys = ringOf(max(s.life, time.Second)).now
		if len(c.ticketKeys) > 0 {
			s.keys = func() []*ticketKey { return c.ticketKeys }
		}
		return s
	}
	switch cc := c.cache.V; {
	case cc.shared != "":
		s.cache = sharedCache(cc.shared, cc.size)
	case cc.builtin:
		s.cache = newCache(builtinSize)
	}
	return s
}

// adapt makes a handshake's configuration resume sessions.
func (s *sessions) adapt(h *engine.Handshake, cfg *tls.Config) {
	hooks := h.SessionHooks()
	switch {
	case s.keys != nil:
		cfg.WrapSession = func(st tls.ConnectionState, ss *tls.SessionState) ([]byte, error) {
			id := h.State.SessionID // of the session that was resumed
			if id == nil {
				id = newID()
			}
			b, err := s.stamp(ss, id)
			if err != nil {
				return nil, err
			}
			return s.keys()[0].seal(b), nil
		}
		cfg.UnwrapSession = func(ticket []byte, st tls.ConnectionState) (*tls.SessionState, error) {
			for _, k := range s.keys() {
				if b := k.open(ticket); b != nil {
					return s.check(h, b), nil
				}
			}
			return nil, nil
		}
	case s.cache == nil && hooks == nil:
		cfg.SessionTicketsDisabled = true
	default:
		cfg.WrapSession = func(st tls.ConnectionState, ss *tls.SessionState) ([]byte, error) {
			return s.keep(h, hooks, st.Version, ss)
		}
		cfg.UnwrapSession = func(id []byte, st tls.ConnectionState) (*tls.SessionState, error) {
			return s.find(h, hooks, st.Version, id)
		}
	}
}

// keep keeps a new session here and gives its number.
func (s *sessions) keep(h *engine.Handshake, hooks *engine.TLSHooks, version uint16, ss *tls.SessionState) ([]byte, error) {
	if id := h.State.SessionID; id != nil && version < tls.VersionTLS13 {
		return id, nil // it was resumed and is kept already
	}
	id := newID()
	b, err := s.stamp(ss, id)
	if err != nil {
		return nil, err
	}
	if s.cache != nil {
		s.cache.put(id, b)
	}
	h.State.SessionID = id
	if hooks != nil && hooks.Store != nil {
		hooks.Store(h, version, id, b)
	}
	return id, nil
}

// find looks a session up; nil when there is none.
func (s *sessions) find(h *engine.Handshake, hooks *engine.TLSHooks, version uint16, id []byte) (*tls.SessionState, error) {
	if len(id) != idSize {
		return nil, nil
	}
	var b []byte
	if s.cache != nil {
		if text, ok := s.cache.get(id); ok {
			b = []byte(text)
		}
	}
	if b == nil && hooks != nil && hooks.Fetch != nil {
		var err error
		if b, err = hooks.Fetch(h, version, id); err != nil {
			return nil, err
		}
	}
	return s.check(h, b), nil
}

// Sizes of what is kept with a session: the mark, the time, the number.
const (
	markSize = 24
	timeSize = 8
	idSize   = 32
)

func newID() []byte {
	id := make([]byte, idSize)
	rand.Read(id)
	return id
}

// stamp gives a session as bytes, with the mark, the time and its number.
func (s *sessions) stamp(ss *tls.SessionState, id []byte) ([]byte, error) {
	x := binary.BigEndian.AppendUint64(slices.Clip(s.mark), uint64(time.Now().Unix()))
	ss.Extra = append(ss.Extra, append(x, id...))
	return ss.Bytes()
}

// check reads a session that a client wants to resume; nil when it is none of this server's, or too old.
func (s *sessions) check(h *engine.Handshake, b []byte) *tls.SessionState {
	ss, err := tls.ParseSessionState(b)
	if err != nil {
		return nil
	}
	for _, x := range ss.Extra {
		if len(x) == markSize+timeSize+idSize && bytes.Equal(x[:markSize], s.mark) {
			age := time.Now().Unix() - int64(binary.BigEndian.Uint64(x[markSize:]))
			if age >= 0 && age <= int64(s.life/time.Second) {
				h.State.SessionID = bytes.Clone(x[markSize+timeSize:])
				ss.Extra = nil // the next ticket of the session begins its own time
				return ss
			}
		}
	}
	return nil
}
