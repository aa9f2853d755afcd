package errlog

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"moongate/internal/base/nlog"
	"moongate/internal/conf"
)

// blocks stands in for the modules that open http{}, server{}, location{}.
var blocks = conf.Module{Name: "blocks", Directives: []conf.Directive{
	block("http", conf.Main, conf.HTTP, conf.KindMain),
	block("server", conf.HTTP, conf.Server, conf.KindServer),
	block("location", conf.Server, conf.Location, conf.KindLocation),
	block("stream", conf.Main, conf.Stream, conf.KindStreamMain),
}}

var found map[string]*conf.Scope

func block(name string, in, inside conf.Context, kind conf.Kind) conf.Directive {
	return conf.Directive{Name: name, In: in, Args: conf.Take1 | conf.NoArgs | conf.Block, Doc: "-",
		Set: conf.Func(func(c *conf.Cmd) error {
			s := conf.NewScope(kind, c.Scope)
			found[name+strings.Join(c.Args, "")] = s
			if err := c.Block(inside, s); err != nil {
				return err
			}
			if in != conf.Main {
				return nil
			}
			if err := conf.Merge(c.Scope, s); err != nil {
				return err
			}
			if err := conf.MergeTree(s); err != nil {
				return err
			}
			return conf.Init(s)
		})}
}

func load(t *testing.T, text string) (*conf.Config, error) {
	t.Helper()
	found = map[string]*conf.Scope{}
	return conf.Load(conf.Options{Modules: []*conf.Module{&Module, &blocks}, Prefix: t.TempDir(), Path: "nginx.conf", Text: text})
}

func TestInheritance(t *testing.T) {
	cfg, err := load(t, `
http {
	server 1 { location a { error_log a.log debug; } location b { } }
	server 2 { error_log s.log warn; location c { } location d { error_log d1.log; error_log d2.log info; } }
}
stream { }
error_log main.log notice;`)
	if err != nil {
		t.Fatal(err)
	}
	Default(cfg, "/never.log")
	files := nlog.FilesIn(cfg.Values)
	if err := files.Open(nil); err != nil {
		t.Fatal(err)
	}
	defer files.Close()
	for name, want := range map[string]string{
		"server1": "main", "locationa": "a", "locationb": "main",
		"server2": "s", "locationc": "s", "locationd": "d1 d2", "http": "main",
	} {
		Of(found[name]).Log(nlog.Error, nil, nil, "from "+name)
		for f := range strings.FieldsSeq(want) {
			b, _ := os.ReadFile(filepath.Join(cfg.Prefix, f+".log"))
			if !strings.Contains(string(b), "from "+name+"\n") {
				t.Errorf("%s: not in %s.log", name, f)
			}
		}
	}
	if l := stream.Of(found["stream"]).log; l != Process(cfg) {
		t.Error("stream does not inherit")
	}
	if l := Of(found["locationa"]).Level(); l != nlog.Debug {
		t.Error("level of a:", l)
	}
	if l := Process(cfg).Level(); l != nlog.Notice {
		t.Error("level of main:", l)
	}
	if n := len(files.List()); n != 5 {
		t.Error("files:", n)
	}
}

func TestDefaultFile(t *testing.T) {
	for _, tt := range []struct {
		text, names string
		level       nlog.Level
		stderr      bool
	}{
		{" ", "/e.log", nlog.Error, false},
		{"error_log memory:32k debug;", "/e.log", nlog.Debug, false},
		{"error_log stderr;", "", nlog.Error, true},
		{"http { error_log x.log; }", "x.log /e.log", nlog.Error, false},
	} {
		cfg, err := load(t, tt.text)
		if err != nil {
			t.Fatal(err)
		}
		Default(cfg, "/e.log")
		var list []string
		for _, f := range nlog.FilesIn(cfg.Values).List() {
			list = append(list, strings.TrimPrefix(f.Name(), cfg.Prefix))
		}
		names := strings.Join(list, " ")
		if names != tt.names || Process(cfg).Level() != tt.level || KeepStderr(cfg) != tt.stderr {
			t.Errorf("%q: files %q, level %v, stderr %v", tt.text, names, Process(cfg).Level(), KeepStderr(cfg))
		}
	}
}

func TestErrors(t *testing.T) {
	for text, want := range map[string]string{
		"error_log;":                             `invalid number of arguments in "error_log" directive`,
		"error_log f bad;":                       `invalid log level "bad"`,
		"error_log f info warn;":                 `duplicate log level "warn"`,
		"error_log f debug_http info;":           `duplicate log level "info"`,
		"error_log f info debug_http;":           `invalid log level "debug_http"`,
		"error_log memory:1k;":                   `invalid buffer size "1k"`,
		"error_log syslog:facility=x;":           `unknown syslog facility "x"`,
		"error_log syslog:tag=a error;":          `no syslog server specified`,
		"error_log f debug_http debug_event;":    "",
		"error_log syslog:server=[::1]:9 alert;": "",
	} {
		_, err := load(t, text)
		got := ""
		if err != nil {
			got, _, _ = strings.Cut(err.Error(), " in /")
		}
		if got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

func TestRows(t *testing.T) {
	if err := conf.Check([]*conf.Module{&Module}); err != nil {
		t.Error(err)
	}
}
