package h2_test

import (
	"testing"

	"moongate/internal/http2"
)

func TestWindowViolation(t *testing.T) {
	_, addr := start(t, `http2_body_preread_size 10;
		location / { echo_sleep 0.3; echo_read_request_body; echo ok; }`)
	c := dial(t, addr)
	c.write(append(c.head("/", 0, "content-length: 40"), http2.AppendData(nil, 1, make([]byte, 40), http2.EndStream)...))
	if r := c.response(1); r.reset == nil || *r.reset != http2.FlowControlError {
		t.Error(r)
	}
	c.ping()
}
