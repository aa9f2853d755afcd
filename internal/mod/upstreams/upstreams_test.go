package upstreams_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"moongate/internal/engine"
	"moongate/internal/engine/enginetest"
	"moongate/internal/mod/corevars"
	"moongate/internal/mod/proxy"
	"moongate/internal/mod/rewrite"
	"moongate/internal/mod/statuspage"
	"moongate/internal/mod/upstreams"
	"moongate/internal/resolve/resolvetest"
	"moongate/internal/testkit"
)

func set() *engine.Set {
	return &engine.Set{Modules: []*engine.Module{&corevars.Module, &rewrite.Module, &statuspage.Module, &upstreams.Module, &proxy.Module}}
}

// site is a configuration whose error log tells of changes.
func site(format string, args ...any) string {
	return "error_log logs/error.log notice; events { } http {" + fmt.Sprintf(format, args...) + "}"
}

// backend is a server that answers with a name and a status that the test may change; it can be killed and revived.
type backend struct {
	name   string
	addr   string
	status atomic.Int32
	hits   atomic.Int32
	checks atomic.Int32
	hold   chan struct{} // when not nil, requests wait for it
	srv    *http.Server
}

func newBackend(t *testing.T, name string) *backend {
	t.Helper()
	b := &backend{name: name}
	b.status.Store(200)
	b.listen(t, "127.0.0.7:0") // not the address of clients, which might take the port while it is free
	t.Cleanup(func() { b.kill() })
	return b
}

func (b *backend) listen(t *testing.T, addr string) {
	t.Helper()
	var l net.Listener
	testkit.Eventually(t, "listening on "+addr, func() (ok bool) { // the kernel may hold the address for a moment
		var err error
		l, err = net.Listen("tcp", addr)
		return err == nil
	})
	b.addr = l.Addr().String()
	b.srv = &http.Server{Handler: http.HandlerFunc(b.serve)}
	go b.srv.Serve(l)
}

func (b *backend) serve(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/health" {
		b.checks.Add(1)
	} else {
		b.hits.Add(1)
		if b.hold != nil {
			<-b.hold
		}
	}
	w.WriteHeader(int(b.status.Load()))
	io.WriteString(w, b.name)
}

func (b *backend) kill()               { b.srv.Close() }
func (b *backend) revive(t *testing.T) { b.listen(t, b.addr) }

// servers is the status page's view of the only upstream.
type view struct {
	Upstreams []struct {
		Panics  bool  `json:"panic"`
		Pending int64 `json:"pending_requests"`
		Guarded int64 `json:"guarded_requests"`
		Retries int64 `json:"retries_in_flight"`
		Servers []struct {
			Address, State, Server string
			LastCheck              string `json:"last_health_check"`
			Requests, Fails        int64
			Active                 int64 `json:"active_connections"`
			Weight                 int
			Backup                 bool
		}
	}
}

func status(t *testing.T, s *enginetest.Server) *view {
	t.Helper()
	v := &view{}
	if err := json.Unmarshal([]byte(enginetest.Body(s.Get("/status"))), v); err != nil {
		t.Fatal(err)
	}
	return v
}

// states lists the servers' states.
func (v *view) states() string {
	var out []string
	for _, s := range v.Upstreams[0].Servers {
		out = append(out, s.State)
	}
	return strings.Join(out, " ")
}

func TestHealthChecksKillAndRevive(t *testing.T) {
	a, b := newBackend(t, "a"), newBackend(t, "b")
	s := enginetest.Start(t, set(), site(`
		upstream u { zone u 64k; server %s max_fails=0; server %s max_fails=0;
			health_check path=/health interval=20ms timeout=1m healthy_threshold=2 unhealthy_threshold=2; }
		server { listen 127.0.0.1:8080; location / { proxy_pass http://u; } location /status { status_page json; } }`, a.addr, b.addr))
	testkit.Eventually(t, "both are checked", func() bool { return a.checks.Load() > 0 && b.checks.Load() > 0 })
	a.kill()
	testkit.Eventually(t, "a is unhealthy", func() bool { return status(t, s).states() == "unhealthy up" })
	for range 6 {
		if r := s.Get("/"); enginetest.Body(r) != "b" {
			t.Errorf("%q", r)
		}
	}
	a.revive(t)
	testkit.Eventually(t, "a is healthy", func() bool { return status(t, s).states() == "up up" })
	b.status.Store(500)
	testkit.Eventually(t, "b is unhealthy", func() bool { return status(t, s).states() == "up unhealthy" })
	log := s.ErrorLog()
	for _, want := range []string{"[warn]", "upstream server " + a.addr + ` of "u" is unhealthy: connecting failed: connection refused`,
		"upstream server " + a.addr + ` of "u" is healthy`, "upstream server " + b.addr + ` of "u" is unhealthy: status 500`} {
		if !strings.Contains(log, want) {
			t.Errorf("no line %q in\n%s", want, log)
		}
	}
	if n := strings.Count(log, a.addr+` of "u" is unhealthy`); n != 1 {
		t.Errorf("%d lines of one change", n)
	}
}

func TestHealthStateOutlivesAReload(t *testing.T) {
	a, b := newBackend(t, "a"), newBackend(t, "b")
	b.status.Store(503)
	text := func(weight int) string {
		return site(`
		upstream u { zone u 64k; server %s weight=%d; server %s; health_check path=/health interval=20ms timeout=1m unhealthy_threshold=1; }
		server { listen 127.0.0.1:8080; location / { proxy_pass http://u; } location /status { status_page json; } }`, a.addr, weight, b.addr)
	}
	s := enginetest.Start(t, set(), text(1))
	testkit.Eventually(t, "b is unhealthy", func() bool { return status(t, s).states() == "up unhealthy" })
	s.Get("/")
	if err := s.Reload(text(2)); err != nil {
		t.Fatal(err)
	}
	v := status(t, s)
	if v.states() != "up unhealthy" || v.Upstreams[0].Servers[0].Requests != 1 || v.Upstreams[0].Servers[0].Weight != 2 {
		t.Errorf("%+v", v)
	}
	checks := b.checks.Load()
	testkit.Eventually(t, "checks go on", func() bool { return b.checks.Load() > checks+2 })
	// Without the directive nobody finds out that the server is well again: it counts as well.
	if err := s.Reload(site(`
		upstream u { zone u 64k; server %s; server %s; }
		server { listen 127.0.0.1:8080; location / { proxy_pass http://u; } location /status { status_page json; } }`, a.addr, b.addr)); err != nil {
		t.Fatal(err)
	}
	if got := status(t, s).states(); got != "up up" {
		t.Error(got)
	}
}

func TestTCPCheck(t *testing.T) {
	var answer atomic.Value
	answer.Store("+PONG\r\n")
	addr := testkit.Listen(t, func(c net.Conn) {
		buf := make([]byte, 16)
		if n, _ := c.Read(buf); string(buf[:n]) == "PING\r\n" {
			io.WriteString(c, answer.Load().(string))
		}
	})
	s := enginetest.Start(t, set(), site(`
		upstream u { server %s; server 127.0.0.1:1 down; panic_threshold 0;
			health_check tcp interval=20ms timeout=1m unhealthy_threshold=1 healthy_threshold=1 "send=PING\r\n" receive=PONG; }
		server { listen 127.0.0.1:8080; location / { proxy_pass http://u; } location /status { status_page json; } }`, addr))
	answer.Store("-ERR\r\n")
	testkit.Eventually(t, "the answer is wrong", func() bool { return status(t, s).states() == "unhealthy down" })
	if r := s.Get("/"); enginetest.Status(r) != "502 Bad Gateway" {
		t.Errorf("%q", r)
	}
	answer.Store("+PONG\r\n")
	testkit.Eventually(t, "the answer is right", func() bool {
		t.Log(status(t, s).Upstreams[0].Servers[0].LastCheck)
		return status(t, s).states() == "up down"
	})
}

func TestEjectionAndReturn(t *testing.T) {
	a, b := newBackend(t, "a"), newBackend(t, "b")
	a.status.Store(500)
	s := enginetest.Start(t, set(), site(`
		upstream u { server %s; server %s; panic_threshold 0; outlier_detection consecutive_5xx=2 base_ejection_time=100ms max_ejection_percent=50; }
		server { listen 127.0.0.1:8080; location / { proxy_pass http://u; } location /status { status_page json; } }`, a.addr, b.addr))
	for range 4 {
		s.Get("/")
	}
	if !strings.Contains(s.ErrorLog(), "upstream server "+a.addr+` of "u" is ejected for 100ms: consecutive 5xx`) {
		t.Errorf("not ejected:\n%s", s.ErrorLog())
	}
	a.status.Store(200)
	testkit.Eventually(t, "a is back", func() bool { return status(t, s).states() == "up up" })
	if !strings.Contains(s.ErrorLog(), "upstream server "+a.addr+` of "u" is no longer ejected`) {
		t.Errorf("no line:\n%s", s.ErrorLog())
	}
	hits := a.hits.Load()
	testkit.Eventually(t, "a is asked", func() bool { s.Get("/"); return a.hits.Load() > hits })
}

func TestBreakerQueuesAndOverflows(t *testing.T) {
	a := newBackend(t, "a")
	a.hold = make(chan struct{})
	s := enginetest.Start(t, set(), site(`
		upstream u { server %s; circuit_breaker max_connections=1 max_pending_requests=1; }
		server { listen 127.0.0.1:8080; location / { proxy_pass http://u; } location /status { status_page json; } }`, a.addr))
	got := make(chan string, 2)
	go func() { got <- s.Get("/") }()
	testkit.Eventually(t, "the first is with the server", func() bool { return a.hits.Load() == 1 })
	go func() { got <- s.Get("/") }()
	testkit.Eventually(t, "the second waits", func() bool { return status(t, s).Upstreams[0].Pending == 1 })
	if r := s.Get("/"); enginetest.Status(r) != "503 Service Temporarily Unavailable" {
		t.Errorf("%q", r)
	}
	if a.hits.Load() != 1 {
		t.Error("more than one request is with the server")
	}
	close(a.hold)
	for range 2 {
		if r := <-got; enginetest.Body(r) != "a" {
			t.Errorf("%q", r)
		}
	}
	if !strings.Contains(s.ErrorLog(), `circuit breaker of upstream "u" is open: max_pending_requests`) {
		t.Error(s.ErrorLog())
	}
}

func TestRetryPolicyTurnsAgain(t *testing.T) {
	a := newBackend(t, "a")
	a.status.Store(503)
	s := enginetest.Start(t, set(), site(`
		upstream u { server %s max_fails=0; retry_policy num_retries=3 base_interval=1ms; }
		upstream none { server %s max_fails=0; retry_policy num_retries=3 base_interval=1ms; circuit_breaker retry_budget=10%% min_retry_concurrency=0; }
		server { listen 127.0.0.1:8080; proxy_next_upstream http_503; location / { proxy_pass http://u; } location /none { proxy_pass http://none; } }`, a.addr, a.addr))
	if r := s.Get("/"); enginetest.Status(r) != "503 Service Unavailable" || a.hits.Load() != 4 {
		t.Errorf("%d tries: %q", a.hits.Load(), r)
	}
	a.hits.Store(0)
	if r := s.Get("/none"); !strings.HasPrefix(enginetest.Status(r), "503 ") || a.hits.Load() != 1 {
		t.Errorf("%d tries without a budget: %q", a.hits.Load(), r)
	}
}

func TestNamesAreResolvedAtRunTime(t *testing.T) {
	dns := resolvetest.Start(t)
	a, b := newBackend(t, "a"), newBackend(t, "b")
	_, portA, _ := net.SplitHostPort(a.addr)
	var pa, pb uint16
	fmt.Sscan(portA, &pa)
	_, portB, _ := net.SplitHostPort(b.addr)
	fmt.Sscan(portB, &pb)
	dns.Set("_http._tcp.app.test", resolvetest.Records{SRV: []resolvetest.SRV{{Priority: 1, Weight: 1, Port: pa, Target: "h.test"}}})
	dns.Set("h.test", resolvetest.Records{Addrs: []string{"127.0.0.7"}})
	text := site(`
		upstream u { zone u 64k; resolver %s valid=1s ipv6=off; resolver_timeout 1m; server app.test service=http resolve max_fails=0; }
		upstream n { zone n 64k; resolver %s ipv6=off; server name.test:%d resolve; }
		server { listen 127.0.0.1:8080; location / { proxy_pass http://u; } location /n { proxy_pass http://n; } location /status { status_page json; } }`, dns.Addr, dns.Addr, pb)
	s := enginetest.Start(t, set(), text)
	testkit.Eventually(t, "the service is known", func() bool { return status(t, s).states() == "up" })
	if r := s.Get("/"); enginetest.Body(r) != "a" {
		t.Errorf("%q\n%s", r, s.ErrorLog())
	}
	if r := s.Get("/n"); enginetest.Status(r) != "502 Bad Gateway" {
		t.Errorf("%q\n%s", r, s.ErrorLog())
	}
	testkit.Eventually(t, "the other name is not known", func() bool {
		return strings.Contains(s.ErrorLog(), "name.test could not be resolved (3: Host not found)")
	})
	dns.Set("_http._tcp.app.test", resolvetest.Records{SRV: []resolvetest.SRV{{Priority: 1, Weight: 1, Port: pa, Target: "h.test"}, {Priority: 2, Weight: 1, Port: pb, Target: "h.test"}}})
	testkit.Eventually(t, "the backup is known", func() bool { return len(status(t, s).Upstreams[0].Servers) == 2 })
	v := status(t, s).Upstreams[0].Servers
	if v[0].Requests != 1 || v[0].Backup || !v[1].Backup || v[1].Server != "h.test" {
		t.Errorf("%+v", v)
	}
	if err := s.Reload(text); err != nil {
		t.Fatal(err)
	}
	if v := status(t, s).Upstreams[0].Servers; len(v) != 2 || v[0].Requests != 1 {
		t.Errorf("after a reload: %+v", v)
	}
	dns.Set("_http._tcp.app.test", resolvetest.Records{Code: 2})
	asked := dns.Asked()
	testkit.Eventually(t, "the name server fails", func() bool { return dns.Asked() > asked+1 })
	if r := s.Get("/"); enginetest.Body(r) != "a" {
		t.Errorf("a failure of the name server took the servers away: %q", r)
	}
	dns.Set("_http._tcp.app.test", resolvetest.Records{Code: 3})
	testkit.Eventually(t, "the service is gone", func() bool { return len(status(t, s).Upstreams[0].Servers) == 0 })
	if r := s.Get("/"); enginetest.Status(r) != "502 Bad Gateway" {
		t.Errorf("%q", r)
	}
}

func TestConfigErrors(t *testing.T) {
	for _, c := range []struct{ block, want string }{
		{"server 127.0.0.1 weight=0;", `invalid parameter "weight=0"`},
		{"server 127.0.0.1 fail_timeout=x;", `invalid parameter "fail_timeout=x"`},
		{"server 127.0.0.1 bogus;", `invalid parameter "bogus"`},
		{"ip_hash; server 127.0.0.1 backup;", `balancing method does not support parameter "backup"`},
		{"hash $uri; server 127.0.0.1 slow_start=1s;", `balancing method does not support parameter "slow_start=1s"`},
		{"server 127.0.0.1 backup;", `no servers in upstream "u"`},
		{"server 127.0.0.1 route=;", "route is empty"},
		{"server 127.0.0.1 route=" + strings.Repeat("x", 33) + ";", "route is longer than 32"},
		{"server a.test service=http;", `service upstream "a.test" requires "resolve" parameter`},
		{"server a.test service= resolve;", "service is empty"},
		{"server a.test:80 service=http resolve;", `service upstream "a.test:80" may not have port`},
		{"server 127.0.0.1 service=http resolve;", `service upstream "127.0.0.1" requires domain name`},
		{"server a.test resolve;", "to be in shared memory"},
		{"zone z 64k; server a.test resolve;", `no resolver defined to resolve names at run time in upstream "u"`},
		{"zone z 1k; server 127.0.0.1;", `zone "z" is too small`},
		{"zone z x; server 127.0.0.1;", `invalid zone size "x"`},
		{"zone z; server 127.0.0.1;", `zero size shared memory zone "z"`},
		{"least_time header bogus; server 127.0.0.1;", `invalid parameter "bogus"`},
		{"least_time bogus; server 127.0.0.1;", `invalid value "bogus"`},
		{"random three; server 127.0.0.1;", `invalid parameter "three"`},
		{"keepalive x; server 127.0.0.1;", `invalid value "x" in "keepalive" directive`},
		{"keepalive 1 x; server 127.0.0.1;", `invalid parameter "x"`},
		{"server 127.0.0.1; sticky bogus x;", `unknown parameter "bogus"`},
		{"server 127.0.0.1; sticky route x;", `invalid variable name "x"`},
		{"server 127.0.0.1; sticky cookie c expires=x;", `"sticky" directive invalid "expires" parameter value`},
		{"server 127.0.0.1; sticky cookie c samesite=x;", `"sticky" directive invalid "samesite" parameter value`},
		{"server 127.0.0.1; sticky cookie c secure secure;", `"sticky" directive parameter "secure" is duplicate`},
		{"server 127.0.0.1; sticky cookie c domain=;", `"sticky" directive no value for "domain"`},
		{"server 127.0.0.1; sticky learn lookup=$a zone=z:1m;", `"sticky" directive "create" parameter is not specified`},
		{"server 127.0.0.1; sticky learn create=$uri lookup=$uri;", `"sticky" directive "zone" parameter is not specified`},
		{"server 127.0.0.1; sticky learn create=x;", `"sticky" directive missing variable in the "create" parameter`},
		{"server 127.0.0.1; sticky cookie a; sticky cookie b;", `"sticky" directive is duplicate`},
		{"server 127.0.0.1; health_check udp;", `invalid parameter "udp"`},
		{"server 127.0.0.1; health_check path=x;", `invalid parameter "path=x"`},
		{"server 127.0.0.1; health_check tcp path=/;", `invalid parameter "path=/"`},
		{"server 127.0.0.1; health_check expected_statuses=999;", `invalid parameter "expected_statuses=999"`},
		{"server 127.0.0.1; health_check; health_check;", `"health_check" directive is duplicate`},
		{"server 127.0.0.1; outlier_detection x=1;", `invalid parameter "x=1"`},
		{"server 127.0.0.1; circuit_breaker max_connections=-1;", `invalid parameter "max_connections=-1"`},
		{"server 127.0.0.1; retry_policy base_interval=0;", `invalid parameter "base_interval=0"`},
		{"server 127.0.0.1; panic_threshold 101;", "value must be between 0 and 100"},
	} {
		_, err := enginetest.Load(t, set(), "upstream u { "+c.block+" } server { listen 127.0.0.1:8080; }", nil)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s\n\tgives %v\n\twant  %s", c.block, err, c.want)
		}
	}
}

func TestKillAndReviveUnderLoad(t *testing.T) {
	var bs [3]*backend
	for i := range bs {
		bs[i] = newBackend(t, string(rune('a'+i)))
	}
	s := enginetest.Start(t, set(), site(`
		upstream u { zone u 64k; keepalive 8; server %s fail_timeout=1s; server %s fail_timeout=1s; server %s fail_timeout=1s; health_check path=/health interval=20ms timeout=1m healthy_threshold=1; }
		server { listen 127.0.0.1:8080; location / { proxy_pass http://u; proxy_http_version 1.1; proxy_set_header Connection ""; } location /status { status_page json; } }`,
		bs[0].addr, bs[1].addr, bs[2].addr))
	stop := make(chan struct{})
	bad := make(chan string, 100)
	var asked atomic.Int64
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if r := s.Get("/"); enginetest.Status(r) != "200 OK" {
					select {
					case bad <- r:
					default:
					}
				}
				asked.Add(1)
			}
		})
	}
	more := func() {
		n := asked.Load()
		testkit.Eventually(t, "clients go on", func() bool { return asked.Load() > n+50 })
	}
	for range 3 {
		more()
		bs[1].kill()
		more()
		testkit.Eventually(t, "b is unhealthy", func() bool { return status(t, s).states() == "up unhealthy up" })
		bs[1].revive(t)
		testkit.Eventually(t, "b is healthy", func() bool { return status(t, s).states() == "up up up" })
		n := bs[1].hits.Load()
		testkit.Eventually(t, "b is asked again", func() bool { return bs[1].hits.Load() > n })
	}
	close(stop)
	clients.Wait()
	close(bad)
	for r := range bad {
		t.Errorf("a client saw %q", r)
	}
}

// Three workers pass requests on while names change, servers fail and configurations come and go.
func TestManyWorkers(t *testing.T) {
	dns := resolvetest.Start(t)
	a, b := newBackend(t, "a"), newBackend(t, "b")
	port := func(b *backend) (n uint16) {
		_, p, _ := net.SplitHostPort(b.addr)
		fmt.Sscan(p, &n)
		return n
	}
	records := func(bs ...*backend) {
		var r resolvetest.Records
		for _, b := range bs {
			r.SRV = append(r.SRV, resolvetest.SRV{Priority: 1, Weight: 1, Port: port(b), Target: "h.test"})
		}
		dns.Set("_http._tcp.app.test", r)
	}
	dns.Set("h.test", resolvetest.Records{Addrs: []string{"127.0.0.7"}})
	records(a, b)
	text := "worker_processes 3; " + site(`
		upstream u { zone u 64k; resolver %s valid=1s ipv6=off; server app.test service=http resolve; keepalive 4; least_time last_byte inflight;
			outlier_detection consecutive_5xx=2 base_ejection_time=10ms interval=10ms max_ejection_percent=50; circuit_breaker max_connections=2 retry_budget=50%%;
			retry_policy num_retries=2 base_interval=1ms; health_check path=/health interval=10ms timeout=1m unhealthy_threshold=1 healthy_threshold=1;
			sticky learn create=$arg_s lookup=$arg_s zone=s:64k; }
		server { listen 127.0.0.1:8080; location / { proxy_pass http://u; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_next_upstream error timeout http_503; }
			location /status { status_page json; } location /metrics { prometheus_metrics; } }`, dns.Addr)
	s := enginetest.Start(t, set(), text)
	testkit.Eventually(t, "the service is known", func() bool { return len(status(t, s).Upstreams[0].Servers) == 2 })
	stop := make(chan struct{})
	var asked atomic.Int64
	var clients sync.WaitGroup
	for i := range 6 {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if st := enginetest.Status(s.Get(fmt.Sprintf("/?s=%d", i))); st != "200 OK" && st != "503 Service Unavailable" {
					t.Errorf("client %d: %s", i, st)
				}
				asked.Add(1)
			}
		})
	}
	for i := range 6 {
		n := asked.Load()
		b.status.Store([]int32{503, 200}[i%2])
		if i == 3 {
			records(a)
		}
		if err := s.Reload(text); err != nil {
			t.Fatal(err)
		}
		testkit.Eventually(t, "clients go on", func() bool { return asked.Load() > n+60 })
		if r := s.Get("/metrics"); !strings.Contains(r, "moongate_upstream_requests_total{") {
			t.Errorf("%q", r)
		}
	}
	testkit.Eventually(t, "b is gone", func() bool { return len(status(t, s).Upstreams[0].Servers) == 1 })
	close(stop)
	clients.Wait()
	testkit.Eventually(t, "nothing is left open", func() bool {
		v := status(t, s).Upstreams[0]
		return v.Guarded == 0 && v.Pending == 0 && v.Retries == 0 && v.Servers[0].Active == 0
	})
}

func TestTLSCheck(t *testing.T) {
	var code atomic.Int32
	code.Store(204)
	var name atomic.Value
	b := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name.Store(r.TLS.ServerName + " " + r.Host + " " + r.Method)
		w.WriteHeader(int(code.Load()))
	}))
	defer b.Close()
	s := enginetest.Start(t, set(), site(`
		upstream u { server %s; server 127.0.0.1:1 down;
			health_check tls method=HEAD host=app.test server_name=sni.test path=/health expected_statuses=200-204,304 interval=10ms timeout=1m unhealthy_threshold=1 healthy_threshold=1; }
		server { listen 127.0.0.1:8080; location / { proxy_pass http://u; } location /status { status_page json; } }`, b.Listener.Addr()))
	last := func() string { return status(t, s).Upstreams[0].Servers[0].LastCheck }
	testkit.Eventually(t, "a check succeeds", func() bool { return last() == "ok" })
	if got := name.Load(); got != "sni.test app.test HEAD" {
		t.Errorf("%v", got)
	}
	code.Store(500)
	testkit.Eventually(t, "the status is wrong", func() bool { return last() == "status 500" && status(t, s).states() == "unhealthy down" })
	code.Store(200)
	testkit.Eventually(t, "it is right again", func() bool { return status(t, s).states() == "up down" })
}
