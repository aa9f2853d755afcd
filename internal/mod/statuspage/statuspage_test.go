package statuspage_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"moongate/internal/engine"
	"moongate/internal/engine/enginetest"
	"moongate/internal/mod/access"
	"moongate/internal/mod/emptygif"
	"moongate/internal/mod/proxy"
	"moongate/internal/mod/statuspage"
	"moongate/internal/mod/upstreams"
)

func start(t *testing.T) *enginetest.Server {
	return enginetest.Start(t, &engine.Set{Modules: []*engine.Module{&access.Module, &emptygif.Module, &statuspage.Module, &upstreams.Module, &proxy.Module}}, `
	server { listen 127.0.0.1:8080; status_zone "<b>\"front\\";
		location / { proxy_pass http://u; proxy_http_version 1.1; proxy_set_header Connection ""; }
		location /other { empty_gif; status_zone other; }
		location /uncounted { empty_gif; status_zone off; }
		location /status { status_page; status_zone off; }
		location /json { status_page json; status_zone off; }
		location /metrics { prometheus_metrics go process; status_zone off; }
		location /closed { deny all; status_page; status_zone off; }
	}
	upstream u { zone u 64k; server 127.0.0.1:8081; server 127.0.0.1:8081 backup; keepalive 4; }
	server { listen 127.0.0.1:8081; location / { empty_gif; } location /missing { deny all; } }`)
}

func TestJSON(t *testing.T) {
	s := start(t)
	for _, uri := range []string{"/a", "/b", "/missing", "/other", "/uncounted"} {
		s.Get(uri)
	}
	r := s.Get("/json")
	var st statuspage.State
	if err := json.Unmarshal([]byte(enginetest.Body(r)), &st); err != nil || enginetest.Header(r, "Content-Type") != "application/json" {
		t.Fatalf("%v: %q", err, r)
	}
	if len(st.Zones) != 2 || st.Zones[0].Requests != 3 || st.Zones[0].Responses.Class4xx != 1 || st.Zones[0].Responses.Class2xx != 2 || st.Zones[0].Time.Count != 3 || st.Zones[1].Name != "other" || st.Zones[1].Requests != 1 {
		t.Errorf("zones %+v", st.Zones)
	}
	v := st.Upstreams[0].Servers[0]
	if v.Requests != 3 || v.Responses.Class2xx != 2 || v.Responses.Class4xx != 1 || v.Connects+v.Reused != 3 || v.Reused == 0 || v.Active != 0 || v.Time.Count != 3 || v.Received == 0 || v.Sent == 0 || v.State != "up" {
		t.Errorf("server %+v", v)
	}
	if !st.Upstreams[0].Servers[1].Backup || st.Upstreams[0].Idle != 1 {
		t.Errorf("upstream %+v", st.Upstreams[0])
	}
	if st.Connections.Active != st.Connections.Waiting+st.Connections.Writing || st.Connections.Accepted < 6 || len(st.Workers) != 1 || st.Process.Goroutines == 0 || st.Process.Descriptors < 5 {
		t.Errorf("%+v %+v", st.Connections, st.Process)
	}
}

func TestFormIsTheClientsChoice(t *testing.T) {
	s := start(t)
	for _, c := range []struct{ uri, accept, want string }{
		{"/status", "*/*", "text/html; charset=utf-8"},
		{"/status", "application/json", "application/json"},
		{"/status?format=json", "text/html", "application/json"},
		{"/status?x=1&format=html", "application/json", "text/html; charset=utf-8"},
		{"/json?format=html", "*/*", "application/json"},
	} {
		if got := enginetest.Header(s.Get(c.uri, "Accept: "+c.accept), "Content-Type"); got != c.want {
			t.Errorf("%s with %s: %s", c.uri, c.accept, got)
		}
	}
	if r := s.Request("POST", "/status", ""); enginetest.Status(r) != "405 Not Allowed" {
		t.Errorf("%q", r)
	}
	if r := s.Get("/closed"); enginetest.Status(r) != "403 Forbidden" {
		t.Errorf("%q", r)
	}
	if r := s.Request("HEAD", "/status", ""); enginetest.Status(r) != "200 OK" || enginetest.Body(r) != "" {
		t.Errorf("%q", r)
	}
}

func TestHTMLIsEscaped(t *testing.T) {
	s := start(t)
	s.Get("/a")
	page := enginetest.Body(s.Get("/status"))
	if strings.Contains(page, "<b>") || !strings.Contains(page, "&lt;b&gt;&#34;front") {
		t.Errorf("%s", page)
	}
	for _, want := range []string{"<h2>Upstream u</h2>", `<span class="up">up</span>`, "<h2>Workers</h2>", "backup"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %s in\n%s", want, page)
		}
	}
}

var line = regexp.MustCompile(`^(# (HELP|TYPE) [a-z_]+ .*|[a-zA-Z_:][a-zA-Z0-9_:]*(\{([a-z_]+="([^"\\\n]|\\.)*",?)*\})? [-+0-9.eEInfNa]+)$`)

func TestMetrics(t *testing.T) {
	s := start(t)
	s.Get("/a")
	s.Get("/other")
	r := s.Get("/metrics")
	if got := enginetest.Header(r, "Content-Type"); got != "text/plain; version=0.0.4; charset=utf-8" {
		t.Error(got)
	}
	text := enginetest.Body(r)
	series := map[string]string{}
	for l := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
		if !line.MatchString(l) {
			t.Errorf("no line of the format: %s", l)
		}
		if i := strings.LastIndexByte(l, ' '); l[0] != '#' {
			if _, twice := series[l[:i]]; twice {
				t.Errorf("twice: %s", l[:i])
			}
			series[l[:i]] = l[i+1:]
		}
	}
	addr := s.Addr("127.0.0.1:8081")
	of := `{address="` + addr + `",server="` + addr + `",upstream="u"}`
	for name, want := range map[string]string{
		"moongate_upstream_requests_total" + of:                  "1",
		"moongate_upstream_server_up" + of:                       "1",
		"moongate_upstream_response_duration_seconds_count" + of: "1",
		`moongate_upstream_responses_total{address="` + addr + `",class="2xx",server="` + addr + `",upstream="u"}`: "1",
		`moongate_upstream_requests_total{address="` + addr + `",server="` + addr + `#1",upstream="u"}`:            "0",
		`moongate_zone_requests_total{zone="other"}`:                                                               "1",
		`moongate_zone_responses_total{class="2xx",zone="<b>\"front\\"}`:                                           "1",
		`moongate_connections{state="writing"}`:                                                                    "1",
		"moongate_upstream_idle_connections{upstream=\"u\"}":                                                       "1",
	} {
		if series[name] != want {
			t.Errorf("%s is %q, want %s", name, series[name], want)
		}
	}
	if series["go_goroutines"] == "" || series["process_open_fds"] == "" || series[`moongate_lua_memory_bytes{worker="0"}`] == "" {
		t.Error("metrics are missing")
	}
}

// Whatever a group is named, there are metrics: also in bytes that are no text, or as an address that a directive has.
func TestMetricsOfStrangeNames(t *testing.T) {
	s := enginetest.Start(t, &engine.Set{Modules: []*engine.Module{&statuspage.Module, &upstreams.Module, &proxy.Module}}, `
	server { listen 127.0.0.1:8080; status_zone "`+"\xff"+`"; location / { proxy_pass http://127.0.0.1:8081; } location /metrics { prometheus_metrics; } }
	upstream "x`+"\xfe"+`\"" { server 127.0.0.1:8081; }
	upstream "127.0.0.1:8081" { server 127.0.0.1:8081; }`)
	text := enginetest.Body(s.Get("/metrics"))
	for _, want := range []string{`{upstream="x\\xfe\""}`, `{upstream="` + s.Addr("127.0.0.1:8081") + `"}`, `{upstream="` + s.Addr("127.0.0.1:8081") + `#1"}`, `{zone="\\xff"}`} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
}

func TestCountingAllocatesNothing(t *testing.T) {
	s := start(t)
	if n := s.Allocs("GET /other HTTP/1.1\r\nHost: a\r\n\r\n"); n >= 1 {
		t.Errorf("%v allocations", n)
	}
}

func TestParameters(t *testing.T) {
	for text, want := range map[string]string{
		"location / { status_page xml; }":        `invalid parameter "xml"`,
		"location / { prometheus_metrics lua; }": `invalid parameter "lua"`,
		"status_zone \"\";":                      `invalid zone name ""`,
	} {
		_, err := enginetest.Load(t, &engine.Set{Modules: []*engine.Module{&statuspage.Module}}, text, nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s gives %v", text, err)
		}
	}
}
