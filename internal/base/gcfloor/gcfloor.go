// Package gcfloor keeps the garbage collector from running for every few megabytes while the heap is small: a TLS
// handshake leaves some 60 KiB behind, so that with Go's least heap of 4 MiB every seventieth would be followed by a
// collection, which costs more than a handshake. Above the floor nothing changes.
package gcfloor

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
)

// Least is the size that the heap may grow to before a collection, whatever lives.
const Least = 16 << 20

// most is the share of garbage with which Go's own least heap, of 4 MiB, is Least: the least heap grows with the share.
const most = 100 * Least / (4 << 20)

var once sync.Once

// Keep makes the floor hold from now on, for the life of the process. It does nothing where GOGC or GOMEMLIMIT of the
// environment have their say.
func Keep(getenv func(string) string) {
	if getenv("GOGC") != "" || getenv("GOMEMLIMIT") != "" {
		return
	}
	once.Do(func() {
		k := &keeper{percent: 100, live: []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/globals:bytes"}, {Name: "/gc/scan/stack:bytes"}}}
		k.adjust()
		k.watch()
	})
}

// keeper adjusts the share of garbage after each collection.
type keeper struct {
	percent int
	live    []metrics.Sample
}

type sentinel struct{ _ [16]byte }

// watch is called again when the next collection is over.
func (k *keeper) watch() {
	runtime.SetFinalizer(&sentinel{}, func(*sentinel) {
		k.adjust()
		k.watch()
	})
}

// adjust sets the share; small changes are not worth the pause that each costs.
func (k *keeper) adjust() {
	metrics.Read(k.live)
	p := percent(k.live[0].Value.Uint64(), k.live[1].Value.Uint64()+k.live[2].Value.Uint64())
	if d := p - k.percent; d > k.percent/4 || -d > k.percent/4 {
		k.percent = p
		debug.SetGCPercent(p)
	}
}

// percent is the share of garbage with which a heap of live bytes may grow to the floor, and 100 above it. Go counts
// what else is scanned, of roots bytes, as living.
func percent(live, roots uint64) int {
	if 2*live+roots >= Least {
		return 100
	}
	return min(most, int((Least-live)*100/max(live+roots, 1)))
}
