package engine

import (
	"runtime/debug"
	"runtime/metrics"
	"time"

	"moongate/internal/luajit"
)

// A worker is calm when it has had nothing to do for a while. It then gives the memory of a past load back; Go's memory
// follows once all workers are calm, for that takes a full collection.

// calmAfter is how long a worker must have had nothing to do.
const calmAfter = 3 * time.Second

// load is how much must have happened, in requests that began and that ended and closed connections, for free lists to be
// given up.
const load = 2000

// slack is how much Go's memory may grow without a load before it is given back.
const slack = 8 << 20

// calmness is what a worker knows of its being idle.
type calmness struct {
	closed  uint64 // connections
	trimmed uint64 // work done when memory was given back
	last    uint64 // work done when the present calm began
	since   int64
}

// idle is called when the worker has nothing to do; it tells when it wants to be called again. Requests that wait for
// something do not count as something to do: there may be thousands that wait for hours.
func (w *Worker) idle() int64 {
	c := &w.calm
	work := 2*w.Requests - uint64(w.Active) + c.closed
	if work == c.trimmed {
		return 0
	}
	now := w.Loop.Now()
	if work != c.last {
		c.last, c.since = work, now
	}
	if now-c.since < int64(calmAfter) {
		return c.since + int64(calmAfter)
	}
	loaded := work-c.trimmed > load || goMemory() > w.Plane.held.Load()+slack // one request may do much
	c.trimmed = work
	w.trim(loaded)
	return 0
}

// trim gives memory back; loaded says that the worker had much to do.
func (w *Worker) trim(loaded bool) {
	for _, m := range w.HTTP.Modules {
		if m.TrimWorker != nil && loaded {
			m.TrimWorker(w)
		}
		if m.CalmWorker != nil {
			m.CalmWorker(w)
		}
	}
	if loaded {
		for _, f := range w.trims {
			f()
		}
		clear(w.bufs[:])
		w.blocks, w.firsts = nil, nil
		w.trimFileCaches()
		w.freeReqs, w.reqs = nil, 0
		w.Loop.Trim()
		w.Plane.loaded.Store(true)
	}
	w.counters.calm.Store(true)
	w.Plane.release()
}

// release gives Go's free memory back to the system once all workers are calm, and what is mapped of the program.
func (p *Plane) release() {
	for _, w := range p.workers {
		if !w.counters.calm.Load() {
			return
		}
	}
	if p.loaded.Swap(false) || goMemory() > p.held.Load()+slack {
		go func() {
			debug.FreeOSMemory()
			p.held.Store(goMemory())
			luajit.UnmapProgram()
		}()
		return
	}
	luajit.UnmapProgram()
}

// goMemory is the memory Go has from the system, in bytes.
func goMemory() int64 {
	s := [2]metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(s[:])
	if s[0].Value.Kind() != metrics.KindUint64 || s[1].Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return int64(s[0].Value.Uint64() - s[1].Value.Uint64())
}
