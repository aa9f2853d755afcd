package enginetest

import (
	"strings"
	"testing"

	"moongate/internal/conf"
	"moongate/internal/engine"
)

// hello answers with a template: enough of a module to see a server serve.
var hello = engine.Module{Module: conf.Module{Name: "hello", Directives: []conf.Directive{
	{Name: "hello", In: conf.Location, Args: conf.Take1, Doc: "-", Set: conf.Func(func(c *conf.Cmd) error {
		text, err := engine.CompileArg(c, c.Args[0])
		if err != nil {
			return err
		}
		engine.LocationOf(c.Scope).Handler = func(r *engine.Request) engine.Status { return r.SendText(text.Eval(r)) }
		return nil
	})},
}}}

func set() *engine.Set { return &engine.Set{Modules: []*engine.Module{&hello}} }

func TestServe(t *testing.T) {
	s := Start(t, set(), `
		server { listen 127.0.0.1:8080; location / { hello one; } location = /x { hello ex; } location ~ ^/r(.*)$ { hello "r:$1"; } }
		server { listen 127.0.0.1:8081; location / { hello two; } }`)
	for uri, want := range map[string]string{"/": "one", "/x": "ex", "/rest": "r:est", "/nowhere": "one"} {
		if r := s.Get(uri); Status(r) != "200 OK" || Body(r) != want || Header(r, "Content-Length") == "" {
			t.Errorf("%s: %q", uri, r)
		}
	}
	if s.Addr("127.0.0.1:8081") == s.Addr("") {
		t.Error("one address for two")
	}
	r := s.Raw("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	if strings.Count(r, "HTTP/1.1 200 OK\r\n") != 2 || !strings.HasSuffix(r, "ex") {
		t.Errorf("pipelined: %q", r)
	}
	if r := s.Get("/%00"); Status(r) != "400 Bad Request" {
		t.Errorf("bad request: %q", r)
	}
	if s.ErrorLog() != "" {
		t.Error(s.ErrorLog())
	}
}

func TestLoad(t *testing.T) {
	if _, err := Load(t, set(), "hello $x;", nil); err == nil || !strings.Contains(err.Error(), `"hello" directive is not allowed here`) {
		t.Error(err)
	}
	if _, err := Load(t, set(), "location / { hello $x; }", nil); err == nil || !strings.Contains(err.Error(), `unknown "x" variable`) {
		t.Error(err)
	}
}
