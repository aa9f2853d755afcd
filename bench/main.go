// Command bench measures servers that behave like nginx, beside each other in one run: CPU time per request of the server's
// processes, user and system, workload by workload. See README.md.
//
// Each workload starts each server anew, with a configuration that holds only what the workload needs: what a server lacks
// costs it one line of the table. Servers run on core 0, wrk on the last core; the medians of the rounds are printed.
//
// With "memory", "growth" or "idle" as the first argument memory is measured instead: what a load leaves behind, what many
// requests do, and what an idle connection costs. With "leak" it is what requests that fail or are abandoned leave behind, with
// "websockets" whether proxied WebSockets outlive reloads, with "grpc" and "streams" what calls of gRPC cost that are passed on.
package main

import (
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// settings are the flags.
type settings struct {
	ours, reference  string
	only             string
	rounds, seconds  int
	connections      int
	serverCPU, wrkAt string
	backend          string // address of the upstream server of proxy workloads

	settle, requests, idle, mixed int // of the measurements of memory
	overH2                        bool
}

// measurements by the first argument.
var measurements = map[string]func(*settings) error{"compare": run, "memory": memory, "growth": growth, "idle": idle, "leak": leaks, "websockets": websockets, "echo": echo,
	"grpc": unary, "streams": streams, "grpc-server": grpcServer}

func main() {
	s := settings{serverCPU: "0", wrkAt: fmt.Sprint(runtime.NumCPU() - 1)}
	flag.StringVar(&s.ours, "ours", "bin/moongate", "our `binary`")
	flag.StringVar(&s.reference, "reference", "nginx", "the `binary` to compare with; left out when it is not there")
	flag.StringVar(&s.only, "only", "", "`workloads` to run, separated by commas")
	flag.IntVar(&s.rounds, "rounds", 3, "rounds per workload")
	flag.IntVar(&s.seconds, "seconds", 2, "seconds per round")
	flag.IntVar(&s.connections, "connections", 64, "open connections")
	flag.IntVar(&s.settle, "settle", 15, "seconds after which memory is read again (memory, idle), or between reloads (websockets)")
	flag.IntVar(&s.requests, "requests", 1_000_000, "number of requests (growth)")
	flag.IntVar(&s.idle, "idle", 10_000, "number of connections (idle, websockets)")
	flag.BoolVar(&s.overH2, "h2", false, "clients come over HTTP/2, 500 WebSockets on a connection (websockets)")
	flag.IntVar(&s.mixed, "mixed", 100_000, "number of requests (leak)")
	what, args := "compare", os.Args[1:]
	if len(args) > 0 && measurements[args[0]] != nil {
		what, args = args[0], args[1:]
	}
	flag.CommandLine.Parse(args)
	if err := measurements[what](&s); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// prepare finds the servers to measure, and starts the upstream server.
func (s *settings) prepare() (candidates []candidate, done func(), err error) {
	binary, err := filepath.Abs(s.ours)
	if err != nil {
		return nil, nil, err
	}
	candidates = []candidate{{name: "ours", binary: binary}}
	if path, err := exec.LookPath(s.reference); err == nil {
		modules, _ := filepath.Glob("/usr/lib/nginx/modules/ndk_http_module.so")
		lua, _ := filepath.Glob("/usr/lib/nginx/modules/ngx_http_lua_module.so")
		candidates = append(candidates, candidate{name: s.reference, binary: path, modules: append(modules, lua...)})
	} else {
		fmt.Printf("# %s is not installed: no comparison\n", s.reference)
	}
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "from the upstream server: 0123456789012345678901234567890123456789")
	}))
	s.backend = upstream.Listener.Addr().String()
	return candidates, upstream.Close, nil
}

func run(s *settings) error {
	if err := tools("wrk", "taskset"); err != nil {
		return err
	}
	chosen, err := choose(s.only)
	if err != nil {
		return err
	}
	candidates, done, err := s.prepare()
	if err != nil {
		return err
	}
	defer done()
	fmt.Printf("%-10s %-10s %8s %8s %8s %9s  %s\n", "workload", "server", "user µs", "sys µs", "total", "req/s", "total to "+s.reference)
	for _, w := range chosen {
		if w.h2 > 0 && tools("h2load") != nil {
			fmt.Printf("# %s: h2load is not installed (Debian: apt-get install nghttp2-client)\n", w.name)
			continue
		}
		compare(s, &w, candidates)
	}
	return nil
}

// choose returns the workloads that only names, all when it is empty.
func choose(only string) ([]workload, error) {
	if only == "" {
		return workloads, nil
	}
	var chosen []workload
	for name := range strings.SplitSeq(only, ",") {
		i := slices.IndexFunc(workloads, func(w workload) bool { return w.name == name })
		if i < 0 {
			return nil, fmt.Errorf("no workload %q", name)
		}
		chosen = append(chosen, workloads[i])
	}
	return chosen, nil
}

// compare runs one workload on all candidates, in turn within a round so that a noisy minute hits all of them.
func compare(s *settings, w *workload, candidates []candidate) {
	servers := make([]*server, len(candidates))
	samples := make([][]sample, len(candidates))
	failure := make([]error, len(candidates))
	for i, c := range candidates {
		servers[i], failure[i] = start(s, c, w)
		if failure[i] == nil {
			defer servers[i].stop()
		}
	}
	for range s.rounds {
		for i := range candidates {
			if failure[i] == nil {
				var one sample
				one, failure[i] = servers[i].load(s, w)
				samples[i] = append(samples[i], one)
			}
		}
	}
	base := 0.0
	if last := len(candidates) - 1; last > 0 && failure[last] == nil {
		base = median(samples[last]).total()
	}
	for i, c := range candidates {
		if failure[i] != nil {
			fmt.Printf("%-10s %-10s failed: %v\n", w.name, c.name, failure[i])
			continue
		}
		m := median(samples[i])
		ratio := ""
		if base > 0 && i < len(candidates)-1 {
			ratio = fmt.Sprintf("%.2f", m.total()/base)
		}
		fmt.Printf("%-10s %-10s %8.2f %8.2f %8.2f %9.0f  %s\n", w.name, c.name, m.user, m.system, m.total(), m.rate, ratio)
	}
}
