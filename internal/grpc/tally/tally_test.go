package tally

import (
	"fmt"
	"testing"
	"time"

	"moongate/internal/engine"
	"moongate/internal/grpc"
)

func worker() *engine.Worker { return &engine.Worker{Values: make([]any, 64)} }

func TestNames(t *testing.T) {
	w := worker()
	for i, c := range []struct {
		path  string
		known bool
		code  grpc.Code
		want  string
	}{
		{"/a.B/C", true, grpc.OK, "a.B C"},
		{"/a.B/C", false, grpc.NotFound, "a.B C"}, // it has its counters
		{"/a.B/D", false, grpc.OK, "other other"},
		{"/prefix/a.B/C", true, 99, "prefix/a.B C"},
		{"/C", true, grpc.OK, "other other"},
		{"", true, grpc.OK, "other other"},
		{"/a.B/\xff", true, grpc.OK, "other other"},
		{"/a.B/" + string(make([]byte, 300)), true, grpc.OK, "other other"},
	} {
		before := Sum([][]Series{Snapshot(w)})
		Add(w, Proxy, "u", []byte(c.path), "", c.known, &Call{Code: c.code, Received: 2, Sent: 3})
		for _, s := range Sum([][]Series{Snapshot(w)}) {
			old := Series{Name: s.Name}
			for _, b := range before {
				if b.Name == s.Name {
					old = b
				}
			}
			name := s.Service + " " + s.Method
			if changed := s != old; changed != (name == c.want) {
				t.Errorf("%d: %s changed: %v", i, name, changed)
			}
			if at := min(int(c.code), Codes-1); name == c.want && (s.Handled[at] != old.Handled[at]+1 || s.Received != old.Received+2 || s.Sent != old.Sent+3) {
				t.Errorf("%d: %+v after %+v", i, s, old)
			}
		}
	}
}

// Clients cannot make a worker keep any number of names.
func TestBounded(t *testing.T) {
	w := worker()
	for i := range 3 * most {
		Add(w, Proxy, "u", fmt.Appendf(nil, "/s/m%d", i), "", true, &Call{})
	}
	Add(w, Server, "", []byte("/s/m"), "unary", true, &Call{})
	list := Sum([][]Series{Snapshot(w), Snapshot(w)})
	if len(list) != most+2 || list[0].Role != Server || list[0].Handled[0] != 2 {
		t.Errorf("%d names, %+v", len(list), list[0])
	}
}

func TestBuckets(t *testing.T) {
	w := worker()
	var sum int64
	for i, d := range []time.Duration{0, 5 * time.Millisecond, 5*time.Millisecond + 1, 10 * time.Second, time.Minute} {
		Add(w, Server, "", []byte("/s/m"), "unary", true, &Call{Time: int64(d)})
		sum += int64(d)
		s := Sum([][]Series{Snapshot(w)})[0]
		if at := []int{0, 0, 1, 10, 11}[i]; s.Took[at] == 0 || s.Time != sum {
			t.Errorf("%v: %+v", d, s)
		}
	}
	if s := Sum([][]Series{Snapshot(w), Snapshot(w)})[0]; s.Took != [12]int64{4, 2, 0, 0, 0, 0, 0, 0, 0, 0, 2, 2} || s.Time != 2*sum {
		t.Errorf("the sum: %+v", s)
	}
}

func TestNoAllocations(t *testing.T) {
	w := worker()
	path, c := []byte("/a.B/C"), &Call{}
	add := func() { Add(w, Server, "", path, "unary", true, c) }
	add()
	if n := testing.AllocsPerRun(100, add); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
