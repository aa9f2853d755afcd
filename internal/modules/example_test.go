package modules

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/engine/enginetest"
	"moongate/internal/http1"
)

// A feature is one file: what a level of the configuration says, the rows of its directives, and what it does to requests. This
// one is complete but for its line in the list of modules.go, and docs/adding-a-feature.md goes through it.

// maintenanceConf is what a level says.
type maintenanceConf struct {
	retry conf.Opt[time.Duration] // 0: no maintenance
}

var maintenanceLoc = conf.NewLevel[maintenanceConf](conf.KindLocation)

var maintenance = engine.Module{
	Module: conf.Module{Name: "maintenance", Directives: []conf.Directive{
		{Name: "maintenance", In: conf.HTTPServerLocation, Default: "off",
			Set: conf.Slot(maintenanceLoc, conf.Or("off", 0, conf.Msec), func(c *maintenanceConf) *conf.Opt[time.Duration] { return &c.retry }),
			Doc: "Answers 503 while the site is being worked on; clients are told to come back after this time."},
	}},
	Steps: []engine.Step{{Phase: engine.Access, Active: inMaintenance, Run: refuse}},
}

func inMaintenance(s *conf.Scope) bool { return maintenanceLoc.Of(s).retry.V > 0 }

var nameRetryAfter = []byte("Retry-After")

func refuse(r *engine.Request) engine.Status {
	seconds := int64(maintenanceLoc.Of(r.Scope).retry.V / time.Second)
	r.AddHeader(http1.HRetryAfter, nameRetryAfter, strconv.AppendInt(r.Alloc(20)[:0], seconds, 10))
	return 503
}

func TestExampleFeature(t *testing.T) {
	set := Set()
	set.Modules = append(set.Modules, &maintenance)
	s := enginetest.Start(t, set, `maintenance 5m;
		server { listen 127.0.0.1:8080;
			location / { root html; }
			location = /healthz { maintenance off; return 200 "ok"; }
			location /open { maintenance off; content_by_lua_block { ngx.print("open") } } }`)
	resp := s.Get("/")
	if !strings.HasPrefix(resp, "HTTP/1.1 503 ") || !strings.Contains(resp, "\r\nRetry-After: 300\r\n") {
		t.Error(resp)
	}
	if resp = s.Get("/open"); !strings.HasPrefix(resp, "HTTP/1.1 200 ") || !strings.Contains(resp, "open") {
		t.Error(resp)
	}
	_, err := enginetest.Load(t, set, "maintenance now;", nil)
	if err == nil || !strings.HasPrefix(err.Error(), `"maintenance" directive invalid value in `) {
		t.Error(err)
	}
}
