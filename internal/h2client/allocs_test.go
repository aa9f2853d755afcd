package h2client

import (
	"syscall"
	"testing"

	"moongate/internal/http2"
	"moongate/internal/netio"
)

// freeList is memory that is used again, as a worker's.
type freeList struct{ small, large [][]byte }

func (m *freeList) Buffer(n int) []byte {
	l, size := &m.small, 4<<10
	if n > size {
		l, size = &m.large, 64<<10
	}
	if k := len(*l); k > 0 && n <= size {
		b := (*l)[k-1]
		*l = (*l)[:k-1]
		return b
	}
	return make([]byte, 0, max(size, n))
}

func (m *freeList) FreeBuffer(b []byte) {
	switch cap(b) {
	case 4 << 10:
		m.small = append(m.small, b[:0])
	case 64 << 10:
		m.large = append(m.large, b[:0])
	}
}

// answerer is a peer in the same loop: each request gets the same answer.
type answerer struct {
	netio.FD
	in, out []byte
	greeted bool
}

func (a *answerer) Ready(*netio.FD) {
	n, _ := a.Read(a.in[len(a.in):cap(a.in)])
	a.in = a.in[:len(a.in)+max(n, 0)]
	p := a.in
	a.out = a.out[:0]
	if !a.greeted {
		p = p[len(http2.Preface):]
		a.greeted = true
		a.out = http2.AppendSettings(a.out)
	}
	for len(p) >= http2.HeaderSize {
		h := http2.ParseHeader(p)
		p = p[http2.HeaderSize+h.Length:]
		if h.Type == http2.Data && h.Has(http2.EndStream) {
			a.out = http2.AppendHeaders(a.out, h.Stream, []byte{0x88}, 0, 16384)
			a.out = append(http2.AppendHeader(a.out, 100, http2.Data, 0, h.Stream), make([]byte, 100)...)
			a.out = http2.AppendHeaders(a.out, h.Stream, []byte("\x00\x0bgrpc-status\x010"), http2.EndStream, 16384)
		}
	}
	a.in = a.in[:copy(a.in, p)]
	if len(a.out) > 0 {
		a.Write(a.out)
	}
}

// call is a request with a message and its answer.
func call(c *Conn, body []byte) bool {
	s, err := c.Open(request, false)
	if err != nil {
		return false
	}
	s.TrySend(body, true)
	if _, err := s.WaitHead(0); err != nil {
		return false
	}
	got := 0
	for {
		p, err := s.WaitData(0)
		if err != nil {
			return false
		}
		if p == nil {
			break
		}
		got += len(p)
		s.Consume(len(p))
	}
	ok := got == 100 && len(s.Trailers().List) == 1
	s.Close()
	s.Release()
	return ok
}

func inLoop(t testing.TB, f func(c *Conn)) {
	loop, err := netio.NewLoop()
	if err != nil {
		t.Fatal(err)
	}
	loop.Go(func() {
		defer loop.Stop()
		p, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		tr, peer := &transport{}, &answerer{in: make([]byte, 0, 64<<10)}
		loop.AddTo(&tr.FD, p[0], nil)
		loop.AddTo(&peer.FD, p[1], peer)
		e := &Env{Loop: loop, Mem: &freeList{}}
		c := e.NewConn(tr, &Config{})
		for range 10 {
			if !call(c, make([]byte, 100)) {
				t.Error("the call failed")
			}
		}
		f(c)
		c.Close()
		peer.Close()
	})
	loop.Run()
	loop.Close()
}

func TestCallAllocatesNothing(t *testing.T) {
	inLoop(t, func(c *Conn) {
		body := make([]byte, 100)
		if n := testing.AllocsPerRun(200, func() { call(c, body) }); n != 0 {
			t.Errorf("%v allocations for a call", n)
		}
	})
}
