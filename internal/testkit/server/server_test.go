package server

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"moongate/internal/testkit/fake"
)

func TestMain(m *testing.M) {
	fake.Main()
	os.Exit(m.Run())
}

func testConf(root Root) *Conf {
	return &Conf{Root: root, Port: 1984, Workers: 1, WorkerConnections: 64, ErrorLog: root.ErrorLog(), LogLevel: "debug",
		Main: "MAIN", HTTP: "HTTP", ServerName: `it's \ me`, Preamble: "PREAMBLE", Server: "SERVER", PostMain: "POST"}
}

// Tests name lines of the file, so each section begins where it always did.
func TestConfLines(t *testing.T) {
	lines := strings.Split(testConf("/r").Text(), "\n")
	for n, want := range map[int]string{2: "daemon off;", 16: "MAIN", 18: "http {", 25: "HTTP", 27: "        listen          1984;",
		29: `        server_name     'it\'s \\ me';`, 35: "PREAMBLE", 39: "SERVER"} {
		if lines[n-1] != want {
			t.Errorf("line %d is %q, want %q", n, lines[n-1], want)
		}
	}
	c := testConf("/r")
	c.Modules, c.Env = []string{"a.so", "b.so"}, []string{"X", "Y=a b"}
	c.HTTP = "proxy_temp_path x;"
	c.NoSCGI, c.Master, c.Daemon, c.User, c.Use = true, true, true, "root", "epoll"
	text := c.Text()
	for _, want := range []string{"load_module a.so; load_module b.so; MAIN\n", "env X;\nenv 'Y=a b';\n", "daemon on;\nmaster_process on;",
		"    access_log /r/logs/access.log; client_body_temp_path /r/client_body_temp; fastcgi_temp_path /r/fastcgi_temp; uwsgi_temp_path /r/uwsgi_temp; \n",
		"    use epoll;\n", "user root;\n", "\nPOST\n", "            root /r/html;\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

func TestRoot(t *testing.T) {
	r := Root(t.TempDir() + "/root")
	if err := r.Reset(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"/html/a.txt", "/logs/nginx.pid", "/html/x.sock"} {
		if err := os.WriteFile(string(r)+name, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Clean(); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"/html/a.txt": false, "/logs/nginx.pid": true, "/html/x.sock": true, "/html/index.html": true} {
		if _, err := os.Stat(string(r) + name); (err == nil) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPorts(t *testing.T) {
	var a, b Ports
	seen := map[int]bool{}
	for range 20 {
		for _, p := range []*Ports{&a, &b} {
			port, err := p.Get()
			if err != nil || seen[port] {
				t.Fatalf("got %d again or %v", port, err)
			}
			seen[port] = true
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if Free(l.Addr().(*net.TCPAddr).Port) {
		t.Error("a port with a listener is called free")
	}
	for port := range seen {
		a.Put(port)
		b.Put(port)
	}
}

func TestLog(t *testing.T) {
	l := &Log{Path: t.TempDir() + "/log"}
	if got := l.Unread(); got != nil {
		t.Errorf("got %q", got)
	}
	write := func(text string) {
		f, err := os.OpenFile(l.Path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		f.WriteString(text)
	}
	write("a\nb\nhalf")
	if got := fmt.Sprintf("%q", l.Unread()); got != `["a\n" "b\n"]` {
		t.Error(got)
	}
	l.Advance()
	write(" done\nc\n")
	if got := fmt.Sprintf("%q", l.Unread()); got != `["half done\n" "c\n"]` {
		t.Error(got)
	}
	l.Rewind()
	if got := l.Unread(); len(got) != 4 {
		t.Errorf("got %q", got)
	}
}

func TestProcess(t *testing.T) {
	b, err := Probe(fake.Enable(t))
	if err != nil || b.Version != "1.25.3" || b.OpenSSL != "3.0.2" {
		t.Fatalf("got %+v, %v", b, err)
	}
	var ports Ports
	for _, daemon := range []bool{false, true} {
		root := Root(t.TempDir() + "/root")
		if err := root.Reset(); err != nil {
			t.Fatal(err)
		}
		c := testConf(root)
		if c.Port, err = ports.Get(); err != nil {
			t.Fatal(err)
		}
		c.Main, c.HTTP, c.Preamble, c.Server, c.PostMain, c.Daemon = "", "", "", "", "", daemon
		os.WriteFile(root.ConfFile(), []byte(c.Text()), 0o644)
		l := &Launch{Binary: b, Root: root, Dir: string(root), Env: os.Environ(), Daemon: daemon}
		p, err := l.Start()
		if err != nil {
			t.Fatalf("daemon %v: %v", daemon, err)
		}
		if Free(c.Port) || !p.Alive() || p.Descriptors() < 3 {
			t.Errorf("daemon %v: listens not, or is not alive, or has %d descriptors", daemon, p.Descriptors())
		}
		if !p.Stop(syscall.SIGQUIT, time.Minute) || p.Alive() {
			t.Errorf("daemon %v: did not quit", daemon)
		}
		c.Server = "bogus_directive;"
		os.WriteFile(root.ConfFile(), []byte(c.Text()), 0o644)
		var se *StartError
		if _, err := l.Start(); !errors.As(err, &se) || se.ExitCode != 1 || !strings.Contains(se.Stderr, "bogus_directive") {
			t.Errorf("daemon %v: %v", daemon, err)
		}
		ports.Put(c.Port)
	}
}

func TestProbeErrors(t *testing.T) {
	for _, path := range []string{"/nonexistent/nginx", "/bin/false", "/bin/true"} {
		if _, err := Probe(path); err == nil {
			t.Errorf("%s was accepted", path)
		}
	}
}
