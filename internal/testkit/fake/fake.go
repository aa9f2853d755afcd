// Package fake is a toy server program with the command line, the files and the
// signals that the test kit relies on, for the kit's own tests. A test binary
// becomes the program when its TestMain calls Main:
//
//	func TestMain(m *testing.M) {
//		fake.Main()
//		os.Exit(m.Run())
//	}
//
// and the test calls Enable. The toy reads its configuration as lines:
// `location = /path { return STATUS "text"; }` answers, `log PATH LEVEL TEXT;`
// writes a line to error.log when PATH is asked for, `bogus_directive` is unknown.
package fake

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"moongate/internal/testkit/poll"
)

const (
	enabled  = "TESTKIT_FAKE_SERVER"
	detached = "TESTKIT_FAKE_DETACHED"
)

const startLimit = time.Minute

// Enable makes the test binary the toy for the processes that the test starts,
// and returns its path.
func Enable(t *testing.T) string {
	t.Helper()
	t.Setenv(enabled, "1")
	t.Setenv("GORACE", "atexit_sleep_ms=0") // else each toy built with -race takes a second to end
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return self
}

// Main turns this process into the toy and does not return, when it was started
// as such.
func Main() {
	if os.Getenv(enabled) == "" {
		return
	}
	for _, a := range os.Args[1:] {
		if strings.HasPrefix(a, "-test.") {
			return // the test itself, started below a test that enabled the toy
		}
	}
	os.Exit(run(os.Args[1:]))
}

type toy struct {
	prefix, conf, errorLog string
	port                   int
	pid, access            string
	daemon                 bool

	mu      sync.Mutex
	answers map[string]answer
	logs    map[string][]string
	version string
}

type answer struct {
	status int
	text   string
}

func run(args []string) int {
	s := &toy{}
	for i := 0; i < len(args); i++ {
		value := func() string {
			i++
			return args[i]
		}
		switch args[i] {
		case "-V":
			fmt.Fprintln(os.Stderr, "nginx version: nginx/1.25.3\nbuilt with OpenSSL 3.0.2 15 Mar 2022\nconfigure arguments: --without-http_scgi_module")
			return 0
		case "-e":
			s.errorLog = value()
		case "-p":
			s.prefix = value()
		case "-c":
			s.conf = value()
		}
	}
	if err := s.load(); err != nil {
		s.log("emerg", err.Error())
		fmt.Fprintf(os.Stderr, "nginx: [emerg] %v\n", err)
		return 1
	}
	if s.daemon && os.Getenv(detached) == "" {
		return s.detach()
	}
	return s.serve()
}

// detach starts the server in a session of its own and waits until it listens.
func (s *toy) detach() int {
	cmd := exec.Command(os.Args[0], os.Args[1:]...)
	cmd.Env = append(os.Environ(), detached+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if cmd.Start() != nil {
		return 1
	}
	if !poll.Until(startLimit, func() bool { _, err := os.Stat(s.pid); return err == nil }) {
		return 1
	}
	return 0
}

var (
	listenLine   = regexp.MustCompile(`(?m)^\s*listen\s+(\d+)`)
	pidLine      = regexp.MustCompile(`(?m)(?:^|; )\s*pid\s+([^;]+);`)
	accessLine   = regexp.MustCompile(`access_log\s+([^; ]+)`)
	locationLine = regexp.MustCompile(`location\s+=\s+(\S+)\s+\{\s*return\s+(\d+)\s+"((?:[^"\\]|\\.)*)";`)
	logLine      = regexp.MustCompile(`(?m)^\s*log\s+(\S+)\s+(\w+)\s+([^;]*);`)
	versionLine  = regexp.MustCompile(`return 200 '([^']*)'`)
)

func (s *toy) load() error {
	text, err := os.ReadFile(s.conf)
	if err != nil {
		return err
	}
	conf := string(text)
	if i := strings.Index(conf, "bogus_directive"); i >= 0 {
		return fmt.Errorf("unknown directive \"bogus_directive\" in %s:%d", s.conf, strings.Count(conf[:i], "\n")+1)
	}
	first := func(re *regexp.Regexp) string {
		if m := re.FindStringSubmatch(conf); m != nil {
			return m[1]
		}
		return ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.port, _ = strconv.Atoi(first(listenLine))
	s.pid, s.access, s.version = first(pidLine), first(accessLine), first(versionLine)
	s.daemon = strings.Contains(conf, "daemon on;")
	s.answers, s.logs = map[string]answer{}, map[string][]string{}
	for _, m := range locationLine.FindAllStringSubmatch(conf, -1) {
		status, _ := strconv.Atoi(m[2])
		body, err := strconv.Unquote(`"` + m[3] + `"`)
		if err != nil {
			return err
		}
		s.answers[m[1]] = answer{status, body}
	}
	for _, m := range logLine.FindAllStringSubmatch(conf, -1) {
		s.logs[m[1]] = append(s.logs[m[1]], m[2]+" "+m[3])
	}
	return nil
}

func (s *toy) append(path, line string) {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return
	}
	defer f.Close()
	io.WriteString(f, line+"\n")
}

func (s *toy) log(level, text string) {
	s.append(s.errorLog, fmt.Sprintf("2026/01/31 12:00:00 [%s] %d#0: %s", level, os.Getpid(), text))
}

func (s *toy) serve() int {
	l, err := net.Listen("tcp", fmt.Sprintf(":%d", s.port))
	if err != nil {
		s.log("emerg", err.Error())
		return 1
	}
	s.append(s.errorLog, "starting")
	if os.MkdirAll(filepath.Dir(s.pid), 0o755) != nil || os.WriteFile(s.pid, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o644) != nil {
		return 1
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR1)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go s.connection(c)
		}
	}()
	for sig := range signals {
		switch sig {
		case syscall.SIGHUP:
			if err := s.load(); err != nil {
				s.log("emerg", err.Error())
			}
		case syscall.SIGUSR1:
			s.append(s.errorLog, "reopening logs")
		default:
			s.append(s.errorLog, "gracefully shutting down")
			os.Remove(s.pid)
			return 0
		}
	}
	return 0
}

func (s *toy) connection(c net.Conn) {
	defer c.Close()
	r := bufio.NewReader(c)
	for {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		body, _ := io.ReadAll(req.Body)
		s.answer(c, req, string(body))
		if req.Close {
			return
		}
	}
}

// answer writes the log lines before the response, as a server does whose client
// reads the log when it has the response.
func (s *toy) answer(w io.Writer, req *http.Request, body string) {
	s.mu.Lock()
	a, ok := s.answers[req.URL.Path]
	lines, version := s.logs[req.URL.Path], s.version
	s.mu.Unlock()
	switch {
	case req.Host == "Test-Nginx":
		a, ok = answer{200, version}, true
	case req.URL.Path == "/echo":
		a, ok = answer{200, req.Method + " " + req.Header.Get("X-In") + " " + body + "\n"}, true
	}
	if !ok {
		a = answer{404, "not found\n"}
	}
	for _, l := range lines {
		level, text, _ := strings.Cut(l, " ")
		s.log(level, text)
	}
	s.append(s.access, fmt.Sprintf("%s %s %d", req.Method, req.URL.Path, a.status))
	head := fmt.Sprintf("HTTP/1.1 %d Status\r\nServer: fake\r\nX-Port: %d\r\n", a.status, s.port)
	if req.URL.Query().Has("chunked") {
		fmt.Fprintf(w, "%sTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", head, len(a.text), a.text)
		return
	}
	fmt.Fprintf(w, "%sContent-Length: %d\r\n\r\n%s", head, len(a.text), a.text)
}
