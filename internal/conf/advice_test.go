package conf

import (
	"errors"
	"testing"
)

func TestAdvice(t *testing.T) {
	for text, want := range map[string]string{
		"http { server { locaton / { } } }":   `did you mean "location"?`,
		"htpp { }":                            `did you mean "http"?`,
		"http { srever { } }":                 `did you mean "server"?`,
		"http { upstreams a { } }":            `did you mean "upstream"?`,
		"quitesomethingelse on;":              "",
		"abc on;":                             "",
		"worker_proceses: 4;":                 `did you mean "worker_processes"?`,
		"daemon: on;":                         `did you mean "daemon"?`,
		"location / { }":                      `"location" belongs in: server, location`,
		"http { server { fastcgi_pass x; } }": "this part of nginx is not built in",
		"daemon on\nworker_processes 4;":      `is a ";" missing before "worker_processes"?`,
		"http {":                              "count the braces: a block further up is still open",
		"daemon maybe;":                       "",
	} {
		_, err := Load(Options{Modules: []*Module{&testCore, &testHTTP}, Path: "/nginx.conf", Text: text})
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := e.Advice(); got != want {
			t.Errorf("%s: %v: %q, want %q", text, err, got, want)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"listen", "listen", 0}, {"lisen", "listen", 1}, {"lsiten", "listen", 1}, {"listenn", "listen", 1}, {"lixten", "listen", 1},
		{"lost", "listen", 3}, {"", "ab", 2}, {"abcdef", "ab", 3},
	} {
		if got := distance(c.a, c.b, 3); got != c.want {
			t.Errorf("%s, %s: %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
