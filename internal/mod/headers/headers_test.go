package headers_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/engine/enginetest"
	"moongate/internal/http1"
	"moongate/internal/mod/corevars"
	"moongate/internal/mod/headers"
)

// answer answers with the status in its argument, of a time long ago.
var answer = engine.Module{Module: conf.Module{Name: "answer", Directives: []conf.Directive{
	{Name: "answer", In: conf.Location, Args: conf.Take1, Doc: "-", Set: conf.Func(func(c *conf.Cmd) error {
		var status engine.Status
		fmt.Sscan(c.Args[0], &status)
		engine.LocationOf(c.Scope).Handler = func(r *engine.Request) engine.Status {
			if status >= 300 {
				return status
			}
			r.Out.Status, r.Out.LastModified = status, 1577934245
			r.AddHeader(http1.HETag, []byte("ETag"), []byte(`"old"`))
			return r.SendText([]byte("body"))
		}
		return nil
	})},
}}}

func set() *engine.Set {
	return &engine.Set{Modules: []*engine.Module{&corevars.Module, &headers.Module, &answer}, Filters: []*engine.Filter{&headers.Filter}}
}

func TestAddHeader(t *testing.T) {
	s := enginetest.Start(t, set(), `
		add_header X-Out out;
		location /a { answer 200; add_header X-A "a $arg_x"; add_header X-B b always; add_header X-Empty ""; }
		location /e { answer 404; add_header X-A a; add_header X-B b always; }
		location /in { answer 200; }
		location /merge { answer 200; add_header X-A a; add_header_inherit merge; }
		location /off { answer 200; add_header_inherit off; }
		location /offin/ { add_header_inherit off; location /offin/x { answer 200; } }
		location /cc { answer 200; add_header Cache-Control private; add_header Cache-Control max-age=3; }
		location /tag { answer 200; add_header ETag '"new"'; add_header last-modified "Wed, 01 Jan 2020 00:00:00 GMT"; }
		location /notag { answer 200; add_header ETag ""; add_header Last-Modified ""; }
		location /many { answer 200; add_header X-A 1; add_header X-A 2; }`)
	for _, c := range []struct{ uri, want, not string }{
		{"/a?x=1", "X-A: a 1|X-B: b", "X-Empty|X-Out"}, {"/e", "X-B: b", "X-A|X-Out"}, {"/in", "X-Out: out", "X-A"},
		{"/merge", "X-A: a|X-Out: out", ""}, {"/off", "", "X-Out"}, {"/offin/x", "", "X-Out"},
		{"/cc", "Cache-Control: private|Cache-Control: max-age=3", ""},
		{"/tag", `ETag: "new"|last-modified: Wed, 01 Jan 2020 00:00:00 GMT`, `"old"|03:04:05`}, {"/notag", "", "ETag|Last-Modified"},
		{"/many", "X-A: 1\r\nX-A: 2", ""},
	} {
		r := s.Get(c.uri)
		for _, w := range strings.Split(c.want, "|") {
			if !strings.Contains(r, "\r\n"+w) {
				t.Errorf("%s: no %q in %q", c.uri, w, r)
			}
		}
		for _, n := range strings.Split(c.not, "|") {
			if n != "" && strings.Contains(r, n) {
				t.Errorf("%s: %q in %q", c.uri, n, r)
			}
		}
	}
}

func TestTrailers(t *testing.T) {
	s := enginetest.Start(t, set(), `
		location /t { answer 200; add_trailer X-T "t $uri"; add_trailer X-Empty ""; }
		location /e { answer 404; add_trailer X-T t; }
		location /plain { chunked_transfer_encoding off; answer 200; add_trailer X-T t; }`)
	if r := s.Get("/t"); !strings.HasSuffix(r, "\r\n\r\n4\r\nbody\r\n0\r\nX-T: t /t\r\n\r\n") || strings.Contains(r, "Content-Length") {
		t.Errorf("%q", r)
	}
	for _, uri := range []string{"/e", "/plain"} {
		if r := s.Get(uri); strings.Contains(r, "X-T") || !strings.Contains(r, "Content-Length") {
			t.Errorf("%q", r)
		}
	}
	if r := s.Request("HEAD", "/t", ""); strings.Contains(r, "X-T") || strings.Contains(r, "Content-Length: 4") == strings.Contains(r, "chunked") {
		t.Errorf("%q", r)
	}
}

func TestExpires(t *testing.T) {
	s := enginetest.Start(t, set(), `
		location /off { answer 200; expires off; }
		location /epoch { answer 200; expires epoch; }
		location /max { answer 200; expires max; }
		location /hour { answer 200; expires 1h; }
		location /minus { answer 200; expires -1; }
		location /zero { answer 200; expires 0; }
		location /modified { answer 200; expires modified 1d; }
		location /daily { answer 200; expires @15h30m; }
		location /var { answer 200; expires $arg_e; }
		location /err { answer 404; expires max; }
		location /in/ { expires max; location /in/x { answer 200; } location /in/off { answer 200; expires off; } }`)
	now := time.Now()
	at := func(r string) time.Duration {
		e, ok := http1.ParseTime([]byte(enginetest.Header(r, "Expires")))
		if !ok {
			return -1
		}
		return time.Unix(e, 0).Sub(now).Round(time.Minute)
	}
	for _, c := range []struct {
		uri, control string
		in           time.Duration
	}{
		{"/hour", "max-age=3600", time.Hour}, {"/var?e=2h", "max-age=7200", 2 * time.Hour}, {"/zero", "max-age=0", 0}, {"/minus", "no-cache", 0}, {"/var?e=-1h", "no-cache", -time.Hour},
	} {
		r := s.Get(c.uri)
		if got := enginetest.Header(r, "Cache-Control"); got != c.control || at(r) != c.in {
			t.Errorf("%s: %s %v", c.uri, got, at(r))
		}
	}
	for uri, want := range map[string]string{
		"/epoch": "Thu, 01 Jan 1970 00:00:01 GMT no-cache", "/max": "Thu, 31 Dec 2037 23:55:55 GMT max-age=315360000",
		"/modified": "Fri, 03 Jan 2020 03:04:05 GMT no-cache", "/off": " ", "/var": " ", "/var?e=off": " ", "/var?e=nonsense": " ", "/err": " ",
		"/in/x": "Thu, 31 Dec 2037 23:55:55 GMT max-age=315360000", "/in/off": " ",
	} {
		r := s.Get(uri)
		if got := enginetest.Header(r, "Expires") + " " + enginetest.Header(r, "Cache-Control"); got != want {
			t.Errorf("%s: %q", uri, got)
		}
	}
	e, ok := http1.ParseTime([]byte(enginetest.Header(s.Get("/daily"), "Expires")))
	if h, m, sec := time.Unix(e, 0).Clock(); !ok || h != 15 || m != 30 || sec != 0 || e < now.Unix() || e > now.Unix()+25*3600 {
		t.Error("daily:", time.Unix(e, 0))
	}
}

func TestConfig(t *testing.T) {
	for text, want := range map[string]string{
		"expires x;":               `"expires" directive invalid value`,
		"expires other 1h;":        `"expires" directive invalid value`,
		"expires modified @1h;":    `"expires" directive daily time cannot be used with "modified" parameter`,
		"expires @25h;":            `"expires" directive daily time value must be less than 24 hours`,
		"expires 1h; expires 2h;":  `"expires" directive is duplicate`,
		"add_header a b c;":        `invalid parameter "c"`,
		"add_header a;":            `invalid number of arguments in "add_header" directive`,
		"add_header_inherit some;": `invalid value "some"`,
	} {
		if _, err := enginetest.Load(t, set(), text, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
