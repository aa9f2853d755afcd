package app

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"moongate/internal/base/nlog"
	"moongate/internal/plane"
)

func TestChannelCarriesManyDescriptors(t *testing.T) {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]channel
	for i, fd := range pair {
		if ends[i], err = newChannel(fd); err != nil {
			t.Fatal(err)
		}
		defer ends[i].Close()
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()

	big := bytes.Repeat([]byte("x"), 1<<20)
	for _, n := range []int{0, 1, fdsPerByte, 2*fdsPerByte + 7} {
		fds := make([]int, n)
		for i := range fds {
			fds[i] = int(null.Fd())
		}
		sent := make(chan error, 1)
		go func() {
			sent <- ends[0].send(&message{Op: opReload, Load: &load{Disk: &disk{Files: map[string][]byte{"f": big}}}}, fds)
		}()
		m, got, err := ends[1].receive()
		if err != nil || <-sent != nil {
			t.Fatalf("%d descriptors: %v", n, err)
		}
		if m.Op != opReload || !bytes.Equal(m.Load.Disk.Files["f"], big) || len(got) != n {
			t.Errorf("%d descriptors: got %d, op %s", n, len(got), m.Op)
		}
		for _, fd := range got {
			if flags, _, _ := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_GETFD, 0); flags&syscall.FD_CLOEXEC == 0 {
				t.Error("a descriptor outlives exec")
			}
			syscall.Close(fd)
		}
	}
	ends[0].Close()
	if _, _, err := ends[1].receive(); err == nil {
		t.Error("no error at the end")
	}
}

func TestWorkerEnviron(t *testing.T) {
	environ := []string{"A=1", "B=2", "TZ=UTC", "AB=3"}
	for _, tt := range []struct{ directives, want string }{
		{"", "TZ=UTC"},
		{"A", "A=1 TZ=UTC"},
		{"B=x A", "B=x A=1 TZ=UTC"},
		{"TZ=CET C", "TZ=CET"},
		{"TZ AB", "TZ=UTC AB=3"},
	} {
		if got := strings.Join(workerEnviron(environ, strings.Fields(tt.directives)), " "); got != tt.want {
			t.Errorf("env %s: %q, want %q", tt.directives, got, tt.want)
		}
	}
}

// capture returns a logger and the messages written to it, with their levels.
func capture() (*nlog.Logger, *[]string) {
	var got []string
	return nlog.New(nlog.Target{Level: nlog.Notice, Writer: func(_ nlog.Level, line []byte) {
		s := string(line)
		_, msg, _ := strings.Cut(s, "#")
		_, msg, _ = strings.Cut(msg, ": ")
		level, _, _ := strings.Cut(s[20:], " ")
		got = append(got, level+" "+strings.TrimSpace(msg))
	}}), &got
}

func socket(addr string, o plane.Options, worker int) plane.Socket {
	return plane.Socket{Addr: addr, Type: syscall.SOCK_STREAM, Options: o, Worker: worker, FD: -1}
}

// TestOpenSockets goes the ways of reloads: what stays keeps its descriptor.
func TestOpenSockets(t *testing.T) {
	dir, err := os.MkdirTemp("", "mg")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	a, b := "unix:"+filepath.Join(dir, "a"), "unix:"+filepath.Join(dir, "b")
	log, got := capture()

	first, err := openSockets([]plane.Socket{socket(a, plane.Options{}, 0), socket(b, plane.Options{Backlog: 5}, 0)}, nil, false, log)
	if err != nil {
		t.Fatal(err)
	}
	second, err := openSockets([]plane.Socket{socket(b, plane.Options{Backlog: 7}, 0)}, first, false, log)
	if err != nil || second[0].FD != first[1].FD {
		t.Errorf("%v: descriptor %d became %d", err, first[1].FD, second[0].FD)
	}
	closeSockets(first, second, true, log)
	if _, err := os.Stat(filepath.Join(dir, "a")); err == nil {
		t.Error("a is still there")
	}
	if _, err := os.Stat(filepath.Join(dir, "b")); err != nil {
		t.Error("b is gone")
	}

	// A failure closes what was opened for nothing, and that only.
	_, err = openSockets([]plane.Socket{socket(a, plane.Options{}, 0), socket(b, plane.Options{}, 0), socket("unix:/nowhere/c", plane.Options{}, 0)}, second, false, log)
	if !errors.Is(err, plane.ErrLogged) {
		t.Errorf("error %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "a")); err == nil {
		t.Error("a is left behind")
	}
	if _, err := syscall.Getsockname(second[0].FD); err != nil {
		t.Error("b was closed:", err)
	}
	closeSockets(second, nil, true, log)
	want := []string{"[emerg] bind() to unix:/nowhere/c failed (2: No such file or directory)"}
	if !reflect.DeepEqual(*got, want) {
		t.Errorf("logged %q", *got)
	}
}

func TestReusePortSharesAnAddress(t *testing.T) {
	log, got := capture()
	one, err := openSockets([]plane.Socket{socket("127.0.0.1:0", plane.Options{KeepAlive: 1, KeepIdle: 9, RcvBuf: 4096}, 0)}, nil, false, log)
	if err != nil {
		t.Fatal(err)
	}
	sa, _ := syscall.Getsockname(one[0].FD)
	addr := plane.AddrOf(sa)
	one[0].Addr = addr
	o := plane.Options{ReusePort: true}
	list, err := openSockets([]plane.Socket{socket(addr, o, 0), socket(addr, o, 1), socket(addr, o, 2)}, one, false, log)
	if err != nil || list[0].FD != one[0].FD || list[1].FD == list[2].FD {
		t.Errorf("%v %v %q", err, list, *got)
	}
	if n, err := syscall.GetsockoptInt(one[0].FD, syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE); n != 9 {
		t.Errorf("TCP_KEEPIDLE %d %v", n, err)
	}
	closeSockets(list, nil, true, log)
	if len(*got) != 0 {
		t.Errorf("logged %q", *got)
	}
}

func TestInheritSockets(t *testing.T) {
	log, got := capture()
	list, err := openSockets([]plane.Socket{socket("127.0.0.1:0", plane.Options{}, 0)}, nil, false, log)
	if err != nil {
		t.Fatal(err)
	}
	defer closeSockets(list, nil, false, log)
	fd := strconv.Itoa(list[0].FD)
	for value, want := range map[string]struct {
		sockets int
		logged  string
	}{
		fd + ";":           {1, `[notice] using inherited sockets from "FD;"`},
		fd + ";" + "x;":    {1, `[notice] using inherited sockets from "FD;x;"|[emerg] invalid socket number "x;" in NGINX environment variable, ignoring the rest of the variable`},
		fd + ":" + "77777": {1, `[notice] using inherited sockets from "FD:77777"|[emerg] invalid socket number "77777" in NGINX environment variable, ignoring`},
		"9999;" + fd + ";": {1, `[notice] using inherited sockets from "9999;FD;"|[crit] getsockname() of the inherited socket #9999 failed (9: Bad file descriptor)`},
		"":                 {0, `[notice] using inherited sockets from ""`},
	} {
		*got = nil
		t.Setenv(inheritVar, value)
		p := &process{log: log}
		p.inheritSockets()
		logged := strings.NewReplacer(`"`+fd+`;`, `"FD;`, `"`+fd+`:`, `"FD:`, `;`+fd+`;`, `;FD;`).Replace(strings.Join(*got, "|"))
		if len(p.inherited) != want.sockets || logged != want.logged || !p.upgrading || os.Getenv(inheritVar) != "" {
			t.Errorf("%q: %d sockets, logged %s", value, len(p.inherited), logged)
		}
	}
}

func FuzzInheritSockets(f *testing.F) {
	f.Add("3;4;")
	f.Add("-1;x:99999999999999999999;")
	f.Fuzz(func(t *testing.T, value string) {
		if strings.IndexByte(value, 0) >= 0 {
			return
		}
		os.Setenv(inheritVar, value)
		defer os.Unsetenv(inheritVar)
		// Numbers of open descriptors would be made close-on-exec; that is all.
		(&process{log: nlog.New()}).inheritSockets()
	})
}

func TestPaths(t *testing.T) {
	for _, tt := range []struct{ prefix, errorLog, config, wantPrefix, wantLog, wantConfig string }{
		{"", "", "", "/usr/local/moongate/", "/usr/local/moongate/logs/error.log", "/usr/local/moongate/conf/nginx.conf"},
		{"/x", "e", "c", "/x/", "/x/e", "/x/c"},
		{"rel/", "/e", "/c", "rel/", "/e", "/c"},
		{".", "stderr", "", "./", "", "./conf/nginx.conf"},
	} {
		p := &process{opt: Options{Prefix: tt.prefix, ErrorLog: tt.errorLog, Config: tt.config}}
		if p.prefix() != tt.wantPrefix || p.errorLogPath() != tt.wantLog || p.configName() != tt.wantConfig {
			t.Errorf("%+v: %q %q %q", tt, p.prefix(), p.errorLogPath(), p.configName())
		}
	}
}
