package notmodified_test

import (
	"strings"
	"testing"
	"time"

	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/engine/enginetest"
	"moongate/internal/http1"
	"moongate/internal/mod/notmodified"
)

const modified = 1577934245 // Thu, 02 Jan 2020 03:04:05 GMT

// page answers with a head of each kind: its argument lists what the response has.
var page = engine.Module{Module: conf.Module{Name: "page", Directives: []conf.Directive{
	{Name: "page", In: conf.Location, Args: conf.OneMore, Doc: "-", Set: conf.Func(func(c *conf.Cmd) error {
		has := strings.Join(c.Args, " ")
		engine.LocationOf(c.Scope).Handler = func(r *engine.Request) engine.Status {
			r.Out.Status = 200
			r.Out.ContentType = []byte("text/plain")
			if strings.Contains(has, "time") {
				r.Out.LastModified = modified
			}
			if strings.Contains(has, "tag") {
				r.AddHeader(http1.HETag, []byte("ETag"), []byte(`"t1"`))
			}
			if strings.Contains(has, "weak") {
				r.AddHeader(http1.HETag, []byte("ETag"), []byte(`W/"t1"`))
			}
			if strings.Contains(has, "created") {
				r.Out.Status = 201
			}
			if strings.Contains(has, "through") {
				r.NoConditions = true
			}
			return r.SendText([]byte("body"))
		}
		return nil
	})},
}}}

func set() *engine.Set {
	return &engine.Set{Modules: []*engine.Module{&page}, Filters: []*engine.Filter{&notmodified.Filter}}
}

func TestConditions(t *testing.T) {
	s := enginetest.Start(t, set(), `
		location = /tt { page time tag; }
		location = /wk { page time weak; }
		location = /no { page nothing; }
		location = /created { page time tag created; }
		location = /through { page time tag through; }
		location = /before { page time; if_modified_since before; }
		location = /off { page time; if_modified_since off; }
		location = /page { error_page 412 /no; page time tag; }`)
	date := func(after int64) string {
		return time.Unix(modified+after, 0).UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT")
	}
	for _, c := range []struct {
		uri, header, status string
	}{
		{"/tt", "X: y", "200"},
		{"/tt", "If-Modified-Since: " + date(0), "304"}, {"/tt", "If-Modified-Since: " + date(-1), "200"}, {"/tt", "If-Modified-Since: " + date(1), "200"},
		{"/tt", "If-Modified-Since: nonsense", "200"}, {"/no", "If-Modified-Since: " + date(0), "200"},
		{"/before", "If-Modified-Since: " + date(1), "304"}, {"/before", "If-Modified-Since: " + date(-1), "200"}, {"/off", "If-Modified-Since: " + date(0), "200"},
		{"/tt", "If-Unmodified-Since: " + date(0), "200"}, {"/tt", "If-Unmodified-Since: " + date(1), "200"}, {"/tt", "If-Unmodified-Since: " + date(-1), "412"},
		{"/tt", "If-Unmodified-Since: nonsense", "412"}, {"/no", "If-Unmodified-Since: " + date(0), "412"},
		{"/tt", `If-None-Match: "t1"`, "304"}, {"/tt", `If-None-Match: "t2"`, "200"}, {"/tt", `If-None-Match: "t2", "t1"`, "304"}, {"/tt", "If-None-Match: *", "304"},
		{"/tt", `If-None-Match: W/"t1"`, "304"}, {"/wk", `If-None-Match: "t1"`, "304"}, {"/no", `If-None-Match: "t1"`, "200"}, {"/no", "If-None-Match: *", "304"},
		{"/tt", `If-Match: "t1"`, "200"}, {"/tt", `If-Match: "t2"`, "412"}, {"/wk", `If-Match: W/"t1"`, "200"}, {"/wk", `If-Match: "t1"`, "412"}, {"/tt", "If-Match: *", "200"}, {"/no", `If-Match: "t1"`, "412"},
		{"/tt", "If-None-Match: \"t2\"\r\nIf-Modified-Since: " + date(0), "200"}, {"/tt", "If-None-Match: \"t1\"\r\nIf-Modified-Since: " + date(5), "200"},
		{"/created", `If-None-Match: "t1"`, "201"}, {"/through", `If-None-Match: "t1"`, "200"}, {"/through", `If-Match: "t2"`, "200"},
	} {
		r := s.Get(c.uri, c.header)
		if got := enginetest.Status(r)[:3]; got != c.status {
			t.Errorf("%s %q: %s, want %s", c.uri, c.header, got, c.status)
		}
		if c.status == "304" && (enginetest.Body(r) != "" || strings.Contains(r, "Content-")) {
			t.Errorf("%s %q: %q", c.uri, c.header, r)
		}
		if c.status == "412" && (strings.Contains(r, "ETag") || strings.Contains(r, "Last-Modified")) {
			t.Errorf("%s %q: %q", c.uri, c.header, r)
		}
	}
	// An error page comes in the place of the response; the connection does not outlive it.
	r := s.Raw("GET /page HTTP/1.1\r\nHost: a\r\nIf-Match: \"x\"\r\n\r\nGET /no HTTP/1.1\r\nHost: a\r\n\r\n")
	if enginetest.Status(r) != "412 Precondition Failed" || enginetest.Body(r) != "body" {
		t.Errorf("%q", r)
	}
}
