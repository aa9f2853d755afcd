package lua

import (
	"fmt"
	"strings"
	"testing"
)

// testHost records what handlers print and log.
type testHost struct {
	out  strings.Builder
	logs []string
}

func (h *testHost) Log(ctx *Context, level Level, msg string) {
	h.logs = append(h.logs, fmt.Sprintf("%d %s", level, msg))
}

func (h *testHost) Output(ctx *Context, b []byte) { h.out.Write(b) }

// bench is a VM with a small API for tests.
type bench struct {
	testing.TB
	h  *testHost
	rt *Runtime
	vm *VM
}

func newBench(t testing.TB, libs ...*Library) *bench {
	t.Helper()
	b := &bench{TB: t, h: &testHost{}}
	rt, err := NewRuntime(Options{Host: b.h}, append([]*Library{testLib(b)}, libs...)...)
	if err != nil {
		t.Fatal(err)
	}
	if b.vm, err = rt.NewVM(); err != nil {
		t.Fatal(err)
	}
	b.rt = rt
	t.Cleanup(b.vm.Close)
	return b
}

func (b *bench) load(src string) *Chunk {
	b.Helper()
	c, err := b.vm.Load(NewCode(src, "=test"))
	if err != nil {
		b.Fatal(err)
	}
	return c
}

// run runs src in the content phase and returns what it printed.
func (b *bench) run(src string) (string, Result) { return b.runIn(PhaseContent, src) }

func (b *bench) runIn(phase Phase, src string) (string, Result) {
	b.Helper()
	ctx := &Context{}
	ctx.SetFastOutput(true)
	b.h.out.Reset()
	r := b.load(src).Run(ctx, phase)
	ctx.Release()
	return b.h.out.String(), r
}

func testLib(b *bench) *Library {
	pass := func(c *Call) Outcome { return c.ReturnOK() }
	return &Library{Name: "test",
		Funcs: []*Func{
			{Name: "ngx.say", Output: Say, In: Anywhere, Run: func(c *Call) Outcome {
				b.h.out.Write(c.Str(1))
				return c.ReturnOK()
			}},
			{Name: "ngx.print", Output: Print, Run: func(c *Call) Outcome {
				b.h.out.Write(c.Str(1))
				return c.ReturnOK()
			}},
			{Name: "ngx.echo", Sig: "s:string", Run: func(c *Call) Outcome { return c.ReturnStr(c.Str(1)) }},
			{Name: "ngx.sleep", Sig: "seconds:number", Tier: Async, In: Yieldable, Run: pass},
			{Name: "ngx.wait", Sig: "...", Tier: Async, In: Yieldable, Run: func(c *Call) Outcome {
				for i := 1; i <= c.NArgs(); i++ {
					c.Push().Str(c.Str(i))
				}
				return c.Return()
			}},
			{Name: "ngx.fail", Tier: Async, In: Yieldable, Run: func(c *Call) Outcome { return c.Errorf("failed %d", 7) }},
			{Name: "ngx.exit", Sig: "code:number", Tier: Async, Run: func(c *Call) Outcome { return c.End(c.Int(1)) }},
			{Name: "ngx.boom", Run: func(c *Call) Outcome { panic("boom") }},
			{Name: "ngx.aboom", Tier: Async, Run: func(c *Call) Outcome { panic("aboom") }},
		},
		Consts: []Const{{"ngx.OK", 0}, {"ngx.null", Null}, {"ngx.VERSION", "1"}},
	}
}

func TestHello(t *testing.T) {
	b := newBench(t)
	out, r := b.run(`ngx.say("hello ", 1, " ", 2.5, nil, true, {"a", {1, "b"}}, ngx.null) ngx.sleep(0) ngx.print(ngx.echo("x"), ngx.echo(5))`)
	if r.Status != Done || out != "hello 1 2.5niltruea1bnull\nx5" {
		t.Fatalf("%q %+v", out, r.Err)
	}
}

func BenchmarkHello(b *testing.B) {
	t := newBench(b)
	c := t.load(`ngx.say("hello")`)
	ctx := &Context{}
	ctx.SetFastOutput(true)
	b.ReportAllocs()
	for b.Loop() {
		if c.Run(ctx, PhaseContent).Status != Done {
			b.Fatal()
		}
		t.h.out.Reset()
	}
}

func BenchmarkSync(b *testing.B) {
	t := newBench(b)
	c := t.load(`local f, n = ngx.echo, ... for i = 1, n do f("hello") end`)
	b.ReportAllocs()
	b.ResetTimer()
	c.RunWith(nil, PhaseContent, func(w *Writer) { w.Int(b.N) }, nil)
}

func BenchmarkAsync(b *testing.B) {
	t := newBench(b)
	c := t.load(`local f, n = ngx.sleep, ... for i = 1, n do f(0) end`)
	b.ReportAllocs()
	b.ResetTimer()
	c.RunWith(nil, PhaseContent, func(w *Writer) { w.Int(b.N) }, nil)
}

func BenchmarkCoroutine(b *testing.B) {
	t := newBench(b)
	c := t.load(`local n = ... local f = coroutine.wrap(function() while true do coroutine.yield(1) end end) for i = 1, n do f() end`)
	b.ReportAllocs()
	b.ResetTimer()
	c.RunWith(nil, PhaseContent, func(w *Writer) { w.Int(b.N) }, nil)
}

func BenchmarkCtx(b *testing.B) {
	t := newBench(b)
	c := t.load(`local n = ... for i = 1, n do ngx.ctx.x = i end`)
	ctx := &Context{}
	b.ReportAllocs()
	b.ResetTimer()
	c.RunWith(ctx, PhaseContent, func(w *Writer) { w.Int(b.N) }, nil)
}

func BenchmarkHeaders(b *testing.B) {
	t := newBench(b, &Library{Name: "x", Funcs: []*Func{{Name: "ngx.headers", Run: func(c *Call) Outcome {
		w := c.Push()
		w.Begin(0, 10)
		for _, k := range [...]string{"host", "user-agent", "accept", "accept-encoding", "accept-language", "cookie",
			"referer", "connection", "cache-control", "x-forwarded-for"} {
			w.Multi([]byte(k))
			w.String("some value of a header")
		}
		w.End()
		return c.Return()
	}}}})
	c := t.load(`local f, n = ngx.headers, ... for i = 1, n do f() end`)
	b.ReportAllocs()
	b.ResetTimer()
	c.RunWith(nil, PhaseContent, func(w *Writer) { w.Int(b.N) }, nil)
}

func BenchmarkNewVM(b *testing.B) {
	t := newBench(b)
	for b.Loop() {
		v, err := t.rt.NewVM()
		if err != nil {
			b.Fatal(err)
		}
		v.Close()
	}
}
