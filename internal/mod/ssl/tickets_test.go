package ssl

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

func keyOf(n int) *ticketKey {
	b := make([]byte, n)
	rand.Read(b)
	return newTicketKey(b)
}

// TestTickets: only the key that a ticket was made with opens it, and only untouched.
func TestTickets(t *testing.T) {
	for _, size := range []int{48, 80} {
		k, other := keyOf(size), keyOf(size)
		for _, n := range []int{0, 1, 15, 16, 17, 1000} {
			session := bytes.Repeat([]byte{7}, n)
			ticket := k.seal(session)
			if got := k.open(ticket); !bytes.Equal(got, session) || got == nil {
				t.Fatalf("%d bytes: got %d", n, len(got))
			}
			if other.open(ticket) != nil {
				t.Error("another key opens it")
			}
			for i := range ticket {
				ticket[i] ^= 1
				if k.open(ticket) != nil {
					t.Fatalf("byte %d of %d may be changed", i, len(ticket))
				}
				ticket[i] ^= 1
			}
			if k.open(ticket[:len(ticket)-1]) != nil {
				t.Error("a part opens")
			}
		}
	}
}

func FuzzTicket(f *testing.F) {
	k := keyOf(80)
	f.Add(k.seal([]byte("session")))
	f.Fuzz(func(t *testing.T, b []byte) { k.open(b) })
}

// TestRing: keys change after a session's time and are understood for as long again.
func TestRing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &ring{life: time.Minute}
		ticket := r.now()[0].seal([]byte("x"))
		opens := func() bool {
			for _, k := range r.now() {
				if k.open(ticket) != nil {
					return true
				}
			}
			return false
		}
		first := r.now()[0]
		time.Sleep(59 * time.Second)
		if r.now()[0] != first {
			t.Error("the key changes too soon")
		}
		time.Sleep(2 * time.Second)
		if r.now()[0] == first || !opens() {
			t.Error("the key does not change, or the old one is forgotten")
		}
		time.Sleep(time.Minute)
		if opens() || len(r.now()) != 2 {
			t.Error("an old key is still understood")
		}
	})
}

// TestCache: the oldest sessions make room.
func TestCache(t *testing.T) {
	c := newCache(10 * (keptCost + 8 + 100))
	for i := range 100 {
		c.put(fmt.Appendf(nil, "%08d", i), make([]byte, 100))
		if len(c.m) > 10 || c.room < 0 {
			t.Fatalf("%d sessions, room %d", len(c.m), c.room)
		}
	}
	for i := range 100 {
		if _, ok := c.get(fmt.Appendf(nil, "%08d", i)); ok != (i >= 90) {
			t.Errorf("session %d: %v", i, ok)
		}
	}
}
