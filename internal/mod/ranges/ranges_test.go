package ranges_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/engine/enginetest"
	"moongate/internal/http1"
	"moongate/internal/mod/ranges"
	"moongate/internal/mod/static"
)

const text = "0123456789abcdefghijklmnopqrstuvwxyz"

// pieces answers from memory: in pieces of as many bytes as its argument says, the end with the last or after it.
var pieces = engine.Module{Module: conf.Module{Name: "pieces", Directives: []conf.Directive{
	{Name: "pieces", In: conf.Location, Args: conf.Take12, Doc: "-", Set: conf.Func(func(c *conf.Cmd) error {
		n, late := len(c.Args[0]), len(c.Args) == 2
		engine.LocationOf(c.Scope).Handler = func(r *engine.Request) engine.Status {
			r.Out.Status, r.Out.ContentLength, r.Out.AcceptRanges = 200, int64(len(text)), true
			r.Out.ContentType = []byte("text/plain")
			r.AddHeader(http1.HETag, []byte("ETag"), []byte(`"t"`))
			if st := r.SendHead(); st != engine.OK || r.HeadOnly {
				return st
			}
			for i := 0; i < len(text); i += n {
				end := min(i+n, len(text))
				if r.Output(&engine.Chunk{Data: []byte(text[i:end]), Last: end == len(text) && !late}) != nil {
					return engine.Error
				}
			}
			if late && r.Output(&engine.Chunk{Last: true}) != nil {
				return engine.Error
			}
			return engine.OK
		}
		return nil
	})},
}}}

// upper wants bytes in memory, and changes none of their number.
var upper = engine.Filter{Name: "upper", InMemory: true,
	Header: func(r *engine.Request) engine.Status {
		if len(r.Args) > 0 {
			r.UseOwnBody()
		}
		return engine.OK
	},
	Body: func(r *engine.Request, c *engine.Chunk) error {
		c.Data = []byte(strings.ToUpper(string(c.Data)))
		return r.Next(c)
	}}

func set() *engine.Set {
	return &engine.Set{Modules: []*engine.Module{&pieces, &static.Module}, Filters: []*engine.Filter{&ranges.Body, engine.Copy, &upper, &ranges.Header}}
}

var boundary = regexp.MustCompile(`\d{20}`)

func part(numbers, data string) string {
	return "\r\n--B\r\nContent-Type: text/plain\r\nContent-Range: bytes " + numbers + "/36\r\n\r\n" + data
}

func TestRanges(t *testing.T) {
	dir := t.TempDir()
	os.MkdirAll(filepath.Join(dir, "html"), 0o755)
	if err := os.WriteFile(filepath.Join(dir, "html/file"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	s := enginetest.StartIn(t, dir, set(), `
		location /file { }
		location = /whole { pieces `+text+`; }
		location = /late { pieces `+text+` late; }
		location = /seven { pieces 7777777; }
		location = /one { pieces 7777777; max_ranges 1; }
		location = /none { pieces 7777777; max_ranges 0; }`)
	for _, c := range []struct{ uris, header, status, body string }{
		{"/file /whole /late /seven /one", "bytes=0-3", "206", "0123"},
		{"/file /whole /late /seven /one", "bytes=6-7", "206", "67"},
		{"/file /whole /late /seven", "bytes=5-20", "206", text[5:21]},
		{"/file /whole /late /seven", "bytes=-3", "206", "xyz"},
		{"/file /whole /late /seven", "bytes=30-", "206", "uvwxyz"},
		{"/file /whole /late /seven", "bytes=35-99", "206", "z"},
		{"/file /whole /late /seven", "bytes=0-", "206", text},
		{"/file /whole /late /seven /one", "bytes=36-", "416", ""},
		{"/file /whole", "bytes=5-3", "416", ""},
		{"/file /whole", "bytes=x", "416", ""},
		{"/file /whole", "words=0-3", "200", text},
		{"/none", "bytes=0-3", "200", text},
		{"/one", "bytes=0-1,3-4", "200", text},
		{"/file /whole", "bytes=0-1,3-4", "206", part("0-1", "01") + part("3-4", "34") + "\r\n--B--\r\n"},
		{"/late", "bytes=0-1,3-4", "206", part("0-1", "01") + part("3-4", "34") + "\r\n--B--\r\n"},
		{"/file /whole", "bytes=0-30,5-34", "200", text},
	} {
		for uri := range strings.FieldsSeq(c.uris) {
			for _, q := range []string{"", "?upper"} {
				r := s.Get(uri+q, "Range: "+c.header)
				body := c.body
				if q != "" {
					data := regexp.MustCompile(`(?m)^[0-9a-z]+(\r|$)`)
					body = data.ReplaceAllStringFunc(body, strings.ToUpper)
				}
				got := enginetest.Body(r)
				if b := boundary.FindString(enginetest.Header(r, "Content-Type")); b != "" {
					if enginetest.Header(r, "Content-Length") != strconv.Itoa(len(got)) {
						t.Errorf("%s %s: %q", uri, c.header, r)
					}
					got = strings.ReplaceAll(got, b, "B")
					if q != "" { // heads of parts pass the filter, too
						got, body = strings.ToUpper(got), strings.ToUpper(body)
					}
				}
				if enginetest.Status(r)[:3] != c.status || c.status != "416" && got != body {
					t.Errorf("%s%s %s: %q", uri, q, c.header, r)
				}
				if c.status == "416" && enginetest.Header(r, "Content-Range") != "bytes */36" {
					t.Errorf("%s %s: %q", uri, c.header, r)
				}
			}
		}
	}
	if r := s.Get("/seven", "Range: bytes=0-1,30-31"); strings.Contains(r, "\r\n\r\n0") || !strings.Contains(s.ErrorLog(), "[alert]") || !strings.Contains(s.ErrorLog(), "range in overlapped buffers") {
		t.Errorf("pieces: %q", r)
	}
	for header, status := range map[string]string{`If-Range: "t"`: "206", `If-Range: "u"`: "200", "If-Range: Thu, 02 Jan 2020 03:04:05 GMT": "200"} {
		if r := s.Get("/seven", "Range: bytes=0-1", header); enginetest.Status(r)[:3] != status {
			t.Errorf("%s: %q", header, r)
		}
	}
	if r := s.Request("HEAD", "/file", "", "Range: bytes=0-1"); enginetest.Header(r, "Content-Range") != "bytes 0-1/36" || enginetest.Body(r) != "" {
		t.Errorf("HEAD: %q", r)
	}
	if r := s.Get("/seven"); enginetest.Header(r, "Accept-Ranges") != "bytes" {
		t.Errorf("%q", r)
	}
}
