package app

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"

	"moongate/internal/base/nlog"
)

// self is the binary that runs, also after its file has been replaced.
const self = "/proc/self/exe"

// exit is how a child ended.
type exit struct {
	pid    int
	status syscall.WaitStatus
}

// waitFor reaps a child and sends how it ended.
func waitFor(pid int, to chan<- exit) {
	for {
		var st syscall.WaitStatus
		_, err := syscall.Wait4(pid, &st, 0, nil)
		if err == syscall.EINTR {
			continue
		}
		to <- exit{pid, st}
		return
	}
}

// logExit logs the end of a child.
func (p *process) logExit(what string, e exit) {
	if e.status.Signaled() {
		core := ""
		if e.status.CoreDump() {
			core = " (core dumped)"
		}
		p.log.Logf(nlog.Alert, nil, nil, "%s %d exited on signal %d%s", what, e.pid, int(e.status.Signal()), core)
		return
	}
	p.log.Logf(nlog.Notice, nil, nil, "%s %d exited with code %d", what, e.pid, e.status.ExitStatus())
}

// setName has the process listed under the name of its program: it has been
// executed as "exe".
func setName(called string) {
	name := called[strings.LastIndexByte(called, '/')+1:]
	os.WriteFile("/proc/self/comm", []byte(name), 0)
}

// startDaemon starts this program again, detached, and waits until that one
// serves. The exit code is 0 then, else the daemon's; it says itself what is
// wrong, on our stderr and in the log.
func (p *process) startDaemon(master bool) int {
	r, w, err := os.Pipe()
	if err != nil {
		p.log.Log(nlog.Emerg, nil, err, "pipe() failed")
		return 1
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		p.log.Log(nlog.Emerg, nil, err, "open(\"/dev/null\") failed")
		return 1
	}
	argv := p.args
	if master {
		argv = append([]string{"moongate: master process " + argv[0]}, argv[1:]...)
	}
	pid, err := syscall.ForkExec(self, argv, &syscall.ProcAttr{
		Env:   append(p.environ, startVar+"=daemon:"+p.args[0]),
		Files: []uintptr{null.Fd(), null.Fd(), 2, w.Fd()},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		p.log.Log(nlog.Emerg, nil, err, "fork() failed")
		return 1
	}
	w.Close()
	if n, _ := r.Read(make([]byte, 1)); n == 1 {
		return 0
	}
	ended := make(chan exit, 1)
	waitFor(pid, ended)
	if e := <-ended; e.status.Exited() && e.status.ExitStatus() != 0 {
		return e.status.ExitStatus()
	}
	return 1
}

// becomeDaemon is the other side of startDaemon.
func (p *process) becomeDaemon(called string) {
	os.Unsetenv(startVar)
	for i, v := range p.environ {
		if strings.HasPrefix(v, startVar+"=") {
			p.environ = append(p.environ[:i:i], p.environ[i+1:]...)
			break
		}
	}
	syscall.CloseOnExec(startFD)
	p.args = append([]string{called}, p.args[1:]...)
	p.launcher = os.NewFile(startFD, "launcher")
	p.daemonized = true
	p.parent = -1 // the command ends: we are nobody's child
	syscall.Umask(0)
	setName(called)
}

// execNewBinary starts the program anew, perhaps another version by now, with
// our sockets (USR2). It returns 0 if that failed, which is logged.
func (p *process) execNewBinary() int {
	g := p.gen
	pidFile, old := g.core.PID.V, g.core.OldPID()
	if err := syscall.Rename(pidFile, old); err != nil {
		p.log.Logf(nlog.Alert, nil, err, "rename() %s to %s failed before executing new binary process \"%s\"", pidFile, old, p.args[0])
		return 0
	}
	path, err := exec.LookPath(p.args[0])
	if err != nil {
		path = p.args[0]
	}
	files := []uintptr{0, 1, 2}
	list := inheritVar + "="
	for i := range g.socks {
		list += strconv.Itoa(len(files)) + ";"
		files = append(files, uintptr(g.socks[i].FD))
	}
	pid, err := syscall.ForkExec(path, p.args, &syscall.ProcAttr{
		Env:   append(workerEnviron(p.environ, g.core.Env), list),
		Files: files,
	})
	if err != nil {
		p.log.Logf(nlog.Alert, nil, err, "execve() failed while executing new binary process \"%s\"", path)
		p.restorePID("an attempt to execute new binary process")
		return 0
	}
	p.log.Logf(nlog.Notice, nil, nil, "start new binary process %d", pid)
	return pid
}

// restorePID takes the pid file back from a new binary that is gone.
func (p *process) restorePID(after string) {
	name, old := p.gen.core.PID.V, p.gen.core.OldPID()
	if err := syscall.Rename(old, name); err != nil {
		p.log.Logf(nlog.Alert, nil, err, "rename() %s back to %s failed after %s \"%s\"", old, name, after, p.args[0])
	}
}

// workerTitle is how the worker is listed.
const workerTitle = "moongate: worker process"
