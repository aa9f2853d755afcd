package zone

import (
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"testing"
)

// TestTable compares a table with a map and a list that do the same.
func TestTable(t *testing.T) {
	table := NewTable[int](minSize)
	if len(table.shards) != 1 {
		t.Fatal("shards:", len(table.shards))
	}
	type known struct {
		key   string
		value int
	}
	var order []known // oldest first
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range 20000 {
		key := string(binary.AppendUvarint(nil, rnd.Uint64N(1200)))
		s, k := table.Shard([]byte(key))
		at := -1
		for j := range order {
			if order[j].key == key {
				at = j
			}
		}
		e := s.Get(k)
		if (e != nil) != (at >= 0) {
			t.Fatalf("step %d: found %v, want %v", i, e != nil, at >= 0)
		}
		switch {
		case e != nil && rnd.IntN(3) == 0:
			s.Delete(e)
			order = append(order[:at], order[at+1:]...)
		case e != nil:
			if e.Value != order[at].value {
				t.Fatalf("step %d: value %d, want %d", i, e.Value, order[at].value)
			}
			used := order[at]
			order = append(append(order[:at], order[at+1:]...), used)
		default:
			if e = s.Add(k); e == nil {
				s.Delete(s.Oldest())
				order = order[1:]
				e = s.Add(k)
			}
			e.Value = i
			order = append(order, known{key, i})
		}
		if table.Len() != len(order) {
			t.Fatalf("step %d: %d keys, want %d", i, table.Len(), len(order))
		}
		if len(order) > 0 && s.Oldest().Value != order[0].value {
			t.Fatalf("step %d: oldest %d, want %d", i, s.Oldest().Value, order[0].value)
		}
	}
	if n := len(order); n < 500 || n > 1000 {
		t.Errorf("%d keys fit into %d bytes", n, minSize)
	}
}

func TestTableFull(t *testing.T) {
	table := NewTable[uint32](1 << 20)
	n := 0
	for i := range 1 << 16 {
		s, k := table.Shard(binary.AppendUvarint(nil, uint64(i)))
		if s.Add(k) != nil {
			n++
		}
	}
	if n < 15000 || n != table.Len() {
		t.Errorf("%d of a million bytes, %d", n, table.Len())
	}
}

func TestTableAllocs(t *testing.T) {
	table := NewTable[int64](minSize)
	key := []byte("some key")
	if n := testing.AllocsPerRun(100, func() {
		s, k := table.Shard(key)
		s.Lock()
		e := s.Get(k)
		if e == nil {
			e = s.Add(k)
		}
		e.Value++
		s.Delete(e)
		s.Unlock()
	}); n != 0 {
		t.Error(n, "allocations")
	}
}

func TestTableShared(t *testing.T) {
	table := NewTable[int64](1 << 20)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for i := range 10000 {
				s, k := table.Shard([]byte{byte(i)})
				s.Lock()
				e := s.Get(k)
				if e == nil {
					e = s.Add(k)
				}
				e.Value++
				s.Unlock()
			}
		})
	}
	all.Wait()
	sum := int64(0)
	for i := range 256 {
		s, k := table.Shard([]byte{byte(i)})
		sum += s.Get(k).Value
	}
	if sum != 40000 {
		t.Error(sum)
	}
}

// A configuration that serves is looked at by others: looking for its zones changes nothing.
func TestLookingWritesNothing(t *testing.T) {
	type tag struct{}
	values := map[any]any{}
	if Find(values, "z", tag{}) != nil || Find(nil, "z", tag{}) != nil {
		t.Error("found a zone that nobody declared")
	}
	if err := Adopt(values, nil, tag{}, "limit", func(*Zone) (string, **Table[int64]) { panic("no zone") }); err != nil || len(values) != 0 {
		t.Errorf("%v, %d values", err, len(values))
	}
}
