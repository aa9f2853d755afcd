package core

import (
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"moongate/internal/conf"
)

var modules = []*conf.Module{&Module, &Events}

func load(text string, notes *[]string) (*Config, error) {
	cfg, err := conf.Load(conf.Options{Modules: modules, Prefix: "/p", Path: "c/nginx.conf", Text: text,
		Log: func(level, msg string) {
			if notes != nil {
				*notes = append(*notes, level+" "+msg)
			}
		}})
	if err != nil {
		return nil, err
	}
	return Of(cfg), nil
}

func TestDefaults(t *testing.T) {
	c, err := load("events {}", nil)
	if err != nil {
		t.Fatal(err)
	}
	if !c.Daemon.V || !c.Master.V || c.Workers != 1 || c.Connections != 512 || c.PID.V != "/p/logs/nginx.pid" ||
		c.OldPID() != "/p/logs/nginx.pid.oldbin" || c.ShutdownTimeout.IsSet || c.RlimitNofile.IsSet || c.Processors() != nil {
		t.Errorf("%+v", c)
	}
	if os.Geteuid() == 0 && (c.User == nil || c.User.Name != "nobody" || c.User.UID == 0) {
		t.Errorf("user %+v", c.User)
	}
}

func TestValues(t *testing.T) {
	var notes []string
	c, err := load(`daemon off; master_process off; worker_processes 3; pid /run/x.pid; env A; env B=c;
worker_priority -5; worker_shutdown_timeout 1m; worker_rlimit_nofile 100; worker_rlimit_core 1g;
worker_cpu_affinity 0101 10 1; load_module modules/ngx_stream_module.so; pcre_jit on;
thread_pool p threads=3; thread_pool default threads=1 max_queue=7; ssl_engine x; timer_resolution 100ms;
debug_points abort; lock_file l; working_directory /w;
events { use poll; worker_connections 64; multi_accept on; accept_mutex off; accept_mutex_delay 1s;
	epoll_events 1; worker_aio_requests 1; kqueue_events 1;
	debug_connection 10.0.0.1/8; debug_connection ::1; debug_connection unix:; }`, &notes)
	if err != nil {
		t.Fatal(err)
	}
	if c.Daemon.V || c.Master.V || c.Workers != 3 || c.PID.V != "/run/x.pid" || c.Priority != -5 ||
		c.ShutdownTimeout.V != time.Minute || c.RlimitNofile.V != 100 || c.RlimitCore.V != 1<<30 || c.Connections != 64 || c.Use != "poll" {
		t.Errorf("%+v", c)
	}
	if !reflect.DeepEqual(c.Env, []string{"A", "B=c"}) ||
		!reflect.DeepEqual(c.Pools, []Pool{{"p", 3, 65536}, {"default", 1, 7}}) {
		t.Errorf("%v %v", c.Env, c.Pools)
	}
	if p := c.Processors(); p == nil || p[0] != 0b111 {
		t.Errorf("processors %b", p)
	}
	if d := c.DebugConn; len(d) != 3 || d[0].Net.String() != "10.0.0.0/8" || d[1].Net.String() != "::1/128" || !d[2].Unix {
		t.Errorf("debug_connection %v", d)
	}
	want := []string{
		`notice load_module "modules/ngx_stream_module.so" ignored: modules are built in in /p/c/nginx.conf:3`,
		`warn "ssl_engine" is not supported, ignored in /p/c/nginx.conf:4`,
		`warn low address bits of 10.0.0.1/8 are meaningless in /p/c/nginx.conf:8`,
	}
	if !reflect.DeepEqual(notes, want) {
		t.Errorf("notes %q", notes)
	}
}

func TestErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                    `no "events" section in configuration`,
		"daemon maybe;":       `invalid value "maybe" in "daemon" directive, it must be "on" or "off" in /p/c/nginx.conf:1`,
		"worker_processes x;": `"worker_processes" directive invalid value in /p/c/nginx.conf:1`,
		"worker_processes 1; worker_processes auto;": `"worker_processes" directive is duplicate in /p/c/nginx.conf:1`,
		"worker_priority a;":                         `"worker_priority" directive invalid number in /p/c/nginx.conf:1`,
		"worker_cpu_affinity 012;":                   `invalid character "2" in "worker_cpu_affinity" in /p/c/nginx.conf:1`,
		"worker_cpu_affinity auto 1 1;":              `invalid number of arguments in "worker_cpu_affinity" directive in /p/c/nginx.conf:1`,
		"thread_pool x max_queue=1;":                 `"thread_pool" must have "threads" parameter in /p/c/nginx.conf:1`,
		"thread_pool x threads=0;":                   `invalid threads value "threads=0" in /p/c/nginx.conf:1`,
		"events { worker_connections x; }":           `invalid number "x" in /p/c/nginx.conf:1`,
		"events { use kqueue; }":                     `invalid event type "kqueue" in /p/c/nginx.conf:1`,
		"events {} events {}":                        `"events" directive is duplicate in /p/c/nginx.conf:1`,
		"worker_connections 1;":                      `"worker_connections" directive is not allowed here in /p/c/nginx.conf:1`,
		"debug_points x;":                            `invalid value "x" in /p/c/nginx.conf:1`,
	} {
		_, err := load(text+" ", nil)
		if err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestUser(t *testing.T) {
	var notes []string
	c, err := load("user root nosuchgroup_; events {}", &notes)
	if os.Geteuid() != 0 {
		if err != nil || c.User != nil || len(notes) != 1 || !strings.HasPrefix(notes[0], `warn the "user" directive makes sense only`) {
			t.Errorf("%v %q", err, notes)
		}
		return
	}
	if err == nil || err.Error() != `getgrnam("nosuchgroup_") failed in /p/c/nginx.conf:1` {
		t.Error(err)
	}
	if _, err = load("user nosuchuser_; events {}", nil); err == nil || err.Error() != `getpwnam("nosuchuser_") failed in /p/c/nginx.conf:1` {
		t.Error(err)
	}
	if c, err = load("user root; events {}", nil); err != nil || c.User.UID != 0 || c.User.Groups[0] != 0 {
		t.Errorf("%v %+v", err, c)
	}
}

func TestRows(t *testing.T) {
	if err := conf.Check(modules); err != nil {
		t.Error(err)
	}
}
