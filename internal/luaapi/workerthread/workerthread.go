// Package workerthread is ngx.run_worker_thread: a function of a Lua module runs on a thread of its own, in a VM of its
// own, while the worker goes on. Arguments and results are copied between the VMs.
package workerthread

import (
	"moongate/internal/conf"
	"moongate/internal/lua"
	"moongate/internal/luahost"
	"moongate/internal/netio"
)

// Library declares the function.
var Library = lua.Library{
	Name: "workerthread", Doc: "Functions that run beside the worker.",
	Funcs: []*lua.Func{run},
}

// HasPool says whether a configuration has a thread_pool of that name; the assembly sets it.
var HasPool func(cfg *conf.Config, name string) bool

// call finds the function in the other VM and runs it: the module's loading and its function may fail.
var call = lua.NewCode(`local mod, name = ...
local ok, m = pcall(require, mod)
if not ok then return false, m end
if type(m) ~= "table" then return false, "invalid lua module" end
local f = m[name]
if type(f) ~= "function" then return false, "invalid function" end
return pcall(f, select(3, ...))`, "=run_worker_thread")

// pool is the VMs of one worker: those which are free, and how many there are.
type pool struct {
	free  []*lua.VM
	count int
	gone  bool
}

var slot = luahost.NewSlot()

// Close frees the VMs; those that run are freed when they are done.
func (p *pool) Close() {
	p.gone = true
	for _, vm := range p.free {
		vm.Close()
	}
	p.free = nil
}

func (p *pool) take(lw *luahost.Worker) *lua.VM {
	if n := len(p.free); n > 0 {
		vm := p.free[n-1]
		p.free = p.free[:n-1]
		return vm
	}
	if p.count >= luahost.MainOf(lw.H).WorkerThreadPool.V {
		return nil
	}
	vm, err := lw.VM.Sibling()
	if err != nil {
		return nil
	}
	p.count++
	return vm
}

func (p *pool) give(vm *lua.VM) {
	if p.gone {
		vm.Close()
		return
	}
	p.free = append(p.free, vm)
}

var run = &lua.Func{
	Name: "ngx.run_worker_thread", Tier: lua.Async, In: lua.Yieldable,
	Doc: "Runs a function of a Lua module on a thread of a pool, in a VM of its own, and gives true and its results.",
	Run: func(c *lua.Call) lua.Outcome {
		lw := luahost.CallWorker(c)
		switch {
		case !c.MayWait():
			return luahost.WrongPhase(c)
		case c.NArgs() < 3:
			return c.ReturnFalseErr("expecting at least 3 arguments")
		case c.Type(1) != lua.Str:
			return c.ReturnFalseErr("threadpool should be a string")
		case HasPool == nil || !HasPool(lw.H.Config, c.String(1)):
			return c.ReturnFalseErr("thread pool " + c.String(1) + " not found")
		case c.Type(2) != lua.Str:
			return c.ReturnFalseErr("module name should be a string")
		case c.Type(3) != lua.Str:
			return c.ReturnFalseErr("function name should be a string")
		}
		args, why := copyArgs(c, 2)
		if why != "" {
			return c.ReturnFalseErr(why + " in the argument")
		}
		p, _ := lw.Value(slot).(*pool)
		if p == nil {
			p = &pool{}
			lw.SetValue(slot, p)
		}
		vm := p.take(lw)
		if vm == nil {
			return c.ReturnFalseErr("no available Lua vm")
		}
		j := &job{pool: p, vm: vm, args: args, loop: luahost.Loop(c)}
		j.task = j.loop.Current()
		go j.serve()
		for !j.done {
			if j.loop.Park(0) == netio.ErrKilled { // the job goes on, for nobody
				j.task = nil
				return c.Return()
			}
		}
		w := c.Push()
		for _, v := range j.results {
			v.push(w)
		}
		return c.Return()
	},
}

// job is one run; its fields but args and results belong to the worker.
type job struct {
	pool    *pool
	vm      *lua.VM
	loop    *netio.Loop
	task    *netio.Task // nil: nobody waits
	args    []value
	results []value
	done    bool
}

// serve runs without the baton: the VM is the job's alone.
func (j *job) serve() {
	j.results = j.run()
	j.loop.Post(func() {
		j.pool.give(j.vm)
		j.done = true
		if j.task != nil {
			j.loop.Ready(j.task)
		}
	})
}

func (j *job) run() (results []value) {
	chunk, err := j.vm.Load(call)
	if err != nil {
		return failure(err.Error())
	}
	push := func(w *lua.Writer) {
		for _, v := range j.args {
			v.push(w)
		}
	}
	var why string
	res := chunk.RunWith(nil, lua.PhaseInit, push, func(c *lua.Call) { results, why = copyArgs(c, 1) })
	j.vm.GC()
	switch {
	case res.Status == lua.Failed:
		return failure(res.Err.Msg)
	case why != "":
		return failure(why + " in the return value")
	}
	return results
}

func failure(why string) []value {
	return []value{{kind: lua.Bool}, {kind: lua.Str, str: why}}
}
