package proxy_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"moongate/internal/engine/enginetest"
	"moongate/internal/modules"
	"moongate/internal/testkit/poll"
)

// mortal is a server that can be killed, connections and all, and brought back at its address.
type mortal struct {
	addr   string
	srv    *http.Server
	served atomic.Int64
}

func (m *mortal) start(t testing.TB) {
	t.Helper()
	var l net.Listener
	var err error
	if !poll.Until(time.Minute, func() bool { // the kernel may hold the address for a moment
		l, err = net.Listen("tcp", m.addr)
		return err == nil
	}) {
		t.Fatal(err)
	}
	m.addr = l.Addr().String()
	m.srv = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.served.Add(1)
		io.WriteString(w, r.URL.RawQuery)
	})}
	go m.srv.Serve(l)
}

// TestKillAndRevive kills one of three servers under load, again and again, and brings it back: no client sees that.
func TestKillAndRevive(t *testing.T) {
	t.Parallel()
	var all [3]mortal
	for i := range all {
		all[i].addr = fmt.Sprintf("127.0.0.1%d:0", i) // not the address of clients, which might take the port while it is free
		all[i].start(t)
	}
	s := enginetest.Start(t, modules.Set(), fmt.Sprintf(`
	upstream u { server %s fail_timeout=1s; server %s fail_timeout=1s; server %s fail_timeout=1s; keepalive 8; }
	server { listen 127.0.0.1:8080; location / { proxy_pass http://u; proxy_http_version 1.1; proxy_set_header Connection ""; } }`, all[0].addr, all[1].addr, all[2].addr))
	var good, bad atomic.Int64
	var first atomic.Value
	stop := make(chan bool)
	var clients sync.WaitGroup
	for range 16 {
		clients.Add(1)
		go func() {
			defer clients.Done()
			hc := http.Client{Transport: &http.Transport{}, Timeout: time.Minute}
			defer hc.CloseIdleConnections()
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				resp, err := hc.Get(fmt.Sprintf("http://%s/?%d", s.Addr(""), n))
				what := fmt.Sprint(err)
				if err == nil {
					b, err := io.ReadAll(resp.Body)
					resp.Body.Close()
					if err == nil && resp.StatusCode == 200 && string(b) == fmt.Sprint(n) {
						good.Add(1)
						continue
					}
					what = fmt.Sprint(resp.Status, " ", string(b), " ", err)
				}
				bad.Add(1)
				first.CompareAndSwap(nil, what)
			}
		}()
	}
	after := func(n int64) { // further requests have been served
		until := good.Load() + n
		poll.Until(time.Minute, func() bool { return good.Load() >= until || bad.Load() > 0 })
	}
	for i := range all {
		victim := &all[i]
		after(500)
		victim.srv.Close()
		after(500)
		victim.start(t)
		before := victim.served.Load()
		if !poll.Until(time.Minute, func() bool { return victim.served.Load() > before || bad.Load() > 0 }) {
			t.Error("a server that is back is not asked again")
		}
	}
	close(stop)
	clients.Wait()
	for i := range all {
		all[i].srv.Close()
	}
	if bad.Load() > 0 {
		t.Errorf("%d requests served, %d failed, the first with %v", good.Load(), bad.Load(), first.Load())
	}
	t.Logf("%d requests served", good.Load())
}
