package luajit

import (
	"crypto/sha256"
	"fmt"
	"os"
	"strings"
	"testing"
)

func TestLinked(t *testing.T) {
	s, err := New()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	version, err := s.Eval(`return jit.version`, "=t")
	if err != nil || !strings.HasPrefix(Linked(), version+" (OpenResty's branch, with") || !strings.Contains(Linked(), "PCRE2 10.") {
		t.Errorf("Linked() = %q, jit.version is %q, %v", Linked(), version, err)
	}
}

// What Lua52 says is so: table.pack is one of the extensions.
func TestLua52(t *testing.T) {
	s, err := New()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	got, err := s.Eval(`return table.pack ~= nil`, "=t")
	if want := map[bool]string{true: "true", false: "false"}[Lua52]; got != want || err != nil {
		t.Errorf("table.pack: %s, %v; want %s", got, err, want)
	}
}

// The jit.* modules are inside the library that build/luajit makes, whatever package.path says; with the packaged library
// they are files of its package.
func TestJITModules(t *testing.T) {
	s, err := New()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	path := ""
	if Lua52 {
		path = `package.path, package.cpath = "", "" `
	}
	for _, module := range []string{"jit.v", "jit.p", "jit.dump", "jit.bc", "jit.vmdef", "jit.zone"} {
		if got, err := s.Eval(path+`return type(require("`+module+`"))`, "=t"); got != "table" || err != nil {
			t.Errorf("require %q: %s, %v", module, got, err)
		}
	}
}

// TestUnmapProgram: the program leaves the process's memory, how much depends on what the kernel maps at once, and works on.
func TestUnmapProgram(t *testing.T) {
	mapped := func() (kib int) {
		status, err := os.ReadFile("/proc/self/status")
		if err != nil {
			t.Skip("no /proc to read what is mapped: ", err)
		}
		for line := range strings.Lines(string(status)) {
			fmt.Sscanf(line, "RssFile: %d kB", &kib)
		}
		return kib
	}
	program, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Skip("no /proc to read the program: ", err)
	}
	self := fmt.Sprintf("%x", sha256.Sum256(program)) // some work, before and after
	before := mapped()
	UnmapProgram()
	after := mapped()
	if after >= before {
		t.Errorf("%d KiB of files are mapped, %d before", after, before)
	}
	if again := fmt.Sprintf("%x", sha256.Sum256(program)); again != self {
		t.Error("another sum")
	}
}
