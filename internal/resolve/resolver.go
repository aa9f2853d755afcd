package resolve

import (
	"math/rand/v2"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"moongate/internal/netio"
)

// Error is why a name has no address, with nginx's number and words.
type Error struct {
	Code int
	Text string
}

func (e *Error) Error() string { return e.Text }

var errorsByCode = map[int]*Error{
	1: {1, "Format error"}, 2: {2, "Server failure"}, 3: {3, "Host not found"}, 4: {4, "Unimplemented"}, 5: {5, "Operation refused"},
}

var (
	errTimedOut = &Error{110, "Operation timed out"}
	errUnknown  = &Error{2, "Server failure"}
)

const (
	second     = int64(1e9)
	resend     = 5 * second // until a question is asked again, of the next server
	tcpTimeout = 5 * second
	maxChain   = 50 // CNAMEs followed

	maxCache = 4096

	hostsValid = 10 * time.Second // how long an entry of /etc/hosts counts for who asks again

	forgetAfter = 60 * second // how long a resolver that nobody asks is kept beside a new one
)

// Resolver answers for one worker.
type Resolver struct {
	cfg     *Config
	loop    *netio.Loop
	servers []*server
	next    int   // the server whose turn it is
	used    int64 // when it was asked for last
	cache   map[string]*entry
	pending map[uint16]*query
}

// entry is what is known of a name, or asked.
type entry struct {
	addrs   []netip.Addr
	err     *Error
	until   int64
	asking  bool
	waiting []*netio.Task
	// deadline is that of the most patient of those who wait.
	deadline int64
}

// server is a name server with the socket to it.
type server struct {
	r    *Resolver
	addr netip.AddrPort
	fd   netio.FD
	open bool
}

// query is a question under way.
type query struct {
	id    uint16
	name  string
	qtype uint16
	task  *netio.Task
	done  bool
	a     answer
	from  *server
}

// table finds the resolvers of a loop. A loop's own goroutine uses it only.
type table map[*Config]*Resolver

// For gives the loop's Resolver of a directive.
func For(l *netio.Loop, cfg *Config) *Resolver {
	t, _ := l.Resolvers.(table)
	if t == nil {
		t = table{}
		l.Resolvers = t
	}
	r := t[cfg]
	if r == nil {
		for old, x := range t { // of configurations that are gone
			if len(x.pending) == 0 && x.used < l.Now()-forgetAfter {
				delete(t, old)
			}
		}
		r = &Resolver{cfg: cfg, loop: l, cache: map[string]*entry{}, pending: map[uint16]*query{}}
		for _, a := range cfg.Servers {
			r.servers = append(r.servers, &server{r: r, addr: a})
		}
		t[cfg] = r
	}
	r.used = l.Now()
	return r
}

// Lookup gives the addresses of a name; it parks until the deadline at most. The error is an *Error, or that of
// waiting. The caller does not change what it gets.
func (r *Resolver) Lookup(name string, deadline int64) ([]netip.Addr, error) {
	addrs, _, err := r.LookupUntil(name, deadline)
	return addrs, err
}

// LookupUntil is Lookup which tells too how long the answer counts, in monotonic nanoseconds.
func (r *Resolver) LookupUntil(name string, deadline int64) ([]netip.Addr, int64, error) {
	key := strings.ToLower(strings.TrimSuffix(name, "."))
	if a := r.cfg.hosts[key]; len(a) > 0 {
		return a, r.loop.Now() + int64(hostsValid), nil
	}
	e := r.cache[key]
	if e == nil || !e.asking && e.until <= r.loop.Now() {
		e = &entry{asking: true}
		key, name = strings.Clone(key), strings.Clone(name) // they may be a request's memory
		r.makeRoom()
		r.cache[key] = e
		r.loop.Go(func() { r.fill(e, key, name) }) // who asks first may go before the answer comes
	}
	e.deadline = max(e.deadline, deadline)
	for e.asking {
		t := r.loop.Current()
		e.waiting = append(e.waiting, t)
		err := r.loop.Park(deadline)
		e.forget(t)
		if err == netio.ErrTimeout {
			err = errTimedOut
		}
		if err != nil {
			return nil, 0, err
		}
	}
	return e.result()
}

// fill asks the servers for whoever waits.
func (r *Resolver) fill(e *entry, key, name string) {
	addrs, ttl, err := r.ask(e, key, name)
	e.asking, e.addrs = false, addrs
	e.until = r.loop.Now() + int64(ttl)*second
	if r.cfg.Valid > 0 {
		e.until = r.loop.Now() + int64(r.cfg.Valid)
	}
	if err != nil {
		var ok bool
		if e.err, ok = err.(*Error); !ok {
			e.err = errUnknown
		}
		if r.cache[key] == e {
			delete(r.cache, key)
		}
	}
	for _, t := range e.waiting {
		r.loop.Ready(t)
	}
}

func (e *entry) result() ([]netip.Addr, int64, error) {
	if e.err != nil {
		return nil, 0, e.err
	}
	return e.addrs, e.until, nil
}

func (e *entry) forget(t *netio.Task) {
	for i, w := range e.waiting {
		if w == t {
			e.waiting = append(e.waiting[:i], e.waiting[i+1:]...)
			return
		}
	}
}

// makeRoom drops what is out of date once there are many names.
func (r *Resolver) makeRoom() {
	if len(r.cache) < maxCache {
		return
	}
	for k, e := range r.cache {
		if !e.asking && (e.until <= r.loop.Now() || len(r.cache) >= 2*maxCache) {
			delete(r.cache, k)
		}
	}
}

// ask asks the servers, for the name itself and with the search domains.
func (r *Resolver) ask(e *entry, key, name string) (addrs []netip.Addr, ttl uint32, err error) {
	names := []string{key}
	if len(r.cfg.search) > 0 && !strings.HasSuffix(name, ".") {
		names = names[:0]
		if strings.Count(key, ".") >= r.cfg.ndots {
			names = append(names, key)
		}
		for _, d := range r.cfg.search {
			names = append(names, key+"."+strings.ToLower(strings.TrimSuffix(d, ".")))
		}
		if strings.Count(key, ".") < r.cfg.ndots {
			names = append(names, key)
		}
	}
	for _, n := range names {
		addrs, ttl, err = r.askName(e, n)
		if e, ok := err.(*Error); err == nil || !ok || e.Code != 3 {
			return addrs, ttl, err
		}
	}
	return nil, 0, err
}

// askName asks for both families and follows CNAMEs. As with nginx an error for one family is one for the name, and
// so is that the second knows nothing of a name when the first has no address.
func (r *Resolver) askName(e *entry, name string) ([]netip.Addr, uint32, error) {
	ttl := ^uint32(0)
	for range maxChain {
		var qs [2]*query
		n := 0
		for _, want := range []struct {
			on    bool
			qtype uint16
		}{{r.cfg.IPv4, typeA}, {r.cfg.IPv6, typeAAAA}} {
			if want.on {
				qs[n] = r.begin(name, want.qtype)
				n++
			}
		}
		if err := r.round(e, qs[:n]); err != nil {
			return nil, 0, err
		}
		var addrs []netip.Addr
		cname, code := "", 0
		for _, q := range qs[:n] {
			addrs = append(addrs, q.a.addrs...)
			ttl = min(ttl, q.a.ttl)
			if q.a.cname != "" {
				cname = q.a.cname
			}
			code = max(code, q.a.code)
		}
		switch {
		case code != 0:
			return nil, 0, errorOf(code)
		case len(addrs) > 0:
			return addrs, ttl, nil
		case cname == "", qs[n-1].a.cname == "":
			return nil, 0, errorsByCode[3]
		}
		name = strings.ToLower(cname)
	}
	return nil, 0, errUnknown
}

// round asks questions and waits for all answers.
func (r *Resolver) round(e *entry, qs []*query) error {
	err := r.wait(e, qs)
	for _, q := range qs {
		delete(r.pending, q.id)
	}
	if len(r.pending) == 0 {
		// The next question leaves from another port, which forged answers do not know.
		for _, s := range r.servers {
			s.close()
		}
	}
	return err
}

func errorOf(code int) *Error {
	if e := errorsByCode[code]; e != nil {
		return e
	}
	return errUnknown
}

// begin makes a question with a number of its own.
func (r *Resolver) begin(name string, qtype uint16) *query {
	q := &query{name: name, qtype: qtype, task: r.loop.Current()}
	for {
		q.id = uint16(rand.Uint32())
		if r.pending[q.id] == nil {
			break
		}
	}
	r.pending[q.id] = q
	return q
}

// wait asks until all questions are answered: the servers in turn, both questions the same one.
func (r *Resolver) wait(e *entry, qs []*query) error {
	turn := r.next
	r.next++
	for ; ; turn++ {
		open := false
		for _, q := range qs {
			if q.done {
				continue
			}
			open = true
			if err := r.send(q, turn); err != nil {
				return err
			}
		}
		if !open {
			return nil
		}
		if err := r.waitUntil(e, qs, min(e.deadline, r.loop.Now()+resend)); err != nil {
			return err
		}
		if !allDone(qs) && (r.loop.Now() >= e.deadline || len(e.waiting) == 0) {
			return errTimedOut
		}
	}
}

// waitUntil parks until the questions are answered or the time has come; what was cut is had over TCP.
func (r *Resolver) waitUntil(e *entry, qs []*query, again int64) error {
	for {
		err := r.loop.Park(again)
		if err != nil && err != netio.ErrTimeout {
			return err
		}
		for more := true; more; { // while one is asked again, another may be answered
			more = false
			for _, q := range qs {
				if !q.done || !q.a.cut {
					continue
				}
				more = true
				if !r.askTCP(q, min(e.deadline, r.loop.Now()+tcpTimeout)) {
					q.done = false // another server is asked
				}
			}
		}
		if err != nil || allDone(qs) {
			return nil
		}
	}
}

func allDone(qs []*query) bool {
	for _, q := range qs {
		if !q.done {
			return false
		}
	}
	return true
}

// send asks the server whose turn it is, or the next that can be reached.
func (r *Resolver) send(q *query, turn int) error {
	msg, ok := appendQuery(make([]byte, 0, 512), q.id, q.name, q.qtype)
	if !ok {
		return errorsByCode[3]
	}
	for i := range r.servers {
		s := r.servers[(turn+i)%len(r.servers)]
		if !s.open {
			if r.loop.DialDatagram(&s.fd, &netio.Dial{Addr: sockaddr(s.addr)}, s) != nil {
				continue
			}
			s.open = true
		}
		q.from = s
		if _, err := s.fd.Write(msg); err != nil {
			s.failed("send", err)
			s.close() // its port is closed: the error of an earlier question came back
			if r.loop.DialDatagram(&s.fd, &netio.Dial{Addr: sockaddr(s.addr)}, s) != nil {
				continue
			}
			s.open = true
			if _, err := s.fd.Write(msg); err != nil {
				s.failed("send", err)
				continue
			}
		}
		return nil
	}
	return nil // nobody can be asked now: again later, until the deadline
}

func (s *server) close() {
	if s.open {
		s.fd.Close()
		s.open = false
	}
}

// Ready reads answers.
func (s *server) Ready(f *netio.FD) {
	var buf [4096]byte
	for s.open {
		n, err := s.fd.Read(buf[:])
		if err != nil || n == 0 {
			if n == 0 && err == nil {
				continue
			}
			s.failed("recv", err)
			return // nothing more, or "connection refused": another server is asked later
		}
		if n < 2 {
			continue
		}
		q := s.r.pending[uint16(buf[0])<<8|uint16(buf[1])]
		if q == nil || q.done || q.from != s {
			continue
		}
		if a, ok := parseReply(buf[:n], q.name, q.qtype); ok {
			q.a, q.done = a, true
			s.r.loop.Ready(q.task)
		}
	}
}

// askTCP asks the same server again over TCP (RFC 7766); false: it has no answer.
func (r *Resolver) askTCP(q *query, until int64) bool {
	var fd netio.FD
	if r.loop.Dial(&fd, &netio.Dial{Addr: sockaddr(q.from.addr), Deadline: until}) != nil {
		return false
	}
	defer fd.Close()
	msg, _ := appendQuery(make([]byte, 2, 514), q.id, q.name, q.qtype)
	msg[0], msg[1] = byte((len(msg)-2)>>8), byte(len(msg)-2)
	if _, err := fd.Write(msg); err != nil {
		return false
	}
	buf := make([]byte, 0, 4096)
	for {
		if len(buf) >= 2 {
			if size := int(buf[0])<<8 | int(buf[1]); len(buf) >= 2+size {
				a, ok := parseReply(buf[2:2+size], q.name, q.qtype)
				if ok {
					a.cut = false
					q.a = a
				}
				return ok
			}
		}
		if len(buf) == cap(buf) {
			buf = append(make([]byte, 0, 66<<10), buf...)
		}
		n, err := fd.Read(buf[len(buf):cap(buf)])
		switch {
		case n > 0:
			buf = buf[:len(buf)+n]
		case err != syscall.EAGAIN, fd.WaitRead(until) != nil:
			return false
		}
	}
}
