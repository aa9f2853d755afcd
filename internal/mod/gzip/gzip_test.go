package gzip_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http/httputil"
	"strings"
	"testing"

	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/engine/enginetest"
	"moongate/internal/http1"
	"moongate/internal/mod/corevars"
	mgzip "moongate/internal/mod/gzip"
	"moongate/internal/mod/headers"
)

var text = strings.Repeat("the same again and again, or nearly so\n", 500)

// answer answers with text in so many pieces, the type and what else its arguments say.
var answer = engine.Module{Module: conf.Module{Name: "answer", Directives: []conf.Directive{
	{Name: "answer", In: conf.Location, Args: conf.OneMore, Doc: "-", Set: conf.Func(func(c *conf.Cmd) error {
		engine.LocationOf(c.Scope).Handler = func(r *engine.Request) engine.Status {
			r.Out.Status, r.Out.ContentType, r.Out.ContentLength = 200, []byte(c.Args[0]), int64(len(text))
			r.AddHeader(http1.HETag, []byte("ETag"), []byte(`"t"`))
			body, step, flush := text, len(text), false
			for _, a := range c.Args[1:] {
				switch a {
				case "short":
					body = "short"
					r.Out.ContentLength = 5
				case "unknown":
					r.Out.ContentLength = -1
				case "encoded":
					r.AddHeader(http1.HContentEncoding, []byte("Content-Encoding"), []byte("br"))
				case "empty":
					body, r.Out.ContentLength = "", -1
				case "pieces":
					step = 100
				case "flush":
					flush = true
				case "500":
					r.Out.Status = 500
				}
			}
			if st := r.SendHead(); st != engine.OK || r.HeadOnly {
				return st
			}
			for len(body) > 0 {
				n := min(step, len(body))
				if r.Output(&engine.Chunk{Data: []byte(body[:n]), Flush: flush}) != nil {
					return engine.Error
				}
				body = body[n:]
			}
			if r.Output(&engine.Chunk{Last: true}) != nil {
				return engine.Error
			}
			return engine.OK
		}
		return nil
	})},
}}}

func set() *engine.Set {
	return &engine.Set{Modules: []*engine.Module{&corevars.Module, &mgzip.Module, &headers.Module, &answer}, Filters: []*engine.Filter{engine.Copy, &headers.Filter, &mgzip.Filter}}
}

// plain undoes chunks and compression.
func plain(t *testing.T, r string) string {
	t.Helper()
	body := []byte(enginetest.Body(r))
	var err error
	if enginetest.Header(r, "Transfer-Encoding") == "chunked" {
		if body, err = io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(body))); err != nil {
			t.Error(err)
		}
	}
	if enginetest.Header(r, "Content-Encoding") == "gzip" && len(body) > 0 {
		z, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if body, err = io.ReadAll(z); err != nil {
			t.Error(err)
		}
	}
	return string(body)
}

func TestGzip(t *testing.T) {
	s := enginetest.Start(t, set(), `
		gzip on; gzip_vary on; gzip_types text/plain Application/JSON;
		location /t { answer text/plain; }
		location /html { answer text/html; }
		location /param { answer "text/plain; charset=x"; }
		location /upper { answer TEXT/Plain; }
		location /json { answer application/json; }
		location /img { answer image/png; }
		location /star { gzip_types *; answer image/png; }
		location /unknown { answer text/plain unknown; }
		location /short { answer text/plain short; }
		location /min { gzip_min_length 5; answer text/plain short; }
		location /min2 { gzip_min_length 10000000; answer text/plain unknown; }
		location /enc { answer text/plain encoded; }
		location /empty { answer text/plain empty; }
		location /pieces { answer text/plain pieces; }
		location /flush { answer text/plain pieces flush; }
		location /500 { answer text/plain 500; }
		location /off { gzip off; answer text/plain; }
		location /nine { gzip_comp_level 9; answer text/plain; }
		location /disable { gzip_disable "old.*"; answer text/plain; }
		location /v10 { gzip_http_version 1.0; answer text/plain; }
		location /any { gzip_proxied any; answer text/plain; }
		location /auth { gzip_proxied auth; answer text/plain; }
		location /cc { gzip_proxied no-store; add_header Cache-Control "a, No-Store"; answer text/plain; }
		location /exp { gzip_proxied expired; expires -1; answer text/plain; }
		location /noetag { gzip_proxied no_etag; answer text/plain; }
		location /nolm { gzip_proxied no_last_modified; answer text/plain; }`)
	ae := "Accept-Encoding: gzip"
	via := "Via: 1.1 x"
	for _, c := range []struct {
		uri  string
		head []string
		gz   bool
		vary bool
	}{
		{"/t", []string{ae}, true, true}, {"/t", nil, false, true}, {"/t", []string{"Accept-Encoding: br, gzip;q=0.1"}, true, true}, {"/t", []string{"Accept-Encoding: gzip;q=0"}, false, true},
		{"/html", []string{ae}, true, true}, {"/param", []string{ae}, true, true}, {"/upper", []string{ae}, true, true}, {"/json", []string{ae}, true, true},
		{"/img", []string{ae}, false, false}, {"/star", []string{ae}, true, true}, {"/unknown", []string{ae}, true, true}, {"/short", []string{ae}, false, false}, {"/min", []string{ae}, true, true}, {"/min2", []string{ae}, true, true},
		{"/enc", []string{ae}, false, false}, {"/empty", []string{ae}, true, true}, {"/pieces", []string{ae}, true, true}, {"/flush", []string{ae}, true, true}, {"/500", []string{ae}, false, false}, {"/off", []string{ae}, false, false}, {"/nine", []string{ae}, true, true},
		{"/disable", []string{ae, "User-Agent: very OLD one"}, false, true}, {"/disable", []string{ae, "User-Agent: new"}, true, true}, {"/disable", []string{ae}, true, true},
		{"/t", []string{ae, via}, false, true}, {"/any", []string{ae, via}, true, true}, {"/auth", []string{ae, via, "Authorization: x"}, true, true},
		{"/cc", []string{ae, via}, true, true}, {"/exp", []string{ae, via}, true, true}, {"/noetag", []string{ae, via}, false, true}, {"/nolm", []string{ae, via}, true, true},
	} {
		r := s.Get(c.uri, c.head...)
		gz := enginetest.Header(r, "Content-Encoding") == "gzip"
		if gz != c.gz || (enginetest.Header(r, "Vary") == "Accept-Encoding") != c.vary {
			t.Errorf("%s %q: %q", c.uri, c.head, r[:200])
		}
		want := map[string]string{"/short": "short", "/min": "short", "/empty": ""}
		w, ok := want[c.uri]
		if !ok {
			w = text
		}
		if got := plain(t, r); got != w {
			t.Errorf("%s: %d bytes, want %d", c.uri, len(got), len(w))
		}
		etag, length := `"t"`, enginetest.Header(r, "Content-Length")
		if c.gz {
			etag = `W/"t"`
		}
		if enginetest.Header(r, "ETag") != etag || c.gz && length != "" {
			t.Errorf("%s: %q", c.uri, r[:200])
		}
	}
	head := "GET /%s HTTP/1.0\r\nAccept-Encoding: gzip\r\n\r\n"
	if r := s.Raw(strings.Replace(head, "%s", "t", 1)); enginetest.Header(r, "Content-Encoding") != "" {
		t.Errorf("%q", r[:200])
	}
	if r := s.Raw(strings.Replace(head, "%s", "v10", 1)); enginetest.Header(r, "Content-Encoding") != "gzip" || plain(t, r) != text {
		t.Errorf("%q", r[:200])
	}
	if r := s.Request("HEAD", "/t", "", ae); enginetest.Header(r, "Content-Encoding") != "gzip" || enginetest.Body(r) != "" {
		t.Errorf("%q", r)
	}
}

func TestRatio(t *testing.T) {
	s := enginetest.Start(t, set(), `location / { gzip on; gzip_types text/plain; add_trailer X-R "r$gzip_ratio"; answer text/plain; }`)
	// The trailers are made before the end is compressed: no ratio yet.
	if r := s.Get("/", "Accept-Encoding: gzip"); !strings.HasSuffix(r, "\r\nX-R: r\r\n\r\n") {
		t.Errorf("%q", r)
	}
}

func TestConfig(t *testing.T) {
	var warn []string
	if _, err := enginetest.Load(t, set(), "gzip_types text/html a/b A/b;", &warn); err != nil || len(warn) != 2 || !strings.Contains(warn[0], `duplicate MIME type "text/html"`) {
		t.Error(err, warn)
	}
	warn = nil
	if _, err := enginetest.Load(t, set(), "gzip on;", &warn); err != nil || warn != nil {
		t.Error(err, warn)
	}
	for text, want := range map[string]string{
		"gzip_comp_level 10;":    "value must be between 1 and 9",
		"gzip_window 3k;":        `"gzip_window" directive must be 512, 1k, 2k, 4k, 8k, 16k, or 32k`,
		"gzip_hash 1m;":          `"gzip_hash" directive must be 512, 1k, 2k, 4k, 8k, 16k, 32k, 64k, or 128k`,
		"gzip_http_version 1.2;": `invalid value "1.2"`,
		"gzip_proxied some;":     `invalid value "some"`,
		`gzip_disable "(";`:      "pcre2_compile() failed: missing closing parenthesis",
	} {
		if _, err := enginetest.Load(t, set(), text, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
