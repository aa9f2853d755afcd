package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// memory measures what a load leaves behind: memory after the start, at the end of the load, and when the server has had
// time to give it back.
func memory(s *settings) error {
	chosen, err := choose(s.only)
	if err != nil {
		return err
	}
	if err := tools("wrk", "taskset"); err != nil {
		return err
	}
	candidates, done, err := s.prepare()
	if err != nil {
		return err
	}
	defer done()
	fmt.Printf("# proportional memory (PSS) in KiB; %d connections for %d s\n", s.connections, s.seconds)
	fmt.Printf("%-10s %-10s %8s %8s %8s  %s\n", "workload", "server", "start", "load", fmt.Sprintf("+%d s", s.settle), "to start")
	rows(chosen, candidates, func(c candidate, w *workload) error { return loadOne(s, c, w) })
	return nil
}

// rows prints a row for each workload and server: one does, or says why not.
func rows(chosen []workload, candidates []candidate, one func(c candidate, w *workload) error) {
	for _, w := range chosen {
		for _, c := range candidates {
			if err := one(c, &w); err != nil {
				fmt.Printf("%-10s %-10s failed: %v\n", w.name, c.name, err)
			}
		}
	}
}

func loadOne(s *settings, c candidate, w *workload) error {
	srv, err := start(s, c, w)
	if err != nil {
		return err
	}
	defer srv.stop()
	pid := srv.cmd.Process.Pid
	before := memoryOf(pid)
	if _, err := srv.load(s, w); err != nil {
		return err
	}
	during := memoryOf(pid)
	time.Sleep(time.Duration(s.settle) * time.Second)
	after := memoryOf(pid)
	fmt.Printf("%-10s %-10s %8d %8d %8d  %.2f\n", w.name, c.name, before, during, after, float64(after)/float64(before))
	return nil
}

// growth compares memory after the first and the last tenth of many requests.
func growth(s *settings) error {
	candidates, done, err := s.prepare()
	if err != nil {
		return err
	}
	defer done()
	chosen, err := choose(s.only)
	if err != nil {
		return err
	}
	fmt.Printf("# proportional memory (PSS) in KiB, of %d requests\n", s.requests)
	fmt.Printf("%-10s %-10s %8s %8s %8s\n", "workload", "server", "start", "a tenth", "all")
	rows(chosen, candidates, func(c candidate, w *workload) error { return growthOne(s, c, w) })
	return nil
}

func growthOne(s *settings, c candidate, w *workload) error {
	srv, err := start(s, c, w)
	if err != nil {
		return err
	}
	defer srv.stop()
	pid := srv.cmd.Process.Pid
	row := []int{memoryOf(pid)}
	for _, n := range []int{s.requests / 10, s.requests - s.requests/10} {
		if err := srv.pipeline(w, n); err != nil {
			return err
		}
		row = append(row, memoryOf(pid))
	}
	fmt.Printf("%-10s %-10s %8d %8d %8d\n", w.name, c.name, row[0], row[1], row[2])
	return nil
}

// pipeline makes n requests on one connection, a few at a time.
func (srv *server) pipeline(w *workload, n int) error {
	c, err := net.Dial("tcp", srv.listen)
	if err != nil {
		return err
	}
	defer c.Close()
	request := "GET " + w.path + " HTTP/1.1\r\nHost: localhost\r\n\r\n"
	one, err := exchange(c, request)
	if err != nil {
		return err
	}
	const batch = 50
	text := []byte(strings.Repeat(request, batch))
	buf := make([]byte, 64<<10)
	for done := 1; done < n; done += batch {
		if _, err := c.Write(text); err != nil {
			return err
		}
		for left := batch * one; left > 0; {
			k, err := c.Read(buf)
			if err != nil {
				return err
			}
			left -= k
		}
	}
	return nil
}

// exchange makes a request and returns the size of the response.
func exchange(c net.Conn, request string) (int, error) {
	if _, err := io.WriteString(c, request); err != nil {
		return 0, err
	}
	got := ""
	buf := make([]byte, 64<<10)
	for !whole(got) {
		n, err := c.Read(buf)
		if err != nil {
			return 0, fmt.Errorf("%w after %q", err, got)
		}
		got += string(buf[:n])
	}
	if !strings.HasPrefix(got, "HTTP/1.1 200 ") {
		return 0, fmt.Errorf("the answer is %q", firstLine(got))
	}
	return len(got), nil
}

// whole says that a response is there as far as its framing tells.
func whole(response string) bool {
	head, body, ok := strings.Cut(response, "\r\n\r\n")
	if !ok {
		return false
	}
	if strings.Contains(head, "Transfer-Encoding: chunked") {
		return strings.HasSuffix(body, "0\r\n\r\n")
	}
	n := -1
	for line := range strings.SplitSeq(head, "\r\n") {
		fmt.Sscanf(line, "Content-Length: %d", &n)
	}
	return len(body) == n
}

// idle measures what a connection costs that has been served and is kept alive.
func idle(s *settings) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	limit.Cur = limit.Max
	syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
	if uint64(s.idle)+100 > limit.Cur {
		return fmt.Errorf("%d connections need more than the %d descriptors that ulimit -n allows", s.idle, limit.Cur)
	}
	candidates, done, err := s.prepare()
	if err != nil {
		return err
	}
	defer done()
	if s.only == "" {
		s.only = "return,hello,api"
	}
	chosen, err := choose(s.only)
	if err != nil {
		return err
	}
	fmt.Printf("# proportional memory (PSS) in KiB; %d connections, each served once and then idle for %d s\n", s.idle, s.settle)
	fmt.Printf("%-10s %-10s %8s %8s %8s  %s\n", "workload", "server", "start", "idle", "closed", "KiB each")
	rows(chosen, candidates, func(c candidate, w *workload) error { return idleOne(s, c, w) })
	return nil
}

func idleOne(s *settings, c candidate, w *workload) error {
	srv, err := start(s, c, w)
	if err != nil {
		return err
	}
	defer srv.stop()
	pid := srv.cmd.Process.Pid
	before := memoryOf(pid)
	conns := make([]net.Conn, 0, s.idle)
	defer func() {
		for _, k := range conns {
			k.Close()
		}
	}()
	for range s.idle {
		k, err := net.Dial("tcp", srv.listen)
		if err != nil {
			return err
		}
		conns = append(conns, k)
		if _, err := exchange(k, "GET "+w.path+" HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
			return err
		}
	}
	settle := time.Duration(s.settle) * time.Second
	time.Sleep(settle)
	during := memoryOf(pid)
	for _, k := range conns {
		k.Close()
	}
	conns = nil
	time.Sleep(settle)
	after := memoryOf(pid)
	fmt.Printf("%-10s %-10s %8d %8d %8d  %.2f\n", w.name, c.name, before, during, after, float64(during-before)/float64(s.idle))
	return nil
}

// tools checks that programs are there.
func tools(names ...string) error {
	for _, tool := range names {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("%s is missing (Debian: apt-get install wrk util-linux)", tool)
		}
	}
	return nil
}

// memoryOf sums the proportional memory of a process and what descends from it, in KiB.
func memoryOf(pid int) int {
	sum := 0
	for _, pid := range family(pid) {
		rollup, _ := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		for line := range strings.SplitSeq(string(rollup), "\n") {
			n := 0
			if _, err := fmt.Sscanf(line, "Pss: %d", &n); err == nil {
				sum += n
				break
			}
		}
	}
	return sum
}

// family is a process and what descends from it.
func family(pid int) []int {
	all := []int{pid}
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, path := range tasks {
		children, _ := os.ReadFile(path)
		for _, child := range strings.Fields(string(children)) {
			var n int
			if _, err := fmt.Sscan(child, &n); err == nil {
				all = append(all, family(n)...)
			}
		}
	}
	return all
}
