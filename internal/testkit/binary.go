package testkit

import (
	"fmt"
	"hash/fnv"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

var build struct {
	once sync.Once
	path string
	err  error
}

// Binary is the path of the program under test. The first call builds it unless
// MOONGATE_BINARY names one.
func Binary(t testing.TB) string {
	t.Helper()
	build.once.Do(func() {
		if build.path = os.Getenv("MOONGATE_BINARY"); build.path != "" {
			build.path, build.err = filepath.Abs(build.path)
			return
		}
		build.path, build.err = buildShared(moduleRoot(t))
	})
	if build.err != nil {
		t.Fatal(build.err)
	}
	return build.path
}

// moduleRoot is the directory above the test's that has the go.mod.
func moduleRoot(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("no go.mod above the test")
		}
		dir = parent
	}
}

const sharedPrefix = "moongate-test-"

// buildShared builds the program where the other test processes of the same
// `go test` find it: they have the same parent.
func buildShared(root string) (string, error) {
	removeStale()
	h := fnv.New32a()
	h.Write([]byte(root))
	parent := os.Getppid()
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("%s%d-%x-%d-%s", sharedPrefix, os.Getuid(), h.Sum32(), parent, startTime(parent)))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", err
	}
	path := filepath.Join(dir, "moongate")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	cmd := exec.Command("bash", "-c", `if [ -f build/env.sh ]; then . build/env.sh; fi; exec go build -buildvcs=false -o "$0" ./cmd/moongate`, path+".new")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the program under test: %w\n%s", err, out)
	}
	return path, os.Rename(path+".new", path)
}

// startTime tells two processes with the same number apart.
func startTime(pid int) string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "0"
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	if f := strings.Fields(rest); len(f) > 19 {
		return f[19]
	}
	return "0"
}

// removeStale removes what runs that are over left behind.
func removeStale() {
	dirs, _ := filepath.Glob(filepath.Join(os.TempDir(), fmt.Sprintf("%s%d-*", sharedPrefix, os.Getuid())))
	for _, dir := range dirs {
		parts := strings.Split(filepath.Base(dir), "-")
		pid, err := strconv.Atoi(parts[len(parts)-2])
		if err == nil && startTime(pid) != parts[len(parts)-1] {
			os.RemoveAll(dir)
		}
	}
}
