package check

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"moongate/internal/testkit/client"
	"moongate/internal/testkit/perl"
	"moongate/internal/testkit/report"
	"moongate/internal/testkit/server"
)

// checker checks sections given as Perl expressions and collects the asserts.
type collector struct {
	*Checker
	asserts []report.Assert
	notes   []string
}

func newCollector(t *testing.T, sections map[string]string) *collector {
	t.Helper()
	in := perl.New(".")
	values := map[string]perl.Value{}
	for name, src := range sections {
		vals, err := in.Eval(src, name, 1)
		if err != nil {
			t.Fatal(err)
		}
		values[name] = vals[0]
	}
	c := &collector{}
	c.Checker = &Checker{
		Get: func(name string) (perl.Value, bool) {
			v, ok := values[name]
			return v, ok
		},
		Expand: func(s string) (string, error) { return strings.ReplaceAll(s, "$TEST_NGINX_X", "x"), nil },
		Out:    func(a report.Assert) { c.asserts = append(c.asserts, a) },
		Note:   func(s string) { c.notes = append(c.notes, s) },
		Filter: func(code *perl.Code, body string) (string, error) {
			vals, err := in.Call(code, body)
			return perl.String(vals[0]), err
		},
		Port: 1984,
	}
	return c
}

// verdicts is + or - for each assert, s for a skipped one.
func (c *collector) verdicts() string {
	var b strings.Builder
	for _, a := range c.asserts {
		switch {
		case a.Skip != "":
			b.WriteByte('s')
		case a.OK:
			b.WriteByte('+')
		default:
			b.WriteByte('-')
		}
	}
	return b.String()
}

func TestResponse(t *testing.T) {
	const raw = "HTTP/1.1 200 OK\r\nServer: x\r\nX-A: 1\r\nX-A: 2\r\nLocation: http://h:1984/\r\nContent-Length: 6\r\n\r\nhello\n"
	for _, c := range []struct {
		sections map[string]string
		want     string // the status assert comes first
	}{
		{nil, "+"},
		{map[string]string{"error_code": `"200\n"`}, "+"},
		{map[string]string{"error_code": `404`}, "-"},
		{map[string]string{"error_code_like": `'^(?:200|301)$'`}, "+"},
		{map[string]string{"error_code_like": `qr/^3/`}, "-"},
		{map[string]string{"response_body": `"hello\n"`}, "++"},
		{map[string]string{"response_body": `"hello"`}, "+-"},
		{map[string]string{"response_body": `qr/^h.*o$/`}, "++"},
		{map[string]string{"response_body_like": `"^hel+o\$"`}, "++"},
		{map[string]string{"response_body_like": `qr/\Ahello\z/`}, "+-"},
		{map[string]string{"response_body_unlike": `"bye"`}, "++"},
		{map[string]string{"response_body_unlike": `"ell"`}, "+-"},
		{map[string]string{"response_headers": `"Server: x\nx-a: 1, 2\n!X-B\nLocation: http://h:\$ServerPort/\n"`}, "+++++"},
		{map[string]string{"response_headers": `"Server: y\n!X-A\nX-B: 1"`}, "+---"},
		{map[string]string{"response_headers_like": `"Server: .\nX-A: 1"`}, "++-"},
		{map[string]string{"raw_response_headers_like": `"X-A: 1\r\nX-A: 2\r\n"`}, "++"},
		{map[string]string{"raw_response_headers_unlike": `"x-a"`}, "++"},
		{map[string]string{"response_body_filters": `"uc md5_hex"`, "response_body": `"00000000000000000000000000000000"`}, "+-"},
		{map[string]string{"response_body_filters": `["length"]`, "response_body": `"6"`}, "++"},
		{map[string]string{"response_body_filters": `sub { my $b = shift; chop $b; "<$b>" }`, "response_body": `"<hello>"`}, "++"},
		{map[string]string{"response_body_filters": `[["lc"]]`, "response_body": `"hello\n"`}, "++"},
		{map[string]string{"response_body_filters": `"nope"`}, "+-"},
		{map[string]string{"response_body_like": `"("`}, "+-"},
	} {
		col := newCollector(t, c.sections)
		col.Response(client.Parse(raw, false))
		if got := col.verdicts(); got != c.want {
			t.Errorf("%v: got %s, want %s: %+v", c.sections, got, c.want, col.asserts)
		}
	}
}

func TestResponseOfManyRequests(t *testing.T) {
	col := newCollector(t, map[string]string{"error_code": `[200, 404]`, "response_body": `["one", qr/two/]`})
	col.Many = true
	col.Response(client.Parse("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none", false))
	col.Request = 1
	col.Response(client.Parse("HTTP/1.1 404 No\r\nContent-Length: 3\r\n\r\ntwo", false))
	col.Request = 2
	col.Response(client.Parse("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false))
	if got := col.verdicts(); got != "++++--" {
		t.Errorf("got %s: %+v", got, col.asserts)
	}
}

func TestSkippedChecks(t *testing.T) {
	col := newCollector(t, map[string]string{"response_body": `"x"`, "error_log": `"a"`, "no_error_log": `"b"`})
	col.Skip = "the lack of something"
	col.Response(&client.Response{})
	col.ErrorLog(&server.Log{Path: "/nonexistent"}, false, LogTiming{})
	if got := col.verdicts(); got != "ssss" {
		t.Errorf("got %s: %+v", got, col.asserts)
	}
}

func TestJSONSort(t *testing.T) {
	col := newCollector(t, map[string]string{"response_body": `"{\"a\":1,\"b\":[2.50,\"<\"]}\n"`, "response_body_json_sort": `""`})
	col.Response(client.ParseHTTP09(`{"b":[2.50,"<"],"a":1}`))
	if got := col.verdicts(); got != "++" {
		t.Errorf("got %s: %+v", got, col.asserts)
	}
}

const line = "2026/01/31 12:00:00 "

func writeLog(t *testing.T, text string) *server.Log {
	t.Helper()
	path := filepath.Join(t.TempDir(), "error.log")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return &server.Log{Path: path}
}

func TestErrorLog(t *testing.T) {
	log := line + "[warn] 1#0: one\n" + line + "[error] 1#0: two of 3\n" + line + "[alert] 1#0: dog\n"
	for _, c := range []struct {
		sections map[string]string
		want     string
		notes    int
	}{
		{nil, "", 1},
		{map[string]string{"error_log": `"one\ntwo of\n"`}, "++", 1},
		{map[string]string{"error_log": `["one", qr/two \w+ \d$/, "three"]`}, "++-", 1},
		{map[string]string{"error_log": `qr/\[alert\].*dog/`}, "+", 0},
		{map[string]string{"error_log": `""`}, "", 1},
		{map[string]string{"no_error_log": `"[crit]\nnope"`}, "++", 1},
		{map[string]string{"no_error_log": `"[error]"`}, "-", 1},
		{map[string]string{"no_error_log": `"[alert]"`}, "-", 0},
		{map[string]string{"grep_error_log": `qr/(?:one|two)/`, "grep_error_log_out": `"one\ntwo\n"`}, "+", 1},
		{map[string]string{"grep_error_log": `qr/\w+$/`, "grep_error_log_out": `qr/one\n3\ndog/`}, "+", 1},
		{map[string]string{"grep_error_log": `"1#0"`, "grep_error_log_out": `["1#0\n1#0\n1#0\n", ""]`}, "+", 1},
		{map[string]string{"grep_error_log": `"one"`, "grep_error_log_out": `"two\n"`}, "-", 1},
		{map[string]string{"grep_error_log": `"one"`}, "-", 0},
		{map[string]string{"grep_error_log_out": `"one"`}, "-", 0},
	} {
		col := newCollector(t, c.sections)
		col.ErrorLog(writeLog(t, log), false, LogTiming{})
		if got := col.verdicts(); got != c.want || len(col.notes) != c.notes {
			t.Errorf("%v: got %s, want %s, notes %v: %+v", c.sections, got, c.want, col.notes, col.asserts)
		}
	}
}

// Lines that come late are waited for; the next check sees only what came after.
func TestErrorLogWaitsAndAdvances(t *testing.T) {
	log := writeLog(t, "early\n")
	f, err := os.OpenFile(log.Path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	f.WriteString("ha")
	go f.WriteString("lf\nlate\n")
	col := newCollector(t, map[string]string{"error_log": `"early\nhalf\nlate"`})
	col.ErrorLog(log, false, LogTiming{Wait: time.Minute})
	if got := col.verdicts(); got != "+++" {
		t.Fatalf("got %s: %+v", got, col.asserts)
	}
	col = newCollector(t, map[string]string{"no_error_log": `"early"`})
	col.ErrorLog(log, true, LogTiming{})
	log.Rewind()
	col.ErrorLog(log, true, LogTiming{})
	if got := col.verdicts(); got != "+-" {
		t.Errorf("got %s: %+v", got, col.asserts)
	}
}

func TestServerAssertionFails(t *testing.T) {
	col := newCollector(t, nil)
	col.ErrorLog(writeLog(t, "nginx: x.c:1: f: Assertion `a == b' failed.\n"), false, LogTiming{})
	if got := col.verdicts(); got != "-" {
		t.Errorf("got %s", got)
	}
}

func TestOtherLogs(t *testing.T) {
	log := writeLog(t, "GET /a 200\nGET /b 404\n")
	col := newCollector(t, map[string]string{"access_log": `qr{/a \d+}`, "no_access_log": `"POST\n/b"`,
		"shutdown_error_log": `"/b"`, "no_shutdown_error_log": `"/a"`})
	col.AccessLog(log.Path, LogTiming{})
	col.ShutdownLog(log)
	if got := col.verdicts(); got != "++-+-" {
		t.Errorf("got %s: %+v", got, col.asserts)
	}
	col.AccessLog("/nonexistent/access.log", LogTiming{})
	if got := col.verdicts(); got != "++-+--" {
		t.Errorf("got %s", got)
	}
}
