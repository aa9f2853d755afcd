package main

import (
	"os"
	"strings"
	"syscall"
	"testing"
)

// TestRunBuiltIn: without a folder there is a site to look at, and nothing stays behind.
func TestRunBuiltIn(t *testing.T) {
	s := prepare(t)
	t.Setenv("TMPDIR", s.dir)
	s.start("run", "-l", s.addr)
	page := s.get("/")
	for _, want := range []string{"Moongate works", "<tr><th>Worker 0<td>", "in its Lua VM", "http://" + s.addr + "/hello?name=Ann", s.path("moongate") + " run mysite", "local greeting"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
	if got := s.get("/hello?name=Ann"); got != "Hello, Ann!\n" {
		t.Errorf("got %q", got)
	}
	if got := s.get("/api"); got != `{"code":"200","msg":"success"}`+"\n" {
		t.Errorf("got %q", got)
	}
	if got := s.get("/status"); !strings.Contains(got, `"requests":4`) {
		t.Errorf("got %q", got)
	}
	if got := s.get("/style.css"); !strings.Contains(got, "body {") {
		t.Errorf("got %q", got)
	}
	s.eventually("announcement", func() bool {
		return strings.Contains(s.out.String(), "serves a built-in site until Ctrl-C. Open http://"+s.addr+"/ or try")
	})
	s.signal(syscall.SIGINT)
	if code := s.exitCode(); code != 0 {
		t.Errorf("exit code %d: %s", code, s.out.String())
	}
	left, _ := os.ReadDir(s.dir)
	for _, e := range left {
		if strings.HasPrefix(e.Name(), "moongate-run") {
			t.Errorf("left behind: %s", e.Name())
		}
	}
}

// TestRunCopy: a new folder gets a copy whose Lua is live, and is served as it is the next time.
func TestRunCopy(t *testing.T) {
	s := prepare(t)
	s.start("run", "-l", s.addr, "mysite")
	edit := func(from, to string) {
		t.Helper()
		text := s.read("mysite/lua/hello.lua")
		if !strings.Contains(text, from) {
			t.Fatalf("hello.lua is %q", text)
		}
		if err := os.WriteFile(s.path("mysite/lua/hello.lua"), []byte(strings.Replace(text, from, to, 1)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.get("/hello"); got != "Hello, world!\n" {
		t.Errorf("got %q", got)
	}
	edit("Hello", "Servus")
	if got := s.get("/hello"); got != "Servus, world!\n" {
		t.Errorf("after an edit: got %q", got)
	}
	if page := s.get("/"); !strings.Contains(page, s.path("mysite/lua/hello.lua")) || !strings.Contains(page, "Servus") {
		t.Errorf("the page does not know the copy:\n%s", page)
	}
	s.signal(syscall.SIGTERM)
	s.exitCode()
	s.start("run", "mysite")
	if got := s.get("/hello"); got != "Servus, world!\n" {
		t.Errorf("the next time: got %q", got)
	}
}

// TestRunFiles: a folder of files without a configuration is served as it is.
func TestRunFiles(t *testing.T) {
	s := prepare(t)
	t.Setenv("TMPDIR", s.dir)
	if err := os.Mkdir(s.path("www"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.path("www/a.txt"), []byte("a file"), 0o644); err != nil {
		t.Fatal(err)
	}
	s.start("run", "-l", s.addr, "www")
	if got := s.get("/a.txt"); got != "a file" {
		t.Errorf("got %q", got)
	}
}
