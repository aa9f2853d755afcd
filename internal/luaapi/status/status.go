// Package status is the Lua module "moongate": what the server tells of itself.
//
//	local moongate = require "moongate"
//	ngx.say(moongate.version, " has served ", moongate.status().requests, " requests")
//
// Figures of other workers come from them, by a message each: nobody reads the state of a worker but itself.
package status

import (
	"os"
	"runtime/metrics"
	"strconv"
	"strings"
	"time"

	"moongate/internal/base/version"
	"moongate/internal/engine"
	"moongate/internal/lua"
	"moongate/internal/luahost"
)

// Library declares the module.
var Library = lua.Library{
	Name: "status", Doc: "The module \"moongate\": version, workers, uptime, requests, connections and memory.",
	Funcs:   []*lua.Func{status},
	Consts:  []lua.Const{{Name: "moongate.version", Value: version.Moongate}},
	Modules: []lua.Module{{Name: "moongate", Table: "moongate"}},
}

var status = &lua.Func{
	Name: "moongate.status", Tier: lua.Async, Run: run,
	Doc: "A table of figures: version, pid, uptime (seconds), worker (the caller's number), requests, stalls (see lua_worker_stall_threshold), connections.accepted, " +
		"connections.active, memory.resident, memory.go, memory.go_heap and memory.lua (bytes), goroutines, and in workers one table for each " +
		"worker with id, requests, connections, active and lua (bytes of its VM; missing for other workers where the caller cannot wait).",
}

// patience is how long workers may take to answer; one that is busy longer is reported with what it published last.
const patience = 200 * time.Millisecond

// figures are those of one worker.
type figures struct {
	requests      uint64
	conns, active int
	lua           int // bytes, 0: not known
}

// measure runs in the worker.
func measure(w *engine.Worker) figures {
	w.Publish()
	f := published(w)
	if lw := luahost.WorkerOf(w, w.HTTP); lw != nil {
		f.lua = lw.VM.Mem()
	}
	return f
}

// published is what anybody may know of a worker.
func published(w *engine.Worker) (f figures) {
	f.requests, f.conns, f.active = w.Published()
	return f
}

func run(c *lua.Call) lua.Outcome {
	me := luahost.EngineWorker(c)
	if me == nil {
		return c.Errorf("no worker found")
	}
	list := gather(me, c.MayWait())
	accepted, active, requests := me.Plane.Stats()
	w := c.Push()
	w.Begin(0, 12)
	w.SetString("version", version.Moongate)
	w.SetInt("pid", os.Getpid())
	w.SetNum("uptime", time.Since(me.Plane.Started()).Seconds())
	w.SetInt("worker", me.ID)
	w.SetInt("requests", int(requests))
	w.SetInt("stalls", int(engine.Stalls().Load()))
	w.Key("connections")
	w.Begin(0, 2)
	w.SetInt("accepted", int(accepted))
	w.SetInt("active", int(active))
	w.End()
	w.Key("workers")
	w.Begin(len(list), 0)
	vms := 0
	for i, f := range list {
		w.Begin(0, 5)
		w.SetInt("id", i)
		w.SetInt("requests", int(f.requests))
		w.SetInt("connections", f.conns)
		w.SetInt("active", f.active)
		if f.lua != 0 {
			w.SetInt("lua", f.lua)
			vms += f.lua
		}
		w.End()
	}
	w.End()
	writeMemory(w, vms)
	w.End()
	return c.Return()
}

// gather asks every worker for its figures; without wait only the calling one.
func gather(me *engine.Worker, wait bool) []figures {
	workers := me.Plane.Workers()
	list := make([]figures, len(workers))
	task, left, over := me.Loop.Current(), 0, false
	for i, w := range workers {
		switch {
		case w == me:
			list[i] = measure(w)
		default:
			list[i] = published(w)
			if !wait {
				continue
			}
			left++
			w.Loop.Post(func() {
				f := measure(w)
				me.Loop.Post(func() {
					if list[i] = f; over {
						return
					}
					if left--; left == 0 {
						me.Loop.Ready(task)
					}
				})
			})
		}
	}
	deadline := me.Loop.Now() + int64(patience)
	for left > 0 {
		if me.Loop.Park(deadline) != nil {
			break
		}
	}
	over = true
	return list
}

// names are the figures of Go's runtime that are read.
var names = [...]string{"/memory/classes/total:bytes", "/memory/classes/heap/released:bytes", "/memory/classes/heap/objects:bytes", "/sched/goroutines:goroutines"}

func writeMemory(w *lua.Writer, vms int) {
	var s [len(names)]metrics.Sample
	for i := range s {
		s[i].Name = names[i]
	}
	metrics.Read(s[:])
	value := func(i int) int {
		if s[i].Value.Kind() != metrics.KindUint64 {
			return 0
		}
		return int(s[i].Value.Uint64())
	}
	w.Key("memory")
	w.Begin(0, 4)
	w.SetInt("go", value(0)-value(1))
	w.SetInt("go_heap", value(2))
	w.SetInt("lua", vms)
	if n := resident(); n > 0 {
		w.SetInt("resident", n)
	}
	w.End()
	w.SetInt("goroutines", value(3))
}

// resident is the memory of the process that is in RAM, in bytes: the second field of /proc/self/statm, in pages (proc(5)).
func resident() int {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	f := strings.Fields(string(b))
	if len(f) < 2 {
		return 0
	}
	pages, _ := strconv.Atoi(f[1])
	return pages * os.Getpagesize()
}
