package luamod

import (
	"errors"
	"fmt"
	"strings"

	"moongate/internal/base/nlog"
	"moongate/internal/engine"
	"moongate/internal/lua"
	"moongate/internal/luahost"
	"moongate/internal/plane"
)

// Libraries are the parts of the Lua API, in the order of their definition; the assembly sets them once.
var Libraries []*lua.Library

// state is what a snapshot's Lua side needs between Init and the workers' start.
type state struct {
	vms    []*lua.VM
	makeVM func() (*lua.VM, error)
}

type stateKey struct{}

// host passes on what Lua code logs and prints.
type host struct{ p *engine.Plane }

// Log writes to the error log of the request, or of the process.
func (o *host) Log(ctx *lua.Context, level lua.Level, msg string) {
	if ctx != nil {
		if l, ok := ctx.Data.(interface {
			Logf(level nlog.Level, format string, args ...any)
		}); ok {
			l.Logf(nlog.Level(level), "%s", msg)
			return
		}
	}
	o.p.Params().Log.Logf(nlog.Level(level), nil, nil, "%s", msg)
}

// Output takes bytes printed without a crossing.
func (o *host) Output(ctx *lua.Context, b []byte) {
	if ctx == nil {
		return
	}
	if x, ok := ctx.Data.(*luahost.Ctx); ok {
		x.Write(b)
	}
}

// initSnapshot makes a VM per worker and runs init_by_lua in each: module-level state is per worker, as with nginx's
// processes, which inherit it by fork.
func initSnapshot(p *engine.Plane, h *engine.HTTP) error {
	luahost.SetInitPlane(p)
	m := luahost.MainOf(h)
	luahost.CaptureLog(m.CaptureErrorLog.V)
	st := &state{}
	h.Values[stateKey{}] = st
	rt, err := lua.NewRuntime(lua.Options{Host: &host{p}, Unlimited: unlimited(m)}, Libraries...)
	if err != nil {
		return err
	}
	st.makeVM = func() (*lua.VM, error) { return newVM(p, h, rt, m) }
	for range p.Workers() {
		vm, err := st.makeVM()
		if err != nil {
			for _, vm := range st.vms {
				vm.Close()
			}
			return err
		}
		st.vms = append(st.vms, vm)
	}
	return nil
}

// unlimited says that every phase may wait.
func unlimited(m *luahost.MainConf) bool { return !m.PhaseLimits.V && m.PhaseLimits.IsSet }

// preamble makes a fresh VM look like OpenResty's: resty.core is loaded, exdata is there.
var preamble = lua.NewCode(`exdata = require "thread.exdata" require "resty.core"`, "=preamble")

// postamble tells who wants to know that init_by_lua is over.
var postamble = lua.NewCode(`local f = package.loaded["`+luahost.Serve+`"] if f then f() end`, "=postamble")

// newVM makes a VM and runs init_by_lua in it.
func newVM(p *engine.Plane, h *engine.HTTP, rt *lua.Runtime, m *luahost.MainConf) (*lua.VM, error) {
	vm, err := rt.NewVM()
	if err != nil {
		return nil, err
	}
	vm.SetIdleThreads(0)
	if err := prepareVM(p, h, vm, m); err != nil {
		vm.Close()
		return nil, err
	}
	vm.SetIdleThreads(m.ThreadCacheMax.V)
	return vm, nil
}

func prepareVM(p *engine.Plane, h *engine.HTTP, vm *lua.VM, m *luahost.MainConf) error {
	if err := defineDicts(vm, m); err != nil {
		return err
	}
	vm.SetPath(strings.TrimSuffix(h.Config.Prefix, "/")+"/", m.PackagePath.V, m.PackageCpath.V)
	vm.SetRegex(m.RegexCacheMax.V, m.RegexMatchLimit.V)
	vm.SetLogLevel(lua.Level(min(p.Params().Log.Level(), nlog.Debug)))
	if err := runProcess(p, vm, preamble, lua.PhaseInit); err != nil || m.Init == nil {
		return err
	}
	var err error
	if unlimited(m) {
		err = luahost.RunInit(p, h, vm, m.Init.Code)
	} else {
		err = runProcess(p, vm, m.Init.Code, lua.PhaseInit)
	}
	if err == nil {
		return runProcess(p, vm, postamble, lua.PhaseInit)
	}
	var le *lua.LoadError
	if errors.As(err, &le) {
		err = fmt.Errorf("%s error: %w", m.Init.Name, le.Err)
	}
	return &plane.Fault{Level: nlog.Error, Msg: err.Error()}
}

// runProcess runs code outside of any request.
func runProcess(p *engine.Plane, vm *lua.VM, code *lua.Code, phase lua.Phase) error {
	chunk, err := vm.Load(code)
	if err != nil {
		return err
	}
	if res := chunk.Run(nil, phase); res.Status == lua.Failed {
		return res.Err
	}
	return nil
}

// startWorker gives a worker the VM that was made for it, when the process starts or after a reload.
func startWorker(w *engine.Worker) error {
	takeOver(w, w.HTTP)
	return nil
}

func takeOver(w *engine.Worker, h *engine.HTTP) {
	st, _ := h.Values[stateKey{}].(*state)
	if st == nil {
		return
	}
	vm := st.vms[w.ID]
	if before, ok := w.Values[served].(*luahost.Worker); ok {
		before.Leave()
	}
	lw := luahost.Attach(w, h, vm)
	lw.Make = st.makeVM
	w.Values[served] = lw
	if c := luahost.MainOf(h).InitWorker; c != nil {
		lw.RunProcess(c, lua.PhaseInitWorker)
	}
}

// served is where a worker keeps the luahost.Worker of the snapshot it serves.
var served = engine.NewWorkerSlot()

// drainWorker runs when a worker begins to stop.
func drainWorker(w *engine.Worker) {
	if lw := luahost.WorkerOf(w, w.HTTP); lw != nil {
		lw.Leave()
	}
}

func stopWorker(w *engine.Worker) { leave(w, w.HTTP) }

// leave runs exit_worker_by_lua.
func leave(w *engine.Worker, h *engine.HTTP) *luahost.Worker {
	lw := luahost.WorkerOf(w, h)
	if lw == nil {
		return nil
	}
	if c := luahost.MainOf(h).ExitWorker; c != nil {
		lw.RunProcess(c, lua.PhaseExitWorker)
	}
	lw.Close()
	return lw
}

// retireWorker ends the VM of a snapshot that was replaced.
func retireWorker(w *engine.Worker, h *engine.HTTP) {
	if lw := leave(w, h); lw != nil {
		lw.VM.Close()
	}
}

// trimWorker collects Lua's garbage after a load.
func trimWorker(w *engine.Worker) {
	if lw := luahost.WorkerOf(w, w.HTTP); lw != nil {
		lw.VM.GC()
		lw.Trim()
		lw.Collected = lw.VM.Mem()
		lua.TrimMalloc()
	}
}

// calmWorker does the same when there is much garbage: a single request may leave it.
func calmWorker(w *engine.Worker) {
	if lw := luahost.WorkerOf(w, w.HTTP); lw != nil && lw.VM.Mem() > 2*lw.Collected+1<<20 {
		trimWorker(w)
	}
}
