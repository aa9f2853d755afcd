package nlog

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
)

type fakeSource struct {
	num uint64
	ctx string
}

func (s *fakeSource) LogNumber() uint64           { return s.num }
func (s *fakeSource) AppendLog(dst []byte) []byte { return append(dst, s.ctx...) }

// sink collects lines without their times.
func sink(level Level) (*Logger, *[]string) {
	var got []string
	return New(Target{Level: level, Writer: func(_ Level, line []byte) {
		got = append(got, string(line[20:]))
	}}), &got
}

func TestLineForm(t *testing.T) {
	pid := fmt.Sprintf("%d#%d: ", os.Getpid(), os.Getpid())
	src := &fakeSource{3, `, client: 127.0.0.1, server: localhost, request: "GET / HTTP/1.1"`}
	for _, tt := range []struct {
		level Level
		src   Source
		err   error
		want  string
	}{
		{Emerg, nil, nil, "[emerg] " + pid + "m\n"},
		{Error, src, syscall.ENOENT, "[error] " + pid + `*3 m (2: No such file or directory), client: 127.0.0.1, server: localhost, request: "GET / HTTP/1.1"` + "\n"},
		{Info, &fakeSource{0, ", x"}, io.ErrUnexpectedEOF, "[info] " + pid + "m (unexpected EOF), x\n"},
		{Debug, src, nil, "[debug] " + pid + "*3 m\n"},
		{Stderr, nil, nil, "[] " + pid + "m\n"},
		{Warn, nil, &os.PathError{Op: "open", Path: "/x", Err: syscall.EACCES}, "[warn] " + pid + "m (13: Permission denied)\n"},
	} {
		log, got := sink(Debug)
		log.Log(tt.level, tt.src, tt.err, "m")
		if len(*got) != 1 || (*got)[0] != tt.want {
			t.Errorf("got %q, want %q", *got, tt.want)
		}
	}
}

func TestTimeForm(t *testing.T) {
	var line string
	New(Target{Level: Info, Writer: func(_ Level, b []byte) { line = string(b) }}).Log(Info, nil, nil, "m")
	if !regexp.MustCompile(`^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[info\] \d+#\d+: m\n$`).MatchString(line) {
		t.Errorf("line %q", line)
	}
}

func TestTargetsStopAtTheirLevels(t *testing.T) {
	var got []string
	target := func(name string, l Level) Target {
		return Target{Level: l, Writer: func(Level, []byte) { got = append(got, name) }}
	}
	log := New(target("error", Error), target("http", DebugHTTP), target("warn", Warn), target("error2", Error))
	for level, want := range map[Level]string{
		Crit:  "http warn error error2",
		Warn:  "http warn",
		Debug: "http",
	} {
		got = nil
		log.Log(level, nil, nil, "m")
		if s := strings.Join(got, " "); s != want {
			t.Errorf("%v went to %q, want %q", level, s, want)
		}
	}
	if !log.Debugs(DebugHTTP) || log.Debugs(DebugCore) || log.Level() != Debug {
		t.Error("debug classes")
	}
	var none *Logger
	none.Log(Emerg, nil, nil, "m")
	if none.On(Emerg) || none.Level() != Stderr {
		t.Error("the nil logger is on")
	}
}

func TestLongLinesAreCut(t *testing.T) {
	log, got := sink(Error)
	log.Log(Error, &fakeSource{1, ", client: x"}, nil, strings.Repeat("a", 2*MaxLine))
	if n := len((*got)[0]) + 20; n != MaxLine {
		t.Errorf("line of %d bytes", n)
	}
	*got = nil
	log.Log(Error, &fakeSource{1, ", client: x"}, syscall.ENOENT, strings.Repeat("a", 2*MaxLine))
	if s := (*got)[0]; !strings.Contains(s, "a... (2: No such file or directory)") || len(s)+20 > MaxLine {
		t.Errorf("line ends in %q", s[len(s)-60:])
	}
}

func TestLogAllocatesNothing(t *testing.T) {
	f, err := OpenFile(filepath.Join(t.TempDir(), "e.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	log := New(Target{Level: Info, File: f})
	var src Source = &fakeSource{3, ", client: 127.0.0.1"}
	if n := testing.AllocsPerRun(1000, func() {
		log.Log(Info, src, syscall.ECONNRESET, "recv() failed")
		log.Log(Debug, src, nil, "dropped")
	}); n != 0 {
		t.Errorf("%v allocations per line", n)
	}
}

func TestStrerror(t *testing.T) {
	for no, want := range map[syscall.Errno]string{
		syscall.ENOENT:       "No such file or directory",
		syscall.ECONNREFUSED: "Connection refused",
		syscall.EADDRINUSE:   "Address already in use",
		syscall.ETIMEDOUT:    "Connection timed out",
		syscall.EPIPE:        "Broken pipe",
	} {
		if got := Strerror(no); got != want {
			t.Errorf("%d: %q, want %q", int(no), got, want)
		}
	}
	if got := ErrText(&os.SyscallError{Syscall: "connect", Err: syscall.ECONNREFUSED}); got != "(111: Connection refused)" {
		t.Error(got)
	}
}

func TestConsoleAndCapture(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	old := os.Stderr
	os.Stderr = w
	SetConsole(true)
	var captured string
	SetCapture(func(l Level, line []byte, msg int) { captured += l.String() + ":" + string(line[msg:]) })
	log, _ := sink(Info)
	log.Log(Emerg, &fakeSource{1, ", ctx"}, nil, "bad")
	log.Log(Notice, nil, nil, "not shown")
	SetCapture(nil)
	SetConsole(false)
	log.Log(Emerg, nil, nil, "later")
	os.Stderr = old
	w.Close()
	got, _ := io.ReadAll(r)
	if string(got) != "nginx: [emerg] bad, ctx\n" {
		t.Errorf("console %q", got)
	}
	if captured != "emerg:bad, ctx\nnotice:not shown\n" {
		t.Errorf("captured %q", captured)
	}
}

func TestReopenLosesNoLine(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "e.log")
	values := map[any]any{}
	files := FilesIn(values)
	f := files.Add(name)
	if FilesIn(values).Add(name) != f || f.FD() != -1 {
		t.Fatal("one name, two files")
	}
	if err := files.Open(nil); err != nil {
		t.Fatal(err)
	}
	defer files.Close()
	flushed := 0
	f.OnReopen(func() { flushed++ })
	log := New(Target{Level: Info, File: f})
	fd := f.FD()

	const writers, each, turns = 4, 500, 20
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for range each {
				log.Log(Info, nil, nil, "line")
			}
		})
	}
	for i := range turns {
		os.Rename(name, fmt.Sprintf("%s.%d", name, i))
		files.Reopen(-1, log)
	}
	wg.Wait()
	log.Log(Info, nil, nil, "last")

	total := 0
	all, _ := filepath.Glob(name + "*")
	for _, n := range all {
		b, _ := os.ReadFile(n)
		for line := range strings.Lines(string(b)) {
			if !strings.HasSuffix(line, ": line\n") && !strings.HasSuffix(line, ": last\n") {
				t.Fatalf("torn line %q", line)
			}
			total++
		}
	}
	if total != writers*each+1 {
		t.Errorf("%d lines, want %d", total, writers*each+1)
	}
	if b, _ := os.ReadFile(name); !strings.HasSuffix(string(b), "last\n") {
		t.Error("the last line is not in the new file")
	}
	if flushed != turns || f.FD() != fd {
		t.Errorf("flushed %d times, descriptor %d then %d", flushed, fd, f.FD())
	}
}

func TestOpenFailureClosesAll(t *testing.T) {
	dir := t.TempDir()
	files := FilesIn(map[any]any{})
	a := files.Add(filepath.Join(dir, "a"))
	files.Add(filepath.Join(dir, "no", "b"))
	err := files.Open(nil)
	if pe, ok := err.(*os.PathError); !ok || pe.Err != syscall.ENOENT || pe.Path != filepath.Join(dir, "no", "b") {
		t.Fatalf("error %v", err)
	}
	if a.FD() != -1 {
		t.Error("the first file stays open")
	}
}

func TestReopenChangesOwner(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root may give files to another account")
	}
	name := filepath.Join(t.TempDir(), "e.log")
	files := FilesIn(map[any]any{})
	files.Add(name)
	if err := files.Open(nil); err != nil {
		t.Fatal(err)
	}
	defer files.Close()
	os.Remove(name)
	files.Reopen(65534, nil)
	st, err := os.Stat(name)
	if err != nil || st.Sys().(*syscall.Stat_t).Uid != 65534 {
		t.Errorf("%v %v", st, err)
	}
}

func TestParseLevel(t *testing.T) {
	for _, name := range []string{"emerg", "alert", "crit", "error", "warn", "notice", "info", "debug"} {
		l, ok := ParseLevel(name)
		if !ok || l.String() != name {
			t.Errorf("%s: %v %v", name, l, ok)
		}
	}
	if l, ok := ParseLevel("debug_http"); !ok || l != DebugHTTP {
		t.Errorf("debug_http: %x", l)
	}
	for _, name := range []string{"", "errors", "stderr", "DEBUG"} {
		if _, ok := ParseLevel(name); ok {
			t.Errorf("%q is no level", name)
		}
	}
}

func TestSyslogErrors(t *testing.T) {
	for params, want := range map[string]string{
		"":                                  `unknown syslog parameter ""`,
		"facility=user":                     `no syslog server specified`,
		"server=127.0.0.1,server=127.0.0.1": `duplicate syslog "server"`,
		"server=127.0.0.1:99999":            `invalid port in syslog server "127.0.0.1:99999"`,
		"server=127.0.0.1,facility=x":       `unknown syslog facility "x"`,
		"server=127.0.0.1,severity=err":     `unknown syslog severity "err"`,
		"server=127.0.0.1,tag=a-b":          `syslog "tag" only allows alphanumeric characters and underscore`,
		"server=127.0.0.1,nohostnam":        `unknown syslog parameter "nohostnam"`,
		"server=127.0.0.1,tag=" + strings.Repeat("a", 33): `syslog tag length exceeds 32`,
	} {
		if _, err := ParseSyslog(params); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %q", params, err, want)
		}
	}
}

func TestSyslogSends(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	srv, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Close()
	s, err := ParseSyslog("server=unix:" + path + ",facility=user,tag=t_1,nohostname")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	New(Target{Level: Error, Writer: s.Writer()}).Log(Error, nil, nil, "hello")
	buf := make([]byte, 512)
	n, err := srv.Read(buf)
	if err != nil || !regexp.MustCompile(`^<11>\w{3} [ \d]\d \d\d:\d\d:\d\d t_1: .* \[error\] \d+#\d+: hello$`).Match(buf[:n]) {
		t.Errorf("%q %v", buf[:n], err)
	}
}

func TestSyslogFailureIsReportedOnce(t *testing.T) {
	s, err := ParseSyslog("server=unix:" + filepath.Join(t.TempDir(), "absent"))
	if err != nil {
		t.Fatal(err)
	}
	var reports []string
	s.OnFailure(func(what string, err error) {
		reports = append(reports, what+" "+ErrText(err))
		s.Send(3, []byte("comes back")) // dropped, or this would not end
	})
	s.Send(3, []byte("x"))
	if len(reports) != 1 || reports[0] != "connect() (2: No such file or directory)" {
		t.Errorf("%q", reports)
	}
}

func TestRingWraps(t *testing.T) {
	r := NewRing(40, "f", 7)
	mark := "MEMLOG 40 f:7\n"
	r.Write(Info, []byte("0123456789abcdefghij\n"))
	r.Write(Info, []byte("KLMNOPQR\n"))
	if got, want := string(r.Bytes()), mark+"PQR\n"+"456789abcdefghij\nKLMNO"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
