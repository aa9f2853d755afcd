// Package semaphore is the Lua module ngx.semaphore: counters that light threads of one worker, of whatever request,
// wait for. Who has waited longest is served first; a thread that posts goes on before those it has woken.
package semaphore

import (
	"time"

	"moongate/internal/base/nlog"
	"moongate/internal/lua"
	"moongate/internal/luahost"
	"moongate/internal/netio"
)

// Library declares the module.
var Library = lua.Library{
	Name: "semaphore", Doc: "Semaphores between the light threads of a worker.",
	Funcs: []*lua.Func{
		create, method("ngx.semaphore.wait", lua.Async, runWait, waitDoc), method("ngx.semaphore.post", lua.Sync, runPost, postDoc),
		method("ngx.semaphore.count", lua.Sync, runCount, countDoc),
		method("@semaphore:wait", lua.Async, runWait, waitDoc), method("@semaphore:post", lua.Sync, runPost, postDoc),
		method("@semaphore:count", lua.Sync, runCount, countDoc),
	},
	Classes: []*lua.Class{{Name: "semaphore", Doc: "A semaphore."}},
	Consts:  []lua.Const{{Name: "ngx.semaphore.version", Value: luahost.CoreVersion}},
	Modules: []lua.Module{{Name: "ngx.semaphore", Table: "ngx.semaphore", Private: true}},
}

const (
	waitDoc  = "Takes one resource, waiting for at most so many seconds; nil and \"timeout\" when none came."
	postDoc  = "Gives resources, one by default, to those who wait."
	countDoc = "The number of resources left, or, negative, of those who wait for one."
)

func method(name string, tier lua.Tier, run func(c *lua.Call, s *sema) lua.Outcome, doc string) *lua.Func {
	return &lua.Func{Name: name, Tier: tier, Doc: doc, Run: func(c *lua.Call) lua.Outcome {
		s, ok := c.Object(1).(*sema)
		if !ok {
			return c.Errorf("not a semaphore instance")
		}
		return run(c, s)
	}}
}

// sema is a semaphore.
type sema struct {
	count   int
	waiters []*waiter
	handing bool // hand is about to run
	log     *nlog.Logger
}

// Collected implements lua.Collected.
func (s *sema) Collected() {
	if s.log.On(nlog.Debug) {
		s.log.Logf(nlog.Debug, nil, nil, "in lua gc, semaphore %p", s)
	}
}

// waiter is a thread in wait.
type waiter struct {
	task    *netio.Task
	granted bool
}

var create = &lua.Func{
	Name: "ngx.semaphore.new", Doc: "Makes a semaphore with so many resources, none by default.",
	Run: func(c *lua.Call) lua.Outcome {
		n := 0
		if c.IsNumber(1) {
			n = c.Int(1)
		}
		if n < 0 {
			return c.Errorf("no negative number")
		}
		c.Push().Object("semaphore", &sema{count: n, log: luahost.Logger(c)})
		return c.Return()
	},
}

func runPost(c *lua.Call, s *sema) lua.Outcome {
	n := 1
	if c.IsNumber(2) {
		n = c.Int(2)
	}
	if n < 1 {
		return c.Errorf("positive number required")
	}
	s.count += n
	s.handOut(luahost.LoopOrNil(c))
	return c.ReturnBool(true)
}

func runCount(c *lua.Call, s *sema) lua.Outcome { return c.ReturnInt(s.count - len(s.waiters)) }

// handOut lets the resources go to those who wait, when the thread that runs has had its turn.
func (s *sema) handOut(loop *netio.Loop) {
	if s.handing || len(s.waiters) == 0 || s.count == 0 {
		return
	}
	s.handing = true
	loop.Go(func() {
		s.handing = false
		for s.count > 0 && len(s.waiters) > 0 {
			w := s.waiters[0]
			s.waiters = s.waiters[1:]
			s.count--
			w.granted = true
			loop.Ready(w.task)
		}
	})
}

func (s *sema) leave(w *waiter) {
	for i, x := range s.waiters {
		if x == w {
			s.waiters = append(s.waiters[:i], s.waiters[i+1:]...)
			return
		}
	}
}

func runWait(c *lua.Call, s *sema) lua.Outcome {
	if c.Phase() == lua.PhaseInit && !c.MayWait() {
		return c.Errorf("no request found")
	}
	if !c.IsNumber(2) {
		return c.Errorf("attempt to perform arithmetic on a %s value", c.Type(2))
	}
	ms := int64(c.Num(2) * 1000)
	if c.Num(2) < 0 {
		return c.Errorf("no negative number")
	}
	if !c.MayWait() {
		return c.ReturnNilErr("API disabled in the context of " + c.Phase().String())
	}
	if len(s.waiters) == 0 && s.count > 0 {
		s.count--
		return c.ReturnBool(true)
	}
	if ms == 0 {
		return c.ReturnNilErr("timeout")
	}
	loop := luahost.Loop(c)
	w := &waiter{task: loop.Current()}
	s.waiters = append(s.waiters, w)
	deadline := loop.Now() + ms*int64(time.Millisecond)
	for !w.granted {
		if err := loop.Park(deadline); err != nil {
			break
		}
	}
	switch {
	case w.granted && c.Killed(): // nobody has it then
		s.count++
		s.handOut(loop)
	case w.granted:
		return c.ReturnBool(true)
	}
	s.leave(w)
	if c.Killed() {
		s.log.Logf(nlog.Debug, nil, nil, "http lua semaphore cleanup")
	}
	return c.ReturnFalseErr("timeout") // nil only when it did not wait
}
