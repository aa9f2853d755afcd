package engine

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"moongate/internal/base/nlog"
	"moongate/internal/conf"
	"moongate/internal/netio"
)

// Names the server goes by.
const (
	ServerName = "moongate"
	Version    = "0.1.0"
	Build      = "moongate"
)

// ServerVersion is the Server header's value with server_tokens on.
const ServerVersion = ServerName + "/" + Version

// stats are the counters of the whole process.
var stats struct {
	accepted, active, handled atomic.Int64
}

// Plane is the data plane: the listening sockets, the workers and the snapshot they serve.
type Plane struct {
	// NewConn takes over an accepted socket; the assembly sets it to the HTTP/1 driver.
	NewConn func(w *Worker, l *Listener, fd int, remote Addr)
	// Logger is the main error log.
	Logger *nlog.Logger
	// NumWorkers is worker_processes.
	NumWorkers int
	// Connections is worker_connections.
	Connections int

	http      atomic.Pointer[HTTP]
	listeners []*Listener // for reuseport: one per address and worker
	workers   []*Worker
	done      sync.WaitGroup
	connID    atomic.Uint64
	started   time.Time
	onEmpty   func()
}

func (p *Plane) log() *nlog.Logger { return p.Logger }

// NextConnID numbers connections over all workers.
func (p *Plane) NextConnID() uint64 { return p.connID.Add(1) }

// HTTP is the newest snapshot.
func (p *Plane) HTTP() *HTTP { return p.http.Load() }

// Workers lists the workers.
func (p *Plane) Workers() []*Worker { return p.workers }

// Started is when the plane started.
func (p *Plane) Started() time.Time { return p.started }

// Stats gives the process's counters: connections accepted, open, and requests.
func (p *Plane) Stats() (accepted, active int64, requests uint64) {
	for _, w := range p.workers {
		requests += atomic.LoadUint64(&w.Requests)
	}
	return stats.accepted.Load(), stats.active.Load(), requests
}

// listenerKeys are the keys of the sockets an address needs: one, or one per worker with reuseport.
func (p *Plane) listenerKeys(a *AddrConf) []string {
	if !a.Reuseport || p.NumWorkers <= 1 {
		return []string{a.Key()}
	}
	keys := make([]string, p.NumWorkers)
	for i := range keys {
		keys[i] = fmt.Sprintf("%s#%d", a.Key(), i)
	}
	return keys
}

// Open opens the listening sockets of a snapshot that are not open yet; inherited has descriptors by key, from a
// supervisor or an older binary. An address in use is tried for half a second, as nginx does. On an error the sockets
// that were new are closed and everything else is as before.
func (p *Plane) Open(h *HTTP, inherited map[string]int) ([]*Listener, error) {
	var list, fresh []*Listener
	fail := func(err error) ([]*Listener, error) {
		for _, l := range fresh {
			syscall.Close(l.FD)
		}
		return nil, err
	}
	for _, a := range h.Addrs {
		for _, key := range p.listenerKeys(a) {
			if l := p.listener(key); l != nil {
				list = append(list, l)
				continue
			}
			fd, ok := inherited[key]
			if !ok {
				var err error
				for try := 0; try < 5; try++ {
					if fd, err = a.open(); err == nil {
						break
					}
					var be *BindError
					if !errors.As(err, &be) || !errors.Is(err, syscall.EADDRINUSE) {
						break
					}
					p.log().Logf(nlog.Emerg, nil, be.Err, "bind() to %s failed", be.Addr)
					if try < 4 {
						p.log().Log(nlog.Notice, nil, nil, "try again to bind() after 500ms")
						time.Sleep(500 * time.Millisecond)
					}
				}
				if err != nil {
					return fail(err)
				}
			} else {
				syscall.SetNonblock(fd, true)
				syscall.Listen(fd, a.Backlog)
			}
			l := &Listener{Key: key, FD: fd, conf: a}
			fresh = append(fresh, l)
			list = append(list, l)
		}
	}
	return list, nil
}

func (p *Plane) listener(key string) *Listener {
	for _, l := range p.listeners {
		if l.Key == key {
			return l
		}
	}
	return nil
}

// Descriptors gives the listening sockets by key, to be inherited.
func (p *Plane) Descriptors() map[string]int {
	m := map[string]int{}
	for _, l := range p.listeners {
		m[l.Key] = l.FD
	}
	return m
}

// Prepare makes the folders and checks that a snapshot needs before it serves.
func (p *Plane) Prepare(h *HTTP, uid, gid int) error {
	for _, d := range h.tempFolders() {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return fmt.Errorf("mkdir() \"%s\" failed %s", d, nlog.ErrText(err))
		}
		if uid >= 0 && os.Geteuid() == 0 {
			os.Chown(d, uid, gid)
		}
	}
	return nil
}

// Start makes the workers and serves the snapshot on the given sockets.
func (p *Plane) Start(h *HTTP, ls []*Listener) error {
	p.listeners = ls
	p.http.Store(h)
	p.started = time.Now()
	if n := p.NumWorkers + 1; runtime.GOMAXPROCS(0) < n {
		runtime.GOMAXPROCS(n)
	}
	for i := range p.NumWorkers {
		loop, err := netio.NewLoop()
		if err != nil {
			return err
		}
		w := &Worker{ID: i, Plane: p, Loop: loop, HTTP: h, Values: make([]any, workerSlots)}
		p.workers = append(p.workers, w)
	}
	ready := make(chan error, len(p.workers))
	for _, w := range p.workers {
		p.done.Add(1)
		go func() {
			defer p.done.Done()
			w.Loop.Go(func() { ready <- w.start(ls) })
			w.Loop.Run()
			w.Loop.Close()
		}()
	}
	var first error
	for range p.workers {
		if err := <-ready; err != nil && first == nil {
			first = err
		}
	}
	return first
}

func (w *Worker) start(ls []*Listener) error {
	for _, m := range w.HTTP.Modules {
		if m.StartWorker != nil {
			if err := m.StartWorker(w); err != nil {
				return err
			}
		}
	}
	return w.listen(ls)
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
		if l.conf.Reuseport && shared && l.Key != fmt.Sprintf("%s#%d", l.conf.Key(), w.ID) {
			continue
		}
		a := &accept{w: w, l: l}
		fd, err := w.Loop.AddListener(l.FD, a, shared && !l.conf.Reuseport)
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

// Reload serves a new snapshot: open connections go on, their next request meets it. The sockets that it does not
// listen on any more are closed.
func (p *Plane) Reload(h *HTTP, ls []*Listener) {
	old := p.listeners
	p.listeners = ls
	p.http.Store(h)
	var wg sync.WaitGroup
	for _, w := range p.workers {
		wg.Add(1)
		w.Loop.Post(func() {
			defer wg.Done()
			before := w.HTTP
			w.HTTP = h
			for _, l := range ls {
				for _, a := range h.Addrs {
					if keyOf(l.Key) == a.Key() {
						l.conf = a
					}
				}
			}
			w.listen(ls)
			for _, m := range before.Modules {
				if m.ReloadWorker != nil {
					m.ReloadWorker(w, before)
				}
			}
		})
	}
	wg.Wait()
	for _, l := range old {
		if !containsListener(ls, l) {
			syscall.Close(l.FD)
			if l.conf.Unix != "" {
				os.Remove(l.conf.Unix)
			}
		}
	}
}

// keyOf is a listener's address without the worker's number.
func keyOf(key string) string {
	for i := len(key) - 1; i >= 0; i-- {
		if key[i] == '#' {
			return key[:i]
		}
	}
	return key
}

// Drain stops accepting, closes idle connections and returns when the last request has ended, or at the deadline
// (zero: none), when what is left is cut. Listening sockets are closed unless keep.
func (p *Plane) Drain(deadline time.Duration, keep bool) {
	for _, w := range p.workers {
		w.Loop.Post(func() { w.drain() })
	}
	finished := make(chan struct{})
	go func() { p.done.Wait(); close(finished) }()
	if !keep {
		p.closeListeners()
	}
	if deadline <= 0 {
		<-finished
		return
	}
	select {
	case <-finished:
	case <-time.After(deadline):
		p.Stop()
	}
}

func (p *Plane) closeListeners() {
	for _, l := range p.listeners {
		syscall.Close(l.FD)
	}
}

// Pause stops accepting without stopping anything else (WINCH in nginx's master).
func (p *Plane) Pause() {
	for _, w := range p.workers {
		w.Loop.Post(func() { w.listen(nil) })
	}
}

func (w *Worker) drain() {
	if w.Stopping {
		return
	}
	w.Stopping = true
	w.listen(nil)
	w.shutdownConns(false)
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
	if w.Conns == 0 && w.Active == 0 {
		w.finish()
	}
}

func (w *Worker) finish() {
	if w.Loop.Stopped() {
		return
	}
	for _, m := range w.HTTP.Modules {
		if m.StopWorker != nil {
			m.StopWorker(w)
		}
	}
	w.Loop.Stop()
}

// Stop ends the workers at once: connections are closed, requests abandoned.
func (p *Plane) Stop() {
	for _, w := range p.workers {
		w.Loop.Post(func() {
			w.Stopping = true
			w.listen(nil)
			w.shutdownConns(true)
			w.finish()
		})
	}
	p.done.Wait()
}

// Do runs f in every worker with the baton and waits for all.
func (p *Plane) Do(f func(w *Worker)) {
	var wg sync.WaitGroup
	for _, w := range p.workers {
		wg.Add(1)
		w.Loop.Post(func() { defer wg.Done(); f(w) })
	}
	wg.Wait()
}

// multi reports whether one event may accept several connections.
func (a *AddrConf) multi() bool { return false }

// HTTP is the snapshot an address belongs to.
func (a *AddrConf) HTTP() *HTTP { return a.http }

var _ = conf.Main
