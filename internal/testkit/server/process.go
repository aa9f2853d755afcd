package server

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"moongate/internal/testkit/pattern"
	"moongate/internal/testkit/poll"
)

// Binary is the program under test and what it says of itself.
type Binary struct {
	Path    string
	Output  string // of -V
	Version string // 1.27.1
	OpenSSL string // 3.0.2, 1.1.1k; empty when it was built without
}

var (
	nginxVersion = pattern.MustCompile(`(?:nginx|openresty)[^/\n]*/(\d+\.\d+\.\d+)`, "")
	anyVersion   = pattern.MustCompile(`\w+/(\d+\.\d+\.\d+)`, "")
	sslVersion   = pattern.MustCompile(`built with OpenSSL (\d+\.\d+\.\d+[a-z]?)`, "")
)

// Probe asks the program for its version.
func Probe(path string) (*Binary, error) {
	full, err := exec.LookPath(path)
	if err != nil {
		return nil, err
	}
	if full, err = filepath.Abs(full); err != nil {
		return nil, err
	}
	out, err := exec.Command(full, "-V").CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("%s -V: %w: %s", path, err, bytes.TrimSpace(out))
	}
	b := &Binary{Path: full, Output: string(out)}
	for _, re := range []*pattern.Regexp{nginxVersion, anyVersion} {
		if m := re.Find(b.Output, 0); m != nil {
			b.Version = b.Output[m[2]:m[3]]
			break
		}
	}
	if b.Version == "" {
		return nil, fmt.Errorf("%s -V names no version: %s", path, bytes.TrimSpace(out))
	}
	if m := sslVersion.Find(b.Output, 0); m != nil {
		b.OpenSSL = b.Output[m[2]:m[3]]
	}
	return b, nil
}

// Process is a running server.
type Process struct {
	Pid  int
	done chan struct{} // closed when a child of ours ended; nil for a daemon
}

// StartError tells how a start failed.
type StartError struct {
	ExitCode int    // -1 when a signal or time-out ended it
	Stderr   string // what it said
}

func (e *StartError) Error() string {
	if e.ExitCode < 0 {
		return "server did not start in time or was killed: " + strings.TrimSpace(e.Stderr)
	}
	return fmt.Sprintf("server does not start (exit code %d): %s", e.ExitCode, strings.TrimSpace(e.Stderr))
}

// startTimeout bounds the time from the command to the pid file.
const startTimeout = time.Minute

// Launch says how to start a server on a root whose nginx.conf is in place.
type Launch struct {
	Binary *Binary
	Root   Root
	Dir    string   // working directory
	Env    []string // environment
	Daemon bool     // the configuration says daemon on
	Args   []string // further arguments
}

// Start runs the command and returns when the server has its pid file, which is
// written when its sockets listen.
func (l *Launch) Start() (*Process, error) {
	os.Remove(l.Root.PidFile())
	args := append([]string{"-e", l.Root.ErrorLog(), "-p", string(l.Root) + "/", "-c", l.Root.ConfFile()}, l.Args...)
	cmd := exec.Command(l.Binary.Path, args...)
	cmd.Dir, cmd.Env = l.Dir, l.Env
	// A daemon inherits the file: with a pipe, waiting for the command would be
	// waiting for the daemon.
	stderr, err := os.CreateTemp("", "server-stderr-")
	if err != nil {
		return nil, err
	}
	defer os.Remove(stderr.Name())
	defer stderr.Close()
	cmd.Stderr = stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	said := func() string {
		text, _ := os.ReadFile(stderr.Name())
		return string(text)
	}
	done := make(chan struct{})
	go func() {
		cmd.Wait()
		close(done)
	}()
	if l.Daemon {
		select {
		case <-done:
		case <-time.After(startTimeout):
			syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			<-done
		}
		if code := cmd.ProcessState.ExitCode(); code != 0 {
			return nil, &StartError{code, said()}
		}
		pid, err := l.waitPid(nil)
		if err != nil {
			return nil, fmt.Errorf("%w: %s", err, said())
		}
		return &Process{Pid: pid}, nil
	}
	if _, err := l.waitPid(done); err != nil {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-done
		return nil, &StartError{cmd.ProcessState.ExitCode(), said()}
	}
	return &Process{Pid: cmd.Process.Pid, done: done}, nil
}

// waitPid polls for the pid file until done or the time-out.
func (l *Launch) waitPid(done <-chan struct{}) (int, error) {
	pid := 0
	poll.Until(startTimeout, func() bool {
		select {
		case <-done:
			return true
		default:
		}
		var err error
		pid, err = l.Root.Pid()
		return err == nil
	})
	if pid == 0 {
		return 0, errors.New("server ended or wrote no pid file")
	}
	return pid, nil
}

// Pid reads the pid file.
func (r Root) Pid() (int, error) {
	text, err := os.ReadFile(r.PidFile())
	if err != nil {
		return 0, err
	}
	if !bytes.HasSuffix(text, []byte("\n")) {
		return 0, errors.New("pid file is not complete")
	}
	return strconv.Atoi(string(bytes.TrimSpace(text)))
}

// Signal sends a signal to the server.
func (p *Process) Signal(sig syscall.Signal) error { return syscall.Kill(p.Pid, sig) }

// Alive tells whether the process is still there. One that only waits to be
// reaped is not.
func (p *Process) Alive() bool {
	if p.done != nil {
		select {
		case <-p.done:
			return false
		default:
			return true
		}
	}
	if syscall.Kill(p.Pid, 0) == syscall.ESRCH {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.Pid))
	if err != nil {
		return false
	}
	state := stat[bytes.LastIndexByte(stat, ')')+1:]
	return !bytes.HasPrefix(bytes.TrimSpace(state), []byte("Z"))
}

// Wait waits for the end of the process, at most so long, and tells whether it
// came.
func (p *Process) Wait(limit time.Duration) bool {
	return poll.Until(limit, func() bool { return !p.Alive() })
}

// Stop asks the server to quit and, after the grace time, kills it with what it
// started. It tells whether the server went by itself.
func (p *Process) Stop(sig syscall.Signal, grace time.Duration) bool {
	p.Signal(sig)
	if p.Wait(grace) {
		return true
	}
	if pgid, err := syscall.Getpgid(p.Pid); err == nil && pgid == p.Pid {
		syscall.Kill(-p.Pid, syscall.SIGKILL)
	}
	syscall.Kill(p.Pid, syscall.SIGKILL)
	p.Wait(5 * time.Second)
	return false
}

// Descriptors counts the open file descriptors of the process, -1 when that
// cannot be told.
func (p *Process) Descriptors() int {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.Pid))
	if err != nil {
		return -1
	}
	return len(entries)
}
