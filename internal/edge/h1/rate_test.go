package h1_test

import (
	"io"
	"strings"
	"testing"

	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/engine/enginetest"
)

// big answers with 1100 bytes.
var big = engine.Module{Module: conf.Module{Name: "big"}, Steps: []engine.Step{{Phase: engine.Content, Run: func(r *engine.Request) engine.Status {
	return r.SendText([]byte(strings.Repeat("x", 1100)))
}}}}

func TestLimitRate(t *testing.T) {
	s := enginetest.Start(t, &engine.Set{Modules: []*engine.Module{&big}}, `
		location /slow { limit_rate 1000; }
		location /after { limit_rate 1; limit_rate_after 10k; }`)
	c := s.Dial()
	io.WriteString(c, "GET /slow HTTP/1.0\r\n\r\n")
	b := make([]byte, 4096)
	n, err := io.ReadAtLeast(c, b, 1000)
	if err != nil || n > 2000 {
		t.Fatalf("at first %d bytes, %v", n, err)
	}
	rest, err := io.ReadAll(c)
	if err != nil || len(rest) == 0 || len(enginetest.Body(string(b[:n])+string(rest))) != 1100 {
		t.Errorf("then %d bytes, %v", len(rest), err)
	}
	if got := len(enginetest.Body(s.Get("/after"))); got != 1100 {
		t.Errorf("free bytes: %d", got)
	}
	_, err = enginetest.Load(t, &engine.Set{}, "limit_rate x;", nil)
	if err == nil || !strings.Contains(err.Error(), `"limit_rate" directive invalid value`) {
		t.Error(err)
	}
}
