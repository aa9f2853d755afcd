package lua

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"moongate/internal/luajit"
)

func TestTracebacks(t *testing.T) {
	b := newBench(t, errLib())
	for _, c := range []struct {
		phase     Phase
		src, want string
	}{
		{PhaseContent, "local function f()\n error('boom')\nend\nf()",
			"lua entry thread aborted: runtime error: test:2: boom\nstack traceback:\ncoroutine 0:\n\t[C]: in function 'error'\n" +
				"\ttest:2: in function 'f'\n\ttest:4: in main chunk"},
		{PhaseLog, "local function f()\n error('boom')\nend\nf()",
			"failed to run log_by_lua*: test:2: boom\nstack traceback:\n\t[C]: in function 'error'\n" +
				"\ttest:2: in function 'f'\n\ttest:4: in main chunk"},
		{PhaseInit, "error('boom')",
			"init_by_lua error: test:1: boom\nstack traceback:\n\t[C]: in function 'error'\n\ttest:1: in main chunk"},
		{PhaseContent, "ngx.errorf()",
			"lua entry thread aborted: runtime error: test:1: bad luck\nstack traceback:\ncoroutine 0:\n\t[C]: in function 'errorf'\n" +
				"\ttest:1: in main chunk"},
		{PhaseContent, "ngx.fail()",
			"lua entry thread aborted: runtime error: test:1: failed 7\nstack traceback:\ncoroutine 0:\n\t[C]: in function 'fail'\n" +
				"\ttest:1: in main chunk"},
	} {
		_, r := b.runIn(c.phase, c.src)
		if r.Err == nil || r.Err.Error() != c.want {
			t.Errorf("%s:\n got %v\nwant %s", c.src, r.Err, c.want)
		}
	}
	_, r := b.run("local function f(n) if n == 0 then error('deep') end f(n - 1) return 1 end f(100)")
	if n := strings.Count(r.Err.Trace, "\n\t"); n != 23 || !strings.HasSuffix(r.Err.Trace, "\n\t...") {
		t.Errorf("%d lines: %s", n, r.Err.Trace)
	}
}

// Errors through coroutine.wrap show every coroutine, innermost first, also when a host operation came in between.
func TestWrapTraceback(t *testing.T) {
	b := newBench(t)
	for _, op := range []string{"", "ngx.sleep(0) "} {
		_, r := b.run("local co1 = coroutine.wrap(function()\n" + op + "error('in co1')\nend)\n" +
			"local co2 = coroutine.wrap(function()\nco1()\nend)\nco2()")
		want := "test:2: in co1\nstack traceback:\ncoroutine 0:\n\t[C]: in function 'error'\n\ttest:2: in function <test:1>\n" +
			"coroutine 1:\n\t[C]: in function 'co1'\n\ttest:5: in function <test:4>\n" +
			"coroutine 2:\n\t[C]: in function 'co2'\n\ttest:7: in main chunk"
		if r.Err == nil || r.Err.Msg+"\n"+r.Err.Trace != want {
			t.Errorf("op %q:\n got %s\n%s\nwant %s", op, r.Err.Msg, r.Err.Trace, want)
		}
	}
}

func TestCoroutines(t *testing.T) {
	b := newBench(t)
	for name, c := range map[string]struct{ src, want string }{
		"generator": {`local g = coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) end end)
			for i in g do ngx.print(i, " ") end`, "1 2 3 "},
		"arguments": {`local co = coroutine.create(function(a, b)
				ngx.say(a, b) local r, s = coroutine.yield(a + b, a - b) ngx.say(r, s) return b, "end" end)
			ngx.say({coroutine.resume(co, 1, 10)}) ngx.say({coroutine.resume(co, "x", "y")}) ngx.say({coroutine.resume(co)})`,
			"110\ntrue11-9\nxy\ntrue10end\nfalsecannot resume dead coroutine\n"},
		"operations in a child": {`local co = coroutine.create(function()
				ngx.sleep(0) coroutine.yield("a") ngx.say(ngx.wait("x", "y")) coroutine.yield("b") return "c" end)
			for i = 1, 4 do ngx.say({coroutine.resume(co)}, " ", coroutine.status(co)) end`,
			"truea suspended\nxy\ntrueb suspended\ntruec dead\nfalsecannot resume dead coroutine dead\n"},
		"operations in a deep chain": {`local function deep(n) return coroutine.wrap(function()
				if n == 0 then for i = 1, 3 do coroutine.yield(ngx.wait("v" .. i)) end return end
				for v in deep(n - 1) do ngx.sleep(0) coroutine.yield(v .. n) end end) end
			for v in deep(5) do ngx.print(v, " ") end`, "v112345 v212345 v312345 "},
		"status": {`local st = coroutine.status
			local co co = coroutine.create(function(self)
				ngx.say(st(self)) ngx.sleep(0) ngx.say(st(self)) coroutine.yield()
				local c = coroutine.create(function(father) ngx.say(st(father)) ngx.sleep(0) ngx.say(st(father))
					ngx.say(coroutine.resume(father)) end)
				coroutine.resume(c, self) end)
			ngx.say(st(co)) coroutine.resume(co, co) ngx.say(st(co)) coroutine.resume(co, co) ngx.say(st(co))`,
			"suspended\nrunning\nrunning\nsuspended\nnormal\nnormal\nfalsecannot resume normal coroutine\ndead\n"},
		"self":            {`local co = coroutine.running() ngx.say({coroutine.resume(co)})`, "falsecannot resume running coroutine\n"},
		"entry yields":    {`ngx.say("[", {coroutine.yield()}, "]") ngx.say("[", {coroutine.yield(1, "a")}, "]")`, "[]\n[]\n"},
		"error in resume": {`ngx.say({coroutine.resume(coroutine.create(function() error("x") end))})`, "falsetest:1: x\n"},
		"error after an operation": {`ngx.say({coroutine.resume(coroutine.create(function() ngx.sleep(0) error("x") end))})`,
			"falsetest:1: x\n"},
		"error of an operation": {`ngx.say({coroutine.resume(coroutine.create(function() ngx.fail() end))})`, "falsetest:1: failed 7\n"},
		"pcall around wrap":     {`ngx.say({pcall(coroutine.wrap(function() ngx.sleep(0) error("x") end))})`, "falsetest:1: x\n"},
		"pcall in a child":      {`coroutine.wrap(function() ngx.say({pcall(ngx.fail)}) end)()`, "falsefailed 7\n"},
		"dead wrap":             {`local f = coroutine.wrap(function() end) f() ngx.say({f()})`, "falsecannot resume dead coroutine\n"},
		"not a function":        {`ngx.say({pcall(coroutine.create, 1)})`, "falsebad argument #1 to '?' (Lua function expected)\n"},
		"C function":            {`ngx.say({pcall(coroutine.create, print)})`, "falsebad argument #1 to '?' (Lua function expected)\n"},
		"not a coroutine":       {`ngx.say({pcall(coroutine.resume, 1)})`, "falsebad argument #1 to '?' (coroutine expected)\n"},
		"require":               {`local co = require "coroutine" ngx.say(co == coroutine)`, "true\n"},
		"other names":           {`ngx.say(coroutine.__wrap == coroutine.wrap, type(coroutine._resume), coroutine.isyieldable)`, "truefunctionnil\n"},
		"in a metamethod": {`local t = setmetatable({}, {__index = function(_, k) ngx.sleep(0) return k end}) ngx.say(t.x)`,
			"x\n"},
		"in an iterator": {`local function it(_, i) ngx.sleep(0) if i < 2 then return i + 1 end end
			for i in it, nil, 0 do ngx.print(i) end`, "12"},
		"through pcall and xpcall": {`ngx.say({pcall(function() ngx.sleep(0) return 1 end)}, {xpcall(function() ngx.fail() end, function(e) return "h:" .. e end)})`,
			"true1falseh:test:1: failed 7\n"},
		"blocked by a parent": {`local co = coroutine.create(function() ngx.sleep(0) end)
			table.sort({2, 1}, function(a, b) if co then ngx.say({coroutine.resume(co)}) co = nil end return a < b end)`,
			"falseattempt to yield across C-call boundary\n"},
		"too deep": {`local function f(n) return coroutine.wrap(function() return f(n + 1) end)() end
			local r, e = f(1) ngx.say(r, " ", e)`, "false C stack overflow\n"},
		"collected": {`for i = 1, 1000 do coroutine.wrap(function() coroutine.yield() end)() end collectgarbage() ngx.say("ok")`, "ok\n"},
	} {
		out, r := b.run(c.src)
		if r.Status != Done || strings.ReplaceAll(out, "'create'", "'?'") != c.want &&
			strings.ReplaceAll(out, "'resume'", "'?'") != c.want {
			t.Errorf("%s:\n got %q %+v\nwant %q", name, out, r.Err, c.want)
		}
	}
}

// In filters and init coroutines are Lua's own.
func TestPlainCoroutines(t *testing.T) {
	b := newBench(t)
	out, r := b.runIn(PhaseHeaderFilter, `local co = coroutine.create(function() coroutine.yield(1) end)
		ngx.say({coroutine.resume(co)}) ngx.say({coroutine.resume(co)})
		ngx.say({coroutine.resume(coroutine.create(tostring), 5)})`)
	if r.Status != Done || out != "true1\ntrue\ntrue5\n" {
		t.Fatalf("%q %+v", out, r.Err)
	}
	_, r = b.runIn(PhaseInit, "local co = coroutine.wrap(function()\nerror('x')\nend)\nlocal e = co()")
	want := "init_by_lua error: test:4: test:2: x\nstack traceback:\n\t[C]: in function 'co'\n\ttest:4: in main chunk"
	if r.Err == nil || r.Err.Error() != want {
		t.Fatalf("%v", r.Err)
	}
}

func TestEnd(t *testing.T) {
	b := newBench(t)
	for _, src := range []string{`ngx.exit(7) ngx.say("no")`, `pcall(ngx.exit, 7) ngx.say("no")`,
		`coroutine.wrap(function() coroutine.wrap(function() ngx.exit(7) end)() ngx.say("no") end)() ngx.say("no")`} {
		for range 3 {
			if out, r := b.run(src); r.Status != Ended || r.Code != 7 || out != "" {
				t.Fatalf("%s: %q %+v", src, out, r)
			}
		}
	}
	if out, r := b.runIn(PhaseLog, `ngx.exit(7) ngx.say("yes")`); r.Status != Done || out != "yes\n" {
		t.Fatalf("%q %+v", out, r)
	}
	if b.vm.Live() != 0 {
		t.Fatal(b.vm.Live())
	}
}

func TestArgsAndResults(t *testing.T) {
	b := newBench(t)
	var got []string
	r := b.load(`local a, b, c = ... return a, b + 1, c[1], select("#", ...)`).RunWith(nil, PhaseSet, func(w *Writer) {
		w.String("x")
		w.Int(41)
		w.Begin(1, 0)
		w.Bool(true)
		w.End()
	}, func(c *Call) {
		got = append(got, c.String(1), string(rune(c.Int(2))), c.Type(3).String(), string(rune('0'+c.Int(4))))
	})
	if r.Status != Done || strings.Join(got, " ") != "x * boolean 3" {
		t.Fatalf("%q %+v", got, r.Err)
	}
}

// A Sync function may run handlers of the same and of other requests.
func TestNestedRuns(t *testing.T) {
	var b *bench
	var depth int
	b = newBench(t, &Library{Name: "x", Funcs: []*Func{{Name: "ngx.nest", Sig: "src:string", Run: func(c *Call) Outcome {
		depth++
		r := b.load(c.String(1)).Run(c.Context(), PhaseHeaderFilter)
		depth--
		if r.Status == Failed {
			return c.ReturnNilErr(r.Err.Msg)
		}
		return c.ReturnInt(depth)
	}}}})
	out, r := b.run(`ngx.ctx.x = 1
		ngx.say(ngx.nest("ngx.ctx.x = ngx.ctx.x + 1 ngx.say('in ', ngx.ctx.x)"), ngx.ctx.x)
		ngx.say(ngx.nest("error('x')"))
		ngx.say(ngx.nest("ngx.nest([[ngx.say('deeper', ngx.ctx.x)]])"))
		coroutine.wrap(function() ngx.say(ngx.nest("coroutine.wrap(function() ngx.say('co') end)()")) ngx.sleep(0) end)()
		ngx.say(ngx.nest("ngx.sleep(0)"))`)
	if r.Status != Done || out != "in 2\n02\nniltest:1: x\ndeeper2\n0\nco\n0\nniltest:1: API disabled in the context of header_filter_by_lua*; "+anywhere+"\n" {
		t.Fatalf("%q %+v", out, r.Err)
	}
}

func TestCtx(t *testing.T) {
	b := newBench(t)
	x, y := &Context{}, &Context{}
	for i, c := range []struct {
		ctx       *Context
		src, want string
	}{
		{x, `ngx.ctx.a = 1 ngx.say(ngx.ctx.a, ngx.ctx == ngx.ctx)`, "1true\n"},
		{y, `ngx.say(ngx.ctx.a)`, "nil\n"},
		{x, `ngx.say(ngx.ctx.a) ngx.ctx = {a = 2}`, "1\n"},
		{x, `ngx.say(pcall(function() ngx.ctx = nil end))`, "falsetest:1: ctx should be a table while getting a nil\n"},
		{x, `coroutine.wrap(function() ngx.sleep(0) ngx.say(ngx.ctx.a) end)()`, "2\n"},
	} {
		b.h.out.Reset()
		if r := b.load(c.src).Run(c.ctx, PhaseContent); r.Status != Done || b.h.out.String() != c.want {
			t.Errorf("%d: %q %+v", i, b.h.out.String(), r.Err)
		}
	}
	if _, ok := x.CtxRef(); !ok {
		t.Error("no reference")
	}
	x.Release()
	y.Release()
	if out, _ := b.run(`ngx.say(ngx.ctx.a)`); out != "nil\n" {
		t.Errorf("%q", out)
	}
}

func TestExdata(t *testing.T) {
	b := newBench(t)
	x := &Context{}
	x.SetExdata(0x1234)
	var got []uintptr
	src := `local ex, ffi = require "thread.exdata", require "ffi"
		local function n() return tonumber(ffi.cast("uintptr_t", ex())) end
		return n(), coroutine.wrap(function() ngx.sleep(0) return n() end)()`
	r := b.load(src).RunWith(x, PhaseContent, nil, func(c *Call) { got = append(got, uintptr(c.Num(1)), uintptr(c.Num(2))) })
	if r.Status != Done || len(got) != 2 || got[0] != 0x1234 || got[1] != 0x1234 {
		t.Fatalf("%x %+v", got, r.Err)
	}
	x.Release()
}

func TestGlobals(t *testing.T) {
	b := newBench(t)
	b.runIn(PhaseInit, `a = 1`)
	b.runIn(PhaseInitWorker, `b = 1`)
	if len(b.h.logs) != 0 {
		t.Fatalf("%q", b.h.logs)
	}
	if out, _ := b.run("ngx.say(a, b)\nlocal function f()\nfoo = 1\nend f() foo = 2 ngx.say(foo)"); out != "11\n2\n" {
		t.Fatalf("%q", out)
	}
	want := "5 [lua] _G write guard:12: __newindex(): writing a global Lua variable ('foo') which may lead to race conditions " +
		"between concurrent requests, so prefer the use of 'local' variables\nstack traceback:\n\ttest:3: in function 'f'\n" +
		"\ttest:4: in main chunk"
	if len(b.h.logs) != 1 || b.h.logs[0] != want {
		t.Fatalf("%q", b.h.logs)
	}
}

// With phases unlimited, a handler nested in a call of another may wait, and other handlers go on.
func TestUnlimitedNestedWait(t *testing.T) {
	var baton sync.Mutex
	h := &testHost{}
	var header *Chunk
	lib := &Library{Name: "x", Funcs: []*Func{
		{Name: "ngx.say", Run: func(c *Call) Outcome {
			if r := header.RunWith(c.Context(), PhaseHeaderFilter, func(w *Writer) { w.Str(c.Str(1)) }, nil); r.Status != Done {
				return c.Errorf("%s", r.Err.Msg)
			}
			return c.ReturnStr(c.Str(1))
		}},
		{Name: "ngx.id", Run: func(c *Call) Outcome { return c.ReturnInt(c.Context().Data.(int)) }},
		{Name: "ngx.park", Tier: Async, Run: func(c *Call) Outcome {
			baton.Unlock()
			baton.Lock()
			return c.ReturnInt(c.Context().Data.(int))
		}},
	}}
	rt, err := NewRuntime(Options{Host: h, Unlimited: true}, lib)
	if err != nil {
		t.Fatal(err)
	}
	vm, err := rt.NewVM()
	if err != nil {
		t.Fatal(err)
	}
	defer vm.Close()
	header, _ = vm.Load(NewCode(`local s = ... local co = coroutine.wrap(function()
		for i = 1, 3 do local id = ngx.park() if s ~= "id" .. id or ngx.id() ~= id then error("mixed up " .. s .. id) end end end) co()`, "=header"))
	c, _ := vm.Load(NewCode(`local id = ngx.id() for i = 1, 20 do
		if ngx.say("id" .. id) ~= "id" .. id or ngx.id() ~= id or ngx.park() ~= id then error("mixed up") end end`, "=content"))
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			baton.Lock()
			defer baton.Unlock()
			ctx := &Context{Data: i}
			if r := c.Run(ctx, PhaseContent); r.Status != Done {
				t.Errorf("%d: %v", i, r.Err)
			}
			ctx.Release()
		})
	}
	wg.Wait()
	if vm.Live() != 0 {
		t.Error(vm.Live())
	}
}

func TestLog(t *testing.T) {
	h := &testHost{}
	log := func(c *Call) Outcome {
		h.Log(nil, Level(c.Int(1)), c.String(2))
		return c.Return()
	}
	b := newBench(t, &Library{Name: "x", Funcs: []*Func{{Name: "ngx.log", Output: Log, Run: log}, {Name: "print", Output: LogPrint, Run: log},
		{Name: "ngx.def", Sig: "f:function", Run: func(c *Call) Outcome {
			src, line, _ := c.FuncInfo(1)
			at, n, name, ok := c.Where(1)
			return c.ReturnString(src + " " + string(rune('0'+line)) + " " + at + " " + string(rune('0'+n)) + name + map[bool]string{true: "+"}[ok])
		}}}})
	for _, c := range []struct{ src, want string }{
		{`ngx.log(4, "a", nil, true, 1.5, setmetatable({}, {__tostring = function() return "TS" end}), ngx.null)`,
			"4 [lua] test:1: aniltrue1.5TSnull"},
		{"local function f()\nngx.log(3, 'x')\nend f()", "3 [lua] test:2: f(): x"},
		{`ngx.log(7, "x")`, ""},
		{`print("x", 1)`, "6 [lua] test:1: x1"},
		{`ngx.log(9, "x")`, "test:1: bad argument #1 to 'log' (bad log level: 9)"},
		{`ngx.log("a", "x")`, "test:1: bad argument #1 to 'log' (number expected, got string)"},
		{`ngx.log(4, 1, {})`, "test:1: bad argument #2 to 'log' (expected table to have __tostring metamethod)"},
		{`ngx.log(4, print)`, "test:1: bad argument #1 to 'log' (string, number, boolean, or nil expected, got function)"},
	} {
		h.logs = nil
		_, r := b.run(c.src)
		if got := strings.Join(h.logs, "\n"); r.Status == Done && got != c.want || r.Status == Failed && r.Err.Msg != c.want {
			t.Errorf("%s: %q %+v", c.src, got, r.Err)
		}
	}
	h.logs = nil
	ctx := &Context{}
	ctx.SetLogLevel(Error)
	b.load(`ngx.log(4, "shown") ngx.log(5, "not") print("not")`).Run(ctx, PhaseContent)
	ctx.SetLogLevel(Debug)
	b.load(`ngx.log(8, "shown")`).Run(ctx, PhaseContent)
	ctx.Release()
	if got := strings.Join(h.logs, ";"); got != "4 [lua] test:1: shown;8 [lua] test:1: shown" {
		t.Errorf("%q", got)
	}
	if out, r := b.run("local function g()\nngx.say(ngx.def(function() end), '')\nend\ng()"); out != "=test 2 test 2g+\n" {
		t.Errorf("%q %+v", out, r.Err)
	}
}

func TestModules(t *testing.T) {
	dir := t.TempDir()
	write := func(name, src string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(src), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("user.lua", `local M = {} M.x = ngx.echo("top") return M`)
	write("waits.lua", `ngx.sleep(0) return {}`)
	write("built.lua", `return "file"`)
	b := newBench(t, &Library{Name: "x",
		Modules: []Module{{Name: "built", Source: `return {name = ..., echo = ngx.echo}`}, {Name: "ngx.api", Table: "ngx"}},
		Funcs: []*Func{{Name: "ngx.twice", Tier: Lua, Source: `return function(s) return ngx.echo(s) .. s end`},
			{Name: "@m:f", Tier: Lua, Source: `return function() return "method" end`}},
		Classes: []*Class{{Name: "m"}},
	})
	b.vm.SetPath(dir, "$prefix/?.lua;;", "")
	out, r := b.run(`ngx.say(require("user").x, require("built").name, require("ngx.api") == ngx, ngx.twice("ab"))
		ngx.say(require("ffi").abi("64bit"), bit.bor(1, 2), jit.version_num > 20000, #require("table.new")(1, 1),
			type(require("jit.util")), type(require("string.buffer")), table.concat, require("table.nkeys"){a = 1})`)
	if r.Status != Failed || !strings.Contains(r.Err.Msg, "but got function") {
		t.Fatalf("%q %+v", out, r.Err)
	}
	if out != "topbuilttrueabab\n" {
		t.Fatalf("%q", out)
	}
	_, r = b.run(`require "waits"`)
	if r.Status != Failed || !strings.Contains(r.Err.Msg, "attempt to yield across C-call boundary") {
		t.Fatalf("%+v", r.Err)
	}
	out, _ = b.run(`ngx.say(package.path)`)
	if !strings.HasPrefix(out, dir+"/?.lua;./?.lua;") {
		t.Fatalf("%q", out)
	}
}

func TestLoad(t *testing.T) {
	b := newBench(t)
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad.lua")
	os.WriteFile(bad, []byte("#!/shebang\nx = = 1"), 0o644)
	_, err := b.vm.Load(NewFile(bad))
	if err == nil || err.Error() != `failed to load external Lua file "`+bad+`": `+bad+":2: unexpected symbol near '='" {
		t.Errorf("%v", err)
	}
	_, err = b.vm.Load(NewFile(dir + "/none.lua"))
	if err == nil || err.Error() != `failed to load external Lua file "`+dir+`/none.lua": cannot open `+dir+"/none.lua: No such file or directory" || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
	_, err = b.vm.Load(NewCode("x = = 1", "=content_by_lua(nginx.conf:40)"))
	if err == nil || err.Error() != "failed to load inlined Lua code: content_by_lua(nginx.conf:40):1: unexpected symbol near '='" {
		t.Errorf("%v", err)
	}
	code := NewCode(`return 1`, "=x")
	c1, _ := b.vm.Load(code)
	c2, _ := b.vm.Load(code)
	if c1 != c2 {
		t.Error("loaded twice")
	}

	var bytecode string
	r := b.load(`return string.dump(function() ngx.say("from bytecode") end)`).RunWith(nil, PhaseContent, nil,
		func(c *Call) { bytecode = c.String(1) })
	file := filepath.Join(dir, "code.luac")
	os.WriteFile(file, []byte(bytecode), 0o644)
	ch, err := b.vm.Load(NewFile(file))
	if err != nil || r.Status != Done {
		t.Fatal(err, r)
	}
	b.h.out.Reset()
	if r := ch.Run(nil, PhaseContent); r.Status != Done || b.h.out.String() != "from bytecode\n" {
		t.Fatalf("%+v", r)
	}
	var le *luajit.Error
	if _, err = b.vm.Load(NewFile(bad)); !errors.As(err, &le) {
		t.Errorf("%T", err)
	}
}

// Many goroutines take turns in one VM, each inside an operation of its own handler.
func TestInterleavedHandlers(t *testing.T) {
	var baton sync.Mutex
	park := func(c *Call) Outcome {
		s := string(c.Str(1))
		baton.Unlock()
		baton.Lock()
		if s != string(c.Str(1)) {
			return c.Errorf("argument changed")
		}
		return c.ReturnStr(c.Str(1))
	}
	b := newBench(t, &Library{Name: "x", Funcs: []*Func{{Name: "ngx.park", Sig: "s:string", Tier: Async, In: Yieldable, Run: park}}})
	baton.Lock()
	c := b.load(`local id = ... ngx.ctx.id = id
		local co = coroutine.wrap(function() for i = 1, 50 do coroutine.yield(ngx.park("p" .. id .. i)) end end)
		for i = 1, 50 do
			local got = co()
			if got ~= "p" .. id .. i or ngx.ctx.id ~= id then error("got " .. got) end
			ngx.print(ngx.echo(id) == id and "" or "bad")
		end
		return id`)
	baton.Unlock()
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			baton.Lock()
			defer baton.Unlock()
			ctx := &Context{}
			ctx.SetFastOutput(i%2 == 0)
			id := strings.Repeat(string(rune('a'+i)), i+1)
			r := c.RunWith(ctx, PhaseContent, func(w *Writer) { w.String(id) }, func(c *Call) {
				if c.String(1) != id {
					t.Errorf("%s returned %s", id, c.String(1))
				}
			})
			if r.Status != Done {
				t.Errorf("%s: %v", id, r.Err)
			}
			ctx.Release()
		})
	}
	wg.Wait()
	if b.h.out.String() != "" || b.vm.Live() != 0 {
		t.Errorf("%q, %d live", b.h.out.String(), b.vm.Live())
	}
}

// Finalizers may call Go while Lua reads the results of another call.
func TestFinalizerDuringResults(t *testing.T) {
	b := newBench(t)
	out, r := b.run(`local n = 0
		local function trash() for i = 1, 50 do local p = newproxy(true) getmetatable(p).__gc = function() n = n + 1 ngx.echo("clobber" .. n) end end end
		local s = string.rep("y", 400)
		for i = 1, 3000 do
			trash()
			local a, b, c = ngx.echo(s .. i), ngx.wait(s .. i, "b" .. i, "c")
			if a ~= s .. i or b ~= s .. i then error("clobbered: " .. a) end
			local x, y, z = ngx.wait("x" .. i, "y" .. i, "z" .. i)
			if x ~= "x" .. i or z ~= "z" .. i then error("clobbered") end
		end
		ngx.say(n > 0)`)
	if r.Status != Done || out != "true\n" {
		t.Fatalf("%q %+v", out, r.Err)
	}
	if len(b.vm.late) != 0 {
		t.Fatal(len(b.vm.late))
	}
}

func TestNoGrowth(t *testing.T) {
	b := newBench(t, errLib())
	runs := 100000
	if testing.Short() {
		runs = 5000
	}
	srcs := []*Chunk{
		b.load(`ngx.ctx.x = {} ngx.say("hello") ngx.sleep(0)`),
		b.load(`error("x")`),
		b.load(`coroutine.wrap(function() ngx.sleep(0) ngx.exit(1) end)()`),
		b.load(`coroutine.wrap(function() ngx.sleep(0) error("y") end)()`),
		b.load(`ngx.thing():wait(1) ngx.fail()`),
	}
	lap := func(n int) {
		ctx := &Context{}
		for i := range n {
			ctx.SetFastOutput(true)
			srcs[i%len(srcs)].Run(ctx, PhaseContent)
			ctx.Release()
			b.h.out.Reset()
		}
		b.vm.GC()
	}
	lap(1000)
	before := b.vm.Mem()
	lap(runs)
	if after := b.vm.Mem(); after > before+64<<10 {
		t.Errorf("Lua memory: %d KiB, then %d KiB", before, after)
	}
	if len(b.vm.objects) > runs/5 && len(b.vm.objects) > 100000 || b.vm.Live() != 0 || len(b.vm.free) > 1 || len(b.vm.ctxs) != 1 {
		t.Errorf("%d handles, %d live, %d threads, %d contexts", len(b.vm.objects), b.vm.Live(), len(b.vm.free), len(b.vm.ctxs))
	}
}

func TestNoAllocations(t *testing.T) {
	h := discard{}
	rt, err := NewRuntime(Options{Host: h}, testLib(&bench{h: &testHost{}}))
	if err != nil {
		t.Fatal(err)
	}
	vm, err := rt.NewVM()
	if err != nil {
		t.Fatal(err)
	}
	defer vm.Close()
	for _, src := range []string{`ngx.say("hello")`, `ngx.echo("a") ngx.echo(5)`, `ngx.sleep(0) ngx.wait("a", "b")`,
		`ngx.ctx.x = 1 coroutine.wrap(function() ngx.sleep(0) end)()`} {
		c, err := vm.Load(NewCode(src, "=t"))
		if err != nil {
			t.Fatal(err)
		}
		ctx := &Context{}
		n := testing.AllocsPerRun(1000, func() {
			ctx.SetFastOutput(true)
			if r := c.Run(ctx, PhaseContent); r.Status != Done {
				t.Fatal(r.Err)
			}
			ctx.Release()
		})
		if n != 0 {
			t.Errorf("%s: %v allocations", src, n)
		}
	}
}

type discard struct{}

func (discard) Log(*Context, Level, string) {}
func (discard) Output(*Context, []byte)     {}

func TestManyVMs(t *testing.T) {
	b := newBench(t)
	var vms []*VM
	for range 50 {
		v, err := b.rt.NewVM()
		if err != nil {
			t.Fatal(err)
		}
		vms = append(vms, v)
	}
	for _, v := range vms {
		c, err := v.Load(NewCode(`x = (x or 0) + 1 return ngx.echo("v"), x`, "=t"))
		if err != nil {
			t.Fatal(err)
		}
		c.RunWith(nil, PhaseInit, nil, func(c *Call) {
			if c.String(1) != "v" || c.Int(2) != 1 {
				t.Errorf("%s %d", c.Str(1), c.Int(2))
			}
		})
		v.Close()
	}
}

func TestMemoryLimit(t *testing.T) {
	b := newBench(t)
	b.vm.SetMemLimit(b.vm.Mem()/1024 + 20<<10)
	for _, src := range []string{
		`local t = {} for i = 1, 1e6 do t[i] = {i} end`,
		`local s = string.rep("x", 1e6) local t = {} for i = 1, 1e3 do t[i] = s .. i end`,
		`local t = {} for i = 1, 1e3 do t[i] = ngx.echo(("x"):rep(1e5) .. i) end`,
		`coroutine.wrap(function() local t = {} for i = 1, 1e6 do t[i] = ngx.wait("x" .. i, {}) ~= 1 and {} end end)()`,
	} {
		_, r := b.run(src)
		if r.Status != Failed || r.Err.Msg != "not enough memory" {
			t.Errorf("%s: %+v", src, r)
		}
		b.vm.GC()
		if out, r := b.run(`ngx.say("alive")`); r.Status != Done || out != "alive\n" {
			t.Fatalf("%q %+v", out, r.Err)
		}
	}
}
