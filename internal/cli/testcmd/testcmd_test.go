package testcmd

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"moongate/internal/testkit/fake"
)

func TestMain(m *testing.M) {
	fake.Main()
	os.Exit(m.Run())
}

const good = "=== TEST 1: good\n--- config\n    location = /t { return 200 \"ok\"; }\n--- request\nGET /t\n--- response_body: ok\n"

const bad = "=== TEST 2: bad\n--- config\n    location = /t { return 200 \"ok\"; }\n--- request\nGET /t\n--- response_body: no\n"

// project writes test files and returns their directory.
func project(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func command(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = Main(append([]string{"--binary", fake.Enable(t)}, args...), &out, &errs)
	return code, out.String(), errs.String()
}

func TestOneFile(t *testing.T) {
	dir := project(t, map[string]string{"a.t": good + bad})
	report := filepath.Join(dir, "report.xml")
	code, out, stderr := command(t, filepath.Join(dir, "a.t"), "--junit", report, "--log-wait", "1ms")
	want := `ok 1 - TEST 1: good - status code ok
ok 2 - TEST 1: good - response_body - response is expected (repeated req 0, req 0)
ok 3 - TEST 2: bad - status code ok
not ok 4 - TEST 2: bad - response_body - response is expected (repeated req 0, req 0)
#   Failed test 'TEST 2: bad' at ` + dir + `/a.t:7
# expected: "no"
#      got: "ok"
1..4
# Looks like you failed 1 test of 4.
1 passed, 1 failed, 0 skipped
`
	if code != 1 || out != want {
		t.Errorf("exit code %d, output\n%s\nerrors\n%s", code, out, stderr)
	}
	xml, err := os.ReadFile(report)
	if err != nil || !strings.Contains(string(xml), `<testsuite name="`) || !strings.Contains(string(xml), `failures="1"`) {
		t.Errorf("report: %v\n%s", err, xml)
	}
}

func TestDirectory(t *testing.T) {
	dir := project(t, map[string]string{"a.t": good, "sub/b.t": bad, "sub/c.t": "plan(skip_all => 'no');\n__DATA__\n" + good, "note.txt": "x"})
	code, out, _ := command(t, "-j", "1", dir)
	for _, want := range []string{
		"# Subtest: " + dir + "/a.t\n    ok 1 - TEST 1: good - status code ok\n", "    1..2\nok 1 - " + dir + "/a.t\n",
		"    not ok 2 - TEST 2: bad", "\nnot ok 2 - " + dir + "/sub/b.t\n", "\nok 3 - " + dir + "/sub/c.t # SKIP no\n1..3\n1 passed, 1 failed, 1 skipped\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if code != 1 {
		t.Errorf("exit code %d", code)
	}
	code, out, _ = command(t, dir, "-q", "--only", "good")
	if code != 0 || out != "1 passed, 0 failed, 1 skipped\n" {
		t.Errorf("exit code %d, output %q", code, out)
	}
	code, out, _ = command(t, "--only", "1", dir+"/a.t", "-v")
	if code != 0 || !strings.HasSuffix(out, "1 passed, 0 failed, 0 skipped\n") {
		t.Errorf("exit code %d, output %q", code, out)
	}
}

func TestWrongUsage(t *testing.T) {
	dir := project(t, map[string]string{"a.t": good, "empty/x": ""})
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "Usage: moongate test"},
		{[]string{"--nope"}, "flag provided but not defined"},
		{[]string{"/nonexistent.t"}, "no such file"},
		{[]string{dir + "/empty"}, "no .t files"},
		{[]string{"--only", "(", dir}, "-only"},
		{[]string{"--binary", "/nonexistent/nginx", dir}, "/nonexistent/nginx"},
	} {
		code, out, stderr := command(t, c.args...)
		if code != 2 || out != "" || !strings.Contains(stderr, c.want) {
			t.Errorf("%q: exit code %d, %q, %q", c.args, code, out, stderr)
		}
	}
	if code, _, stderr := command(t, "-h"); code != 0 || !strings.Contains(stderr, "-junit") {
		t.Errorf("-h: exit code %d, %q", code, stderr)
	}
}

// The output of one file is what prove expects.
func TestProve(t *testing.T) {
	prove, err := exec.LookPath("prove")
	if err != nil {
		t.Skip("prove, which is to read the output, is not installed")
	}
	dir := project(t, map[string]string{"a.t": good, "b.t": good + bad})
	var tap bytes.Buffer
	for name, want := range map[string]bool{"a.t": true, "b.t": false} {
		tap.Reset()
		Main([]string{"--binary", fake.Enable(t), filepath.Join(dir, name)}, &tap, os.Stderr)
		file := filepath.Join(dir, name+".tap")
		if err := os.WriteFile(file, tap.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(prove, "--exec", "cat", file).CombinedOutput()
		if (err == nil) != want || strings.Contains(string(out), "Parse errors") {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}
