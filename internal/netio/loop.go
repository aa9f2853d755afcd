// Package netio is a worker's poller and scheduler.
//
// A Loop owns an epoll descriptor, the timers and every descriptor of one worker. Exactly one goroutine of a Loop
// runs at any time: it holds the baton, so state that belongs to a worker needs no locks. The goroutine that holds the
// baton with nothing else to do leads: it polls and serves events inline, on its own stack. Code that has to wait
// (FD.WaitRead, Sleep, Offload, ...) parks: the baton goes to another goroutine, which leads on, and comes back when
// the event arrives. The waiting code is straight-line and knows nothing of this.
//
// Goroutines of a loop are coroutines (iter.Pull): the baton is handed over by a direct switch, without a visit to Go's
// scheduler and without waking another thread.
package netio

import (
	"errors"
	"iter"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

// Errors of waiting.
var (
	ErrTimeout = errors.New("timed out")
	ErrClosed  = errors.New("descriptor closed")
	ErrKilled  = errors.New("task killed")
)

// Task is one goroutine of a loop.
type Task struct {
	loop   *Loop
	resume func() (struct{}, bool)
	yield  func(struct{}) bool
	wake   func() // makes the task ready
	timer  Timer
	// why a parked task was woken
	timedOut bool
	queued   bool
	err      error
	killed   bool
	start    func()
	onPark   func()
	next     *Task
}

// Loop is one worker's poller and scheduler. Its methods need the baton, except Post.
type Loop struct {
	epfd, evfd int
	events     [256]syscall.EpollEvent
	n, i       int

	slots     []*FD
	freeSlots []int32
	gen       int32 // of the newest registration

	cur       *Task
	readyHead *Task
	readyTail *Task
	idle      []*Task
	fired     []*Timer // timers whose functions are about to run
	firedHead int
	jobs      []func()
	jobsHead  int
	jobsTurn  int      // jobs that may still run before the next poll
	soon      []func() // run behind the events of this turn, from soonHead on
	soonHead  int
	ends      []func()
	endsSpare []func()
	tasks     int

	timers timerHeap
	mono   int64 // nanoseconds, monotonic, as of the last poll
	wall   int64 // nanoseconds since the epoch, as of the last poll
	active int64 // when there was something to do, monotonic
	quick  bool  // it came soon after the time before

	polling atomic.Bool
	inboxMu sync.Mutex
	inbox   []func()
	inboxN  atomic.Int32
	stopped bool
	// dismissing says that idle goroutines which are resumed shall end.
	dismissing bool

	// Pinned counts the calls from C that are being served: while there are any, nobody may park.
	Pinned int
	// Resolvers belongs to the package that finds the addresses of names: what it keeps with the loop.
	Resolvers any
	// Idle, when set, is called with the baton before the loop blocks with nothing to do; it may return a shorter
	// deadline (monotonic nanoseconds, 0 for none) by which it wants to be called again.
	Idle func() int64
	// Tick, when set, is called after each poll, with the clock renewed.
	Tick func()
	// Mirror, when set, is where the wall time is written as well: memory that C code reads.
	Mirror *int64
}

var clockBase = time.Now()

// NewLoop opens the poller.
func NewLoop() (*Loop, error) {
	ep, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	l := &Loop{epfd: ep}
	efd, _, e := syscall.RawSyscall(syscall.SYS_EVENTFD2, 0, syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if e != 0 {
		syscall.Close(ep)
		return nil, e
	}
	l.evfd = int(efd)
	ev := syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: -1}
	if err := syscall.EpollCtl(ep, syscall.EPOLL_CTL_ADD, l.evfd, &ev); err != nil {
		syscall.Close(ep)
		syscall.Close(l.evfd)
		return nil, err
	}
	l.renewClock()
	return l, nil
}

// Close releases the poller's descriptors; the loop must have stopped.
func (l *Loop) Close() {
	syscall.Close(l.epfd)
	syscall.Close(l.evfd)
}

// Now is the monotonic time in nanoseconds as of the last poll; the zero point is the start of the process.
func (l *Loop) Now() int64 { return l.mono }

// Wall is the time in nanoseconds since the epoch as of the last poll.
func (l *Loop) Wall() int64 { return l.wall }

// RenewClock reads the clock again, for code that measures within one event.
func (l *Loop) RenewClock() { l.renewClock() }

func (l *Loop) renewClock() {
	now := time.Now()
	l.mono = int64(now.Sub(clockBase))
	l.wall = now.UnixNano()
	if l.Mirror != nil {
		*l.Mirror = l.wall
	}
}

// Mono converts no cached time: the exact monotonic time in nanoseconds, callable from any goroutine.
func Mono() int64 { return int64(time.Since(clockBase)) }

// Run leads the loop until Stop; it is the root every task is switched to from.
func (l *Loop) Run() {
	for !l.stopped {
		t := l.popReady()
		if t == nil {
			t = l.takeTask()
		}
		l.cur = t
		t.resume()
	}
	l.dismiss()
}

// dismiss ends the goroutines without work.
func (l *Loop) dismiss() {
	l.dismissing = true
	for _, t := range l.idle {
		t.resume()
	}
	l.idle, l.dismissing = nil, false
}

// Trim gives the memory of a past peak back: goroutines without work end, tables shrink.
func (l *Loop) Trim() {
	l.dismiss()
	for len(l.slots) > 0 && l.slots[len(l.slots)-1] == nil {
		l.slots = l.slots[:len(l.slots)-1]
	}
	l.slots = append(make([]*FD, 0, len(l.slots)), l.slots...)
	var free []int32
	for i, f := range l.slots {
		if f == nil {
			free = append(free, int32(i))
		}
	}
	l.freeSlots = free
	l.timers.a = append(make([]*Timer, 0, len(l.timers.a)), l.timers.a...)
	if l.firedHead == len(l.fired) {
		l.fired, l.firedHead = nil, 0
	}
	if l.jobsHead == len(l.jobs) {
		l.jobs, l.jobsHead = nil, 0
	}
	if l.soonHead == len(l.soon) {
		l.soon, l.soonHead = nil, 0
	}
}

// Stop ends Run after the current event.
func (l *Loop) Stop() { l.stopped = true }

// Stopped reports whether Stop was called.
func (l *Loop) Stopped() bool { return l.stopped }

// keepIdle is how many goroutines without work a loop keeps; the others end.
const keepIdle = 64

func (l *Loop) newTask() *Task {
	t := &Task{loop: l}
	t.wake = func() { l.Ready(t) }
	l.tasks++
	t.timer.idx = -1
	t.timer.task = t
	t.resume, _ = iter.Pull(func(yield func(struct{}) bool) {
		t.yield = yield
		for {
			if fn := t.start; fn != nil {
				t.start = nil
				fn()
				t.killed = false
			}
			if l.readyHead == nil && !l.stopped {
				l.lead()
			}
			if len(l.idle) >= keepIdle || l.stopped {
				l.tasks--
				return
			}
			l.idle = append(l.idle, t)
			yield(struct{}{})
			if l.dismissing {
				l.tasks--
				return
			}
		}
	})
	return t
}

// lead polls and serves until a parked task can go on or the loop stops.
func (l *Loop) lead() {
	for {
		for l.i < l.n {
			ev := &l.events[l.i]
			l.i++
			l.dispatch(ev)
			if l.readyHead != nil || l.stopped {
				return
			}
		}
		if l.soonHead < len(l.soon) {
			l.runSoon()
			if l.readyHead != nil || l.stopped {
				return
			}
			continue
		}
		if len(l.ends) > 0 {
			l.endTurn()
			if l.readyHead != nil || l.stopped {
				return
			}
			continue
		}
		if l.firedHead < len(l.fired) {
			l.runFired()
		} else if l.jobsTurn > 0 {
			l.jobsTurn--
			fn := l.jobs[l.jobsHead]
			l.jobs[l.jobsHead] = nil
			l.jobsHead++
			if l.jobsHead == len(l.jobs) {
				l.jobs, l.jobsHead = l.jobs[:0], 0
			}
			fn()
		} else {
			l.poll()
		}
		if l.readyHead != nil || l.stopped {
			return
		}
	}
}

// warm is how long the scheduler of Go is not told that the loop waits, see wait.
const warm = int64(20 * time.Millisecond)

// poll fetches events, runs what others posted and the timers that are due. It does not block when tasks or jobs wait.
func (l *Loop) poll() {
	more := l.inboxN.Load() != 0 || l.jobsHead < len(l.jobs)
	l.i, l.n = 0, l.wait(more)
	l.renewClock()
	if l.Tick != nil {
		l.Tick()
	}
	if l.inboxN.Load() != 0 {
		l.runInbox()
	}
	l.expire()
	l.quick = l.mono-l.active < warm
	if more || l.n > 0 || l.readyHead != nil || l.firedHead < len(l.fired) {
		l.active = l.mono
	}
	l.jobsTurn = len(l.jobs) - l.jobsHead
}

// wait asks epoll, and blocks when there is nothing else to do.
//
// Go's scheduler should know of a thread that blocks, or its processor is of no use to others. But telling it has a
// price: for each wait of more than a few microseconds its monitor wakes some sixty times, which took 6 % of the CPU of a
// busy worker. So a loop that had something to do a moment ago waits a moment without telling. When the collector or
// another goroutine needs the thread, the signal of preemption interrupts the call.
func (l *Loop) wait(more bool) int {
	if more {
		return l.epollWait(0)
	}
	deadline := l.timers.next()
	if l.Idle != nil {
		if d := l.Idle(); d != 0 && (deadline == 0 || d < deadline) {
			deadline = d
		}
	}
	if until := l.active + warm; l.quick && (deadline == 0 || until < deadline) {
		deadline = until
	}
	timeout := -1
	if deadline != 0 {
		d := deadline - l.mono
		if d <= 0 {
			return l.epollWait(0)
		}
		timeout = int((d + 999_999) / 1_000_000)
	}
	l.polling.Store(true)
	n := 0
	switch {
	case l.inboxN.Load() != 0: // posted before polling was set: nobody has written to evfd
	case l.quick:
		n = l.epollWait(timeout)
	default:
		r, _, e := syscall.Syscall6(syscall.SYS_EPOLL_WAIT, uintptr(l.epfd), uintptr(unsafe.Pointer(&l.events[0])), uintptr(len(l.events)), uintptr(timeout), 0, 0)
		if e == 0 {
			n = int(r)
		}
	}
	l.polling.Store(false)
	return n
}

// epollWait is the call of which Go's scheduler is not told. An interrupted one has no events.
func (l *Loop) epollWait(timeout int) int {
	n, _, e := syscall.RawSyscall6(syscall.SYS_EPOLL_WAIT, uintptr(l.epfd), uintptr(unsafe.Pointer(&l.events[0])), uintptr(len(l.events)), uintptr(timeout), 0, 0)
	if e != 0 {
		return 0
	}
	return int(n)
}

func (l *Loop) dispatch(ev *syscall.EpollEvent) {
	if ev.Fd < 0 {
		var b [8]byte
		syscall.RawSyscall(syscall.SYS_READ, uintptr(l.evfd), uintptr(unsafe.Pointer(&b[0])), 8)
		return
	}
	if int(ev.Fd) >= len(l.slots) {
		return
	}
	f := l.slots[ev.Fd]
	if f == nil || f.gen != ev.Pad {
		return // closed earlier in this batch
	}
	f.event(ev.Events)
}

// Post runs fn with the baton, soon. Callable from any goroutine.
func (l *Loop) Post(fn func()) {
	l.inboxMu.Lock()
	l.inbox = append(l.inbox, fn)
	l.inboxN.Add(1)
	l.inboxMu.Unlock()
	if l.polling.Load() {
		one := [8]byte{1}
		syscall.RawSyscall(syscall.SYS_WRITE, uintptr(l.evfd), uintptr(unsafe.Pointer(&one[0])), 8)
	}
}

func (l *Loop) runInbox() {
	l.inboxMu.Lock()
	q := l.inbox
	l.inbox = nil
	l.inboxN.Store(0)
	l.inboxMu.Unlock()
	l.jobs = append(l.jobs, q...)
}

// Go queues fn to run as a task of its own; it may park.
func (l *Loop) Go(fn func()) { l.jobs = append(l.jobs, fn) }

// AtEnd queues fn to run when the events of this turn have been served and no task is ready: the time to send, in one
// piece, what they have queued. fn must not park.
func (l *Loop) AtEnd(fn func()) { l.ends = append(l.ends, fn) }

// Soon runs fn, which may park, behind the events of this turn and before its end: for what would be a task that becomes ready, if
// it had not ended. It costs no look at the kernel, as Go does.
func (l *Loop) Soon(fn func()) { l.soon = append(l.soon, fn) }

func (l *Loop) runSoon() {
	fn := l.soon[l.soonHead]
	l.soon[l.soonHead] = nil
	if l.soonHead++; l.soonHead == len(l.soon) {
		l.soon, l.soonHead = l.soon[:0], 0
	}
	fn()
}

func (l *Loop) endTurn() {
	list := l.ends
	l.ends, l.endsSpare = l.endsSpare[:0], nil
	for i, fn := range list {
		list[i] = nil
		fn()
	}
	l.endsSpare = list[:0]
}

// takeTask gives a goroutine without work.
func (l *Loop) takeTask() *Task {
	if n := len(l.idle); n > 0 {
		t := l.idle[n-1]
		l.idle = l.idle[:n-1]
		return t
	}
	return l.newTask()
}

// Start runs fn at once on a task of its own, until it has ended or waits, then the tasks that are ready, then the caller.
func (l *Loop) Start(fn func()) {
	t, me := l.takeTask(), l.cur
	t.start, t.queued, t.next = fn, true, l.readyHead
	if l.readyHead = t; l.readyTail == nil {
		l.readyTail = t
	}
	woken := me.queued // by something it will wait for later
	l.Ready(me)
	me.yield(struct{}{})
	if woken {
		l.Ready(me)
	}
}

// OnPark has fn called, once, before the current task parks: what it does beside serving a request that may have to wait
// can be left to another task then. nil takes that back. fn must not park.
func (l *Loop) OnPark(fn func()) { l.cur.onPark = fn }

// Current is the task that holds the baton.
func (l *Loop) Current() *Task { return l.cur }

// Tasks is the number of goroutines the loop has.
func (l *Loop) Tasks() int { return l.tasks }

// Park gives the baton away until Ready(task), Kill or the deadline (monotonic nanoseconds, 0 for none).
// It returns ErrTimeout, ErrKilled or the error given to ReadyErr.
func (l *Loop) Park(deadline int64) error {
	t := l.cur
	if t.killed {
		t.killed = false
		return ErrKilled
	}
	if f := t.onPark; f != nil {
		t.onPark = nil
		f()
	}
	t.timedOut, t.err = false, nil
	if deadline != 0 {
		l.Arm(&t.timer, deadline)
	}
	t.yield(struct{}{})
	if t.timer.idx >= 0 {
		l.Disarm(&t.timer)
	}
	switch {
	case t.killed:
		t.killed = false
		return ErrKilled
	case t.err != nil:
		return t.err
	case t.timedOut:
		return ErrTimeout
	}
	return nil
}

// Ready lets a parked task go on. A task that is ready already stays so once.
func (l *Loop) Ready(t *Task) {
	if t.queued {
		return
	}
	t.queued = true
	t.next = nil
	if l.readyTail == nil {
		l.readyHead = t
	} else {
		l.readyTail.next = t
	}
	l.readyTail = t
}

// ReadyErr is Ready with an error that Park returns.
func (l *Loop) ReadyErr(t *Task, err error) {
	t.err = err
	l.Ready(t)
}

// Kill wakes a parked task with ErrKilled.
func (l *Loop) Kill(t *Task) {
	t.killed = true
	l.Ready(t)
}

// KillNow is Kill that lets t run, as far as it next waits or ends, before the current task goes on.
func (l *Loop) KillNow(t *Task) {
	me := l.cur
	t.killed = true
	if t.queued {
		l.Ready(me)
		l.Park(0)
		return
	}
	t.queued, me.queued = true, true
	t.next, me.next = me, l.readyHead
	if l.readyTail == nil {
		l.readyTail = me
	}
	l.readyHead = t
	l.Park(0)
}

func (l *Loop) popReady() *Task {
	t := l.readyHead
	if t != nil {
		l.readyHead = t.next
		if l.readyHead == nil {
			l.readyTail = nil
		}
		t.next = nil
		t.queued = false
	}
	return t
}

// Sleep parks the current task for d; a d of 0 or less lets the other events of this turn go first.
func (l *Loop) Sleep(d time.Duration) error {
	if d <= 0 {
		l.jobs = append(l.jobs, l.cur.wake)
		return l.Park(0)
	}
	err := l.Park(l.mono + int64(d))
	if err == ErrTimeout {
		return nil
	}
	return err
}

// Offload runs fn on another goroutine, without the baton, and returns when it is done: for system calls that block
// (disk, name service). fn must not touch the worker's state. A task that is killed meanwhile is told by what it waits for next.
func (l *Loop) Offload(fn func()) {
	t := l.cur
	done := false
	go func() {
		fn()
		l.Post(func() {
			done = true
			l.Ready(t)
		})
	}()
	killed := false
	for !done {
		if l.Park(0) == ErrKilled {
			killed = true
		}
	}
	t.killed = t.killed || killed
}
