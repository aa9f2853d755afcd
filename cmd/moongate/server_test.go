package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	testserver "moongate/internal/testkit/server"
)

// TestMain makes the test binary the server when it is called by its name, or when a server starts it for another part.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "moongate" || os.Getenv("MOONGATE_START") != "" {
		main()
	}
	os.Exit(m.Run())
}

// patience is how long a condition may take to come true; nothing waits that long unless it fails.
const patience = time.Minute

// server is the program at work in a folder of its own.
type server struct {
	*testing.T
	dir  string
	addr string
	cmd  *exec.Cmd
	out  output
	done chan struct{}
}

// output gathers what the program prints.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// prepare makes the folder; nothing runs yet. It is open to all: workers may be nobody.
func prepare(t *testing.T) *server {
	t.Helper()
	dir, err := os.MkdirTemp("", "mg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &server{T: t, dir: dir, addr: freeAddress(t)}
	for _, d := range []string{"", "conf", "logs"} {
		os.Mkdir(s.path(d), 0o777)
		os.Chmod(s.path(d), 0o777)
	}
	exe, err := os.Executable()
	if err == nil {
		err = os.Symlink(exe, s.path("moongate"))
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var ports testserver.Ports

func freeAddress(t *testing.T) string {
	t.Helper()
	port, err := ports.Get()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ports.Put(port) })
	return fmt.Sprintf("127.0.0.1:%d", port)
}

func (s *server) path(name string) string { return filepath.Join(s.dir, name) }

func (s *server) read(name string) string {
	b, _ := os.ReadFile(s.path(name))
	return string(b)
}

// configure writes the configuration; ADDR is the server's address.
func (s *server) configure(text string) {
	s.Helper()
	text = strings.ReplaceAll(text, "ADDR", s.addr)
	if err := os.WriteFile(s.path("conf/nginx.conf"), []byte(text), 0o644); err != nil {
		s.Fatal(err)
	}
}

// start runs the program until it answers.
func (s *server) start(args ...string) {
	s.Helper()
	s.cmd = exec.Command(s.path("moongate"), args...)
	s.cmd.Dir = s.dir
	s.cmd.Stdout, s.cmd.Stderr = &s.out, &s.out
	if err := s.cmd.Start(); err != nil {
		s.Fatal(err)
	}
	s.done = make(chan struct{})
	go func() { s.cmd.Wait(); close(s.done) }()
	s.Cleanup(func() {
		if s.Failed() {
			s.Logf("output: %s\nerror log: %s", s.out.String(), s.read("logs/error.log"))
		}
		s.signal(syscall.SIGTERM)
		select {
		case <-s.done:
		case <-time.After(patience):
			s.cmd.Process.Kill()
			<-s.done
		}
	})
	s.eventually("listening", func() bool {
		c, err := net.Dial("tcp", s.addr)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

func (s *server) signal(sig syscall.Signal) {
	if err := s.cmd.Process.Signal(sig); err != nil && err != os.ErrProcessDone {
		s.Error(err)
	}
}

// exitCode waits for the end.
func (s *server) exitCode() int {
	s.Helper()
	select {
	case <-s.done:
	case <-time.After(patience):
		s.Fatalf("does not end: %s%s", s.out.String(), s.read("logs/error.log"))
	}
	return s.cmd.ProcessState.ExitCode()
}

func (s *server) eventually(what string, f func() bool) {
	s.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !f(); <-tick.C {
		select {
		case <-s.done:
			if !f() {
				s.Fatalf("ended before: %s\n%s%s", what, s.out.String(), s.read("logs/error.log"))
			}
			return
		default:
		}
		if time.Now().After(end) {
			s.Fatalf("not in time: %s\n%s%s", what, s.out.String(), s.read("logs/error.log"))
		}
	}
}

// logged waits for n lines of the error log that hold text.
func (s *server) logged(text string, n int) {
	s.Helper()
	s.eventually("log "+text, func() bool { return strings.Count(s.read("logs/error.log"), text) >= n })
}

// get requests a path on a connection of its own.
func (s *server) get(path string) string {
	s.Helper()
	body, err := get(&http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}, "http://"+s.addr+path)
	if err != nil {
		s.Fatal(err)
	}
	return body
}

// get is a request whose answer must be 200.
func get(c *http.Client, url string) (string, error) {
	r, err := c.Get(url)
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err == nil && r.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", r.Status, b)
	}
	return string(b), err
}

// noAlerts checks that the error log has no line of the levels that must not appear in normal life.
func (s *server) noAlerts() {
	s.Helper()
	for line := range strings.Lines(s.read("logs/error.log")) {
		if strings.Contains(line, "[alert]") || strings.Contains(line, "[crit]") || strings.Contains(line, "panic") {
			s.Errorf("logged %s", line)
		}
	}
}

// daemon runs the program detached, until the end of the test, and returns the process that it leaves.
func (s *server) daemon() int {
	s.Helper()
	out, err := exec.Command(s.path("moongate"), "-p", s.dir).CombinedOutput()
	if err != nil {
		s.Fatalf("%v: %s", err, out)
	}
	s.done = make(chan struct{})
	pid := s.another(0)
	s.Cleanup(func() {
		if !gone(pid) {
			syscall.Kill(pid, syscall.SIGKILL)
		}
	})
	return pid
}

// pid is what the pid file says.
func (s *server) pid() int {
	pid, _ := strconv.Atoi(strings.TrimSpace(s.read("logs/nginx.pid")))
	return pid
}

// another waits until the pid file has another pid. It is looked at once each time: between two looks it may have gone, and
// pid 0 is everybody to those who send signals.
func (s *server) another(old int) (pid int) {
	s.Helper()
	s.eventually("another pid", func() bool { pid = s.pid(); return pid != 0 && pid != old })
	return pid
}

// gone reports whether a process has ended, though nobody may have asked for its exit code.
func gone(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(stat), ") ")
	return err != nil || strings.HasPrefix(rest, "Z")
}
