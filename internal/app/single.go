package app

import (
	"os"
	"syscall"

	"moongate/internal/base/nlog"
	"moongate/internal/luajit"
	"moongate/internal/plane"
)

// single serves in this process (master_process off, or in the foreground). As in nginx it keeps its
// account, and QUIT is no gentler than TERM.
func (p *process) single() int {
	setEnviron(workerEnviron(p.environ, p.gen.core.Env))
	d := p.data()
	if err := d.Init(p.ownParams(p.gen)); err != nil {
		p.fail(nlog.Emerg, err)
		p.abandon()
		return 1
	}
	if err := d.Start(); err != nil {
		p.fail(nlog.Emerg, err)
		d.Stop()
		p.abandon()
		return 1
	}
	if p.ready() != nil {
		d.Stop()
		p.abandon()
		return 1
	}
	if p.opt.Ready != nil {
		p.opt.Ready()
	}
	go settle()
	for sig := range signals {
		switch sig {
		case syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT:
			p.logSignal(sig, ending(sig))
			d.Stop()
			p.removePID(p.gen.core.PID.V)
			p.finish(true)
			luajit.FlushStdio()
			return 0
		case syscall.SIGHUP:
			p.logSignal(sig, "reconfiguring")
			err := p.reload(d)
			if p.opt.Reloaded != nil {
				p.opt.Reloaded(err)
			}
		case syscall.SIGUSR1:
			p.logSignal(sig, "reopening logs")
			p.log.Log(nlog.Notice, nil, nil, "reopening logs")
			p.gen.files.Reopen(-1, p.log)
			p.redirectStderr(p.gen)
		default:
			p.logSignal(sig, "") // there is nothing to upgrade or to keep from accepting
		}
	}
	return 0
}

// ending is what the log says of a signal to end.
func ending(sig os.Signal) string {
	if sig == syscall.SIGQUIT {
		return "shutting down"
	}
	return "exiting"
}

// reload puts a new configuration into service here; a wrong one changes
// nothing.
func (p *process) reload(d plane.Plane) error {
	p.log.Log(nlog.Notice, nil, nil, "reconfiguring")
	g, err := p.parse(nil)
	if err == nil {
		err = p.open(g, p.gen, nil)
	}
	if err != nil {
		return err
	}
	old := p.gen
	if err := p.newPID(g); err != nil {
		p.discard(g)
		return err
	}
	setEnviron(workerEnviron(p.environ, g.core.Env))
	retired := func() { old.files.Close(); go settle() }
	if err := d.Reload(p.ownParams(g), retired); err != nil {
		p.fail(nlog.Emerg, err)
		setEnviron(workerEnviron(p.environ, old.core.Env))
		p.discard(g)
		return err
	}
	p.adopt(g)
	return nil
}

// newPID writes the pid file of g if it is another one.
func (p *process) newPID(g *generation) error {
	if g.core.PID.V == p.gen.core.PID.V {
		return nil
	}
	err := writePID(g.core.PID.V, os.Getpid())
	if err != nil {
		p.fail(nlog.Emerg, err)
	}
	return err
}

// adopt makes g the generation in use. Log files of the old one are closed by
// whoever knows when it is no longer used.
func (p *process) adopt(g *generation) {
	old := p.gen
	p.gen, p.log = g, g.log
	p.redirectStderr(g)
	if g.core.PID.V != old.core.PID.V {
		p.removePID(old.core.PID.V)
	}
	closeSockets(old.socks, g.socks, true, p.log)
}

// discard closes what was opened for g and gives up on it.
func (p *process) discard(g *generation) {
	if g.core.PID.V != p.gen.core.PID.V {
		syscall.Unlink(g.core.PID.V)
	}
	closeSockets(g.socks, p.gen.socks, true, p.log)
	g.files.Close()
}

// abandon ends a start that failed.
func (p *process) abandon() {
	closeSockets(p.gen.socks, p.inherited, true, p.log)
}

// finish is the end of the process that has the pid file.
func (p *process) finish(unlink bool) {
	p.log.Log(nlog.Notice, nil, nil, "exit")
	closeSockets(p.gen.socks, nil, unlink, p.log)
	p.gen.files.Close()
}
