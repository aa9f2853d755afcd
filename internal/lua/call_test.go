package lua

import (
	"strconv"
	"strings"
	"testing"
)

// errLib has functions which show how each tier fails.
func errLib() *Library {
	return &Library{Name: "err", Classes: []*Class{{Name: "thing"}, {Name: "other"}},
		Funcs: []*Func{
			{Name: "ngx.req.num", Sig: "n:number, opt?:integer", Run: func(c *Call) Outcome { return c.ReturnNum(c.Num(1)) }},
			{Name: "ngx.req.str", Sig: "s:string", Run: func(c *Call) Outcome { return c.ReturnString(c.String(1)) }},
			{Name: "ngx.req.types", Sig: "b:boolean, t:table, f:function, co:thread, v:any",
				Run: func(c *Call) Outcome { return c.ReturnOK() }},
			{Name: "ngx.errorf", Run: func(c *Call) Outcome { return c.Errorf("bad %s", "luck") }},
			{Name: "ngx.argerr", Run: func(c *Call) Outcome { return c.ArgError(2, "invalid thing") }},
			{Name: "ngx.typeerr", Run: func(c *Call) Outcome { return c.TypeError(1, "number") }},
			{Name: "ngx.raise", Run: func(c *Call) Outcome { return c.Raise("naked") }},
			{Name: "ngx.aargerr", Tier: Async, Run: func(c *Call) Outcome { return c.ArgError(1, "no") }},
			{Name: "ngx.araise", Tier: Async, Run: func(c *Call) Outcome { return c.Raise("naked") }},
			{Name: "ngx.only_content", In: PhaseMask(PhaseContent), Run: func(c *Call) Outcome { return c.ReturnOK() }},
			{Name: "ngx.special", In: PhaseMask(PhaseContent), NoRequest: "no request object found",
				Run: func(c *Call) Outcome { return c.ReturnOK() }},
			{Name: "ngx.thing", Run: func(c *Call) Outcome { c.Push().Object("thing", "data"); return c.Return() }},
			{Name: "ngx.other", Run: func(c *Call) Outcome { c.Push().Object("other", "data"); return c.Return() }},
			{Name: "@thing:get", Sig: "self:@thing, n?:number", Run: func(c *Call) Outcome {
				return c.ReturnString(c.Object(1).(string))
			}},
			{Name: "@thing:wait", Sig: "self:@thing, n:number", Tier: Async, In: Yieldable,
				Run: func(c *Call) Outcome { return c.ReturnString(c.Object(1).(string)) }},
		}}
}

func TestErrors(t *testing.T) {
	b := newBench(t, errLib())
	for _, c := range []struct{ src, want string }{
		{"local function f()\n ngx.errorf()\nend\nf()", "test:2: bad luck"},
		{"\nngx.fail()", "test:2: failed 7"},
		{"ngx.argerr(1)", "test:1: bad argument #2 to 'argerr' (invalid thing)"},
		{"ngx.typeerr('x')", "test:1: bad argument #1 to 'typeerr' (number expected, got string)"},
		{"ngx.typeerr()", "test:1: bad argument #1 to 'typeerr' (number expected, got no value)"},
		{"\n\nngx.aargerr(1)", "test:3: bad argument #1 to 'aargerr' (no)"},
		{"ngx.raise()", "naked"},
		{"ngx.araise()", "naked"},
		{"ngx.req.num()", "test:1: bad argument #1 to 'num' (number expected, got no value)"},
		{"ngx.req.num('x')", "test:1: bad argument #1 to 'num' (number expected, got string)"},
		{"ngx.req.num(1, {})", "test:1: bad argument #2 to 'num' (number expected, got table)"},
		{"ngx.req.str(nil)", "test:1: bad argument #1 to 'str' (string expected, got nil)"},
		{"ngx.req.types(1)", "test:1: bad argument #1 to 'types' (boolean expected, got number)"},
		{"ngx.req.types(true, 1)", "test:1: bad argument #2 to 'types' (table expected, got number)"},
		{"ngx.req.types(true, {}, 1)", "test:1: bad argument #3 to 'types' (function expected, got number)"},
		{"ngx.req.types(true, {}, print, 1)", "test:1: bad argument #4 to 'types' (thread expected, got number)"},
		{"ngx.req.types(true, {}, print, (coroutine.running()))", "test:1: bad argument #5 to 'types' (value expected)"},
		{"\nngx.sleep('abc')", "test:2: bad argument #1 to 'sleep' (number expected, got string)"},
		{"ngx.say(print)", "test:1: bad argument #1 to 'say' (string, number, boolean, nil, ngx.null, or array table expected, but got function)"},
		{"ngx.say('a', {a=1})", "test:1: bad argument #2 to 'say' (non-array table found)"},
		{"ngx.say({1, {print}})", "test:1: bad argument #1 to 'say' (bad data type function found)"},
		{"ngx.boom()", "test:1: internal error in ngx.boom: boom"},
		{"\nngx.aboom()", "test:2: internal error in ngx.aboom: aboom"},
		{"ngx.thing():get({})", "test:1: bad argument #1 to 'get' (number expected, got table)"},
		{"local x = ngx.thing() x.get()", "test:1: bad argument #1 to 'get' (table expected, got no value)"},
		{"local x = ngx.thing() x.get(ngx.other())", "test:1: bad argument #1 to 'get' (table expected, got table)"},
		{"ngx.thing():wait()", "test:1: bad argument #1 to 'wait' (number expected, got no value)"},
		{"table.sort({3, 2, 1}, function(a, b) ngx.sleep(0) return a < b end)", "attempt to yield across C-call boundary"},
		{"table.sort({3, 2, 1}, function(a, b) coroutine.yield() return a < b end)", "attempt to yield across C-call boundary"},
		{"error({})", "unknown reason"},
		{"error('x', 0)", "x"},
	} {
		_, r := b.run(c.src)
		if r.Status != Failed || r.Err.Msg != c.want {
			t.Errorf("%s:\n got %+v\nwant %s", c.src, r.Err, c.want)
		}
		// The same must be catchable, and the VM usable afterwards.
		out, r := b.run("local ok, err = pcall(function() " + c.src + "\nend) ngx.say(ok, ' ', type(err))")
		if r.Status != Done || !strings.HasPrefix(out, "false ") {
			t.Errorf("pcall %s: %q %+v", c.src, out, r.Err)
		}
	}
	if n := len(b.h.logs); n != 4 || !strings.Contains(b.h.logs[0], "panic in ngx.boom: boom\ngoroutine") {
		t.Errorf("log: %q", b.h.logs)
	}
}

func TestObjects(t *testing.T) {
	b := newBench(t, errLib())
	out, r := b.run(`local x = ngx.thing() ngx.say(x:get(), type(x), x:get(3)) x.extra = 1 ngx.say(x.extra, x:wait(1))`)
	if r.Status != Done || out != "datatabledata\n1data\n" {
		t.Fatalf("%q %+v", out, r.Err)
	}
}

type lost struct{ n *int }

func (l lost) Collected() { *l.n++ }

func TestObjectsAreCollected(t *testing.T) {
	n := 0
	b := newBench(t, &Library{Name: "x", Classes: []*Class{{Name: "lost"}}, Funcs: []*Func{
		{Name: "ngx.lost", Run: func(c *Call) Outcome { c.Push().Object("lost", lost{&n}); return c.Return() }}}})
	if _, r := b.run(`for i = 1, 100 do ngx.lost() end kept = ngx.lost()`); r.Status != Done {
		t.Fatal(r.Err)
	}
	b.vm.GC()
	if n != 100 {
		t.Fatalf("%d objects collected", n)
	}
	if len(b.vm.objects) > 101 {
		t.Fatalf("%d handles", len(b.vm.objects))
	}
	b.vm.Close()
	if n != 101 {
		t.Fatalf("%d objects collected after Close", n)
	}
}

// anywhere is where functions work that wait.
const anywhere = `it works in rewrite_by_lua*, access_by_lua*, content_by_lua*, ngx.timer, ssl_certificate_by_lua*, ...; "lua_phase_limits off" lifts this`

func TestPhases(t *testing.T) {
	b := newBench(t, errLib())
	for _, c := range []struct {
		phase     Phase
		src, want string
	}{
		{PhaseLog, "ngx.only_content()", "test:1: API disabled in the context of log_by_lua*; it works in content_by_lua*"},
		{PhaseTimer, "ngx.only_content()", "test:1: API disabled in the context of ngx.timer; it works in content_by_lua*"},
		{PhaseInit, "ngx.only_content()", "test:1: no request found"},
		{PhaseInit, "ngx.special()", "test:1: no request object found"},
		{PhaseHeaderFilter, "ngx.sleep(0)", "test:1: API disabled in the context of header_filter_by_lua*; " + anywhere},
		{PhaseSSLCert, "ngx.only_content()", "test:1: API disabled in the context of ssl_certificate_by_lua*; it works in content_by_lua*"},
		{PhaseLog, "coroutine.create(function() end)", "API disabled in the context of log_by_lua*"},
		{PhaseHeaderFilter, "coroutine.yield()", "attempt to yield across C-call boundary"},
		{PhaseInit, "return ngx.ctx.x", "test:1: no request found"},
	} {
		_, r := b.runIn(c.phase, c.src)
		if r.Status != Failed || !strings.HasSuffix(r.Err.Msg, c.want) {
			t.Errorf("%v %s:\n got %+v\nwant %s", c.phase, c.src, r.Err, c.want)
		}
	}
	for _, p := range phases {
		if p.phase.String() != p.name || p.phase.Short() != p.short {
			t.Errorf("names of %v", p)
		}
	}
}

// Phases which may not wait call Async functions like any other.
func TestAsyncWhereNothingWaits(t *testing.T) {
	waits := 0
	b := newBench(t, &Library{Name: "x", Funcs: []*Func{{Name: "ngx.either", Tier: Async, Run: func(c *Call) Outcome {
		if c.MayWait() {
			waits++
		}
		return c.ReturnString(c.Phase().Short())
	}}}})
	for _, p := range []Phase{PhaseContent, PhaseLog, PhaseHeaderFilter, PhaseInit} {
		if out, r := b.runIn(p, `ngx.say(ngx.either())`); r.Status != Done || out != p.Short()+"\n" {
			t.Errorf("%v: %q %+v", p, out, r.Err)
		}
	}
	if waits != 1 {
		t.Errorf("%d waited", waits)
	}
}

func TestArguments(t *testing.T) {
	var got []string
	b := newBench(t, &Library{Name: "x", Funcs: []*Func{{Name: "ngx.args", Run: func(c *Call) Outcome {
		got = got[:0]
		for i := 1; i <= c.NArgs(); i++ {
			got = append(got, c.Type(i).String())
		}
		if c.Type(99) != None || !c.IsNil(99) || c.Str(99) != nil || c.Num(99) != 0 || c.Bool(99) {
			t.Error("missing arguments")
		}
		return c.ReturnInt(c.NArgs())
	}}, {Name: "ngx.sum", Run: func(c *Call) Outcome {
		s := 0.0
		for i := 1; i <= c.NArgs(); i++ {
			s += c.Num(i)
		}
		return c.ReturnNum(s)
	}}}})
	out, r := b.run(`ngx.say(ngx.args(nil, true, 1, "s", {}, print, ngx.null, coroutine.running(), io.stdout, 1LL))
		local t = {} for i = 1, 200 do t[i] = i end
		ngx.say(ngx.sum(unpack(t)), " ", ngx.sum("1.5", " 0x10 ", "-2", "1e1", "x", "0x", "inf", "nan", "1_0"))`)
	if r.Status != Done || out != "10\n20100 25.5\n" {
		t.Fatalf("%q %+v", out, r.Err)
	}
	_, r = b.run(`ngx.args(nil, true, 1, "s", {}, print, ngx.null, coroutine.running(), io.stdout, 1LL)`)
	want := "nil boolean number string table function userdata thread userdata cdata"
	if s := strings.Join(got, " "); s != want || r.Status != Done {
		t.Fatalf("%s", s)
	}
}

func TestResults(t *testing.T) {
	var kept Ref
	b := newBench(t, &Library{Name: "x", Funcs: []*Func{
		{Name: "ngx.many", Run: func(c *Call) Outcome {
			for i := range 100 {
				c.Push().Int(i)
			}
			return c.Return()
		}},
		{Name: "ngx.big", Sig: "n:number", Run: func(c *Call) Outcome { return c.ReturnString(strings.Repeat("x", c.Int(1))) }},
		{Name: "ngx.table", Run: func(c *Call) Outcome {
			return c.Table(func(w *Writer) {
				w.String("first")
				w.SetInt("i", -5)
				w.SetNum("n", 0.5)
				w.SetBool("b", true)
				w.SetString("s", "v")
				w.Key("t")
				w.Table(1, 0, func(w *Writer) { w.Null(); w.Num(2) })
				w.KeyInt(9)
				w.String("nine")
				for _, v := range []string{"1", "2", "3"} {
					w.Multi([]byte("multi"))
					w.String(v)
				}
				w.Multi([]byte("single"))
				w.String("1")
				w.String("second")
			})
		}},
		{Name: "ngx.keep", Run: func(c *Call) Outcome { kept, _ = c.Ref(1); return c.Return() }},
		{Name: "ngx.kept", Run: func(c *Call) Outcome { c.Push().Ref(kept); return c.Return() }},
		{Name: "ngx.pair", Run: func(c *Call) Outcome { return c.ReturnNilErr("why") }},
		{Name: "ngx.none", Run: func(c *Call) Outcome { return c.Return() }},
	}})
	out, r := b.run(`
		local t = {ngx.many()} ngx.say(#t, t[100])
		ngx.say(#ngx.big(1e6), #ngx.big(0), #ngx.big(5000))
		t = ngx.table()
		ngx.say(t[1], t.i, t.n, t.b, t.s, t.t[1] == ngx.null, t.t[2], t[9], table.concat(t.multi), t.single, t[2])
		local x = {} ngx.keep(x) ngx.say(ngx.kept() == x)
		local a, e = ngx.pair() ngx.say(a, e, select("#", ngx.none()))`)
	want := "10099\n100000005000\nfirst-50.5truevtrue2nine1231second\ntrue\nnilwhy0\n"
	if r.Status != Done || out != want {
		t.Fatalf("%q %+v", out, r.Err)
	}
	b.vm.Unref(kept)
}

func TestPack(t *testing.T) {
	var dump func(v Value) string
	dump = func(v Value) string {
		switch v.Type {
		case Table:
			s := "{"
			for k, e := range v.Table().Pairs() {
				s += dump(k) + "=" + dump(e) + " "
			}
			return s + "}"
		case Str:
			return v.String()
		case Number:
			return strconv.Itoa(v.Int())
		case Bool:
			if v.Bool() {
				return "true"
			}
			return "false"
		}
		if v.IsNull() {
			return "null"
		}
		return v.Type.String()
	}
	pack := func(c *Call) Outcome {
		p, err := c.Pack(1)
		if err != nil {
			return c.ReturnNilErr(err.Error())
		}
		q, _ := c.Pack(1) // a second one leaves the first alone
		_ = q.Len()
		if v := p.Get("s"); !v.IsNil() && v.String() != "v" || !p.Get("none").IsNil() || p.Index(1).IsNil() != (p.Len() == 0) {
			return c.Errorf("Get")
		}
		return c.ReturnString(dump(Value{Type: Table, b: p.b}))
	}
	b := newBench(t, &Library{Name: "x", Funcs: []*Func{
		{Name: "ngx.pack", Sig: "t:table", Run: pack},
		{Name: "ngx.apack", Sig: "t:table", Tier: Async, Run: pack},
		{Name: "ngx.concat", Run: func(c *Call) Outcome {
			s, err := c.Concat(1, c.NArgs())
			if err != nil {
				return c.Fail(err)
			}
			return c.ReturnStr(s)
		}},
	}})
	out, r := b.run(`for _, f in ipairs{ngx.pack, ngx.apack} do
		ngx.say(f{1, "a", {2, {}}, true, false, ngx.null, print}) ngx.say(f{s = "v"}) ngx.say(f{})
		local t = {} t.t = t ngx.say(f(t))
	end
	ngx.say(ngx.concat(1, "a", {nil, "b"}, nil)) ngx.say(pcall(ngx.concat, 1, print))`)
	one := "{1=1 2=a 3={1=2 2={} } 4=true 5=false 6=null 7=function }\n{s=v }\n{}\nniltable too deep\n"
	want := one + one + "1anilbnil\nfalsebad argument #2 to '?' (string, number, boolean, nil, ngx.null, or array table expected, but got function)\n"
	if r.Status != Done || out != want {
		t.Fatalf("%q\n%q %+v", out, want, r.Err)
	}
}

func TestPropsAndObjects(t *testing.T) {
	status := 200
	vars := map[string]string{}
	b := newBench(t, &Library{Name: "x",
		Props: []*Prop{
			{Name: "status", Get: func(c *Call) Outcome { return c.ReturnInt(status) },
				Set: func(c *Call) Outcome { status = c.Int(1); return c.Return() }},
			{Name: "ro", Get: func(c *Call) Outcome { return c.ReturnInt(1) }, In: PhaseMask(PhaseContent)},
		},
		Objects: []*Object{{Name: "ngx.var",
			Index: func(c *Call) Outcome {
				if v, ok := vars[c.String(2)]; ok {
					return c.ReturnString(v)
				}
				return c.ReturnNil()
			},
			NewIndex: func(c *Call) Outcome { vars[c.String(2)] = c.String(3); return c.Return() },
			Exe:      func(c *Call) Outcome { return c.ReturnInt(c.NArgs()) }}},
	})
	out, r := b.run(`ngx.status = 404 ngx.say(ngx.status, ngx.ro, ngx.unknown) ngx.mine = 5 ngx.say(ngx.mine, rawget(ngx, "status"))
		ngx.say(pcall(function() ngx.ro = 1 end)) ngx.var.x = "y" ngx.say(ngx.var.x, ngx.var.z, ngx.var(1))`)
	want := "4041nil\n5nil\nfalsetest:2: attempt to write a read-only value\nynil2\n"
	if r.Status != Done || out != want {
		t.Fatalf("%q %+v", out, r.Err)
	}
	if _, r := b.runIn(PhaseLog, `return ngx.ro`); r.Status != Failed || r.Err.Msg != "test:1: API disabled in the context of log_by_lua*; it works in content_by_lua*" {
		t.Fatalf("%+v", r.Err)
	}
}

func TestViews(t *testing.T) {
	b := newBench(t, &Library{Name: "x", Funcs: []*Func{
		{Name: "ngx.now", Tier: View, Slot: 0}, {Name: "ngx.today", Tier: View, Slot: 1}, {Name: "ngx.unset", Tier: View, Slot: 2}}})
	b.vm.SetView(0, 1.5)
	b.vm.SetViewString(1, "2026-01-02")
	if out, r := b.run(`ngx.say(ngx.now(), ngx.today(), ngx.unset())`); r.Status != Done || out != "1.52026-01-02nil\n" {
		t.Fatalf("%q %+v", out, r.Err)
	}
	b.vm.SetViewString(1, "longer than before")
	if out, _ := b.run(`ngx.say(ngx.today())`); out != "longer than before\n" {
		t.Fatalf("%q", out)
	}
}

func TestDeclarationErrors(t *testing.T) {
	run := func(c *Call) Outcome { return c.Return() }
	for want, lib := range map[string]*Library{
		`unknown type "numbr"`:            {Funcs: []*Func{{Name: "ngx.a", Sig: "x:numbr", Run: run}}},
		`bad parameter "x"`:               {Funcs: []*Func{{Name: "ngx.a", Sig: "x", Run: run}}},
		`unknown class "y"`:               {Funcs: []*Func{{Name: "ngx.a", Sig: "x:@y", Run: run}}},
		`ngx.a: no Run`:                   {Funcs: []*Func{{Name: "ngx.a"}}},
		`@q:a: unknown class "q"`:         {Funcs: []*Func{{Name: "@q:a", Run: run}}},
		`class "c" is declared twice`:     {Classes: []*Class{{Name: "c"}, {Name: "c"}}},
		`ngx.A: constant of type []uint8`: {Consts: []Const{{"ngx.A", []byte{}}}},
	} {
		if _, err := NewRuntime(Options{}, lib); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	rt, err := NewRuntime(Options{}, &Library{Funcs: []*Func{{Name: "ngx.a", Tier: Lua, Source: "error('x')"}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rt.NewVM(); err == nil || !strings.Contains(err.Error(), "ngx.a:1: x") {
		t.Errorf("got %v", err)
	}
}
