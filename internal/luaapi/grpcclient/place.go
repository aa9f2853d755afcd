package grpcclient

import (
	"errors"
	"slices"
	"sync"

	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/h2client"
	"moongate/internal/netio"
)

// Module ends what a worker has when it ends.
var Module = engine.Module{
	Module:     conf.Module{Name: "grpc_client"},
	StopWorker: stopWorker,
	TrimWorker: trimWorker,
}

// place is a worker with its connections, and what other workers ask it for.
type place struct {
	w      *engine.Worker
	shared *h2client.Pool // of channels whose connections all workers use
	own    *h2client.Pool // of those that asked for connections per worker
	mine   map[string]int // how many connections of a key shared has
	alone  bool           // the worker is none that serves: each call has a connection

	mu      sync.Mutex
	first   *op // posted by other workers, not answered yet
	stopped bool
}

var placeSlot = engine.NewWorkerSlot()

func placeOf(w *engine.Worker) *place {
	p, _ := w.Values[placeSlot].(*place)
	if p == nil {
		p = &place{w: w, mine: map[string]int{}, alone: !slices.Contains(w.Plane.Workers(), w)}
		env := &h2client.Env{Loop: w.Loop, Mem: w}
		most := maxIdle
		if p.alone {
			most = 0
		}
		p.shared = &h2client.Pool{Env: env, Max: most, Timeout: idleTimeout}
		p.own = &h2client.Pool{Env: env, Max: most, Timeout: idleTimeout}
		p.shared.Watch = func(key string, n int) {
			if p.mine[key] += n; p.mine[key] == 0 {
				delete(p.mine, key)
			}
			homes.connections(p, key, n)
		}
		w.Values[placeSlot] = p
	}
	return p
}

// alone runs f, which may wait, on a loop of its own, and blocks the worker until that has ended: for init_worker_by_lua.
func alone(w *engine.Worker, f func(at *place)) error {
	scratch, err := engine.NewScratch(w.Plane, w.HTTP)
	if err != nil {
		return err
	}
	loop, done := scratch.Loop, make(chan struct{})
	loop.Go(func() {
		f(placeOf(scratch))
		loop.Stop()
	})
	go func() { // tasks do not run where C calls
		loop.Run()
		loop.Close()
		close(done)
	}()
	<-done
	return nil
}

func stopWorker(w *engine.Worker) {
	if p, _ := w.Values[placeSlot].(*place); p != nil {
		p.stop()
		p.shared.CloseAll()
		p.own.CloseAll()
	}
}

func trimWorker(w *engine.Worker) {
	if p, _ := w.Values[placeSlot].(*place); p != nil {
		p.shared.Env.Trim()
	}
}

// home says at which place the connections of a key are: at that of the worker that connected first, for as long as there
// are connections or calls.
type home struct {
	id    homeID
	at    *place
	conns int
	calls int
}

type homeID struct {
	plane *engine.Plane
	key   string
}

// homes are those of the process.
var homes = registry{m: map[homeID]*home{}}

type registry struct {
	mu sync.Mutex
	m  map[homeID]*home
}

// enter begins a call: it is to be made at the home that is returned. Where there is none, me becomes it.
func (r *registry) enter(me *place, key string) *home {
	id := homeID{me.w.Plane, key}
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.m[id]
	if h == nil {
		h = &home{id: id, at: me}
		r.m[id] = h
	}
	h.calls++
	return h
}

// leave ends a call.
func (r *registry) leave(h *home) {
	r.mu.Lock()
	h.calls--
	r.tidy(h)
	r.mu.Unlock()
}

// connections is told how many connections of a key there are at p more.
func (r *registry) connections(p *place, key string, n int) {
	r.mu.Lock()
	if h := r.m[homeID{p.w.Plane, key}]; h != nil && h.at == p {
		h.conns += n
		r.tidy(h)
	}
	r.mu.Unlock()
}

func (r *registry) tidy(h *home) {
	if h.calls == 0 && h.conns == 0 && r.m[h.id] == h {
		delete(r.m, h.id)
	}
}

// forget ends all homes at p.
func (r *registry) forget(p *place) {
	r.mu.Lock()
	for id, h := range r.m {
		if h.at == p {
			delete(r.m, id)
		}
	}
	r.mu.Unlock()
}

// op is something that a task of a home does for a call of another worker. What it reads and writes belongs to the home
// from post to back, and to the caller before and after.
type op struct {
	do   func(o *op) error
	x    *exchange
	to   target
	arg  []byte
	last bool

	msg []byte // results
	v   view
	err error

	at         *place
	caller     *netio.Task
	from       *netio.Loop
	task       *netio.Task // that does it
	prev, next *op         // in the place's list
	listed     bool
	begun      bool
	done, left bool // of the caller: there is an answer; nobody waits for it
}

var (
	// errStopped says that the home has ended before it has done anything for the call.
	errStopped = errors.New("the worker has stopped")
	errCut     = errors.New("the worker that has the connection was stopped")
)

// run has the place do o, and waits. An error of waiting means that o goes on, and nothing of it may be looked at.
func (p *place) run(o *op, loop *netio.Loop) error {
	o.at, o.from, o.caller = p, loop, loop.Current()
	if !p.post(o) {
		return errStopped
	}
	for !o.done {
		if err := loop.Park(0); err != nil {
			o.left = true
			p.w.Loop.Post(o.interrupt)
			return err
		}
	}
	return o.err
}

func (p *place) post(o *op) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return false
	}
	o.listed, o.next = true, p.first
	if p.first != nil {
		p.first.prev = o
	}
	p.first = o
	p.w.Loop.Post(o.serve)
	return true
}

// serve does o, at the home. A worker that is about to stop waits for it.
func (o *op) serve() {
	p := o.at
	p.mu.Lock()
	wanted := o.listed
	o.begun = wanted
	p.mu.Unlock()
	if !wanted {
		return
	}
	p.w.AddBackground(1)
	o.task = p.w.Loop.Current()
	err := o.do(o)
	o.task = nil
	p.answer(o, err)
	p.w.AddBackground(-1)
}

// answer tells the caller, unless that was told already that the place stops.
func (p *place) answer(o *op, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !o.listed {
		return
	}
	o.listed = false
	if o.prev != nil {
		o.prev.next = o.next
	} else {
		p.first = o.next
	}
	if o.next != nil {
		o.next.prev = o.prev
	}
	o.prev, o.next = nil, nil
	o.v, o.err = o.x.view, err
	o.from.Post(o.back)
}

// back runs at the caller's.
func (o *op) back() {
	o.done = true
	if !o.left {
		o.from.Ready(o.caller)
	}
}

// interrupt ends o's waiting, at the home: the light thread that wanted it is gone.
func (o *op) interrupt() {
	if o.task != nil {
		o.at.w.Loop.Kill(o.task)
	}
}

// stop ends what other workers wait for.
func (p *place) stop() {
	homes.forget(p)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = true
	for o := p.first; o != nil; o = o.next {
		o.listed = false
		if o.err = errStopped; o.begun {
			o.err = errCut
		}
		o.from.Post(o.back)
	}
	p.first = nil
}
