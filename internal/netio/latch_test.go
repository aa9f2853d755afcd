package netio

import (
	"testing"
	"time"
)

func TestLatch(t *testing.T) {
	runLoop(t, func(l *Loop) {
		var f FD
		l.Latch(&f)
		if err := f.WaitRead(l.Now() + int64(time.Millisecond)); err != ErrTimeout {
			t.Errorf("a quiet latch: %v, want ErrTimeout", err)
		}
		l.Go(f.Raise)
		if err := f.WaitRead(0); err != nil || !f.Readable() {
			t.Errorf("raised: %v", err)
		}
		f.Lower()
		l.Go(f.Close)
		if err := f.WaitRead(0); err != ErrClosed || f.Sysfd() >= 0 {
			t.Errorf("closed under a waiter: %v", err)
		}
		f.Close()
	})
}

func TestEndOfTurn(t *testing.T) {
	var got []string
	runLoop(t, func(l *Loop) {
		main := l.Current()
		l.Go(func() {
			l.AtEnd(func() {
				got = append(got, "end")
				l.AtEnd(func() { got = append(got, "next end"); l.Ready(main) })
			})
			got = append(got, "event")
		})
		l.Park(0)
	})
	if len(got) != 3 || got[0] != "event" || got[1] != "end" || got[2] != "next end" {
		t.Errorf("order %q", got)
	}
}
