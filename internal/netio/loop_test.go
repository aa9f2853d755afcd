package netio

import (
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func runLoop(t testing.TB, main func(l *Loop)) {
	t.Helper()
	l, err := NewLoop()
	if err != nil {
		t.Fatal(err)
	}
	l.Go(func() {
		main(l)
		l.Stop()
	})
	l.Run()
	l.Close()
}

func pair(t testing.TB) (int, int) {
	t.Helper()
	p, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	return p[0], p[1]
}

func TestSleepOrder(t *testing.T) {
	var got []int
	runLoop(t, func(l *Loop) {
		done := 0
		main := l.Current()
		for _, ms := range []int{3, 1, 2} {
			l.Go(func() {
				l.Sleep(time.Duration(ms) * time.Millisecond)
				got = append(got, ms)
				if done++; done == 3 {
					l.Ready(main)
				}
			})
		}
		l.Park(0)
	})
	if len(got) != 3 || got[0] != 1 || got[1] != 2 || got[2] != 3 {
		t.Fatalf("woken in order %v, want 1 2 3", got)
	}
}

func TestWaitRead(t *testing.T) {
	runLoop(t, func(l *Loop) {
		a, b := pair(t)
		f, err := l.Add(a, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.WaitRead(l.Now() + int64(time.Millisecond)); err != ErrTimeout {
			t.Errorf("quiet socket: %v, want ErrTimeout", err)
		}
		l.Go(func() { syscall.Write(b, []byte("hello")) })
		if err := f.WaitRead(0); err != nil {
			t.Error(err)
		}
		var buf [16]byte
		n, err := f.Read(buf[:])
		if string(buf[:n]) != "hello" || err != nil {
			t.Errorf("read %q, %v", buf[:n], err)
		}
		if f.Readable() {
			t.Error("a short read leaves the descriptor readable")
		}
		l.Go(func() { f.Close() })
		if err := f.WaitRead(0); !errors.Is(err, ErrClosed) {
			t.Errorf("closed under a waiter: %v", err)
		}
		syscall.Close(b)
	})
}

func TestPeerCloseIsReadAfterData(t *testing.T) {
	runLoop(t, func(l *Loop) {
		a, b := pair(t)
		f, _ := l.Add(a, nil)
		syscall.Write(b, []byte("x"))
		syscall.Close(b)
		if err := f.WaitRead(0); err != nil {
			t.Fatal(err)
		}
		var buf [16]byte
		n, _ := f.Read(buf[:])
		if n != 1 || !f.Readable() {
			t.Fatalf("first read %d, still readable %v", n, f.Readable())
		}
		if n, err := f.Read(buf[:]); n != 0 || err != nil {
			t.Fatalf("end of file: %d %v", n, err)
		}
		f.Close()
	})
}

func TestKillNow(t *testing.T) {
	runLoop(t, func(l *Loop) {
		var order []string
		var victim, other *Task
		l.Start(func() {
			victim = l.Current()
			if l.Park(0) == ErrKilled {
				order = append(order, "killed")
			}
		})
		l.Start(func() {
			other = l.Current()
			l.Park(0)
			order = append(order, "other")
		})
		l.Ready(other)
		l.KillNow(victim)
		order = append(order, "killer")
		l.Sleep(0)
		if got := strings.Join(order, " "); got != "killed killer other" {
			t.Errorf("order: %s", got)
		}
		l.Start(func() { // ready already: nobody is lost
			victim = l.Current()
			l.Park(0)
			order = append(order, "again")
		})
		l.Ready(victim)
		l.KillNow(victim)
		if got := strings.Join(order, " "); got != "killed killer other again" {
			t.Errorf("order: %s", got)
		}
	})
}

func TestKillAndOffload(t *testing.T) {
	runLoop(t, func(l *Loop) {
		main := l.Current()
		l.Go(func() { l.Kill(main) })
		if err := l.Park(0); err != ErrKilled {
			t.Errorf("killed: %v", err)
		}
		n := 0
		l.Offload(func() { n = 7 })
		if n != 7 {
			t.Error("Offload returned early")
		}
		asked := make(chan bool)
		l.Go(func() { l.Kill(main); close(asked) })
		l.Offload(func() { <-asked; n = 8 })
		if n != 8 {
			t.Error("Offload returned before its function")
		}
		if err := l.Sleep(0); err != ErrKilled {
			t.Errorf("the wait after Offload: %v", err)
		}
		if err := l.Sleep(0); err != nil {
			t.Errorf("the wait after that: %v", err)
		}
	})
}

func TestYieldsLetEventsThrough(t *testing.T) {
	runLoop(t, func(l *Loop) {
		a, b := pair(t)
		f, _ := l.Add(a, nil)
		got := false
		l.Go(func() { f.WaitRead(0); got = true })
		l.Go(func() { syscall.Write(b, []byte("x")) })
		for i := 0; !got; i++ {
			if i > 10000 {
				t.Fatal("a task that yields in a loop starves the poller")
			}
			l.Sleep(0)
		}
		f.Close()
		syscall.Close(b)
	})
}

func TestTimerHeap(t *testing.T) {
	l := &Loop{}
	ts := make([]*Timer, 100)
	for i := range ts {
		ts[i] = NewTimer(nil)
		l.Arm(ts[i], int64((i*37)%100)+1)
	}
	for i := 0; i < 100; i += 3 {
		l.Disarm(ts[i])
	}
	for i := 1; i < 100; i += 3 {
		l.Arm(ts[i], int64((i*53)%100)+1)
	}
	last := int64(0)
	for len(l.timers.a) > 0 {
		x := l.timers.a[0]
		if x.when < last {
			t.Fatalf("%d after %d", x.when, last)
		}
		last = x.when
		l.Disarm(x)
	}
}

func BenchmarkSwitch(b *testing.B) {
	runLoop(b, func(l *Loop) {
		for i := 0; i < b.N; i++ {
			l.Sleep(0)
		}
	})
}

func BenchmarkReadyPark(b *testing.B) {
	runLoop(b, func(l *Loop) {
		main := l.Current()
		stop := false
		var other *Task
		l.Go(func() {
			other = l.Current()
			for !stop {
				l.Ready(main)
				l.Park(0)
			}
		})
		l.Park(0)
		b.ResetTimer()
		for i := 0; i < b.N; i++ {
			l.Ready(other)
			l.Park(0)
		}
		stop = true
	})
}

// TestTrim: goroutines that a peak needed end, descriptors keep their places, and the loop goes on.
func TestTrim(t *testing.T) {
	runLoop(t, func(l *Loop) {
		const n = 50
		var fds []*FD
		for range n {
			a, b := pair(t)
			defer syscall.Close(b)
			f, err := l.Add(a, nil)
			if err != nil {
				t.Fatal(err)
			}
			fds = append(fds, f)
		}
		a, b := pair(t)
		defer syscall.Close(b)
		last, err := l.Add(a, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range fds[1:] {
			f.Close()
		}
		main, left := l.Current(), n
		for range n {
			l.Go(func() {
				l.Sleep(time.Millisecond)
				if left--; left == 0 {
					l.Ready(main)
				}
			})
		}
		l.Park(0)
		if l.Tasks() < n/2 {
			t.Fatalf("%d tasks: nothing to trim", l.Tasks())
		}
		l.Trim()
		if l.Tasks() != 1 {
			t.Errorf("%d tasks are left, want the running one", l.Tasks())
		}
		syscall.Write(b, []byte("x"))
		if err := last.WaitRead(l.Now() + int64(time.Minute)); err != nil {
			t.Errorf("after Trim: %v", err)
		}
		if err := l.Sleep(time.Millisecond); err != nil {
			t.Errorf("after Trim: %v", err)
		}
	})
}

type reader func(f *FD)

func (r reader) Ready(f *FD) { r(f) }

// TestStaleEvent: an event of a descriptor that was closed in the same batch does not reach its successor.
func TestStaleEvent(t *testing.T) {
	runLoop(t, func(l *Loop) {
		a1, a2 := pair(t)
		b1, b2 := pair(t)
		c1, c2 := pair(t)
		defer syscall.Close(a2)
		defer syscall.Close(c2)
		main := l.Current()
		var first, second, successor *FD
		closeOther := func(other **FD) reader {
			return func(*FD) {
				if successor != nil {
					return
				}
				(*other).Close()
				var err error
				if successor, err = l.Add(c1, reader(func(*FD) { t.Error("the successor got an event") })); err != nil {
					t.Error(err)
				}
				l.Go(func() { l.Ready(main) })
			}
		}
		var err error
		if first, err = l.Add(a1, closeOther(&second)); err != nil {
			t.Fatal(err)
		}
		if second, err = l.Add(b1, closeOther(&first)); err != nil {
			t.Fatal(err)
		}
		syscall.Write(a2, []byte("x"))
		syscall.Write(b2, []byte("x"))
		syscall.Close(b2)
		l.Park(0)
		if successor.Readable() || successor.HungUp() {
			t.Error("the successor has another descriptor's state")
		}
	})
}

// A timer whose time has come can still be disarmed, or moved, by one that came first.
func TestDisarmDue(t *testing.T) {
	ran := map[string]int{}
	runLoop(t, func(l *Loop) {
		main := l.Current()
		var moved, off, again *Timer
		now := l.Now()
		first := NewTimer(func() {
			l.Disarm(off)
			l.Arm(moved, l.Now()+int64(time.Millisecond))
			ran["first"]++
		})
		off = NewTimer(func() { ran["off"]++ })
		again = NewTimer(func() {
			if ran["again"]++; ran["again"] == 1 {
				l.Arm(again, l.Now()) // a timer may arm itself
			}
		})
		moved = NewTimer(func() {
			ran["moved"]++
			l.Ready(main)
		})
		for i, x := range []*Timer{first, off, again, moved} {
			l.Arm(x, now+int64(i)-10)
		}
		l.Park(0)
	})
	if ran["first"] != 1 || ran["off"] != 0 || ran["again"] != 2 || ran["moved"] != 1 {
		t.Fatalf("ran: %v", ran)
	}
}

// TestSoon: what is to run soon does so before the turn ends, in order, and may wait.
func TestSoon(t *testing.T) {
	l, err := NewLoop()
	if err != nil {
		t.Fatal(err)
	}
	var got []int
	l.Go(func() {
		l.AtEnd(func() { got = append(got, 4) })
		l.Go(func() {
			got = append(got, 5)
			l.Stop()
		})
		l.Soon(func() {
			got = append(got, 1)
			l.Soon(func() { got = append(got, 3) })
			l.Sleep(0)
			got = append(got, 6)
		})
		l.Soon(func() { got = append(got, 2) })
	})
	l.Run()
	l.Close()
	if !slices.Equal(got, []int{1, 2, 3, 4, 5}) {
		t.Error(got)
	}
}
