package lua

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// logHost hands messages on as they come.
type logHost struct{ lines chan string }

func (h logHost) Log(ctx *Context, level Level, msg string) { h.lines <- msg }
func (h logHost) Output(ctx *Context, b []byte)             {}

// Code that does not wait is reported with its stack while it runs: interpreted, compiled, or waiting in Go.
func TestStalls(t *testing.T) {
	host := logHost{make(chan string, 8)}
	stuck := make(chan time.Duration, 8)
	release := make(chan struct{})
	var over atomic.Bool
	rt, err := NewRuntime(Options{Host: host}, &Library{Name: "x", Funcs: []*Func{
		{Name: "over", Run: func(c *Call) Outcome { return c.ReturnBool(over.Load()) }},
		{Name: "block", Run: func(c *Call) Outcome { <-release; return c.Return() }},
	}})
	if err != nil {
		t.Fatal(err)
	}
	vm, err := rt.NewVM()
	if err != nil {
		t.Fatal(err)
	}
	defer vm.Close()
	var stalls atomic.Int64
	w := vm.Watch(5*time.Millisecond, &stalls, func(d time.Duration) { stuck <- d })
	defer w.Stop()
	run := func(src string) chan Result {
		chunk, err := vm.Load(NewCode(src, "=stall"))
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan Result, 1)
		go func() { done <- chunk.Run(&Context{}, PhaseContent) }()
		return done
	}

	done := run("jit.off(true, true)\nlocal function busy()\n while not over() do end end\n busy()")
	msg := <-host.lines
	over.Store(true)
	if r := <-done; r.Status != Done {
		t.Fatal(r.Err)
	}
	if !strings.Contains(msg, "without waiting") || !strings.Contains(msg, "stall:3: in function 'busy'") {
		t.Errorf("%q", msg)
	}

	w.mu.Lock() // the watchman has nothing more to say of that turn; on a busy machine it may have said both things
	for len(stuck) > 0 {
		<-stuck
	}
	for len(host.lines) > 0 {
		<-host.lines
	}
	w.mu.Unlock()

	turns := int64(1)
	for called := false; !called; turns++ {
		done = run("block() return 1")
		select {
		case <-stuck:
			called = true
			release <- struct{}{}
			<-host.lines // the stack, once Lua goes on
		case <-host.lines: // on a busy machine the time may be over before Lua has called anything
			release <- struct{}{}
		}
		<-done
	}
	if n := stalls.Load(); n != turns {
		t.Errorf("%d stalls in %d turns", n, turns)
	}
}
