package main

import (
	"strings"
	"testing"
)

func TestStatTimes(t *testing.T) {
	user, system := statTimes("7 (a) b (c) S 1 7 7 0 -1 4194560 100 0 0 0 250 125 0 0 20 0 5 0 9 1 2")
	if user != 2.5 || system != 1.25 {
		t.Errorf("got %v %v", user, system)
	}
	if user, system = statTimes("7 (a) S 1"); user != 0 || system != 0 {
		t.Errorf("a short line: got %v %v", user, system)
	}
}

func TestRequests(t *testing.T) {
	for _, c := range []struct {
		output string
		n      float64
		err    string
	}{
		{"Running 2s test\n  123456 requests in 2.00s, 20MB read\n", 123456, ""},
		{"  12 requests in 2.00s, 20MB read\n  Non-2xx or 3xx responses: 3\n", 0, "Non-2xx"},
		{"  12 requests in 2.00s\n  Socket errors: connect 0, read 3", 0, "Socket errors"},
		{"  0 requests in 2.00s", 0, "no request"},
		{"unable to connect", 0, "says: unable"},
		{"requests: 120 total, 130 started, 120 done, 119 succeeded, 0 failed, 0 errored, 0 timeout\n", 119, ""},
		{"requests: 120 total, 130 started, 120 done, 110 succeeded, 10 failed, 10 errored, 0 timeout\n", 0, "10 failed"},
	} {
		n, err := requests(c.output)
		if n != c.n || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%q: %v, %v", c.output, n, err)
		}
	}
}

func TestMedian(t *testing.T) {
	if m := median([]sample{{3, 1, 9}, {1, 2, 8}, {2, 3, 7}}); m != (sample{2, 2, 8}) || m.total() != 4 {
		t.Errorf("got %v", m)
	}
}

func TestConfiguration(t *testing.T) {
	for _, w := range workloads {
		text := w.configuration(candidate{modules: []string{"m.so"}}, "/d", "127.0.0.1:1", "127.0.0.1:2")
		if strings.Contains(text, "DIR") || strings.Contains(text, "BACKEND") {
			t.Errorf("%s: a placeholder is left:\n%s", w.name, text)
		}
		if strings.Count(text, "{") != strings.Count(text, "}") {
			t.Errorf("%s: braces do not match", w.name)
		}
		if !strings.HasPrefix(text, "load_module m.so;\n") || !strings.Contains(text, "listen 127.0.0.1:1") {
			t.Errorf("%s:\n%s", w.name, text)
		}
	}
	if _, err := choose("hello,nothing"); err == nil {
		t.Error("no error for an unknown workload")
	}
	if c, err := choose("gate,hello"); err != nil || len(c) != 2 || c[0].name != "gate" {
		t.Errorf("choose: %v, %v", c, err)
	}
}
