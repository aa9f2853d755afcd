// Package enginetest runs an engine of given modules inside a test: configuration text in, a serving data plane with
// one worker (or worker_processes) on loopback ports out, and a client that speaks raw bytes.
//
// It knows no feature: the test says which modules and filters there are. Tests of one feature take it and what else
// they need; tests of everything take modules.Set().
package enginetest

import (
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"moongate/internal/base/nlog"
	"moongate/internal/conf"
	"moongate/internal/edge/h1"
	"moongate/internal/edge/h3"
	"moongate/internal/engine"
	"moongate/internal/errlog"
	"moongate/internal/mod/core"
	"moongate/internal/plane"
)

// Server is a data plane that serves until the test ends.
type Server struct {
	Dir   string // the prefix: relative names of the configuration start here
	Plane *engine.Plane
	Conf  *conf.Config
	addrs map[string]string
	fds   map[string]int // by real address
	first string
	set   *engine.Set
	files *nlog.Files
	t     testing.TB
}

// address finds the addresses that a configuration text listens on or names: 127.0.0.1:80NN.
var address = regexp.MustCompile(`127\.0\.0\.1:80\d\d\b`)

// Wrap completes a text without http block: with one around it when it has servers, else with http and server.
func Wrap(text string) string {
	switch {
	case strings.Contains(text, "http {"):
		return text
	case strings.Contains(text, "server {"):
		return "events { }\nhttp {\n" + text + "\n}\n"
	}
	return "events { }\nhttp { server { listen 127.0.0.1:8080; server_name localhost;\n" + text + "\n} }\n"
}

// Load reads a configuration (see Wrap) as the process would, in a folder of its own. Warnings go to warn, which may
// be nil.
func Load(t testing.TB, set *engine.Set, text string, warn *[]string) (*conf.Config, error) {
	t.Helper()
	loading.Lock()
	defer loading.Unlock()
	return load(t.TempDir(), set, Wrap(text), warn)
}

// LoadIn is Load with a prefix that the test has put files into.
func LoadIn(t testing.TB, dir string, set *engine.Set, text string, warn *[]string) (*conf.Config, error) {
	t.Helper()
	loading.Lock()
	defer loading.Unlock()
	return load(dir, set, Wrap(text), warn)
}

// loading is held while a configuration is read: a process reads one at a time, tests that run in parallel are several.
var loading sync.Mutex

func load(dir string, set *engine.Set, text string, warn *[]string) (*conf.Config, error) {
	mods := append([]*conf.Module{&core.Module, &core.Events, &errlog.Module}, set.ConfModules()...)
	for _, d := range []string{"logs", "html"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return nil, err
		}
	}
	return conf.Load(conf.Options{Modules: mods, Prefix: dir, Path: "nginx.conf", Text: text,
		Log: func(level, msg string) {
			if warn != nil {
				*warn = append(*warn, "["+level+"] "+msg)
			}
		}})
}

// Start serves a configuration (see Wrap). Each address 127.0.0.1:80NN of the text becomes a free port of its own,
// which Addr tells.
func Start(t testing.TB, set *engine.Set, text string) *Server {
	t.Helper()
	s := &Server{Dir: t.TempDir(), addrs: map[string]string{}, t: t}
	return s.start(set, Wrap(text))
}

// StartIn is Start with a prefix that the test has put files into.
func StartIn(t testing.TB, dir string, set *engine.Set, text string) *Server {
	t.Helper()
	s := &Server{Dir: dir, addrs: map[string]string{}, t: t}
	return s.start(set, Wrap(text))
}

func (s *Server) start(set *engine.Set, text string) *Server {
	t := s.t
	t.Helper()
	s.set, s.fds = set, map[string]int{}
	p, err := s.plane(text)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	s.Plane = p
	t.Cleanup(func() {
		p.Stop()
		for _, fd := range s.fds {
			syscall.Close(fd)
		}
		s.files.Close()
	})
	return s
}

// plane makes what serves a configuration text.
func (s *Server) plane(text string) (*engine.Plane, error) {
	loading.Lock()
	defer loading.Unlock()
	pp, files, err := s.params(text)
	if err != nil {
		return nil, err
	}
	for _, real := range s.addrs { // an address that nobody listens on refuses connections
		if !slices.ContainsFunc(pp.Sockets, func(k plane.Socket) bool { return k.Addr == real }) {
			for _, name := range []string{real, datagrams + real} {
				if fd, ok := s.fds[name]; ok {
					syscall.Close(fd)
					delete(s.fds, name)
				}
			}
		}
	}
	s.files = files
	p := &engine.Plane{NewConn: h1.Accept, Datagrams: h3.Serve()}
	return p, p.Init(pp)
}

// params loads a configuration text and opens what it needs.
func (s *Server) params(text string) (*plane.Params, *nlog.Files, error) {
	text = address.ReplaceAllStringFunc(text, func(a string) string {
		if s.addrs[a] == "" {
			real := s.listen(strings.Contains(text, "quic"))
			s.addrs[a] = real
			if s.first == "" {
				s.first = real
			}
		}
		return s.addrs[a]
	})
	cfg, err := load(s.Dir, s.set, text, nil)
	if err != nil {
		return nil, nil, err
	}
	errlog.Default(cfg, filepath.Join(s.Dir, "logs/error.log"))
	files := nlog.FilesIn(cfg.Values)
	if err := files.Open(nil); err != nil {
		return nil, nil, err
	}
	if err := plane.PathsIn(cfg.Values).Make(-1); err != nil {
		return nil, nil, err
	}
	socks := new(engine.Plane).Sockets(cfg)
	for i := range socks {
		fd, ok := s.fds[socks[i].Addr]
		if !ok {
			return nil, nil, fmt.Errorf("listening on %s: tests listen on 127.0.0.1:80NN", socks[i].Addr)
		}
		socks[i].FD = fd
		if socks[i].Type == syscall.SOCK_DGRAM {
			if socks[i].FD, ok = s.fds[datagrams+socks[i].Addr]; !ok {
				return nil, nil, fmt.Errorf("listening on %s: tests with QUIC have it from the start", socks[i].Addr)
			}
		}
	}
	s.Conf = cfg
	return &plane.Params{Config: cfg, Sockets: socks, Workers: core.Workers(cfg), Connections: 512, Log: errlog.Process(cfg), UID: -1, GID: -1}, files, nil
}

// Reload makes the server serve another configuration (see Wrap), which listens on no address that was not known from the
// start. The error is that of the configuration; the old one goes on then.
func (s *Server) Reload(text string) error {
	s.t.Helper()
	loading.Lock()
	defer loading.Unlock()
	pp, files, err := s.params(Wrap(text))
	if err != nil {
		return err
	}
	old := s.files
	if err := s.Plane.Reload(pp, old.Close); err != nil {
		files.Close()
		return err
	}
	s.files = files
	return nil
}

// datagrams stands before an address in Server.fds where the socket is not one of TCP.
const datagrams = "udp "

// listen takes a free port, for datagrams too when both is said, and gives its address.
func (s *Server) listen(both bool) string {
	s.t.Helper()
	for {
		fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
		if err != nil {
			s.t.Fatal(err)
		}
		sa, err := bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
		if err == nil {
			err = syscall.Listen(fd, 128)
		}
		if err != nil {
			syscall.Close(fd)
			s.t.Fatal(err)
		}
		real := plane.AddrOf(sa)
		if both {
			udp, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
			if err == nil {
				if _, err = bind(udp, sa); err != nil {
					syscall.Close(udp)
				}
			}
			if err != nil {
				syscall.Close(fd)
				if err == syscall.EADDRINUSE { // somebody has the port for datagrams: another one
					continue
				}
				s.t.Fatal(err)
			}
			s.fds[datagrams+real] = udp
		}
		s.fds[real] = fd
		return real
	}
}

// bind gives a socket an address and tells which it has got.
func bind(fd int, sa syscall.Sockaddr) (syscall.Sockaddr, error) {
	if err := syscall.Bind(fd, sa); err != nil {
		return nil, err
	}
	return syscall.Getsockname(fd)
}

// Addr tells the real address of one of the text ("127.0.0.1:8081"); "" is the first.
func (s *Server) Addr(name string) string {
	if name == "" {
		return s.first
	}
	return s.addrs[name]
}

// patience bounds waiting for a server that hangs.
const patience = time.Minute

// Dial opens a connection to the first address.
func (s *Server) Dial() net.Conn {
	s.t.Helper()
	c, err := net.Dial("tcp", s.first)
	if err != nil {
		s.t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(patience))
	s.t.Cleanup(func() { c.Close() })
	return c
}

// Raw sends bytes to the first address on a connection of its own and returns all that comes back until the server
// closes.
func (s *Server) Raw(data string) string {
	s.t.Helper()
	c := s.Dial()
	defer c.Close()
	if _, err := io.WriteString(c, data); err != nil {
		s.t.Fatal(err)
	}
	b, err := io.ReadAll(c)
	if err != nil {
		s.t.Errorf("%q: %v", data, err)
	}
	return string(b)
}

// Get requests a URI with HTTP/1.1 and "Connection: close" and returns the whole response. Header lines are given
// without their line ends; a Host line takes the place of "Host: localhost".
func (s *Server) Get(uri string, lines ...string) string {
	s.t.Helper()
	return s.Request("GET", uri, "", lines...)
}

// Request is Get with a method and a body.
func (s *Server) Request(method, uri, body string, lines ...string) string {
	s.t.Helper()
	head := method + " " + uri + " HTTP/1.1\r\nConnection: close\r\n"
	host := false
	for _, l := range lines {
		head += l + "\r\n"
		host = host || strings.HasPrefix(l, "Host:")
	}
	if !host {
		head += "Host: localhost\r\n"
	}
	return s.Raw(head + "\r\n" + body)
}

// Allocs counts the allocations, of the whole process, that one more request costs on a kept-alive connection. The
// response must have a Content-Length or chunks, and always the same size.
func (s *Server) Allocs(request string) float64 {
	s.t.Helper()
	c := s.Dial()
	defer c.Close()
	req := []byte(request)
	buf := make([]byte, 64<<10)
	if _, err := c.Write(req); err != nil {
		s.t.Fatal(err)
	}
	got := ""
	for !complete(got) {
		n, err := c.Read(buf)
		if err != nil {
			s.t.Fatalf("%v after %q", err, got)
		}
		got += string(buf[:n])
	}
	size := len(got)
	least := math.Inf(1)
	for range 5 { // on a busy machine the server is idle between requests, and begins anew
		least = min(least, testing.AllocsPerRun(200, func() {
			c.Write(req)
			for n := 0; n < size; {
				m, err := c.Read(buf)
				if err != nil {
					s.t.Fatal(err)
				}
				n += m
			}
		}))
		if least < 1 {
			break
		}
		c.SetDeadline(time.Now().Add(patience))
	}
	return least
}

// complete reports whether a response is there as far as its Content-Length says.
func complete(response string) bool {
	head, body, ok := strings.Cut(response, "\r\n\r\n")
	if st := Status(head); ok && (strings.HasPrefix(st, "204 ") || strings.HasPrefix(st, "304 ")) {
		return true
	}
	if strings.Contains(head, "Transfer-Encoding: chunked") {
		return strings.HasSuffix(response, "\r\n0\r\n\r\n")
	}
	n, err := strconv.Atoi(Header(head+"\r\n\r\n", "Content-Length"))
	return ok && err == nil && len(body) >= n
}

// Do runs f in the worker and waits for it; all that the worker had begun before without waiting is done then.
func (s *Server) Do(f func(w *engine.Worker)) { s.Plane.Do(f) }

// File reads a file below the prefix, "" when it does not exist.
func (s *Server) File(name string) string {
	b, err := os.ReadFile(filepath.Join(s.Dir, name))
	if err != nil && !os.IsNotExist(err) {
		s.t.Error(err)
	}
	return string(b)
}

// ErrorLog is what the error log (of a text without error_log) has so far.
func (s *Server) ErrorLog() string { return s.File("logs/error.log") }

// Status is the status line of a response without "HTTP/1.1 ".
func Status(response string) string {
	line, _, _ := strings.Cut(response, "\r\n")
	return strings.TrimPrefix(line, "HTTP/1.1 ")
}

// Header is the value of the first header line of that name, in the spelling it was sent with.
func Header(response, name string) string {
	head, _, _ := strings.Cut(response, "\r\n\r\n")
	for l := range strings.SplitSeq(head, "\r\n") {
		if v, ok := strings.CutPrefix(l, name+": "); ok {
			return v
		}
	}
	return ""
}

// Body is what follows the head, as sent.
func Body(response string) string {
	_, body, _ := strings.Cut(response, "\r\n\r\n")
	return body
}
