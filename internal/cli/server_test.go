package cli

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain makes the test binary the server when it is called by its name, or
// when a server starts it for another part.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "moongate" || strings.HasPrefix(os.Args[0], "moongate:") {
		os.Exit(Main(fakeProgram, Commands{}, os.Args))
	}
	os.Exit(m.Run())
}

// patience is how long a condition may take to come true; nothing waits that
// long unless it fails.
const patience = time.Minute

// site is a directory with a server's files, and the server.
type testSite struct {
	*testing.T
	dir, bin string
	cmd      *exec.Cmd
	stderr   bytes.Buffer
	exited   chan struct{}
}

func newSite(t *testing.T, config string) *testSite {
	t.Helper()
	// Short: names of unix sockets have 107 bytes. Open: the workers are nobody.
	dir, err := os.MkdirTemp("", "mg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	os.Chmod(dir, 0o777)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := &testSite{T: t, dir: dir, bin: filepath.Join(dir, "moongate")}
	if err := os.Symlink(exe, s.bin); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"conf", "logs"} {
		os.Mkdir(filepath.Join(dir, d), 0o777)
		os.Chmod(filepath.Join(dir, d), 0o777)
	}
	s.write("conf/nginx.conf", config)
	return s
}

func (s *testSite) path(name string) string { return filepath.Join(s.dir, name) }

// write replaces a file; SOCK stands for the unix socket's address, DIR for
// the directory.
func (s *testSite) write(name, text string) {
	s.Helper()
	text = strings.NewReplacer("SOCK", "unix:"+s.path("s"), "DIR", s.dir).Replace(text)
	if err := os.WriteFile(s.path(name), []byte(text), 0o644); err != nil {
		s.Fatal(err)
	}
}

func (s *testSite) read(name string) string {
	b, _ := os.ReadFile(s.path(name))
	return string(b)
}

// command runs the binary to its end.
func (s *testSite) command(args ...string) (stdout, stderr string, code int) {
	s.Helper()
	c := exec.Command(s.bin, append([]string{"-p", s.dir}, args...)...)
	var out, errb bytes.Buffer
	c.Stdout, c.Stderr = &out, &errb
	err := c.Run()
	var ee *exec.ExitError
	if err != nil && !errors.As(err, &ee) {
		s.Fatal(err)
	}
	return out.String(), strings.ReplaceAll(errb.String(), s.dir, "DIR"), c.ProcessState.ExitCode()
}

// start runs the binary in the foreground until it has written its pid file.
func (s *testSite) start(args ...string) *testSite {
	s.Helper()
	s.cmd = exec.Command(s.bin, append([]string{"-p", s.dir}, args...)...)
	s.cmd.Stderr = &s.stderr
	if err := s.cmd.Start(); err != nil {
		s.Fatal(err)
	}
	s.exited = make(chan struct{})
	go func() { s.cmd.Wait(); close(s.exited) }()
	s.Cleanup(func() { s.cmd.Process.Kill(); <-s.exited })
	s.eventually("pid file", func() bool { return s.pid() != 0 })
	if s.pid() != s.cmd.Process.Pid {
		s.Errorf("pid file has %d, the process is %d", s.pid(), s.cmd.Process.Pid)
	}
	return s
}

// daemon runs the binary with daemon on.
func (s *testSite) daemon(args ...string) *testSite {
	s.Helper()
	if _, stderr, code := s.command(args...); code != 0 {
		s.Fatalf("exit code %d: %s\n%s", code, stderr, s.read("logs/error.log"))
	}
	pid := s.another(0)
	s.Cleanup(func() { syscall.Kill(-pid, syscall.SIGKILL) })
	return s
}

func (s *testSite) pid() int {
	n, _ := strconv.Atoi(strings.TrimSpace(s.read("logs/nginx.pid")))
	return n
}

// another waits until the pid file has another pid. It is looked at once each time: between two looks it may have gone, and
// pid 0 is everybody to those who send signals.
func (s *testSite) another(old int) (pid int) {
	s.Helper()
	s.eventually("another pid", func() bool { pid = s.pid(); return pid != 0 && pid != old })
	return pid
}

func (s *testSite) signal(sig syscall.Signal) {
	s.Helper()
	pid := s.another(0)
	if err := syscall.Kill(pid, sig); err != nil {
		s.Fatalf("kill %d: %v", pid, err)
	}
}

func (s *testSite) eventually(what string, cond func() bool) {
	s.Helper()
	// Another process makes it true: there is nothing to wait on but its effects.
	poll, end := time.NewTicker(time.Millisecond), time.After(patience)
	defer poll.Stop()
	for !cond() {
		select {
		case <-poll.C:
		case <-end:
			s.Fatalf("never: %s\nerror.log:\n%s\nstderr:\n%s", what, s.read("logs/error.log"), s.stderr.String())
		}
	}
}

// logged waits for a line of the error log.
func (s *testSite) logged(text string) {
	s.Helper()
	s.eventually("log "+text, func() bool { return strings.Contains(s.read("logs/error.log"), text) })
}

// ended waits for the foreground process and returns its exit code.
func (s *testSite) ended() int {
	s.Helper()
	select {
	case <-s.exited:
	case <-time.After(patience):
		s.Fatalf("does not end\n%s", s.read("logs/error.log"))
	}
	return s.cmd.ProcessState.ExitCode()
}

// conn is a client.
type conn struct {
	s *testSite
	net.Conn
	r *bufio.Reader
}

func (s *testSite) dial(name string) *conn {
	s.Helper()
	c, err := net.Dial("unix", s.path(name))
	if err != nil {
		s.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(patience))
	s.Cleanup(func() { c.Close() })
	return &conn{s, c, bufio.NewReader(c)}
}

func (c *conn) ask(word string) string {
	c.s.Helper()
	fmt.Fprintln(c, word)
	line, err := c.r.ReadString('\n')
	if err != nil {
		c.s.Fatalf("%s: %v\n%s", word, err, c.s.read("logs/error.log"))
	}
	return strings.TrimSpace(line)
}

// closed waits for the server to close the connection.
func (c *conn) closed() {
	c.s.Helper()
	if _, err := c.r.ReadByte(); err != io.EOF && !errors.Is(err, syscall.ECONNRESET) {
		c.s.Errorf("read: %v, want the end", err)
	}
}

func (s *testSite) ask(word string) string {
	s.Helper()
	c := s.dial("s")
	defer c.Close()
	return c.ask(word)
}

// noAlerts checks that the error log has no line of the levels that must not
// appear in normal life.
func (s *testSite) noAlerts() {
	s.Helper()
	for line := range strings.Lines(s.read("logs/error.log")) {
		if strings.Contains(line, "[alert]") || strings.Contains(line, "[emerg]") || strings.Contains(line, "[crit]") {
			s.Errorf("logged %s", line)
		}
	}
}
