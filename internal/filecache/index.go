package filecache

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
)

const keySize = 16

// Key is the MD5 of a key's text.
type Key [keySize]byte

// entry is what is known of one key. It has no pointers: the collector does not look into the index.
type entry struct {
	key    Key
	expire int64 // seconds: when it was not used for too long
	valid  int64 // seconds: until when the error below is remembered
	until  int64 // nanoseconds: how long others wait for the one that fills
	uniq   uint64
	blocks int64
	body   uint32 // where the body begins in the file; 0: not known
	pins   uint32

	newer, older, chain, self uint32 // entries are numbered from 1; 0 is none

	uses     uint16
	fail     uint16 // the status that is kept in place of a response
	exists   bool   // there is a file
	updating bool   // somebody fills it
	deleting bool
}

const (
	chunkLen  = 64
	entrySize = 128 // what an entry takes of the zone, with its part of everything: nginx's figure
	zoneSpare = 8 << 10
)

type chunk [chunkLen]entry

// index is the entries of a cache. It outlives configurations.
type index struct {
	sync.Mutex
	seed      maphash.Seed
	chunks    []*chunk // entries never move
	buckets   []uint32
	used, max uint32
	n         uint32
	freed     uint32
	newest    uint32
	oldest    uint32
	watermark uint32 // of n, that the manager keeps free
	blocks    int64
	cold      atomic.Bool
	loading   atomic.Bool
	waiting   map[uint32][]*Waiter
	told      int64 // second of the last complaint of the loader
}

func newIndex(size int64) *index {
	x := &index{seed: maphash.MakeSeed(), max: uint32(max(4, min((size-zoneSpare)/entrySize, 1<<31))), watermark: 1<<32 - 1}
	x.cold.Store(true)
	return x
}

func (x *index) at(i uint32) *entry { return &x.chunks[(i-1)/chunkLen][(i-1)%chunkLen] }

func (x *index) bucket(k *Key) *uint32 {
	// Clients choose keys: the place in the table is not for them to know.
	return &x.buckets[maphash.Bytes(x.seed, k[:])&uint64(len(x.buckets)-1)]
}

// find looks a key up; nil: it is not there.
func (x *index) find(k *Key) *entry {
	if len(x.buckets) == 0 {
		return nil
	}
	for i := *x.bucket(k); i != 0; {
		e := x.at(i)
		if e.key == *k {
			return e
		}
		i = e.chain
	}
	return nil
}

// add makes an entry for a key that is not there; it is not in the list yet. nil: the index is full.
func (x *index) add(k *Key) *entry {
	var e *entry
	switch {
	case x.freed != 0:
		e = x.at(x.freed)
		x.freed = e.chain
	case x.used == x.max:
		return nil
	default:
		if x.used%chunkLen == 0 {
			x.chunks = append(x.chunks, new(chunk))
		}
		x.used++
		e = x.at(x.used)
		e.self = x.used
	}
	if x.n == uint32(len(x.buckets)) {
		x.grow()
	}
	x.n++
	e.key = *k
	b := x.bucket(k)
	e.chain, *b = *b, e.self
	return e
}

// remove takes an entry out.
func (x *index) remove(e *entry) {
	p := x.bucket(&e.key)
	for *p != e.self {
		p = &x.at(*p).chain
	}
	*p = e.chain
	x.unlink(e)
	*e = entry{self: e.self, chain: x.freed}
	x.freed = e.self
	x.n--
}

// touch makes an entry the newest; it need not be in the list.
func (x *index) touch(e *entry) {
	if x.newest == e.self {
		return
	}
	x.unlink(e)
	e.newer, e.older = 0, x.newest
	if x.newest != 0 {
		x.at(x.newest).newer = e.self
	} else {
		x.oldest = e.self
	}
	x.newest = e.self
}

func (x *index) unlink(e *entry) {
	if e.newer == 0 && e.older == 0 && x.newest != e.self {
		return
	}
	if e.newer != 0 {
		x.at(e.newer).older = e.older
	} else {
		x.newest = e.older
	}
	if e.older != 0 {
		x.at(e.older).newer = e.newer
	} else {
		x.oldest = e.newer
	}
	e.newer, e.older = 0, 0
}

// grow doubles the buckets.
func (x *index) grow() {
	x.buckets = make([]uint32, max(16, 2*len(x.buckets)))
	for i := x.newest; i != 0; {
		e := x.at(i)
		b := x.bucket(&e.key)
		e.chain, *b = *b, i
		i = e.older
	}
}

// full notes how many entries the manager is to leave.
func (x *index) full() { x.watermark = x.n - x.n/8 }
