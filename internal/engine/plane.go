package engine

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"moongate/internal/base/nlog"
	"moongate/internal/conf"
	"moongate/internal/netio"
	"moongate/internal/plane"
	"moongate/internal/resolve"
)

// Names the server goes by.
const (
	ServerName = "moongate"
	Version    = "0.1.0"
	Build      = "moongate"
)

// ServerVersion is the Server header's value with server_tokens on.
const ServerVersion = ServerName + "/" + Version

// Plane is the data plane: the workers and the snapshot they serve.
type Plane struct {
	// NewConn takes over an accepted socket; the assembly sets it to the HTTP/1 driver.
	NewConn func(w *Worker, l *Listener, fd int, remote Addr)
	// Datagrams serves the sockets of datagrams among ls, and no others any more; it may be nil. It is called when the
	// workers run, after each reload, and with none at the end.
	Datagrams func(p *Plane, ls []*Listener)

	params    atomic.Pointer[plane.Params]
	http      atomic.Pointer[HTTP]
	listeners []*Listener
	workers   []*Worker
	done      sync.WaitGroup
	connID    atomic.Uint64
	temp      atomic.Uint64
	started   time.Time
	accepting atomic.Int32 // workers that accept while the plane quits
	loaded    atomic.Bool  // a worker has had a load since memory was given back
	held      atomic.Int64 // Go's memory after that
}

var _ plane.Plane = (*Plane)(nil)

// Params are those of the newest load.
func (p *Plane) Params() *plane.Params { return p.params.Load() }

func (p *Plane) log() *nlog.Logger { return p.Params().Log }

// NextTemp numbers temporary files and boundaries.
func (p *Plane) NextTemp() uint64 { return p.temp.Add(1) - 1 }

// NextConnID numbers connections over all workers.
func (p *Plane) NextConnID() uint64 { return p.connID.Add(1) }

// HTTP is the newest snapshot, nil when the configuration has no http block.
func (p *Plane) HTTP() *HTTP { return p.http.Load() }

// Before gives the Values of the configuration that serves while h is made ready to take its place, nil when there is none:
// what survives a reload is taken over from there.
func (p *Plane) Before(h *HTTP) map[any]any {
	if old := p.HTTP(); old != nil && old != h {
		return old.Config.Values
	}
	return nil
}

// Workers lists the workers.
func (p *Plane) Workers() []*Worker { return p.workers }

// Started is when the plane started.
func (p *Plane) Started() time.Time { return p.started }

// Sockets lists what the http block listens on; the process makes one per worker of those with reuseport.
func (p *Plane) Sockets(cfg *conf.Config) []plane.Socket {
	h := FromConfig(cfg)
	if h == nil {
		return nil
	}
	var out []plane.Socket
	for _, a := range h.Addrs {
		if a.within != nil {
			continue
		}
		kind := syscall.SOCK_STREAM
		if a.QUIC {
			kind = syscall.SOCK_DGRAM
		}
		out = append(out, plane.Socket{Addr: a.Text, Type: kind, Options: a.options()})
	}
	return out
}

// listenersOf ties open sockets to the addresses of a snapshot; the ones that are known already stay the same object.
func (p *Plane) listenersOf(h *HTTP, socks []plane.Socket) []*Listener {
	var out []*Listener
	for i := range socks {
		s := &socks[i]
		key := s.Key()
		var l *Listener
		for _, old := range p.listeners {
			if old.Key == key {
				l = old
			}
		}
		if l == nil {
			l = &Listener{Key: key, Addr: s.Addr, FD: s.FD, Worker: s.Worker, QUIC: s.Type == syscall.SOCK_DGRAM}
			l.conf = h.addr(s.Addr, l.QUIC)
		}
		if h.addr(s.Addr, l.QUIC) != nil {
			out = append(out, l)
		}
	}
	return out
}

// addr finds an address of the snapshot.
func (h *HTTP) addr(text string, quic bool) *AddrConf {
	for _, a := range h.Addrs {
		if a.Text == text && a.QUIC == quic && a.within == nil {
			return a
		}
	}
	return nil
}

// emptyHTTP stands for a configuration without an http block.
func emptyHTTP(cfg *conf.Config) *HTTP {
	return &HTTP{Config: cfg, table: newVarTable(nil), Values: map[any]any{}}
}

// Init makes the first snapshot ready: modules run what must run before the workers exist (init_by_lua).
func (p *Plane) Init(pp *plane.Params) error {
	p.params.Store(pp)
	resolve.SetLog(pp.Log)
	h := FromConfig(pp.Config)
	if h == nil {
		h = emptyHTTP(pp.Config)
	}
	h.forWorkers(max(pp.Workers, 1))
	p.listeners = p.listenersOf(h, pp.Sockets)
	p.http.Store(h)
	for i := range max(pp.Workers, 1) {
		w := &Worker{ID: i, Plane: p, HTTP: h, Values: make([]any, workerSlots), ended: make(chan struct{})}
		w.counters.calm.Store(true)
		p.workers = append(p.workers, w)
	}
	for _, m := range h.Modules {
		if m.Init != nil {
			if err := m.Init(p, h); err != nil {
				return err
			}
		}
	}
	return nil
}

// Start starts the workers.
func (p *Plane) Start() error {
	p.started = time.Now()
	p.held.Store(goMemory())
	p.beside(1)
	ready := make(chan error, len(p.workers))
	for _, w := range p.workers { // all, before the first serves: a worker may ask the others
		loop, err := netio.NewLoop()
		if err != nil {
			return err
		}
		w.Loop = loop
		loop.Idle, loop.Tick = w.idle, w.Publish
	}
	for _, w := range p.workers {
		loop := w.Loop
		p.done.Add(1)
		go func() {
			defer p.done.Done()
			loop.Go(func() { ready <- w.start() })
			loop.Run()
			close(w.ended)
			loop.Close()
		}()
	}
	var first error
	for range p.workers {
		if err := <-ready; err != nil && first == nil {
			first = err
		}
	}
	if first == nil {
		p.serveDatagrams(p.listeners)
	}
	return first
}

// beside makes sure that n goroutines can run beside the workers, which keep their place while they wait for a moment (see
// netio.Loop).
func (p *Plane) beside(n int) {
	if n += len(p.workers); runtime.GOMAXPROCS(0) < n {
		runtime.GOMAXPROCS(n)
	}
}

func (p *Plane) serveDatagrams(ls []*Listener) {
	if p.Datagrams == nil {
		return
	}
	for _, l := range ls {
		if l.QUIC { // packets are the work of many goroutines
			p.beside(runtime.NumCPU())
			break
		}
	}
	p.Datagrams(p, ls)
}

func (w *Worker) start() error {
	for _, m := range w.HTTP.Modules {
		if m.StartWorker != nil {
			if err := m.StartWorker(w); err != nil {
				return err
			}
		}
	}
	return w.listen(w.Plane.listeners)
}

// listen makes the worker accept from the sockets that are its own, and from no other.
func (w *Worker) listen(ls []*Listener) error {
	var keep []*accept
	for _, a := range w.accepts {
		if containsListener(ls, a.l) {
			keep = append(keep, a)
		} else {
			a.fd.Detach()
		}
	}
	w.accepts = keep
	shared := len(w.Plane.workers) > 1
next:
	for _, l := range ls {
		for _, a := range w.accepts {
			if a.l == l {
				continue next
			}
		}
		// One of several sockets of an address has one worker. A reload may have come to another number of them, or to no
		// reuseport, but not to another number of workers.
		alone := l.Conf().Reuseport || l.Worker > 0
		if l.QUIC || alone && l.Worker%len(w.Plane.workers) != w.ID {
			continue
		}
		a := &accept{w: w, l: l, alone: alone || !shared}
		fd, err := w.Loop.AddListener(l.FD, a, shared && !alone)
		if err != nil {
			return err
		}
		a.fd = fd
		w.accepts = append(w.accepts, a)
	}
	return nil
}

func containsListener(ls []*Listener, l *Listener) bool {
	for _, x := range ls {
		if x == l {
			return true
		}
	}
	return false
}

// Reload serves a new snapshot: open connections go on, their next request meets it.
func (p *Plane) Reload(pp *plane.Params, retired func()) error {
	h := FromConfig(pp.Config)
	if h == nil {
		h = emptyHTTP(pp.Config)
	}
	h.forWorkers(len(p.workers))
	before := p.HTTP()
	for _, m := range h.Modules {
		if m.Init != nil {
			if err := m.Init(p, h); err != nil {
				return err
			}
		}
	}
	ls := p.listenersOf(h, pp.Sockets)
	p.params.Store(pp)
	resolve.SetLog(pp.Log)
	p.listeners = ls
	p.http.Store(h)
	p.Do(func(w *Worker) { w.takeOver(h, ls) })
	// Only now, when every worker has the new snapshot, requests may be routed by it.
	for _, l := range ls {
		if a := h.addr(l.Addr, l.QUIC); a != nil {
			l.next.Store(a)
		}
	}
	p.serveDatagrams(ls)
	// And only now, when no request is routed by the old one any more, that may end.
	var users atomic.Int64
	users.Store(int64(len(p.workers)))
	gone := func() {
		if users.Add(-1) == 0 {
			retired()
		}
	}
	p.Do(func(w *Worker) { w.leave(before, ls, gone) })
	return nil
}

// Do runs f in every worker with the baton and waits for all.
func (p *Plane) Do(f func(w *Worker)) {
	var done sync.WaitGroup
	for _, w := range p.workers {
		done.Add(1)
		w.Loop.Post(func() {
			defer done.Done()
			f(w)
		})
	}
	done.Wait()
}

// Ask is Do for who may come while the workers end: those that have ended are left out.
func (p *Plane) Ask(f func(w *Worker)) {
	done := make([]chan struct{}, len(p.workers))
	for i, w := range p.workers {
		done[i] = make(chan struct{})
		w.Loop.Post(func() {
			defer close(done[i])
			f(w)
		})
	}
	for i, w := range p.workers {
		select {
		case <-done[i]:
		case <-w.ended:
		}
	}
}

// takeOver makes h the worker's snapshot.
func (w *Worker) takeOver(h *HTTP, ls []*Listener) {
	w.HTTP = h
	w.shutFileCaches()
	w.listen(ls)
	for _, m := range h.Modules {
		if m.ReloadWorker != nil {
			m.ReloadWorker(w, h)
		}
	}
}

// leave gives a replaced snapshot up. Connections to addresses that are no longer listened on end with it.
func (w *Worker) leave(before *HTTP, ls []*Listener, gone func()) {
	for n := w.first; n != nil; {
		next := n.next
		if n.held == nil && !containsListener(ls, n.listener) {
			n.held = before
			w.Hold(before)
			n.c.Shutdown(false)
		}
		n = next
	}
	w.retire(before, func() {
		for _, m := range before.Modules {
			if m.RetireWorker != nil {
				m.RetireWorker(w, before)
			}
		}
		gone()
	})
}

// Quit stops accepting, closes idle connections and returns when the last request has ended; what is left when ctx
// ends is cut. Clients which have connected already are served; once no worker accepts any more the sockets are closed.
func (p *Plane) Quit(ctx context.Context) {
	p.accepting.Store(int32(len(p.workers)))
	p.serveDatagrams(nil)
	for _, w := range p.workers {
		w.Loop.Post(w.drain)
	}
	finished := make(chan struct{})
	go func() { p.done.Wait(); close(finished) }()
	select {
	case <-finished:
	case <-ctx.Done():
		p.cut()
	}
}

// cutTime is how long requests may take to end, and to be logged, once their connections have been cut.
const cutTime = 200 * time.Millisecond

// cut closes all connections and returns when the requests have ended, those that notice it.
func (p *Plane) cut() {
	for _, w := range p.workers {
		w.Loop.Post(func() {
			w.shutdownConns(true)
			w.Loop.Arm(netio.NewTimer(w.finish), w.Loop.Now()+int64(cutTime))
			w.maybeFinished()
		})
	}
	p.done.Wait()
}

func (w *Worker) drain() {
	if w.Stopping {
		return
	}
	w.Stopping = true
	for _, a := range w.accepts {
		a.takeAll()
	}
	w.listen(nil)
	if w.Plane.accepting.Add(-1) == 0 {
		for _, l := range w.Plane.listeners {
			syscall.Close(l.FD)
		}
	}
	w.shutdownConns(false)
	for _, m := range w.HTTP.Modules {
		if m.DrainWorker != nil {
			m.DrainWorker(w)
		}
	}
	w.maybeFinished()
}

func (w *Worker) shutdownConns(now bool) {
	for n := w.first; n != nil; {
		next := n.next
		n.c.Shutdown(now)
		n = next
	}
}

// maybeFinished ends a stopping worker once nothing is left to do.
func (w *Worker) maybeFinished() {
	if w.Conns == 0 && w.Active == 0 && w.Background == 0 {
		w.finish()
	}
}

// AddBackground counts work that keeps a stopping worker alive (running timers).
func (w *Worker) AddBackground(n int) {
	w.Background += n
	if w.Stopping && n < 0 {
		w.maybeFinished()
	}
}

func (w *Worker) finish() {
	if w.finished {
		return
	}
	w.finished = true
	for _, m := range w.HTTP.Modules {
		if m.StopWorker != nil {
			m.StopWorker(w)
		}
	}
	w.Loop.Stop()
}

// Stop ends the workers at once: connections are closed, requests abandoned.
func (p *Plane) Stop() {
	p.serveDatagrams(nil)
	for _, w := range p.workers {
		if w.Loop == nil {
			continue
		}
		w.Loop.Post(func() {
			w.Stopping = true
			w.listen(nil)
			w.shutdownConns(true)
			w.finish()
		})
	}
	p.done.Wait()
}

// HTTP is the snapshot an address belongs to.
func (a *AddrConf) HTTP() *HTTP { return a.http }
