// Package app is the life of the process: it reads the configuration, opens
// what has to be opened as root, and then serves, supervises, reloads,
// upgrades and ends as nginx does. What serves is a plane.Plane.
//
// Up to three processes take part, all of the same binary:
//
//	the command    "moongate": checks options; with "daemon on" it starts the
//	               next one detached and returns when that one is ready
//	the supervisor owns pid file, signals, listening sockets and log files; it
//	               is the worker itself with "master_process off"
//	the worker     the plane, with all worker_processes in it, under the
//	               account of "user"
//
// With "daemon off" the command is the supervisor. A process that has been
// started by another of these knows so from the variable startVar.
//
// Within a process one goroutine runs the event loop (supervise, work or
// single) and owns all state; signals, messages and exits come to it through
// channels.
package app

import (
	"os"
	"runtime/debug"
	"strings"

	"moongate/internal/base/nlog"
	"moongate/internal/conf"
	"moongate/internal/luajit"
	"moongate/internal/plane"
)

// Program is what the process is assembled from.
type Program struct {
	Modules  []*conf.Module // in order: the first row of a name that fits is taken
	NewPlane func() plane.Plane

	// Arguments makes the configure arguments of -V: what scripts look at to
	// know the modules there are.
	Arguments func([]*conf.Module) []string
}

// Defaults of the options.
const (
	DefaultPrefix   = "/usr/local/moongate/"
	DefaultConfig   = "conf/nginx.conf"
	DefaultErrorLog = "logs/error.log"
)

// Options are those of the command line.
type Options struct {
	Prefix   string // -p as given; "" is DefaultPrefix
	Config   string // -c; "" is DefaultConfig
	Text     string // stands for the configuration file's contents, unless ""
	Global   string // -g
	ErrorLog string // -e; "" is DefaultErrorLog, "stderr" is descriptor 2
	Test     bool   // -t
	Dump     bool   // -T
	Quiet    bool   // -q
	Signal   string // -s

	// Foreground serves in this process, whatever daemon and master_process say.
	Foreground bool
	// Ready is called once a process in the foreground serves.
	Ready func() `json:"-"`
	// Reloaded is called after each reload in the foreground, with what was wrong with the new configuration.
	Reloaded func(error) `json:"-"`
}

// startVar tells a process which part it takes: "daemon:PROGRAM", where
// PROGRAM is what the command was called by, or "worker". Both talk to their
// parent on descriptor 3.
const startVar = "MOONGATE_START"

// startFD is the descriptor to the parent.
const startFD = 3

// process is what every part has.
type process struct {
	prog *Program
	opt  Options
	args []string // the command line, as typed

	log     *nlog.Logger // where to log now: first the -e file
	bootLog *nlog.File   // the -e file until the process is ready
	gen     *generation  // the configuration in use
	plane   plane.Plane  // made when first needed; see data

	child      bool     // started by another of these
	environ    []string // as it was at the start
	parent     int      // parent process at the start
	inherited  []plane.Socket
	upgrading  bool     // started by a running binary, with its sockets
	daemonized bool     // detached, or inherited from a detached one
	launcher   *os.File // the command waits here for us to be ready; or nil
}

// Main runs the command with its options and returns the exit code. args is
// the command line as typed.
func Main(prog *Program, opt Options, args []string) int {
	p := &process{prog: prog, opt: opt, args: args, environ: os.Environ(), parent: os.Getppid()}
	role, called, _ := strings.Cut(os.Getenv(startVar), ":")
	p.child = role != ""
	if role == "daemon" {
		p.becomeDaemon(called)
	}
	nlog.SetConsole(true)
	p.openBootLog()
	switch {
	case opt.Test:
		return p.test()
	case opt.Signal != "":
		return p.signal(opt.Signal)
	}
	if err := p.inheritSockets(); err != nil {
		return 1
	}
	if !p.daemonized {
		// Whoever is to serve reads the configuration in full and reports what
		// is wrong with it; here only this one matters.
		if g, err := p.glance(); err == nil && g.core.Daemon.V && !opt.Foreground {
			return p.startDaemon(g.core.Master.V)
		}
	}
	return p.start()
}

// IsWorker reports whether this process has been started as a worker: its
// command line then has no options, and Worker runs it.
func IsWorker() bool { return os.Getenv(startVar) == "worker" }

// start reads the configuration and serves it, to the end of the process.
func (p *process) start() int {
	g, err := p.parse(nil)
	if err != nil {
		return 1
	}
	if !p.daemonized && g.core.Daemon.V && !p.opt.Foreground {
		return p.startDaemon(g.core.Master.V) // what hid from the quick look
	}
	if p.open(g, nil, nil) != nil {
		return 1
	}
	p.gen = g
	p.log = g.log
	p.status()
	watchSignals()
	if g.core.Master.V && !p.opt.Foreground {
		return p.supervise()
	}
	return p.single()
}

// ready is called once the process serves: from now on nothing goes to the
// terminal, and the command that waits for a daemon returns.
func (p *process) ready() error {
	g := p.gen
	if err := writePID(g.core.PID.V, os.Getpid()); err != nil {
		p.fail(nlog.Emerg, err)
		return err
	}
	p.redirectStderr(g)
	nlog.SetConsole(false)
	if p.bootLog != nil {
		p.bootLog.Close()
		p.bootLog = nil
	}
	if p.launcher != nil {
		p.launcher.Write([]byte{'R'})
		p.launcher.Close()
		p.launcher = nil
	}
	return nil
}

// settle gives back what starting or reloading has taken and serving does not need.
func settle() {
	luajit.UnmapProgram()
	debug.FreeOSMemory() // which needs some of it
	luajit.UnmapProgram()
}

// redirectStderr sends what the runtime or a library prints to the log.
func (p *process) redirectStderr(g *generation) {
	f := g.log.FirstFile()
	if keepsStderr(g) || f == nil {
		return
	}
	if err := f.RedirectStderr(); err != nil {
		p.log.Log(nlog.Alert, nil, err, "dup2(STDERR) failed")
	}
}

// openBootLog opens the file that errors go to until the configuration names
// others.
func (p *process) openBootLog() {
	level := nlog.Notice
	if p.opt.Test {
		level = nlog.Info
	}
	name := p.errorLogPath()
	f := nlog.NewStderr()
	if name != "" {
		var err error
		if f, err = nlog.OpenFile(name); err != nil {
			if !p.child { // whose parent has said so
				os.Stderr.WriteString("nginx: [alert] could not open error log file: open() \"" + name + "\" failed " + nlog.ErrText(err) + "\n")
			}
			f = nlog.NewStderr()
		}
	}
	p.bootLog = f
	p.log = nlog.New(nlog.Target{Level: level, File: f})
}

// errorLogPath is the file of -e, "" for stderr.
func (p *process) errorLogPath() string {
	name := p.opt.ErrorLog
	switch {
	case name == "stderr":
		return ""
	case name == "":
		name = DefaultErrorLog
	}
	if strings.HasPrefix(name, "/") {
		return name
	}
	return p.prefix() + name
}

// prefix ends in a slash.
func (p *process) prefix() string {
	switch {
	case p.opt.Prefix == "":
		return DefaultPrefix
	case strings.HasSuffix(p.opt.Prefix, "/"):
		return p.opt.Prefix
	}
	return p.opt.Prefix + "/"
}
