package modules

import (
	"encoding/json"
	"testing"

	"moongate/internal/base/version"
	"moongate/internal/engine"
	"moongate/internal/engine/enginetest"
)

// TestStatus: the module "moongate" tells the figures of all workers, and is no global variable.
func TestStatus(t *testing.T) {
	s := enginetest.Start(t, Set(), `
		worker_processes 3;
		events { }
		http { server {
			listen 127.0.0.1:8080;
			location / { content_by_lua_block {
				ngx.print(require("cjson").encode(require("moongate").status()))
			} }
			location /version { content_by_lua_block { ngx.print(require("moongate").version, " ", type(moongate)) } }
			location /log { return 204; log_by_lua_block { ngx.log(ngx.ERR, "requests ", require("moongate").status().requests) } }
		} }`)
	for range 9 {
		s.Get("/version")
	}
	if got := unchunk(enginetest.Body(s.Get("/version"))); got != version.Moongate+" nil" {
		t.Errorf("got %q", got)
	}
	s.Do(func(w *engine.Worker) { w.Publish() })
	var st struct {
		Version               string
		Pid, Worker, Requests int
		Uptime                float64
		Goroutines            int
		Connections           struct{ Accepted, Active int }
		Memory                struct{ Go, Go_heap, Lua, Resident int }
		Workers               []struct{ ID, Requests, Connections, Active, Lua int }
	}
	body := unchunk(enginetest.Body(s.Get("/")))
	if err := json.Unmarshal([]byte(body), &st); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	if st.Version != version.Moongate || st.Pid == 0 || st.Uptime <= 0 || st.Requests != 11 || len(st.Workers) != 3 {
		t.Errorf("got %s", body)
	}
	requests, vms, active := 0, 0, 0
	for i, w := range st.Workers {
		if w.ID != i || w.Lua < 10_000 {
			t.Errorf("worker %d: %+v", i, w)
		}
		requests, vms, active = requests+w.Requests, vms+w.Lua, active+w.Active
	}
	if requests != 11 || vms != st.Memory.Lua || active != 1 || st.Memory.Go < 1<<20 || st.Memory.Resident < st.Memory.Lua {
		t.Errorf("got %s", body)
	}
	s.Get("/log")
	s.Do(func(w *engine.Worker) {})
	if log := s.ErrorLog(); log == "" {
		t.Error("status does not work where nothing may wait")
	}
}
