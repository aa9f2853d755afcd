package testkit

import (
	"errors"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"moongate/internal/testkit/fake"
	"moongate/internal/testkit/pattern"
	"moongate/internal/testkit/report"
	"moongate/internal/testkit/runner"
	"moongate/internal/testkit/server"
)

func TestMain(m *testing.M) {
	fake.Main()
	os.Exit(m.Run())
}

const site = `http { access_log $TEST_NGINX_SERVER_ROOT/logs/access.log; server {
    listen $TEST_NGINX_SERVER_PORT;
    location = /t { return 200 "one"; }
    log /t warn asked;
} }`

func TestServer(t *testing.T) {
	LeakCheck(t)
	s := Start(t, Params{Config: site, Binary: fake.Enable(t), Files: map[string]string{"html/a.txt": "A"}})
	r := s.Get("/t", "X-In: 1")
	if v, _ := r.Header("Server"); r.Status != "200" || r.Body != "one" || v != "fake" {
		t.Errorf("got %+v", r)
	}
	if r := s.Do("POST /echo\nbody", "X-In: 1"); r.Body != "POST 1 body\n" {
		t.Errorf("got %+v", r)
	}
	res, err := http.Get(s.URL("/nothing"))
	if err != nil || res.StatusCode != 404 {
		t.Errorf("got %v, %v", res, err)
	}
	res.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	s.WaitLog("[warn]")
	s.Wait("the access log", func() bool { return strings.Contains(s.AccessLog(), "GET /nothing 404") })
	if s.Descriptors() < 3 || s.Pid() <= 0 || s.Path("x") == "x" || s.Addr(1) == s.Addr() {
		t.Error("descriptors, pid, path or ports are wrong")
	}
	s.SetConfig(strings.Replace(site, "one", "two", 1))
	s.Reload(func() bool { return s.Get("/t").Body == "two" })
	if err := s.Launch(); err == nil {
		t.Error("started twice")
	}
	s.Stop()
	if s.Running() || !strings.Contains(s.ErrorLog(), "gracefully shutting down") {
		t.Errorf("runs on, or the log is %q", s.ErrorLog())
	}
	if err := s.Launch(); err != nil {
		t.Error(err)
	}
	s.End(syscall.SIGTERM)
}

func TestServerThatDoesNotStart(t *testing.T) {
	s := New(t, Params{Config: "\nbogus_directive;", Binary: fake.Enable(t)})
	var se *server.StartError
	if err := s.Launch(); !errors.As(err, &se) || se.ExitCode != 1 || !strings.Contains(se.Stderr, "nginx.conf:2") {
		t.Errorf("got %v", err)
	}
}

// recorder is a testing.TB whose failures are the subject.
type recorder struct {
	testing.TB
	cleanups []func()
	errors   []string
}

func (r *recorder) Helper()                        {}
func (r *recorder) Cleanup(f func())               { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Errorf(format string, _ ...any) { r.errors = append(r.errors, format) }
func (r *recorder) Error(...any)                   { r.errors = append(r.errors, "") }
func (r *recorder) finish()                        { r.cleanups[0]() }

func TestLeakCheckFinds(t *testing.T) {
	saved := patience
	patience = 10 * time.Millisecond
	defer func() { patience = saved }()
	r := &recorder{TB: t}
	LeakCheck(r)
	release := make(chan struct{})
	go func() { <-release }()
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	r.finish()
	if got := strings.Join(r.errors, " "); strings.Count(got, "goroutine") != 1 || strings.Count(got, "descriptor") != 1 {
		t.Errorf("got %q", r.errors)
	}
	close(release)
	f.Close()
}

// TestBlocksOnMoongate proves kit and program together on blocks that need the
// core only.
func TestBlocksOnMoongate(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: this test builds the program")
	}
	RunDir(t, "testdata")
}

// TestBlocksOnNginx runs the same blocks on the reference, where it is installed.
func TestBlocksOnNginx(t *testing.T) {
	nginx, err := exec.LookPath("nginx")
	if err != nil {
		t.Skip("nginx, the reference of these blocks, is not installed")
	}
	r, err := runner.New(runner.Options{Binary: nginx, TempDir: t.TempDir(), Strict: true})
	if err != nil {
		t.Skipf("the installed nginx lacks what the blocks need: %v", err)
	}
	var totals report.Totals
	f := r.RunFile("testdata/core.t", func(b *report.Block) {
		for _, a := range b.Asserts {
			if !a.OK && a.Skip == "" {
				t.Errorf("%s: %s\n%s", b.Name, a.Name, a.Diag)
			}
		}
	})
	if totals.Add(f); f.Err != nil || totals.Passed == 0 {
		t.Errorf("%v, %s", f.Err, totals)
	}
}

func TestStaleBuildsAreRemoved(t *testing.T) {
	if got := startTime(os.Getpid()); !pattern.MustCompile(`^[1-9]\d*$`, "").Match(got) {
		t.Errorf("own start time is %q", got)
	}
	if got := startTime(1 << 30); got != "0" {
		t.Errorf("start time of no process is %q", got)
	}
}
