package corevars_test

import (
	"encoding/base64"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/engine/enginetest"
	"moongate/internal/mod/corevars"
	"moongate/internal/mod/rewrite"
)

// proxied pretends that a PROXY protocol header was read.
var proxied = engine.Module{Module: conf.Module{Name: "proxied"}, Steps: []engine.Step{{Phase: engine.PostRead, Run: func(r *engine.Request) engine.Status {
	if len(r.Args) > 0 && r.Args[0] == 'P' {
		r.Conn.Proxy = &engine.ProxyInfo{
			Src: engine.Addr{IP: netip.MustParseAddrPort("10.0.0.1:1000")}, Dst: engine.Addr{IP: netip.MustParseAddrPort("[::2]:2000")},
			TLVs: []byte("\x01\x00\x02h2\x20\x00\x0d\x01\x00\x00\x00\x07\x22\x00\x05alice\xe0\x00\x01x"),
		}
		if string(r.Args) == "Pbroken" {
			r.Conn.Proxy.TLVs = []byte("\x02\x00\x09short")
		}
	}
	return engine.Declined
}}}}

// sender answers with headers and a trailer of its own.
var sender = engine.Module{Module: conf.Module{Name: "sender"}, Steps: []engine.Step{{Phase: engine.Content, Run: func(r *engine.Request) engine.Status {
	if string(r.URI) != "/send" {
		return engine.Declined
	}
	r.ReadBody()
	r.AddHeader(0, []byte("X-One"), []byte("a"))
	r.AddHeader(0, []byte("X-One"), []byte("b"))
	r.Out.Trailers = append(r.Out.Trailers, r.Out.List[0])
	r.Out.ContentType, r.Out.Charset = []byte("text/x"), []byte("koi8-r")
	r.Out.LastModified = 784111777
	return r.SendText([]byte("sent"))
}}}}

// logged keeps the values of variables in the log phase.
var logged = map[string]string{}

var logger = engine.Module{Module: conf.Module{Name: "logger"}, Steps: []engine.Step{{Phase: engine.Log, Run: func(r *engine.Request) engine.Status {
	for _, name := range []string{"status", "bytes_sent", "body_bytes_sent", "request_completion", "sent_http_content_type", "sent_http_content_length",
		"sent_http_x_one", "sent_trailer_x_one", "sent_http_last_modified", "sent_http_connection", "sent_http_transfer_encoding",
		"sent_http_keep_alive", "sent_http_none", "request_body", "request_body_file", "request_length", "sent_http_location"} {
		v, found := r.VarNamed([]byte(name))
		logged[name] = string(v)
		if !found {
			logged[name] = "-"
		}
	}
	return engine.OK
}}}}

func start(t *testing.T, text string) *enginetest.Server {
	dir := t.TempDir()
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		t.Fatal(err)
	}
	os.MkdirAll(filepath.Join(real, "html"), 0o755)
	os.Symlink("html", filepath.Join(real, "link"))
	return enginetest.StartIn(t, real, &engine.Set{Modules: []*engine.Module{&corevars.Module, &rewrite.Module, &proxied, &sender, &logger}}, text)
}

func TestRequest(t *testing.T) {
	s := start(t, `
		server { listen 127.0.0.1:8080; server_name srv.name other;
		location /line { return 200 "$request|$request_method|$request_uri|$uri|$document_uri|$server_protocol"; }
		location /args { return 200 "$args|$query_string|$is_args|$arg_a|$arg_B|$arg_none"; }
		location /set { set $args "x=1"; return 200 "$args|$arg_x|$request_uri"; }
		location /heads { return 200 "$http_x_one|$http_user_agent|$http_cookie|$cookie_a|$cookie_c|$cookie_none|$http_none"; }
		location /body { return 200 "$content_type|$content_length|$request_length"; }
		location /host { return 200 "$host|$server_name|$request_port|$is_request_port|$http_host"; }
		location /user { return 200 "$remote_user"; }
		location /file { return 200 "$document_root|$realpath_root|$request_filename"; }
		location /link { root link; return 200 "$document_root|$realpath_root|$request_filename"; }
		location /rate { set $limit_rate 10k; set $limit_rate x; return 200 $limit_rate; }
		location /conn { return 200 "$remote_addr|$server_addr|$scheme|$https|$connection_requests|$pipe|$pid"; }
		location /ports { return 200 "$remote_port|$server_port"; }
		location /bin { return 200 $binary_remote_addr; }
		location /clock { return 200 "$msec|$time_local|$time_iso8601|$request_time|$connection_time|$connection"; }
		location /id { return 200 "$request_id|$request_id"; }
		location /tcp { return 200 "$tcpinfo_rtt|$tcpinfo_rttvar|$tcpinfo_snd_cwnd|$tcpinfo_rcv_space"; }
		location /proxy { return 200 "$proxy_protocol_addr|$proxy_protocol_port|$proxy_protocol_server_addr|$proxy_protocol_server_port|$proxy_protocol_tlv_alpn|$proxy_protocol_tlv_ssl_cn|$proxy_protocol_tlv_ssl_verify|$proxy_protocol_tlv_0xe0|$proxy_protocol_tlv_netns"; }
		location /early { return 200 "$status|$bytes_sent|$request_completion|$sent_http_x"; }
		location /version { return 200 "$nginx_version|$hostname"; }
		}`)
	host, _ := os.Hostname()
	root := s.Dir + "/html"
	for _, c := range []struct {
		uri, want string
		lines     []string
	}{
		{"/line%20x?y=%20", "GET /line%20x?y=%20 HTTP/1.1|GET|/line%20x?y=%20|/line x|/line x|HTTP/1.1", nil},
		{"/args", "|||||", nil},
		{"/args?a=1&b=2&a=3", "a=1&b=2&a=3|a=1&b=2&a=3|?|1|2|", nil},
		{"/set?a=1", "x=1|1|/set?a=1", nil},
		{"/heads", "a, b|agent|a=1; b=2; c=3|1|3||", []string{"X-One: a", "User-Agent: agent", "x-one: b", "Cookie: a=1; b=2", "Cookie: c=3"}},
		{"/host", "host.name|srv.name|8080|:|HOST.name:8080", []string{"Host: HOST.name:8080"}},
		{"/user", "user", []string{"Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("user:pass"))}},
		{"/user", "", []string{"Authorization: Digest x"}},
		{"/file/x", root + "|" + root + "|" + root + "/file/x", nil},
		{"/link", s.Dir + "/link|" + root + "|" + s.Dir + "/link/link", nil},
		{"/rate", "10240", nil},
		{"/conn", "127.0.0.1|127.0.0.1|http||1|.|" + strconv.Itoa(os.Getpid()), nil},
		{"/bin", "\x7f\x00\x00\x01", nil},
		{"/proxy", "||||||||", nil},
		{"/proxy?P", "10.0.0.1|1000|::2|2000|h2|alice|7|x|", nil},
		{"/proxy?Pbroken", "10.0.0.1|1000|::2|2000|||||", nil},
		{"/early", "200|0||", nil},
		{"/version", "1.27.1|" + strings.ToLower(host), nil},
	} {
		if got := enginetest.Body(s.Get(c.uri, c.lines...)); got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.uri, got, c.want)
		}
	}
	if got := enginetest.Body(s.Request("POST", "/body", "1234", "Content-Type: t/x", "Content-Length: 4", "Host: a")); got != "t/x|4|89" {
		t.Errorf("body: %s", got)
	}
	for uri, want := range map[string]string{
		"/clock": `^\d{10}\.\d{3}\|\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d\|0\.\d{3}\|0\.\d{3}\|\d+$`,
		"/tcp":   `^\d+\|\d+\|[1-9]\d*\|[1-9]\d*$`,
		"/ports": `^\d+\|` + strings.TrimPrefix(s.Addr(""), "127.0.0.1:") + "$",
	} {
		if got := enginetest.Body(s.Get(uri)); !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("%s: %s does not match %s", uri, got, want)
		}
	}
	id, again, _ := strings.Cut(enginetest.Body(s.Get("/id")), "|")
	if other, _, _ := strings.Cut(enginetest.Body(s.Get("/id")), "|"); !regexp.MustCompile(`^[0-9a-f]{32}$`).MatchString(id) || id != again || id == other {
		t.Errorf("request_id: %s, %s, %s", id, again, other)
	}
	if log := s.ErrorLog(); !strings.Contains(log, `invalid $limit_rate "x"`) || !strings.Contains(log, "broken PROXY protocol TLV") {
		t.Errorf("log: %s", log)
	}
}

func TestResponse(t *testing.T) {
	s := start(t, "location /send { } location /away { return 301 /there; }")
	body := strings.Repeat("x", 10)
	s.Request("POST", "/send", body, "Content-Length: 10", "Host: a")
	size := len(s.Request("POST", "/send", body, "Content-Length: 10", "Host: a"))
	s.Do(func(*engine.Worker) {
		for name, want := range map[string]string{
			"status": "200", "bytes_sent": strconv.Itoa(size), "body_bytes_sent": "4", "request_completion": "OK",
			"sent_http_content_type": "text/x; charset=koi8-r", "sent_http_content_length": "4", "sent_http_x_one": "a, b", "sent_trailer_x_one": "a",
			"sent_http_last_modified": "Sun, 06 Nov 1994 08:49:37 GMT", "sent_http_connection": "close", "sent_http_transfer_encoding": "-",
			"sent_http_keep_alive": "-", "sent_http_none": "-", "sent_http_location": "-",
			"request_body": body, "request_body_file": "-",
		} {
			if logged[name] != want {
				t.Errorf("$%s is %q, want %q", name, logged[name], want)
			}
		}
	})
	s.Get("/away", "Host: x")
	s.Do(func(*engine.Worker) {
		want := "http://x:" + strings.TrimPrefix(s.Addr(""), "127.0.0.1:") + "/there"
		if logged["sent_http_location"] != want || logged["status"] != "301" {
			t.Errorf("redirect: %q", logged)
		}
	})
}

func TestPipelined(t *testing.T) {
	s := start(t, "location / { return 200 $pipe$connection_requests; }")
	r := s.Raw("GET /a HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	if !strings.Contains(r, "\r\n\r\n.1HTTP/1.1") || !strings.HasSuffix(r, "\r\n\r\np2") {
		t.Errorf("%q", r)
	}
}

func TestNoGarbage(t *testing.T) {
	s := enginetest.Start(t, &engine.Set{Modules: []*engine.Module{&corevars.Module, &rewrite.Module}}, `location / { return 200 "$request|$uri|$args|$arg_a|$http_user_agent|$http_x_other|$cookie_a|$remote_addr|$server_addr|$server_port|$time_local|$msec|$request_time|$request_id|$host|$scheme|$request_length|$document_root|$request_filename|$remote_user"; }`)
	if n := s.Allocs("GET /?a=1 HTTP/1.1\r\nHost: a\r\nUser-Agent: b\r\nX-Other: c\r\nCookie: a=1\r\nAuthorization: Basic dXNlcjpwYXNz\r\n\r\n"); n >= 1 {
		t.Errorf("allocates %v times", n)
	}
}
