// Package pipe is the Lua module ngx.pipe: processes that Lua code starts, talks to and waits for, without keeping the
// worker from its other requests. A process lives no longer than the request that started it, nor than its object: it
// is killed then. Whoever ends, the loop of the worker reaps it.
package pipe

import (
	"unsafe"

	"moongate/internal/base/nlog"
	"moongate/internal/engine"
	"moongate/internal/lua"
	"moongate/internal/luahost"
	"moongate/internal/netio"
)

// Library declares the module.
var Library = lua.Library{
	Name: "pipe", Doc: "Processes: ngx.pipe.",
	Funcs: []*lua.Func{
		{Name: "ngx.pipe.spawn", Run: runSpawn, Doc: "Starts a process: arguments in a table, or a command for the shell; options in a table."},
		method("pid", lua.Sync, func(c *lua.Call, p *proc) lua.Outcome { return c.ReturnInt(p.pid) }, "The number of the process."),
		method("set_timeouts", lua.Sync, runTimeouts, "Sets the milliseconds that write, reads of stdout, reads of stderr and wait may take."),
		method("wait", lua.Async, runWait, "Waits for the end of the process: whether it went well, \"exit\" or \"signal\", and the number of that."),
		method("kill", lua.Sync, runKill, "Sends the process a signal, by its number."),
		method("shutdown", lua.Sync, runShutdown, "Closes \"stdin\", \"stdout\" or \"stderr\" on our side."),
		method("write", lua.Async, runWrite, "Writes to the standard input of the process, all of it."),
		reader("stdout_read_all", 1, all, "Reads the standard output to its end."),
		reader("stdout_read_bytes", 1, exactly, "Reads so many bytes of the standard output."),
		reader("stdout_read_line", 1, line, "Reads a line of the standard output."),
		reader("stdout_read_any", 1, atMost, "Reads what comes first on the standard output, at most so many bytes."),
		reader("stderr_read_all", 2, all, "Reads the standard error output to its end."),
		reader("stderr_read_bytes", 2, exactly, "Reads so many bytes of the standard error output."),
		reader("stderr_read_line", 2, line, "Reads a line of the standard error output."),
		reader("stderr_read_any", 2, atMost, "Reads what comes first on the standard error output, at most so many bytes."),
	},
	Classes: []*lua.Class{{Name: "process", Doc: "A process started by ngx.pipe.spawn."}},
	Consts:  []lua.Const{{Name: "ngx.pipe.version", Value: luahost.CoreVersion}},
	Modules: []lua.Module{{Name: "ngx.pipe", Table: "ngx.pipe", Private: true}},
}

func method(name string, tier lua.Tier, run func(c *lua.Call, p *proc) lua.Outcome, doc string) *lua.Func {
	return &lua.Func{Name: "@process:" + name, Tier: tier, Doc: doc, Run: func(c *lua.Call) lua.Outcome {
		p, ok := c.Object(1).(*proc)
		if !ok {
			return c.Errorf("not a process instance")
		}
		return run(c, p)
	}}
}

// proc is a process and our ends of its pipes.
type proc struct {
	held luahost.Held
	w    *engine.Worker
	pid  int

	std      [3]*end // stdin, stdout, stderr; the last one is nil when merged into stdout
	merged   bool
	timeouts [4]int64 // of write, reads and wait, in milliseconds; 0 waits for ever

	dead   bool // has ended and was reaped
	closed bool // nothing more can be had from it
	signal bool // what status is
	status int
	early  bool   // of init_by_lua, whose loop ends with it
	child  *child // what waits for its end
	waiter *netio.Task
	call   *lua.Call // of the waiter
}

// Places in timeouts, besides those of the standard streams.
const waitTimeout = 3

// end is our end of a pipe.
type end struct {
	fd   netio.FD
	open bool
	by   *lua.Call // whose light thread waits for it
	// err is why the one who waits shall give up: "aborted", or "closed" when the process is done with.
	err string
	eof bool
	buf []byte
	r   int // buf[r:] was read and not given out
}

// waits says that a light thread waits: one that was killed does not, though it has not run since.
func waits(c *lua.Call) bool { return c != nil && !c.Killed() }

func (p *proc) log() *nlog.Logger { return p.w.Plane.Params().Log }

// id is what log lines call the process's object.
func (p *proc) id() uintptr { return uintptr(unsafe.Pointer(p)) }

func (p *proc) debugf(format string, args ...any) {
	if p.w == nil {
		return
	}
	if l := p.log(); l.On(nlog.Debug) {
		l.Logf(nlog.Debug, nil, nil, format, args...)
	}
}

// deadline is the moment at which an operation that begins now has to be over, 0 for none.
func (p *proc) deadline(of int) int64 {
	if p.timeouts[of] == 0 {
		return 0
	}
	return p.w.Loop.Now() + p.timeouts[of]*1e6
}

// DropHeld ends the process with its request; it implements luahost.Dropper.
func (p *proc) DropHeld() { p.destroy() }

// Collected ends the process when Lua has lost it; it implements lua.Collected.
func (p *proc) Collected() {
	p.held.LetGo()
	p.destroy()
}

func (p *proc) destroy() {
	if p.w == nil {
		return
	}
	p.debugf("lua pipe destroy process:%X pid:%d", p.id(), p.pid)
	if !p.dead {
		p.debugf("lua pipe kill process:%X pid:%d", p.id(), p.pid)
		p.sendSignal(9)
		if p.early && p.child != nil {
			p.reap()
		}
	}
	p.finalize()
	p.w = nil
}

// finalize closes everything: the process is done with.
func (p *proc) finalize() {
	if p.closed {
		return
	}
	p.debugf("lua pipe finalize process:%X pid:%d", p.id(), p.pid)
	p.closed = true
	for _, e := range p.std {
		if e != nil {
			e.shut("closed")
		}
	}
}

// shut closes the end; who waits for it gives up with a word.
func (e *end) shut(why string) {
	if !e.open {
		return
	}
	busy := waits(e.by)
	if busy && e.err == "" {
		e.err = why
	}
	e.open = false
	if busy && why == "closed" && e.drain() {
		return
	}
	e.fd.Close()
}

func runTimeouts(c *lua.Call, p *proc) lua.Outcome {
	for i := range p.timeouts {
		if !c.Bool(i + 2) {
			continue
		}
		if why := p.setTimeout(i, c.Num(i+2), c.IsNumber(i+2)); why != "" {
			return c.Errorf("%s", why)
		}
	}
	return c.Return()
}

var timeoutNames = [...]string{"write_timeout", "stdout_read_timeout", "stderr_read_timeout", "wait_timeout"}

func (p *proc) setTimeout(i int, ms float64, number bool) string {
	if !number || !(ms >= 0 && ms <= 0xffffffff) {
		return "bad " + timeoutNames[i] + " option"
	}
	p.timeouts[i] = int64(ms)
	return ""
}

func runKill(c *lua.Call, p *proc) lua.Outcome {
	if c.Type(2) != lua.Number {
		return c.Errorf("bad signal arg: number expected, got %s", luahost.Text(c, 2))
	}
	if p.dead || p.w == nil {
		return c.ReturnNilErr("exited")
	}
	if why := p.sendSignal(c.Int(2)); why != "" {
		return c.ReturnNilErr(why)
	}
	return c.ReturnBool(true)
}

func runShutdown(c *lua.Call, p *proc) lua.Outcome {
	var at int
	switch dir := string(luahost.Text(c, 2)); dir {
	case "stdin":
	case "stdout":
		at = 1
	case "stderr":
		at = 2
	default:
		return c.Errorf("bad shutdown arg: %s", dir)
	}
	if p.closed {
		return c.ReturnNilErr("closed")
	}
	if p.std[at] == nil {
		return c.ReturnNilErr("merged to stdout")
	}
	p.std[at].shut("aborted")
	return c.ReturnBool(true)
}

func runWait(c *lua.Call, p *proc) lua.Outcome {
	if !c.MayWait() {
		return luahost.WrongPhase(c)
	}
	if p.closed {
		return c.ReturnNilErr("exited")
	}
	p.debugf("lua pipe wait process:%X pid:%d", p.id(), p.pid)
	if waits(p.call) {
		return c.ReturnNilErr("pipe busy waiting")
	}
	if !p.dead {
		loop := p.w.Loop
		p.waiter, p.call = loop.Current(), c
		if ms := p.timeouts[waitTimeout]; ms > 0 {
			p.debugf("lua pipe add timer for waiting: %d(ms) process:%X pid:%d", ms, p.id(), p.pid)
		}
		p.debugf("lua pipe wait yielding process:%X pid:%d", p.id(), p.pid)
		var err error
		for deadline := p.deadline(waitTimeout); !p.dead && err == nil; {
			err = loop.Park(deadline)
		}
		if p.call == c {
			p.waiter, p.call = nil, nil
		}
		switch {
		case c.Killed():
			p.debugf("lua pipe proc wait cleanup")
			return c.Return()
		case err != nil && !p.dead:
			return c.ReturnNilErr("timeout")
		}
	}
	p.finalize()
	w := c.Push()
	w.Bool(p.status == 0)
	if p.signal {
		w.String("signal")
	} else {
		w.String("exit")
	}
	w.Int(p.status)
	return c.Return()
}
