package logmod

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"moongate/internal/base/nlog"
	"moongate/internal/engine"
	"moongate/internal/engine/enginetest"
	"moongate/internal/mod/corevars"
	"moongate/internal/mod/rewrite"
	"moongate/internal/testkit"
)

func set(more ...*engine.Module) *engine.Set {
	return &engine.Set{Modules: append([]*engine.Module{&corevars.Module, &rewrite.Module, &Module}, more...)}
}

const site = `
log_format hex '$arg_v|$http_none|"$http_x"';
log_format json escape=json '{"v":"$arg_v","n":"$http_none","x":"$http_x"}';
log_format none escape=none '$arg_v|$http_none|$http_x';
log_format nums '${status} $body_bytes_sent $bytes_sent $request_length $pipe $connection_requests $request_completion $msec $request_time';
log_format short '$uri' ' $' '{status}!';
access_log logs/http.log short;
server { listen 127.0.0.1:8080;
	location /combined { access_log logs/combined.log; return 200 hello; }
	location /escape { access_log logs/hex.log hex; access_log logs/json.log json; access_log logs/none.log none; return 204; }
	location /nums { access_log logs/nums.log nums; return 200 hello; }
	location /inherited { return 200 ""; }
	location /off { access_log off; return 200 ""; }
	location /if { access_log logs/if.log short if=$arg_v; return 200 ""; }
	location /both { access_log logs/a.log short; access_log logs/b.log SHORT; return 200 ""; }
	location /named { access_log logs/n-$arg_v.log short; return 200 ""; }
	location /gone { access_log logs/gone/$arg_v.log short; return 200 ""; }
	location /rootless { root /nonexistent; access_log logs/r-$arg_v.log short; return 200 ""; }
	location /cached { open_log_file_cache max=1 min_uses=2; access_log logs/c-$arg_v.log short; return 200 ""; }
	location /buffered { access_log logs/buf.log short buffer=40; return 200 ""; }
	location /squeezed { access_log logs/z.log.gz short gzip=9 buffer=1k flush=1h; return 200 ""; }
	location /inner { if ($arg_v) { access_log logs/inner.log short; } return 200 ""; }
}`

// start fixes the format with the split variable, which the language cannot have in one word.
func start(t testing.TB) *enginetest.Server {
	return enginetest.Start(t, set(), strings.Replace(site, `' $' '{status}!'`, `' $status' '!'`, 1))
}

func TestFormats(t *testing.T) {
	s := start(t)
	s.Get("/combined?a=%20", `Referer: "ref"`, "User-Agent: a\\b", "Authorization: Basic dXNlcjpwYXNz")
	s.Get("/escape?v=x", "X: q\"\\\t\x7f\xe9\x01")
	s.Get("/nums")
	for file, want := range map[string]string{
		"combined": `^127\.0\.0\.1 - user \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "GET /combined\?a=%20 HTTP/1\.1" 200 5 "\\x22ref\\x22" "a\\x5Cb"\n$`,
		"hex":      `^x\|-\|"q\\x22\\x5C\\x09\\x7F\\xE9\\x01"\n$`,
		"json":     "^" + regexp.QuoteMeta(`{"v":"x","n":"","x":"q\"\\\t`) + "\x7f\xe9" + `\\u0001"}` + "\n$",
		"none":     "^x\\|\\|q\"\\\\\t\x7f\xe9\x01\n$",
		"nums":     `^200 5 \d+ \d+ \. 1 OK \d{10}\.\d{3} 0\.\d{3}` + "\n$",
	} {
		got := s.File("logs/" + file + ".log")
		// Bytes, not characters: regular expressions see UTF-8.
		latin := func(s string) string { return strings.ReplaceAll(s, "\xe9", "<e9>") }
		if !regexp.MustCompile(latin(want)).MatchString(latin(got)) {
			t.Errorf("%s: %q does not match %s", file, got, want)
		}
	}
}

func TestPlaces(t *testing.T) {
	s := start(t)
	for _, uri := range []string{"/inherited", "/off", "/if", "/if?v=0", "/if?v=", "/if?v=1", "/both", "/named?v=1", "/named?v=2", "/gone?v=1",
		"/rootless?v=1", "/cached?v=1", "/cached?v=1", "/cached?v=2", "/cached?v=1", "/inner", "/inner?v=1",
		"/buffered1", "/buffered2", "/buffered3", "/squeezed", "/squeezed2"} {
		s.Get(uri)
	}
	for file, want := range map[string]string{
		"http": "/inherited 200!\n/inner 200!\n", "if": "/if 200!\n", "a": "/both 200!\n", "b": "/both 200!\n",
		"n-1": "/named 200!\n", "n-2": "/named 200!\n", "gone/1": "", "r-1": "",
		"c-1": "/cached 200!\n/cached 200!\n/cached 200!\n", "c-2": "/cached 200!\n",
		"inner": "/inner 200!\n", "buf": "/buffered1 200!\n/buffered2 200!\n", "z.log.gz": "",
	} {
		if !strings.Contains(file, ".") {
			file += ".log"
		}
		if got := s.File("logs/" + file); got != want {
			t.Errorf("%s: got %q, want %q", file, got, want)
		}
	}
	log := s.ErrorLog()
	for _, want := range []string{
		`logs/gone/1.log" failed (2: No such file or directory) while logging request, client: 127.0.0.1, server: , request: "GET /gone?v=1 HTTP/1.1", host: "localhost"`,
		`testing "/nonexistent" existence failed (2: No such file or directory) while logging request`,
	} {
		if !strings.Contains(log, want) {
			t.Errorf("not in the error log: %s\n%s", want, log)
		}
	}
	// Reopening writes what is buffered, to the old file, and goes on in a new one.
	old := filepath.Join(s.Dir, "logs/buf.log")
	if err := os.Rename(old, old+".1"); err != nil {
		t.Fatal(err)
	}
	nlog.FilesIn(s.Conf.Values).Reopen(-1, nil)
	if got := s.File("logs/buf.log.1"); got != "/buffered1 200!\n/buffered2 200!\n/buffered3 200!\n" {
		t.Errorf("after reopening: %q", got)
	}
	z, err := gzip.NewReader(strings.NewReader(s.File("logs/z.log.gz")))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(z); err != nil || string(got) != "/squeezed 200!\n/squeezed2 200!\n" {
		t.Errorf("compressed: %q, %v", got, err)
	}
	s.Get("/buffered-longer-than-the-whole-buffer-is")
	if got := s.File("logs/buf.log"); got != "/buffered-longer-than-the-whole-buffer-is 200!\n" {
		t.Errorf("long line: %q", got)
	}
}

func TestDefault(t *testing.T) {
	s := enginetest.Start(t, set(), "location / { return 200 x; }")
	s.Get("/somewhere")
	if got := s.File("logs/access.log"); !strings.Contains(got, `"GET /somewhere HTTP/1.1" 200 1 "-" "-"`) {
		t.Errorf("%q", got)
	}
}

func TestFlushTimer(t *testing.T) {
	s := enginetest.Start(t, set(), "location / { access_log logs/a.log combined buffer=1k flush=5ms; return 200 x; }")
	s.Get("/")
	testkit.Eventually(t, "the buffer is written", func() bool { return s.File("logs/a.log") != "" })
}

func TestSyslog(t *testing.T) {
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s := enginetest.Start(t, set(), fmt.Sprintf(`location / { access_log syslog:server=%s,facility=local3,severity=notice,tag=web,nohostname; return 200 x; }`, c.LocalAddr()))
	s.Get("/")
	b := make([]byte, 4096)
	n, _, err := c.ReadFrom(b)
	if err != nil || !regexp.MustCompile(`^<157>\w{3} [ \d]\d \d\d:\d\d:\d\d web: 127\.0\.0\.1 - - \[.*"-" "-"$`).Match(b[:n]) {
		t.Errorf("%q, %v", b[:n], err)
	}
}

func TestErrors(t *testing.T) {
	for text, want := range map[string]string{
		`log_format combined x;`:                                             `duplicate "log_format" name "combined"`,
		`log_format a x; log_format a y;`:                                    `duplicate "log_format" name "a"`,
		`log_format a escape=xml x;`:                                         `unknown log format escaping "xml"`,
		`log_format a "x $";`:                                                `invalid parameter "$"`,
		`log_format a "x $-y";`:                                              `invalid parameter "$-y"`,
		`log_format a "${b";`:                                                `the closing bracket in "b" variable is missing`,
		`log_format a $nowhere;`:                                             `unknown "nowhere" variable`,
		`log_format a $1;`:                                                   `unknown "1" variable`,
		`access_log off x;`:                                                  `invalid parameter "x"`,
		`access_log a nowhere;`:                                              `unknown log format "nowhere"`,
		`access_log a combined buffer=0;`:                                    `invalid buffer size "0"`,
		`access_log a combined flush=x;`:                                     `invalid flush time "x"`,
		`access_log a combined flush=1s;`:                                    `no buffer is defined for access_log "a"`,
		`access_log a combined gzip=10;`:                                     `invalid compression level "10"`,
		`access_log a combined gzipped;`:                                     `invalid parameter "gzipped"`,
		`access_log a$uri combined buffer=1k;`:                               `buffered logs cannot have variables in name`,
		`access_log syslog:server=127.0.0.1 combined buffer=1k;`:             `logs to syslog cannot be buffered`,
		`access_log syslog:tag=x;`:                                           `no syslog server specified`,
		`access_log a combined buffer=1k; access_log a combined buffer=2k;`:  `access_log "a" already defined with conflicting parameters`,
		`open_log_file_cache inactive=1s;`:                                   `"open_log_file_cache" must have "max" parameter`,
		`open_log_file_cache max=x;`:                                         `invalid "open_log_file_cache" parameter "max=x"`,
		`open_log_file_cache min=2;`:                                         `invalid "open_log_file_cache" parameter "min=2"`,
		`open_log_file_cache off; open_log_file_cache max=3;`:                `"open_log_file_cache" directive is duplicate`,
		`server { location / { limit_except GET { access_log a combi; } } }`: `unknown log format "combi"`,
	} {
		_, err := enginetest.Load(t, set(), text+" server { }", nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

func TestNoGarbage(t *testing.T) {
	s := enginetest.Start(t, set(), `location /plain { return 200 hello; } location /buffered { access_log logs/b.log combined buffer=8k; return 200 hello; }`)
	for _, uri := range []string{"/plain", "/buffered"} {
		if n := s.Allocs("GET " + uri + " HTTP/1.1\r\nHost: a\r\nUser-Agent: some browser\r\nReferer: http://a/b\r\n\r\n"); n >= 1 {
			t.Errorf("%s allocates %v times", uri, n)
		}
	}
}

// BenchmarkCombined is the cost of a line of the predefined format without its write.
func BenchmarkCombined(b *testing.B) {
	measure := engine.Module{Steps: []engine.Step{{Phase: engine.Log, Run: func(r *engine.Request) engine.Status {
		f := mainLevel.Of(r.H.Scope).formats[0]
		line := make([]byte, 0, 4096)
		b.ReportAllocs()
		for b.Loop() {
			line = f.append(line[:0], r)
		}
		if !bytes.HasPrefix(line, []byte("127.0.0.1 - - [")) {
			b.Errorf("%q", line)
		}
		return engine.OK
	}}}}
	s := enginetest.Start(b, set(&measure), "location / { access_log off; return 200 hello; }")
	s.Get("/some/uri?with=arguments", "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Referer: http://localhost/")
}
