package lua

import (
	"sync"
	"sync/atomic"
	"time"

	"moongate/internal/luajit"
)

// Watchman looks, from a goroutine of its own, whether the Lua code of a VM runs for long without waiting: everything else
// of its worker stands still meanwhile.
type Watchman struct {
	mu     sync.Mutex
	lj     *luajit.VM // nil once stopped
	stop   chan struct{}
	over   time.Duration
	stuck  func(over time.Duration) // in C or Go code that Lua has called
	told   atomic.Uint64            // the turn that was reported
	stalls *atomic.Int64
}

// Watch reports each turn of the VM that lasts over a duration, once: it is counted in stalls, and Host.Log gets the Lua
// stack, in the context of the request. If Lua calls something that itself does not come back, stuck is called instead, on
// another goroutine. The VM's user stops the Watchman before it closes the VM.
func (v *VM) Watch(over time.Duration, stalls *atomic.Int64, stuck func(over time.Duration)) *Watchman {
	w := &Watchman{lj: v.lj, stop: make(chan struct{}), over: over, stuck: stuck, stalls: stalls}
	v.watchman = w
	v.lj.WatchStalls(v.rt.stalled)
	go w.run()
	return w
}

// Stop ends the watch.
func (w *Watchman) Stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.lj != nil {
		w.lj = nil
		close(w.stop)
	}
}

// looks is how often, within the duration, the VM is looked at.
const looks = 4

func (w *Watchman) run() {
	tick := time.NewTicker(max(w.over/looks, time.Millisecond))
	defer tick.Stop()
	var turn uint64
	var since time.Time
	poked := false
	for {
		select {
		case <-w.stop:
			return
		case <-tick.C:
		}
		w.mu.Lock()
		if w.lj == nil {
			w.mu.Unlock()
			return
		}
		now := time.Now()
		switch t := w.lj.Turn(); {
		case t == 0 || t != turn:
			turn, since, poked = t, now, false
		case w.told.Load() == t:
		case poked && now.Sub(since) >= 2*w.over:
			if w.told.Swap(t) != t {
				w.stalls.Add(1)
				w.stuck(now.Sub(since))
			}
		case now.Sub(since) >= w.over:
			poked = true
			w.lj.Poke(t)
		}
		w.mu.Unlock()
	}
}

// stalledFunc is told the stack of a turn that lasts.
var stalledFunc = &Func{Name: "moongate.stalled", Run: func(c *Call) Outcome {
	if w := c.vm.watchman; w != nil {
		if t := c.vm.lj.Turn(); w.told.Swap(t) != t {
			w.stalls.Add(1)
		}
		c.vm.rt.opt.Host.Log(c.Context(), Warn, "Lua code has been running for over "+w.over.String()+
			" without waiting, others have to wait\n"+c.String(1))
	}
	return c.Return()
}}
