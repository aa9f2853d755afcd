package h2_test

import (
	"strings"
	"testing"

	"moongate/internal/engine/enginetest"
	"moongate/internal/modules"
)

func TestDirectives(t *testing.T) {
	for _, c := range []struct{ text, err, warn string }{
		{"http2 on; http2_max_concurrent_streams 5; http2_body_preread_size 1k; http2_chunk_size 16k; http2_pool_size 512; http2_streams_index_size 16;", "", ""},
		{"http2 maybe;", `invalid value "maybe" in "http2" directive, it must be "on" or "off"`, ""},
		{"http2_chunk_size 0;", "the http2 chunk size cannot be zero", ""},
		{"http2_body_preread_size 2200m;", "the maximum body preread buffer size is 2147483647", ""},
		{"http2_pool_size 100;", "the pool size must be no less than", ""},
		{"http2_pool_size 1001;", "the pool size must be a multiple of 16", ""},
		{"http2_streams_index_size 3;", "must be a power of two", ""},
		{"http2_max_requests 5;", "", `the "http2_max_requests" directive is obsolete, use the "keepalive_requests" directive instead`},
		{"http2_idle_timeout 5s;", "", `the "http2_idle_timeout" directive is obsolete, use the "keepalive_timeout" directive instead`},
		{"http2_recv_timeout 5s;", "", `the "http2_recv_timeout" directive is obsolete, use the "client_header_timeout" directive instead`},
		{"http2_max_field_size 5k;", "", `the "http2_max_field_size" directive is obsolete, use the "large_client_header_buffers" directive instead`},
		{"http2_max_header_size 5k;", "", `the "http2_max_header_size" directive is obsolete, use the "large_client_header_buffers" directive instead`},
		{"http2_push /x;", "", `the "http2_push" directive is obsolete, ignored`},
		{"http2_push_preload on;", "", `the "http2_push_preload" directive is obsolete, ignored`},
		{"http2_max_concurrent_pushes 5;", "", `the "http2_max_concurrent_pushes" directive is obsolete, ignored`},
	} {
		var warn []string
		_, err := enginetest.Load(t, modules.Set(), c.text, &warn)
		switch {
		case c.err == "" && err != nil, c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)):
			t.Errorf("%s: %v", c.text, err)
		case !strings.Contains(strings.Join(warn, "\n"), c.warn):
			t.Errorf("%s: warnings %q", c.text, warn)
		}
	}
	if _, err := enginetest.Load(t, modules.Set(), "events { } http { http2_recv_buffer_size 10; }", nil); err == nil || !strings.Contains(err.Error(), "value is too small") {
		t.Error(err)
	}
}
