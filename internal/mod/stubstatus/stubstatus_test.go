package stubstatus_test

import (
	"regexp"
	"testing"

	"moongate/internal/engine"
	"moongate/internal/engine/enginetest"
	"moongate/internal/mod/emptygif"
	"moongate/internal/mod/stubstatus"
)

var page = regexp.MustCompile(`^Active connections: [1-9]\d* \nserver accepts handled requests\n ([1-9]\d*) (\d+) ([1-9]\d*) \nReading: 0 Writing: 1 Waiting: \d+ \n$`)

func TestStatus(t *testing.T) {
	s := enginetest.Start(t, &engine.Set{Modules: []*engine.Module{&stubstatus.Module, &emptygif.Module}}, "location / { stub_status; } location /gif { empty_gif; }")
	for i := range 2 {
		r := s.Get("/")
		m := page.FindStringSubmatch(enginetest.Body(r))
		if m == nil || m[1] != m[2] || m[3] != string(rune('1'+i)) || enginetest.Header(r, "Content-Type") != "text/plain" {
			t.Errorf("%q", r)
		}
	}
	if r := s.Request("POST", "/", ""); enginetest.Status(r) != "405 Not Allowed" {
		t.Errorf("%q", r)
	}
	r := s.Get("/gif")
	if b := enginetest.Body(r); len(b) != 43 || b[:6] != "GIF89a" || enginetest.Header(r, "Content-Type") != "image/gif" || enginetest.Header(r, "Last-Modified") != "Mon, 28 Sep 1970 06:00:00 GMT" {
		t.Errorf("%q", r)
	}
}
