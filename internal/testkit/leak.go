package testkit

import (
	"fmt"
	"os"
	"runtime"
	"sort"
	"strings"
	"testing"

	"moongate/internal/testkit/poll"
)

// LeakCheck fails the test when, at its end, more goroutines or file descriptors
// exist in this process than now. Call it first; tests that run in parallel
// disturb it.
func LeakCheck(t testing.TB) {
	t.Helper()
	before, files := goroutines(), descriptors()
	t.Cleanup(func() {
		var left, open []string
		gone := poll.Until(patience, func() bool {
			left, open = extra(before, goroutines()), extra(files, descriptors())
			return len(left)+len(open) == 0
		})
		if gone {
			return
		}
		for _, g := range left {
			t.Errorf("leaked goroutine:\n%s", g)
		}
		for _, f := range open {
			t.Errorf("leaked descriptor: %s", f)
		}
	})
}

// extra is what after has and before has not, by key.
func extra(before, after map[string]string) (out []string) {
	for k, v := range after {
		if _, ok := before[k]; !ok {
			out = append(out, v)
		}
	}
	sort.Strings(out)
	return out
}

// goroutines are the stacks of all goroutines but the testing package's and the
// runtime's, by number.
func goroutines() map[string]string {
	buf := make([]byte, 1<<20)
	for {
		n := runtime.Stack(buf, true)
		if n < len(buf) {
			buf = buf[:n]
			break
		}
		buf = make([]byte, 2*len(buf))
	}
	out := map[string]string{}
	for _, stack := range strings.Split(string(buf), "\n\n") {
		head, rest, _ := strings.Cut(stack, "\n")
		id, _, _ := strings.Cut(strings.TrimPrefix(head, "goroutine "), " ")
		if strings.HasPrefix(rest, "testing.") || strings.Contains(rest, "os/signal.loop") || strings.HasPrefix(rest, "runtime.") ||
			strings.Contains(rest, "testing.tRunner(") && strings.Contains(rest, "testing.(*T).Run(") || idle(rest) {
			continue
		}
		out[id] = stack
	}
	return out
}

// idle reports whether a stack is that of a coroutine that a loop keeps for its next task: it has
// none now.
func idle(stack string) bool {
	return strings.HasPrefix(stack, "iter.Pull") && strings.Contains(stack, "netio.(*Loop).newTask.") && strings.Count(stack, "\nmoongate/internal/") == 1
}

// descriptors are the open files of this process: number and what it is.
func descriptors() map[string]string {
	out := map[string]string{}
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return out
	}
	for _, e := range entries {
		target, err := os.Readlink("/proc/self/fd/" + e.Name())
		if err != nil || strings.Contains(target, "[event") || strings.HasPrefix(target, "/proc/") {
			continue // the runtime's poller, or the directory just read
		}
		key := fmt.Sprintf("%s %s", e.Name(), target)
		out[key] = key
	}
	return out
}
