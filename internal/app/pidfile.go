package app

import (
	"bytes"
	"os"
	"strconv"
	"syscall"

	"moongate/internal/base/nlog"
)

// writePID writes the pid file.
func writePID(name string, pid int) error {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteString(strconv.Itoa(pid) + "\n")
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// touchPID finds out whether the pid file could be written (-t).
func touchPID(name string) error {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	return f.Close()
}

// removePID removes the pid file at the end.
func (p *process) removePID(name string) {
	if err := syscall.Unlink(name); err != nil {
		p.log.Logf(nlog.Alert, nil, err, "unlink() \"%s\" failed", name)
	}
}

// control maps the words of -s.
var control = map[string]syscall.Signal{
	"stop": syscall.SIGTERM, "quit": syscall.SIGQUIT, "reopen": syscall.SIGUSR1, "reload": syscall.SIGHUP,
}

// IsSignal reports whether -s takes the word.
func IsSignal(word string) bool { _, ok := control[word]; return ok }

// signal sends a signal to the process of the pid file (-s).
func (p *process) signal(word string) int {
	g, err := p.parse(nil)
	if err != nil {
		return 1
	}
	p.log.Log(nlog.Notice, nil, nil, "signal process started")
	name := g.core.PID.V
	data, err := os.ReadFile(name)
	if err != nil {
		p.fail(nlog.Error, err)
		if os.IsNotExist(err) {
			p.advise("no server runs with this configuration")
		}
		return 1
	}
	data = bytes.TrimRight(data, "\r\n")
	pid, err := strconv.ParseUint(string(data), 10, 31)
	if err != nil || pid == 0 {
		p.log.Logf(nlog.Error, nil, nil, "invalid PID number \"%s\" in \"%s\"", data, name)
		return 1
	}
	sig := control[word]
	if err := syscall.Kill(int(pid), sig); err != nil {
		p.log.Logf(nlog.Alert, nil, err, "kill(%d, %d) failed", pid, int(sig))
		if err == syscall.ESRCH {
			p.advise("no server runs with this configuration: what wrote \"" + name + "\" has gone")
		}
		return 1
	}
	return 0
}

// test checks the configuration (-t), and that what it names can be opened.
func (p *process) test() int {
	g, err := p.parse(nil)
	if err == nil {
		if err = touchPID(g.core.PID.V); err != nil {
			p.fail(nlog.Emerg, err)
		} else {
			err = p.open(g, nil, nil)
		}
	}
	if err != nil {
		os.Stderr.WriteString("nginx: configuration file " + p.configName() + " test failed\n")
		return 1
	}
	if !p.opt.Quiet {
		os.Stderr.WriteString("nginx: configuration file " + p.configName() + " test is successful\n")
	}
	if p.opt.Dump {
		g.cfg.WriteFiles(os.Stdout)
	}
	return 0
}
