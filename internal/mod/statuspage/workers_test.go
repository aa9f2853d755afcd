package statuspage_test

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"

	"moongate/internal/engine"
	"moongate/internal/engine/enginetest"
	"moongate/internal/modules"
	"moongate/internal/testkit"
)

const twoWorkers = `worker_processes 2; events { } http { server { listen 127.0.0.1:8080;
	rewrite_by_lua_block { ngx.req.read_body() }
	location /status { status_page json; } location /metrics { prometheus_metrics; } } }`

// hold begins a request for the status that waits for a byte of its body.
func hold(t *testing.T, s *enginetest.Server, uri string) net.Conn {
	t.Helper()
	c := s.Dial()
	io.WriteString(c, "GET "+uri+" HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 1\r\n\r\n")
	testkit.Eventually(t, "the request is being served", func() bool {
		var busy int
		s.Plane.Ask(func(w *engine.Worker) {
			if w.Active > 0 {
				busy = 1
			}
		})
		return busy == 1
	})
	return c
}

func finish(t *testing.T, c net.Conn) {
	t.Helper()
	io.WriteString(c, "x")
	all, err := io.ReadAll(c)
	if err != nil || strings.Count(string(all), "HTTP/1.1 200 OK") != 1 {
		t.Errorf("%v: %s", err, all)
	}
}

// A request that asks for the state by a configuration which was replaced meets workers that have ended its Lua VMs.
func TestStateOfAReplacedConfiguration(t *testing.T) {
	s := enginetest.Start(t, modules.Set(), twoWorkers)
	for _, uri := range []string{"/status", "/metrics"} {
		c := hold(t, s, uri)
		if err := s.Reload(twoWorkers); err != nil {
			t.Fatal(err)
		}
		finish(t, c)
	}
}

// A request that outlives another worker's end gets what there is.
func TestStateWhenAWorkerHasEnded(t *testing.T) {
	s := enginetest.Start(t, modules.Set(), twoWorkers)
	c := hold(t, s, "/status")
	over := make(chan struct{})
	go func() {
		s.Plane.Quit(context.Background())
		close(over)
	}()
	testkit.Eventually(t, "the other worker has ended", func() bool {
		var there [2]bool
		s.Plane.Ask(func(w *engine.Worker) { there[w.ID] = true })
		return there[0] != there[1]
	})
	finish(t, c)
	<-over
}
