package grpcclient

import "moongate/internal/engine"

// Busy is what a worker still has to do: operations that it does for others, and calls that the registry counts for it.
func Busy(w *engine.Worker) (ops, calls, background int) {
	p := placeOf(w)
	p.mu.Lock()
	for o := p.first; o != nil; o = o.next {
		ops++
	}
	p.mu.Unlock()
	homes.mu.Lock()
	for _, h := range homes.m {
		if h.at == p {
			calls += h.calls
		}
	}
	homes.mu.Unlock()
	return ops, calls, w.Background
}
