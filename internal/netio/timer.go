package netio

// Timer is one deadline of a loop: it runs F, or wakes a task. The zero value is not armed after Init.
type Timer struct {
	when int64
	idx  int32
	task *Task
	// F runs with the baton when the timer expires; it may park.
	F func()
}

// fired is the idx of a timer whose function is about to run: until it does, the timer can still be disarmed or moved.
const fired = -2

// NewTimer makes a timer that runs f when it expires.
func NewTimer(f func()) *Timer { return &Timer{idx: -1, F: f} }

// Init prepares a timer embedded in another struct.
func (t *Timer) Init(f func()) { t.idx, t.F = -1, f }

// Armed reports whether the timer is pending.
func (t *Timer) Armed() bool { return t.idx >= 0 }

// When is the deadline the timer is or was armed for.
func (t *Timer) When() int64 { return t.when }

// timerHeap is a 4-ary min-heap by deadline.
type timerHeap struct{ a []*Timer }

func (h *timerHeap) next() int64 {
	if len(h.a) == 0 {
		return 0
	}
	return h.a[0].when
}

// Arm sets or moves the deadline (monotonic nanoseconds) of t.
func (l *Loop) Arm(t *Timer, when int64) {
	h := &l.timers
	if t.idx >= 0 {
		old := t.when
		t.when = when
		if when < old {
			h.up(int(t.idx))
		} else {
			h.down(int(t.idx))
		}
		return
	}
	t.when = when
	t.idx = int32(len(h.a))
	h.a = append(h.a, t)
	h.up(len(h.a) - 1)
}

// Disarm removes t: its function does not run, even when its time has come already. A timer that is not armed is left alone.
func (l *Loop) Disarm(t *Timer) {
	if t.idx >= 0 {
		l.timers.remove(int(t.idx))
	}
	t.idx = -1
}

// runFired runs the function of the next timer whose time has come, unless that was disarmed or moved meanwhile.
func (l *Loop) runFired() {
	t := l.fired[l.firedHead]
	l.fired[l.firedHead] = nil
	l.firedHead++
	if l.firedHead == len(l.fired) {
		l.fired, l.firedHead = l.fired[:0], 0
	}
	if t.idx == fired {
		t.idx = -1
		t.F()
	}
}

// Timers is the number of armed timers.
func (l *Loop) Timers() int { return len(l.timers.a) }

func (h *timerHeap) remove(i int) {
	last := len(h.a) - 1
	h.a[i].idx = -1
	if i != last {
		h.a[i] = h.a[last]
		h.a[i].idx = int32(i)
	}
	h.a[last] = nil
	h.a = h.a[:last]
	if i < last {
		h.down(i)
		h.up(i)
	}
	if cap(h.a) > 4096 && len(h.a) < cap(h.a)/8 {
		h.a = append(make([]*Timer, 0, len(h.a)*2), h.a...) // give the memory of a past peak back
	}
}

func (h *timerHeap) up(i int) {
	t := h.a[i]
	for i > 0 {
		p := (i - 1) / 4
		if h.a[p].when <= t.when {
			break
		}
		h.a[i] = h.a[p]
		h.a[i].idx = int32(i)
		i = p
	}
	h.a[i] = t
	t.idx = int32(i)
}

func (h *timerHeap) down(i int) {
	t := h.a[i]
	n := len(h.a)
	for {
		c := 4*i + 1
		if c >= n {
			break
		}
		m := c
		for k := c + 1; k < c+4 && k < n; k++ {
			if h.a[k].when < h.a[m].when {
				m = k
			}
		}
		if h.a[m].when >= t.when {
			break
		}
		h.a[i] = h.a[m]
		h.a[i].idx = int32(i)
		i = m
	}
	h.a[i] = t
	t.idx = int32(i)
}

// expire wakes the tasks and queues the functions whose time has come.
func (l *Loop) expire() {
	h := &l.timers
	for len(h.a) > 0 && h.a[0].when <= l.mono {
		t := h.a[0]
		h.remove(0)
		if t.task != nil {
			t.task.timedOut = true
			l.Ready(t.task)
		} else {
			t.idx = fired
			l.fired = append(l.fired, t)
		}
	}
}
