package zone

import (
	"hash/maphash"
	"sync"
	"unsafe"
)

// Table keeps a value for each of as many keys as its size allows. It is divided into shards with a lock each. Keys are
// kept as 128 bits of keyed hash, so an entry has the same small size whatever its key is, and the garbage collector
// finds nothing in it to look at. V must not hold pointers.
type Table[V any] struct {
	seeds  [2]maphash.Seed
	shards []Shard[V]
}

// Shard is the part of a table that a key belongs to; what is done to it is done with its lock.
type Shard[V any] struct {
	sync.Mutex
	chunks  []*[chunkLen]Entry[V] // entries never move
	buckets []uint32              // the first entry of each chain
	used    uint32                // entries that were given out at least once
	max     uint32
	n       uint32
	free    uint32 // entries that were given back, linked by chain
	newest  uint32
	oldest  uint32
	_       [24]byte // a cache line of its own
}

// Entry is a key's place. It stays valid, with or without the lock, until it is deleted.
type Entry[V any] struct {
	Value        V
	key          Key
	newer, older uint32
	chain        uint32
	self         uint32 // entries are numbered from 1; 0 is none
}

// Key is what a table makes of the bytes of a key.
type Key [2]uint64

const (
	chunkLen   = 64
	shardBytes = 64 << 10 // the least size of a shard
	maxShards  = 64
)

// NewTable makes a table of about size bytes. Memory is taken as entries are added.
func NewTable[V any](size int64) *Table[V] {
	n := 1
	for n < maxShards && size/int64(2*n) >= shardBytes {
		n *= 2
	}
	t := &Table[V]{seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}, shards: make([]Shard[V], n)}
	entry := int64(unsafe.Sizeof(Entry[V]{})) + 6 // with its part of the buckets
	for i := range t.shards {
		t.shards[i].max = uint32(max(1, min(size/int64(n)/entry, 1<<31)))
	}
	return t
}

// Shard gives the place of a key.
func (t *Table[V]) Shard(key []byte) (*Shard[V], Key) {
	k := Key{maphash.Bytes(t.seeds[0], key), maphash.Bytes(t.seeds[1], key)}
	return &t.shards[k[0]>>32&uint64(len(t.shards)-1)], k
}

// Len is the number of keys.
func (t *Table[V]) Len() int {
	n := 0
	for i := range t.shards {
		s := &t.shards[i]
		s.Lock()
		n += int(s.n)
		s.Unlock()
	}
	return n
}

func (s *Shard[V]) at(i uint32) *Entry[V] { return &s.chunks[(i-1)/chunkLen][(i-1)%chunkLen] }

// Get finds a key and makes it the newest; nil: it is not there.
func (s *Shard[V]) Get(k Key) *Entry[V] {
	if len(s.buckets) == 0 {
		return nil
	}
	for i := s.buckets[k[1]&uint64(len(s.buckets)-1)]; i != 0; {
		e := s.at(i)
		if e.key == k {
			if s.newest != i {
				s.unlink(e)
				s.link(e)
			}
			return e
		}
		i = e.chain
	}
	return nil
}

// Add makes an entry, the newest, with a zero value, for a key that is not there; nil: the shard is full.
func (s *Shard[V]) Add(k Key) *Entry[V] {
	var e *Entry[V]
	switch {
	case s.free != 0:
		e = s.at(s.free)
		s.free = e.chain
	case s.used == s.max:
		return nil
	default:
		if s.used%chunkLen == 0 {
			s.chunks = append(s.chunks, new([chunkLen]Entry[V]))
		}
		s.used++
		e = s.at(s.used)
		e.self = s.used
	}
	if s.n == uint32(len(s.buckets)) {
		s.grow()
	}
	s.n++
	e.key = k
	b := &s.buckets[k[1]&uint64(len(s.buckets)-1)]
	e.chain, *b = *b, e.self
	s.link(e)
	return e
}

// Oldest is the entry that was not asked for the longest, nil when there is none.
func (s *Shard[V]) Oldest() *Entry[V] {
	if s.oldest == 0 {
		return nil
	}
	return s.at(s.oldest)
}

// Delete takes an entry out.
func (s *Shard[V]) Delete(e *Entry[V]) {
	p := &s.buckets[e.key[1]&uint64(len(s.buckets)-1)]
	for *p != e.self {
		p = &s.at(*p).chain
	}
	*p = e.chain
	s.unlink(e)
	var zero V
	e.Value = zero
	e.chain, s.free = s.free, e.self
	s.n--
}

func (s *Shard[V]) link(e *Entry[V]) {
	e.newer, e.older = 0, s.newest
	if s.newest != 0 {
		s.at(s.newest).newer = e.self
	} else {
		s.oldest = e.self
	}
	s.newest = e.self
}

func (s *Shard[V]) unlink(e *Entry[V]) {
	if e.newer != 0 {
		s.at(e.newer).older = e.older
	} else {
		s.newest = e.older
	}
	if e.older != 0 {
		s.at(e.older).newer = e.newer
	} else {
		s.oldest = e.newer
	}
}

// grow doubles the buckets.
func (s *Shard[V]) grow() {
	s.buckets = make([]uint32, max(16, 2*len(s.buckets)))
	for i := s.newest; i != 0; {
		e := s.at(i)
		b := &s.buckets[e.key[1]&uint64(len(s.buckets)-1)]
		e.chain, *b = *b, i
		i = e.older
	}
}
