package runner

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"moongate/internal/testkit/check"
	"moongate/internal/testkit/fake"
	"moongate/internal/testkit/pattern"
	"moongate/internal/testkit/report"
)

func TestMain(m *testing.M) {
	fake.Main()
	os.Exit(m.Run())
}

func newRunner(t *testing.T, o Options) *Runner {
	t.Helper()
	o.Binary = fake.Enable(t)
	o.TempDir = t.TempDir()
	if o.Log.Wait == 0 {
		o.Log = check.LogTiming{Wait: time.Minute, Quiet: time.Millisecond}
	}
	o.Timeout = time.Minute
	r, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// render is a file's result as text: verdicts and reasons.
func render(f *report.File) string {
	var b strings.Builder
	if f.Err != nil {
		fmt.Fprintf(&b, "error: %v\n", f.Err)
	}
	for _, bl := range f.Blocks {
		fmt.Fprintf(&b, "%s %s %s\n", bl.Status(), bl.Name, bl.Skip)
		for _, a := range bl.Asserts {
			if !a.OK && a.Skip == "" {
				fmt.Fprintf(&b, "    not ok %s\n%s\n", a.Name, a.Diag)
			}
		}
	}
	return b.String()
}

func TestExample(t *testing.T) {
	for _, foreground := range []bool{false, true} {
		f := newRunner(t, Options{Foreground: foreground, Strict: true}).RunFile("testdata/example.t", nil)
		var totals report.Totals
		totals.Add(f)
		if s := totals.String(); s != "12 passed, 0 failed, 3 skipped" {
			t.Errorf("foreground %v: %s\n%s", foreground, s, render(f))
		}
	}
}

// run runs a text as a test file.
func run(t *testing.T, o Options, text string) *report.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.t")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return newRunner(t, o).RunFile(path, nil)
}

// Each block fails in one way, and says so.
func TestFailures(t *testing.T) {
	const conf = "--- config\n    location = /t { return 200 \"got\\n\"; }\n    log /t error oops;\n"
	for _, c := range []struct{ name, sections, want string }{
		{"status", conf + "--- request\nGET /t\n--- error_code: 404\n", `expected: "404"`},
		{"body", conf + "--- request\nGET /t\n--- response_body\nwant\n", "expected: \"want\\n\"\n     got: \"got\\n\""},
		{"body like", conf + "--- request\nGET /t\n--- response_body_like: want\n", "does not match"},
		{"body unlike", conf + "--- request\nGET /t\n--- response_body_unlike: g.t\n", "matches\n"},
		{"header", conf + "--- request\nGET /t\n--- response_headers\nServer: other\n", `expected: "other"`},
		{"header present", conf + "--- request\nGET /t\n--- response_headers\n!Server\n", "header Server not present"},
		{"unwanted line", conf + "--- request\nGET /t\n--- no_error_log\n[error]\n", "matches line: 2026/01/31"},
		{"missing line", conf + "--- request\nGET /t\n--- error_log\nno such line\n", "[error]"},
		{"grep", conf + "--- request\nGET /t\n--- grep_error_log: oops\n--- grep_error_log_out\ntwice\n", `expected: "twice\n"`},
		{"access", conf + "--- request\nGET /t\n--- no_access_log\nGET\n", "access.log"},
		{"lists", conf + "--- request eval\n[\"GET /t\", \"GET /t\"]\n--- response_body\ngot\n", "must be a list"},
		{"no request", conf, "no request section"},
		{"bad request", conf + "--- request\na b c d\n", "bad request line"},
		{"unknown directive", "--- config\n bogus_directive;\n--- request\nGET /t\n", "unknown directive"},
		{"must die", conf + "--- must_die\n", "the server started"},
		{"exit code", "--- config\n bogus_directive;\n--- must_die: 3\n", `expected: "3"`},
		{"variable", "--- config\n $TEST_NGINX_NO_SUCH_VALUE;\n--- request\nGET /t\n", "no environment TEST_NGINX_NO_SUCH_VALUE"},
		{"filter", conf + "--- request\nGET /t\n--- response_body_filters: frob\n", "unknown filter"},
		{"broken code", conf + "--- request eval\n\"GET /t\" .\n", "syntax error"},
		{"misspelt", conf + "--- request\nGET /t\n--- respnse_body\nx\n", "unknown section \"respnse_body\": did you mean \"response_body\"?"},
		{"shutdown log", conf + "--- request\nGET /t\n--- shutdown_error_log\nno such line\n", "at shutdown"},
		{"no config", "--- request\nGET /t\n", "no config section"},
	} {
		f := run(t, Options{Strict: true, Log: check.LogTiming{Wait: time.Millisecond, Quiet: time.Millisecond}}, "=== TEST 1: "+c.name+"\n"+c.sections)
		if got := render(f); f.Err != nil || len(f.Blocks) != 1 || f.Blocks[0].Status() != report.Fail || !strings.Contains(got, c.want) {
			t.Errorf("%s: got\n%s\nwant %q", c.name, got, c.want)
		}
	}
}

func TestMisspeltSectionIsNoted(t *testing.T) {
	f := run(t, Options{}, "=== a\n--- config\n    location = /t { return 200 \"one\"; }\n--- request\nGET /t\n--- respnse_body: two\n--- my_own_section: x\n")
	if len(f.Blocks) != 1 || f.Blocks[0].Status() != report.Pass || len(f.Blocks[0].Notes) != 1 ||
		!strings.HasSuffix(f.Blocks[0].Notes[0], `unknown section "respnse_body": did you mean "response_body"?`) {
		t.Errorf("%s%q", render(f), f.Blocks[0].Notes)
	}
}

func TestMissingDirectiveSkips(t *testing.T) {
	f := run(t, Options{SkipMissing: true}, "=== a\n--- config\nbogus_directive;\n--- request\nGET /\n")
	if got := render(f); got != "skip a the lack of directive bogus_directive\n" {
		t.Error(got)
	}
}

func TestBlockWithoutConfigSharesTheServer(t *testing.T) {
	f := run(t, Options{}, `=== a
--- config
    location = /t { return 200 "one"; }
--- request
GET /t
--- response_body: one
=== b
--- request
GET /t
--- response_body: one
--- shutdown_error_log
shutting down
`)
	if got := render(f); got != "pass a \npass b \n" {
		t.Error(got)
	}
}

func TestReloads(t *testing.T) {
	f := run(t, Options{}, `use Test::Nginx::Socket 'no_plan';
use_hup();
run_tests();
__DATA__
=== a
--- config
    location = /t { return 200 "one"; }
--- request
GET /t
--- response_body: one
=== b
--- config
    location = /t { return 200 "two"; }
--- request
GET /t
--- response_body: two
--- no_error_log
starting
=== c
--- config
    bogus_directive;
--- reload_fails
--- request
GET /t
--- response_body: two
`)
	if got := render(f); got != "pass a \npass b \npass c \n" {
		t.Error(got)
	}
}

func TestSelection(t *testing.T) {
	const text = "=== TEST 1: first\n--- config\n location = /t { return 200 \"\"; }\n--- request\nGET /t\n" +
		"=== TEST 3: third\n--- config\n location = /t { return 200 \"\"; }\n--- request\nGET /t\n"
	for want, o := range map[string]Options{
		"pass TEST 3: third \n": {OnlyNumber: 3},
		"pass TEST 1: first \n": {OnlyName: pattern.MustCompile("fir", "")},
	} {
		if got := render(run(t, o, text)); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestFilesThatCannotRun(t *testing.T) {
	for text, want := range map[string]string{
		"no blocks": "no test blocks",
		"frobnicate(;\n__DATA__\n=== a\n--- x: 1\n":   "prelude: syntax error",
		"die 'on purpose';\n__DATA__\n=== a\n--- x\n": "on purpose",
	} {
		if f := run(t, Options{}, text); f.Err == nil || !strings.Contains(f.Err.Error(), want) {
			t.Errorf("%q: %v", text, f.Err)
		}
	}
	f := run(t, Options{}, "plan(skip_all => 'not here');\ndie;\n__DATA__\n=== a\n--- x\n")
	if f.Err != nil || f.Skip != "not here" {
		t.Errorf("got %v, %q", f.Err, f.Skip)
	}
}

func TestMockServers(t *testing.T) {
	// The toy connects nowhere, so the mocks are asked by the block's own request.
	f := run(t, Options{}, `=== tcp
--- config
    location = /t { return 200 "x"; }
--- server_addr_for_client: 127.0.0.1
--- tcp_listen: $TEST_NGINX_RAND_PORT_1
--- tcp_reply eval
["a", "b"]
--- tcp_query_len: 0
--- udp_listen: $TEST_NGINX_RAND_PORT_2
--- udp_reply: z
--- request
GET /t
`)
	if got := render(f); got != "pass tcp \n" {
		t.Error(got)
	}
}

func TestRunInParallel(t *testing.T) {
	r := newRunner(t, Options{})
	seen := 0
	r.Run([]string{"testdata/example.t", "testdata/example.t", "testdata/example.t"}, 3, func(f *report.File) {
		var totals report.Totals
		totals.Add(f)
		if totals.Failed > 0 {
			t.Error(render(f))
		}
		seen++
	})
	if seen != 3 {
		t.Errorf("%d results", seen)
	}
}

func TestCompareVersions(t *testing.T) {
	for _, c := range []struct {
		have, op, want string
		ok             bool
	}{
		{"1.25.3", ">=", "1.25.3", true}, {"1.9.10", "<", "1.10.0", true}, {"3.0.2", "<", "1.1.1k", false},
		{"1.1.1a", "<", "1.1.1k", true}, {"1.1.1", "<=", "1.1.1a", true}, {"1.2.3", ">", "1.2.3", false},
	} {
		if compare(c.have, c.op, c.want) != c.ok {
			t.Errorf("%s %s %s is not %v", c.have, c.op, c.want, c.ok)
		}
	}
}

func TestTouchTime(t *testing.T) {
	for s, want := range map[string]string{"202601311259.30": "2026-01-31T12:59:30Z", "2601311259": "2026-01-31T12:59:00Z"} {
		if at, err := touchTime(s); err != nil || at.Format(time.RFC3339) != want {
			t.Errorf("%s: %v, %v", s, at, err)
		}
	}
}
