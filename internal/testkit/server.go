package testkit

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"moongate/internal/testkit/client"
	"moongate/internal/testkit/poll"
	"moongate/internal/testkit/report"
	"moongate/internal/testkit/server"
)

// Params say what server to start.
type Params struct {
	// Config is the whole nginx.conf. $TEST_NGINX_SERVER_PORT is a free port,
	// $TEST_NGINX_RAND_PORT_1 and so on are further ones, $TEST_NGINX_SERVER_ROOT and
	// $TEST_NGINX_HTML_DIR directories. What is missing of daemon off, pid, error_log
	// (at debug level) and events is added without moving a line.
	Config string
	Files  map[string]string // files to make, by name below the root
	Args   []string          // further arguments of the program
	Env    []string          // further environment
	Binary string            // instead of Binary(t)
}

// Server is a server that a test started. It ends with the test.
type Server struct {
	t      testing.TB
	params Params
	binary *server.Binary
	root   server.Root
	ports  server.Ports
	named  map[string]int
	proc   *server.Process
}

// patience bounds every wait for the server.
var patience = time.Minute

// New prepares a server without starting it.
func New(t testing.TB, p Params) *Server {
	t.Helper()
	if p.Binary == "" {
		p.Binary = Binary(t)
	}
	b, err := server.Probe(p.Binary)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "mgs-")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{t: t, params: p, binary: b, root: server.Root(filepath.Join(dir, "root")), named: map[string]int{}}
	t.Cleanup(func() {
		if s.Running() {
			s.proc.Stop(syscall.SIGTERM, patience)
		}
		if t.Failed() {
			t.Logf("last lines of error.log:\n%s", report.Tail(strings.SplitAfter(s.ErrorLog(), "\n"), 20))
		}
		for _, port := range s.named {
			s.ports.Put(port)
		}
		os.RemoveAll(dir)
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := s.root.Reset(); err != nil {
		t.Fatal(err)
	}
	for name, text := range p.Files {
		s.WriteFile(name, text)
	}
	s.SetConfig(p.Config)
	return s
}

// Start starts a server and returns when it serves.
func Start(t testing.TB, p Params) *Server {
	t.Helper()
	s := New(t, p)
	if err := s.Launch(); err != nil {
		t.Fatal(err)
	}
	return s
}

// Launch starts the program. The error is a *server.StartError when the program
// ended instead.
func (s *Server) Launch() error {
	if s.Running() {
		return errors.New("the server runs already")
	}
	l := &server.Launch{Binary: s.binary, Root: s.root, Dir: string(s.root), Args: s.params.Args,
		Env: append(os.Environ(), s.params.Env...)}
	p, err := l.Start()
	if err == nil {
		s.proc = p
	}
	return err
}

var (
	variable  = regexp.MustCompile(`\$TEST_NGINX_[A-Z0-9_]+`)
	hasDaemon = regexp.MustCompile(`(?m)^\s*daemon\s`)
	hasPid    = regexp.MustCompile(`(?m)^\s*pid\s`)
	hasLog    = regexp.MustCompile(`(?m)^(\s{0,3})error_log\s`)
	hasEvents = regexp.MustCompile(`(?m)^\s*events\s*\{`)
)

// SetConfig writes a new nginx.conf; Reload makes the server take it.
func (s *Server) SetConfig(text string) {
	s.t.Helper()
	text = s.Expand(text)
	front := ""
	if !hasDaemon.MatchString(text) {
		front += "daemon off; "
	}
	if !hasPid.MatchString(text) {
		front += "pid " + s.root.PidFile() + "; "
	}
	if !hasLog.MatchString(text) {
		front += "error_log " + s.root.ErrorLog() + " debug; "
	}
	if !hasEvents.MatchString(text) {
		text += "\nevents {}\n"
	}
	if err := os.WriteFile(s.root.ConfFile(), []byte(front+text), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// Expand replaces the variables that Config may have.
func (s *Server) Expand(text string) string {
	return variable.ReplaceAllStringFunc(text, func(name string) string {
		switch name = name[1:]; name {
		case "TEST_NGINX_SERVER_ROOT":
			return string(s.root)
		case "TEST_NGINX_HTML_DIR":
			return s.root.HTML()
		}
		if name == "TEST_NGINX_SERVER_PORT" || strings.HasPrefix(name, "TEST_NGINX_RAND_PORT_") {
			return strconv.Itoa(s.port(name))
		}
		if v, ok := os.LookupEnv(name); ok {
			return v
		}
		s.t.Fatalf("no value for $%s", name)
		return ""
	})
}

func (s *Server) port(name string) int {
	if s.named[name] == 0 {
		port, err := s.ports.Get()
		if err != nil {
			s.t.Fatal(err)
		}
		s.named[name] = port
	}
	return s.named[name]
}

// WriteFile makes a file below the root.
func (s *Server) WriteFile(name, text string) {
	s.t.Helper()
	path := s.Path(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// Path is the absolute name of a file below the root.
func (s *Server) Path(name string) string { return filepath.Join(string(s.root), name) }

// Addr is host:port of the main port, or of $TEST_NGINX_RAND_PORT_n.
func (s *Server) Addr(n ...int) string {
	name := "TEST_NGINX_SERVER_PORT"
	if len(n) > 0 {
		name = fmt.Sprintf("TEST_NGINX_RAND_PORT_%d", n[0])
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port(name)))
}

// URL is the address of a path on the main port.
func (s *Server) URL(path string) string { return "http://" + s.Addr() + path }

// Raw sends text as it is and returns all that comes until the server closes.
func (s *Server) Raw(text string) string {
	s.t.Helper()
	res, err := client.Send(client.Raw(text), client.Options{Addr: s.Addr(), Timeout: patience})
	if err != nil {
		s.t.Fatal(err)
	}
	if res.TimedOut {
		s.t.Fatalf("no end of the answer to %q; so far %q", text, res.Raw)
	}
	return res.Raw
}

// Do sends a request in the short form of block tests ("POST /x\nbody") with
// further header lines and returns the parsed answer.
func (s *Server) Do(request string, headers ...string) *client.Response {
	s.t.Helper()
	lines, chunked := client.ParseHeaders(strings.Join(headers, "\n"))
	tpl := client.Template{Host: "localhost", Connection: "close", Headers: lines, Chunked: chunked}
	req, err := tpl.Build([]client.Piece{{Text: request}})
	if err != nil {
		s.t.Fatal(err)
	}
	r := client.Parse(s.Raw(req.Text()), req.IsHead())
	if r.Fault != "" || r.Warning != "" {
		s.t.Errorf("answer to %q: %s%s", request, r.Fault, r.Warning)
	}
	return r
}

// Get is Do for GET.
func (s *Server) Get(path string, headers ...string) *client.Response {
	s.t.Helper()
	return s.Do("GET "+path+"\n", headers...)
}

// ErrorLog is the error log so far, AccessLog the access log.
func (s *Server) ErrorLog() string  { return read(s.root.ErrorLog()) }
func (s *Server) AccessLog() string { return read(s.root.AccessLog()) }

func read(path string) string {
	text, _ := os.ReadFile(path)
	return string(text)
}

// WaitLog waits until the error log has the text, and fails the test when it does
// not come.
func (s *Server) WaitLog(text string) {
	s.t.Helper()
	s.Wait("error.log to have "+text, func() bool { return strings.Contains(s.ErrorLog(), text) })
}

// Wait polls until cond holds, and fails the test when it does not.
func (s *Server) Wait(what string, cond func() bool) {
	s.t.Helper()
	if !poll.Until(patience, cond) {
		s.t.Fatalf("waited in vain for %s", what)
	}
}

// Pid is the process that the pid file names.
func (s *Server) Pid() int {
	s.t.Helper()
	pid, err := s.root.Pid()
	if err != nil {
		s.t.Fatal(err)
	}
	return pid
}

// Running tells whether the program runs.
func (s *Server) Running() bool { return s.proc != nil && s.proc.Alive() }

// Signal sends a signal.
func (s *Server) Signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.proc.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

// Reload makes the server take what SetConfig wrote and waits until check, which
// asks the server, says that it did.
func (s *Server) Reload(check func() bool) {
	s.t.Helper()
	s.Signal(syscall.SIGHUP)
	s.Wait("the new configuration", check)
}

// Stop sends QUIT and waits for the end.
func (s *Server) Stop() {
	s.t.Helper()
	s.End(syscall.SIGQUIT)
}

// End sends a signal and waits for the end.
func (s *Server) End(sig syscall.Signal) {
	s.t.Helper()
	s.Signal(sig)
	if !s.proc.Wait(patience) {
		s.t.Fatalf("the server did not end on signal %v", sig)
	}
}

// Descriptors counts the open file descriptors of the process in the pid file.
func (s *Server) Descriptors() int {
	s.t.Helper()
	return (&server.Process{Pid: s.Pid()}).Descriptors()
}
