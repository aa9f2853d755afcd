package app

import (
	"os"
	"syscall"
	"time"

	"moongate/internal/base/nlog"
)

// supervisor is the process of the pid file with master_process on. It never
// serves: it starts the worker, tells it what signals ask for, and starts
// another one when it dies. The listening sockets stay open here, so that
// clients only wait meanwhile.
type supervisor struct {
	*process
	child     *child      // nil while there is none
	next      *generation // the worker is about to take it on
	again     bool        // reload once more when it has
	newBinary int         // process that replaces us, 0 if none

	started     bool // a worker has served
	resting     bool // WINCH: no worker wanted
	terminating bool
	quitting    bool

	messages chan note
	exits    chan exit
	respawn  <-chan time.Time
	kill     <-chan time.Time
}

// child is the worker as its parent sees it.
type child struct {
	pid  int
	out  chan outgoing // closed when the worker is gone
	born time.Time
}

// note is a message from a worker.
type note struct {
	from *child
	m    *message
}

// outgoing is a message to a worker; done is called when it has been sent.
type outgoing struct {
	m    *message
	fds  []int
	done func()
}

const (
	// killAfter is what nginx's attempts to terminate add up to.
	killAfter = 1550 * time.Millisecond
	// A worker that dies younger than minLife is replaced after a pause.
	minLife      = time.Second
	respawnPause = 500 * time.Millisecond
)

func (p *process) supervise() int {
	s := &supervisor{process: p, messages: make(chan note, 16), exits: make(chan exit, 16)}
	if !s.spawn() {
		p.abandon()
		return 1
	}
	for {
		select {
		case sig := <-signals:
			s.onSignal(sig)
		case n := <-s.messages:
			if !s.onNote(n) {
				return 1
			}
		case e := <-s.exits:
			if !s.onExit(e) {
				return 1
			}
		case <-s.respawn:
			s.respawn = nil
			s.spawn()
		case <-s.kill:
			s.killWorker()
		}
		if (s.terminating || s.quitting) && s.child == nil {
			s.end()
			return 0
		}
	}
}

// spawn starts a worker on the generation in use.
func (s *supervisor) spawn() bool {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		s.log.Log(nlog.Alert, nil, err, "socketpair() failed while spawning \"worker process\"")
		return false
	}
	ch, err := newChannel(pair[0])
	if err == nil {
		defer syscall.Close(pair[1])
		var pid int
		pid, err = syscall.ForkExec(self, []string{workerTitle}, &syscall.ProcAttr{
			Env:   append(workerEnviron(s.environ, s.gen.core.Env), startVar+"=worker"),
			Files: []uintptr{0, 1, 2, uintptr(pair[1])},
		})
		if err == nil {
			s.adoptChild(pid, ch)
			return true
		}
		ch.Close()
	}
	s.log.Log(nlog.Alert, nil, err, "fork() failed while spawning \"worker process\"")
	return false
}

func (s *supervisor) adoptChild(pid int, ch channel) {
	s.log.Log(nlog.Notice, nil, nil, "start worker processes")
	s.log.Logf(nlog.Notice, nil, nil, "start worker process %d", pid)
	c := &child{pid: pid, out: make(chan outgoing, 64), born: time.Now()}
	s.child = c
	go waitFor(pid, s.exits)
	go func() {
		for o := range c.out {
			ch.send(o.m, o.fds) // a worker that is gone is noticed by its exit
			if o.done != nil {
				o.done()
			}
		}
		ch.Close()
	}()
	go func() {
		for {
			m, _, err := ch.receive()
			if err != nil {
				return
			}
			s.messages <- note{c, m}
		}
	}()
	s.tell(opStart, s.gen)
}

// tell sends the worker a message, with what it needs to take on g.
func (s *supervisor) tell(op string, g *generation) {
	if s.child == nil {
		return
	}
	o := outgoing{m: &message{Op: op}}
	if g != nil {
		o.m.Load, o.fds, o.done = s.loadOf(g)
	}
	s.child.out <- o
}

// loadOf describes g. The descriptors are copies: the sender may get to them
// late, when g is closed.
func (s *supervisor) loadOf(g *generation) (l *load, fds []int, done func()) {
	l = &load{Options: s.opt, Args: s.args, Environ: s.environ, Disk: g.disk, Sockets: g.socks, Daemonized: s.daemonized, Started: s.started}
	for i := range g.socks {
		fds = append(fds, duplicate(g.socks[i].FD))
	}
	for _, f := range g.files.List() {
		if f.Name() != "" {
			l.Logs = append(l.Logs, f.Name())
			fds = append(fds, duplicate(f.FD()))
		}
	}
	return l, fds, func() {
		for _, fd := range fds {
			syscall.Close(fd)
		}
	}
}

func duplicate(fd int) int {
	n, _, no := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_DUPFD_CLOEXEC, 3)
	if no != 0 {
		return -1 // out of descriptors: the kernel refuses to send this, the worker exits
	}
	return int(n)
}

func (s *supervisor) onSignal(sig os.Signal) {
	switch sig {
	case syscall.SIGTERM, syscall.SIGINT:
		s.logSignal(sig, "exiting")
		s.terminating = true
		s.tell(opStop, nil)
		if s.kill == nil {
			s.kill = time.After(killAfter)
		}
	case syscall.SIGQUIT:
		s.logSignal(sig, "shutting down")
		if !s.quitting {
			s.quitting = true
			s.tell(opQuit, nil)
			closeSockets(s.gen.socks, nil, s.unlinks(), s.log)
			s.gen.socks = nil
		}
	case syscall.SIGHUP:
		s.logSignal(sig, "reconfiguring")
		s.reconfigure()
	case syscall.SIGUSR1:
		s.logSignal(sig, "reopening logs")
		s.log.Log(nlog.Notice, nil, nil, "reopening logs")
		s.gen.files.Reopen(s.gen.uid(), s.log)
		s.redirectStderr(s.gen)
		s.tell(opReopen, nil)
	case syscall.SIGUSR2:
		s.changeBinary(sig)
	case syscall.SIGWINCH:
		if !s.daemonized {
			s.logSignal(sig, "") // a terminal window changes its size
			return
		}
		s.logSignal(sig, "stop accepting connections")
		s.resting = true
		s.tell(opQuit, nil)
	}
}

// changeBinary starts a new version beside us, unless there is one, or we are
// the new version and the old one still runs.
func (s *supervisor) changeBinary(sig os.Signal) {
	if os.Getppid() == s.parent || s.newBinary != 0 {
		s.logSignal(sig, "ignoring")
		s.log.Log(nlog.Crit, nil, nil, "the changing binary signal is ignored: you should shutdown or terminate before either old or new binary's process")
		return
	}
	s.logSignal(sig, "changing binary")
	s.log.Log(nlog.Notice, nil, nil, "changing binary")
	if s.newBinary = s.execNewBinary(); s.newBinary != 0 {
		go waitFor(s.newBinary, s.exits)
	}
}

// reconfigure reads the configuration anew and, when it is right, has the
// worker take it on. The rest happens when that one has answered.
func (s *supervisor) reconfigure() {
	switch {
	case s.newBinary != 0:
		// The old version is to serve again.
		s.resting = false
		if s.child == nil {
			s.spawn()
		}
		return
	case s.next != nil || !s.started:
		s.again = true
		return
	case s.terminating || s.quitting:
		return
	}
	s.log.Log(nlog.Notice, nil, nil, "reconfiguring")
	g, err := s.parse(nil)
	if err != nil || s.open(g, s.gen, nil) != nil {
		return
	}
	if s.newPID(g) != nil {
		s.discard(g)
		return
	}
	s.next = g
	if s.child == nil {
		s.commit()
		s.respawn = nil
		s.spawn()
		return
	}
	s.tell(opReload, g)
}

// commit is the end of a reload that worked.
func (s *supervisor) commit() {
	old := s.gen
	s.adopt(s.next)
	s.next = nil
	old.files.Close()
	settle()
	s.repeat()
}

// repeat reloads again if that was asked for meanwhile.
func (s *supervisor) repeat() {
	if s.again {
		s.again = false
		s.reconfigure()
	}
}

// onNote handles a worker's answer. False ends the process: the start failed.
func (s *supervisor) onNote(n note) bool {
	if n.from != s.child {
		return true
	}
	switch op := n.m.Op; {
	case op == opOpen:
		s.lend(n.m.Name)
	case op == opReady && !s.started:
		s.started = true
		if s.ready() != nil {
			s.killWorker()
			s.abandon()
			return false
		}
		settle()
		s.repeat()
	case op == opReady && s.next != nil:
		s.commit()
	case op == opFailed && s.next != nil:
		s.discard(s.next)
		s.next = nil
		s.repeat()
	}
	return true
}

// onExit handles the end of a child. False ends the process: the start failed.
func (s *supervisor) onExit(e exit) bool {
	if e.pid == s.newBinary {
		s.logExit("new binary process", e)
		s.newBinary = 0
		s.restorePID("the new binary process")
		if s.resting && s.child == nil {
			s.resting = false
			s.spawn()
		}
		return true
	}
	if s.child == nil || e.pid != s.child.pid {
		return true
	}
	young := time.Since(s.child.born) < minLife
	close(s.child.out)
	s.child = nil
	if !s.started && !s.terminating && !s.quitting {
		// It has said why, unless it could not.
		if e.status.Signaled() || e.status.ExitStatus() == 0 {
			s.logExit("worker process", e)
		}
		s.abandon()
		return false
	}
	s.logExit("worker process", e)
	if s.next != nil {
		s.discard(s.next)
		s.next = nil
	}
	switch {
	case s.terminating || s.quitting || s.resting:
	case e.status.Exited() && e.status.ExitStatus() == fatalCode:
		s.log.Logf(nlog.Alert, nil, nil, "worker process %d exited with fatal code %d and cannot be respawned", e.pid, fatalCode)
	case young:
		s.respawn = time.After(respawnPause)
	default:
		s.spawn()
	}
	return true
}

func (s *supervisor) killWorker() {
	if s.child != nil {
		syscall.Kill(s.child.pid, syscall.SIGKILL)
	}
}

// unlinks reports whether the files of unix sockets are ours to remove: not
// while another version listens on them.
func (s *supervisor) unlinks() bool {
	return s.newBinary == 0 && (!s.upgrading || os.Getppid() != s.parent)
}

func (s *supervisor) end() {
	name := s.gen.core.PID.V
	if s.newBinary != 0 {
		name = s.gen.core.OldPID()
	}
	if s.started {
		s.removePID(name)
	}
	s.finish(s.unlinks())
}
