package app

import (
	"context"
	"os"
	"os/signal"
	"reflect"
	"sync"
	"syscall"

	"moongate/internal/base/nlog"
	"moongate/internal/luajit"
	"moongate/internal/plane"
)

// fatalCode is the exit code of a worker that cannot start and that there is
// no use in starting again.
const fatalCode = 2

// worker is the process that serves when there is a supervisor.
type worker struct {
	*process
	ch  channel
	out sync.Mutex // of what is sent to the supervisor
	*opener
	env   []string
	turns int           // reloads so far
	ended chan struct{} // Quit has returned
}

// order is a message from the supervisor, or the end of it.
type order struct {
	m   *message
	fds []int
	err error
}

// Worker runs a process that a supervisor has started, and returns its exit
// code.
func Worker(prog *Program) int {
	os.Unsetenv(startVar)
	syscall.CloseOnExec(startFD)
	ch, err := newChannel(startFD)
	if err != nil {
		os.Stderr.WriteString("nginx: no supervisor\n")
		return 1
	}
	m, fds, err := ch.receive()
	if err != nil || m.Op != opStart || m.Load == nil {
		return 1
	}
	watchSignals()
	w := &worker{process: &process{prog: prog, child: true, parent: os.Getppid()}, ch: ch, opener: newOpener(), ended: make(chan struct{})}
	w.take(m.Load)
	if len(w.args) > 0 {
		setName(w.args[0])
	}
	nlog.SetConsole(!m.Load.Started)
	w.openBootLog()
	if !w.begin(m.Load, fds) {
		return fatalCode
	}
	return w.run()
}

// take stores what comes with each load.
func (w *worker) take(l *load) {
	w.opt, w.environ, w.daemonized, w.args = l.Options, l.Environ, l.Daemonized, l.Args
}

// begin starts to serve.
func (w *worker) begin(l *load, fds []int) bool {
	g, err := w.build(l, fds)
	if err != nil {
		return false
	}
	w.gen, w.log = g, g.log
	w.env = os.Environ()
	setLimits(g.core, w.log)
	d := w.data()
	if err := d.Init(w.params(g)); err != nil {
		w.fail(nlog.Emerg, err)
		return false
	}
	if !dropPrivileges(g.core, w.log) {
		return false
	}
	if err := d.Start(); err != nil {
		w.fail(nlog.Emerg, err)
		return false
	}
	nlog.SetConsole(false)
	w.redirectStderr(g)
	w.bootLog.Close()
	w.bootLog = nil
	luajit.UnmapProgram()
	if w.say(&message{Op: opReady}) != nil {
		return false
	}
	go settle()
	return true
}

// say sends the supervisor a message.
func (w *worker) say(m *message) error {
	w.out.Lock()
	defer w.out.Unlock()
	return w.ch.send(m, nil)
}

// params is what the plane is told.
func (w *worker) params(g *generation) *plane.Params {
	p := g.params(true)
	p.Open = w.open
	return p
}

// build makes a generation of a load. It owns the descriptors.
func (w *worker) build(l *load, fds []int) (*generation, error) {
	g, err := w.parse(l.Disk)
	if err != nil {
		closeAll(fds)
		return nil, err
	}
	logs := map[string]int{}
	for i, name := range l.Logs {
		logs[name] = fds[len(l.Sockets)+i]
	}
	err = g.files.Open(func(name string) (int, error) {
		if fd, ok := logs[name]; ok {
			delete(logs, name)
			return fd, nil
		}
		return nlog.OpenAppend(name)
	})
	for _, fd := range logs {
		syscall.Close(fd)
	}
	if err != nil {
		w.fail(nlog.Emerg, err)
		closeAll(fds[:len(l.Sockets)])
		return nil, err
	}
	g.socks = w.keep(l.Sockets, fds)
	return g, nil
}

// keep pairs sockets with their descriptors. A socket we have is the same one:
// its old descriptor stays.
func (w *worker) keep(socks []plane.Socket, fds []int) []plane.Socket {
	have := map[string]int{}
	if w.gen != nil {
		for i := range w.gen.socks {
			have[w.gen.socks[i].Key()] = w.gen.socks[i].FD
		}
	}
	for i := range socks {
		s := &socks[i]
		s.FD = fds[i]
		if old, ok := have[s.Key()]; ok {
			syscall.Close(s.FD)
			s.FD = old
		}
	}
	return socks
}

func closeAll(fds []int) {
	for _, fd := range fds {
		syscall.Close(fd)
	}
}

// run is the event loop.
func (w *worker) run() int {
	orders := make(chan order)
	go func() {
		for {
			m, fds, err := w.ch.receive()
			if err == nil && m.Op == opOpened { // whoever has asked may be what the loop waits for
				w.answer <- order{m, fds, nil}
				continue
			}
			if err != nil {
				close(w.gone)
			}
			orders <- order{m, fds, err}
			if err != nil {
				return
			}
		}
	}()
	quitting := false
	quit := func() {
		if !quitting {
			quitting = true
			w.quit()
		}
	}
	for {
		select {
		case <-w.ended:
			return w.exit()
		case o := <-orders:
			switch {
			case o.err != nil || o.m.Op == opStop: // no supervisor, no worker
				w.plane.Stop()
				return w.exit()
			case o.m.Op == opQuit:
				quit()
			case o.m.Op == opReopen:
				w.reopen()
			case o.m.Op == opReload:
				w.reload(o.m.Load, o.fds)
			}
		case sig := <-signals:
			switch sig {
			case syscall.SIGTERM, syscall.SIGINT:
				w.logSignal(sig, "exiting")
				w.plane.Stop()
				return w.exit()
			case syscall.SIGQUIT:
				w.logSignal(sig, "shutting down")
				quit()
			case syscall.SIGWINCH:
				if !w.daemonized {
					continue
				}
				w.logSignal(sig, "shutting down")
				quit()
			case syscall.SIGUSR1:
				w.logSignal(sig, "reopening logs")
				w.reopen()
			default:
				w.logSignal(sig, "ignoring")
			}
		}
	}
}

func (w *worker) reopen() {
	w.log.Log(nlog.Notice, nil, nil, "reopening logs")
	w.gen.files.Reopen(-1, w.log)
	w.redirectStderr(w.gen)
}

// quit begins a graceful end.
func (w *worker) quit() {
	w.log.Log(nlog.Notice, nil, nil, "gracefully shutting down")
	ctx, cancel := context.Background(), context.CancelFunc(func() {})
	if t := w.gen.core.ShutdownTimeout.V; t != 0 {
		ctx, cancel = context.WithTimeout(ctx, t)
	}
	go func() {
		w.plane.Quit(ctx)
		cancel()
		close(w.ended)
	}()
}

func (w *worker) exit() int {
	signal.Reset()
	w.log.Log(nlog.Notice, nil, nil, "exiting")
	luajit.FlushStdio()
	return 0
}

// reload takes on a configuration and answers.
func (w *worker) reload(l *load, fds []int) {
	before := w.opt
	w.take(l)
	answer := opReady
	if !w.takeOn(l, fds) {
		w.opt = before
		answer = opFailed
	}
	w.say(&message{Op: answer})
}

func (w *worker) takeOn(l *load, fds []int) bool {
	old := w.gen
	g, err := w.build(l, fds)
	if err != nil {
		return false
	}
	env := workerEnviron(l.Environ, g.core.Env)
	if before := w.env; !reflect.DeepEqual(env, before) {
		setEnviron(env)
		w.env = env
	}
	w.turns++
	turn := w.turns
	retired := func() {
		// Scripts wait for the end of a worker to know that a reload is over.
		g.log.Logf(nlog.Notice, nil, nil, "worker process %d generation %d exited with code 0", os.Getpid(), turn)
		old.files.Close()
		go settle()
	}
	if err := w.plane.Reload(w.params(g), retired); err != nil {
		w.fail(nlog.Emerg, err)
		closeSockets(g.socks, old.socks, false, w.log)
		g.files.Close()
		return false
	}
	w.gen, w.log = g, g.log
	w.redirectStderr(g)
	closeSockets(old.socks, g.socks, false, w.log)
	return true
}
