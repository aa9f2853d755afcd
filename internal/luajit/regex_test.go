package luajit

import (
	"fmt"
	"strings"
	"testing"
)

const regexPrelude = `
ngx = {re = require "mg.re"}
split = require "ngx.re".split
-- show writes values as text: tables with sorted keys, strings in single quotes.
local function one(v)
  if type(v) == "string" then return "'" .. v .. "'" end
  if type(v) ~= "table" then return tostring(v) end
  local keys, out = {}, {}
  for k in pairs(v) do keys[#keys + 1] = k end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  for i, k in ipairs(keys) do out[i] = tostring(k) .. "=" .. one(v[k]) end
  return "{" .. table.concat(out, " ") .. "}"
end
function show(...)
  local out = {}
  for i = 1, select("#", ...) do out[i] = one((select(i, ...))) end
  return table.concat(out, " ")
end
function all(it, err)
  if not it then return it, err end
  local out = {}
  for i = 1, 50 do
    local m, err = it()
    if not m then out[i] = err or "end" break end
    out[i] = m[0]
  end
  return table.concat(out, "|")
end
`

func newRegexState(t testing.TB) *State {
	t.Helper()
	s, err := New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	if err := s.DoString(regexPrelude, "=prelude"); err != nil {
		t.Fatal(err)
	}
	return s
}

type regexCase struct{ expr, want string }

// runRegexCases compares show(expr), or "error: MESSAGE", with want.
func runRegexCases(t *testing.T, s *State, cases []regexCase) {
	t.Helper()
	for _, c := range cases {
		got, err := s.Eval("return show("+c.expr+")", "=t")
		if err != nil {
			got = "error: " + err.Error()
		}
		if got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.expr, got, c.want)
		}
	}
}

func TestRegexMatch(t *testing.T) {
	runRegexCases(t, newRegexState(t), []regexCase{
		{`ngx.re.match("hello, 1234", "[0-9]+")`, `{0='1234'}`},
		{`ngx.re.match("hello, 1234", "([0-9])(?<rest>[0-9]+)", "jo")`, `{0='1234' 1='1' 2='234' rest='234'}`},
		{`ngx.re.match("hello", "(x)|(hello)|(?<n>y)")`, `{0='hello' 1=false 2='hello' 3=false n=false}`},
		{`ngx.re.match("hello", "x")`, `nil`},
		{`ngx.re.match("", "")`, `{0=''}`},
		{`ngx.re.match("a\0b", "\\x00(.)")`, "{0='\x00b' 1='b'}"},
		{`ngx.re.match(1234, "2.")`, `{0='23'}`},
		{`ngx.re.match("a1b", 1)`, `{0='1'}`},
		{`ngx.re.match(nil, "i")`, `{0='i'}`},
		{`ngx.re.match(setmetatable({}, {__tostring = function() return "meta" end}), "e.")`, `{0='et'}`},
		{`ngx.re.match("ab", "(b)", "", nil, {"x", "y", "z"})`, `{0='b' 1='b' 2='y' 3='z'}`},
		{`ngx.re.match("ab", "a\\K")`, `{0=''}`},
		{`(function() local r = {} return ngx.re.match("ab", "a", nil, nil, r) == r end)()`, `true`},
		{`(function() local c = {pos = 2} local m = ngx.re.match("1234", "..", "", c) return m, c.pos end)()`,
			`{0='23'} 4`},
		{`(function() local c = {} local m = ngx.re.match("1234", "x", "", c) return m, c.pos end)()`, `nil nil`},
		{`(function() local c = {pos = -3} local m = ngx.re.match("1234", "^1", "", c) return m, c.pos end)()`,
			`{0='1'} 2`},
		{`ngx.re.match("12", "1", "", {pos = 9})`, `nil 'pcre_exec() failed: -33'`},
		{`ngx.re.match("12", "1", "j", {pos = 9})`, `nil 'pcre_exec() failed: -33'`},
		{`ngx.re.match("12", "1", "", {pos = "x"})`, `error: t:1: attempt to compare string with number`},
	})
}

func TestRegexErrors(t *testing.T) {
	runRegexCases(t, newRegexState(t), []regexCase{
		{`ngx.re.match("a", "(abc")`, `nil 'pcre2_compile() failed: missing closing parenthesis in "(abc"'`},
		{`ngx.re.find("a", "(abc", "jo")`, `nil nil 'pcre2_compile() failed: missing closing parenthesis in "(abc"'`},
		{`ngx.re.gmatch("a", "(abc")`, `nil 'pcre2_compile() failed: missing closing parenthesis in "(abc"'`},
		{`ngx.re.sub("a", "(abc", "")`, `nil nil 'pcre2_compile() failed: missing closing parenthesis in "(abc"'`},
		{`ngx.re.gsub("a", "(abc", tostring)`, `nil nil 'pcre2_compile() failed: missing closing parenthesis in "(abc"'`},
		{`split("a", "(abc")`, `nil 'pcre2_compile() failed: missing closing parenthesis in "(abc"'`},
		{`ngx.re.match("a", "a)b")`, `nil 'pcre2_compile() failed: unmatched closing parenthesis in "a)b" at ")b"'`},
		{`ngx.re.match("a", "(?<n>a)(?<n>b)")`, `nil 'pcre2_compile() failed: two named subpatterns have the same ` +
			`name (PCRE2_DUPNAMES not set) in "(?<n>a)(?<n>b)" at "b)"'`},
		{`ngx.re.match("a", "x\0(")`, `nil 'pcre2_compile() failed: missing closing parenthesis in "x'`},
		{`#select(2, ngx.re.match("a", "(" .. ("x"):rep(400)))`, `255`},
		{`ngx.re.match("a", "a", "Hm")`, `error: t:1: unknown flag "H" (flags "Hm")`},
		{`ngx.re.match("a")`, `error: t:1: bad argument #2 to 'match' (string expected, got nil)`},
		{`ngx.re.match("a", {})`, `error: t:1: bad argument #2 to 'match' (string expected, got table)`},
		{`ngx.re.match("\228\189\160\229", "\228", "u")`, `nil 'pcre2_compile() failed: ` +
			"UTF-8 error: 2 bytes missing at end in \"\xe4\" at \"\xe4\"'"},
		{`ngx.re.match("\228\189\160\229", "x", "u")`, `nil 'pcre_exec() failed: -4'`},
		{`ngx.re.find("\228\189\160\229", "x", "uj")`, `nil nil 'pcre_exec() failed: -4'`},
		{`ngx.re.gsub("\228\189\160\229", "x", "", "uj")`, `nil nil 'pcre_exec() failed: -4'`},
		{`ngx.re.gsub("\228\189\160\229", "x", type, "u")`, `nil nil 'pcre_exec() failed: -4'`},
		{`split("\228\189\160\229", "x", "u")`, `nil 'pcre_exec() failed: -4'`},
		{`all(ngx.re.gmatch("\228\189\160\229", "x", "u"))`, `'pcre_exec() failed: -4'`},
		// an empty match steps one byte, into the middle of a character
		{`ngx.re.gsub("\228\189\160", "x*", "-", "u")`, `nil nil 'pcre_exec() failed: -36'`},
		{`ngx.re.gsub("\228\189\160", "x*", "-", "uj")`, `nil nil 'pcre_exec() failed: -36'`},
		{`ngx.re.sub("a", "a", "$")`, `nil nil 'failed to compile the replacement template'`},
		{`ngx.re.gsub("a", "a", "b", "q")`, `error: t:1: unknown flag "q" (flags "q")`},
		{`ngx.re.gsub("a", "a", function() error("boom", 0) end)`, `error: boom`},
		{`split("a", "a", "", nil, nil, 7)`, `error: t:1: res is not a table`},
		{`ngx.re.opt("foo", 1)`, `error: t:1: unrecognized option name`},
	})
}

func TestRegexOptions(t *testing.T) {
	runRegexCases(t, newRegexState(t), []regexCase{
		{`ngx.re.find("ba", "a", "a")`, `nil`},
		{`ngx.re.find("ab", "a", "a")`, `1 1`},
		{`ngx.re.match("foobar", "foo|foobar")`, `{0='foo'}`},
		{`ngx.re.match("foobar", "foo|foobar", "d")`, `{0='foobar'}`},
		{`ngx.re.match("foobar", "(foo)|(foobar)", "do")`, `{0='foobar'}`},
		{`ngx.re.find("foobar", "(foo)bar", "d", nil, 1)`, `nil nil 'nth out of bound'`},
		{`ngx.re.gsub("foobar", "(foo)|(foobar)", "[$0$1]", "d")`, `'[foobar]' 1`},
		{`ngx.re.match("hello, world", "(?<n>\\w+), (?<n>\\w+)", "D")`,
			`{0='hello, world' 1='hello' 2='world' n={1='hello' 2='world'}}`},
		{`ngx.re.match("b", "(?<n>a)|(?<n>b)", "joD")`, `{0='b' 1=false 2='b' n={1='b'}}`},
		{`ngx.re.match("b", "(?<m>a)|(?<n>b)", "D")`, `{0='b' 1=false 2='b' n={1='b'}}`},
		{`ngx.re.match("HELLO", "hello", "i")`, `{0='HELLO'}`},
		{`ngx.re.match("HELLO", "hello", "ijo")`, `{0='HELLO'}`},
		{`ngx.re.match("u7AE0", "\\u7AE0")`, `nil 'pcre2_compile() failed: PCRE2 does not support \F, \L, \l, ` +
			`\N{name}, \U, or \u in "\u7AE0" at "7AE0"'`},
		{`ngx.re.match("\231\171\160", "\\u7AE0", "uJ")`, "{0='章'}"},
		{`ngx.re.find("a\nb", "^b")`, `nil`},
		{`ngx.re.find("a\nb", "^b", "m")`, `3 3`},
		{`ngx.re.find("a\nb", "a.b")`, `nil`},
		{`ngx.re.find("a\nb", "a.b", "s")`, `1 3`},
		{`ngx.re.match("\228\189\160x", ".")`, "{0='\xe4'}"},
		{`ngx.re.match("\228\189\160x", ".", "u")`, "{0='你'}"},
		{`ngx.re.match("\228\189\160x", ".", "ujo")`, "{0='你'}"},
		{`ngx.re.match("\228\189\160\229", ".", "U")`, "{0='你'}"},
		{`ngx.re.match("\228\189\160\229", ".", "Ujo")`, "{0='你'}"},
		{`ngx.re.match("ab", " a b ", "x")`, `{0='ab'}`},
		{`ngx.re.match("ab", "A B", "imsxjo")`, `{0='ab'}`},
		{`ngx.re.match("x", "x", false)`, `{0='x'}`},
	})
}

func TestRegexFind(t *testing.T) {
	runRegexCases(t, newRegexState(t), []regexCase{
		{`ngx.re.find("hello, 1234", "([0-9])([0-9]+)")`, `8 11`},
		{`ngx.re.find("hello, 1234", "([0-9])([0-9]+)", "jo", nil, 0)`, `8 11`},
		{`ngx.re.find("hello, 1234", "([0-9])([0-9]+)", "jo", nil, 1)`, `8 8`},
		{`ngx.re.find("hello, 1234", "([0-9])([0-9]+)", "jo", nil, 2)`, `9 11`},
		{`ngx.re.find("hello, 1234", "([0-9])([0-9]+)", "jo", nil, 3)`, `nil nil 'nth out of bound'`},
		{`ngx.re.find("hello, 1234", "([0-9])([0-9]+)", "jo", nil, -5)`, `8 11`},
		{`ngx.re.find("hello", "(x)|(h)", "", nil, 1)`, `nil nil`},
		{`ngx.re.find("hello", "(h)|(x)", "", nil, 2)`, `nil nil`},
		{`ngx.re.find("hello", "")`, `1 0`},
		{`ngx.re.find("hello", "x")`, `nil`},
		{`(function() local c = {pos = 3} local a, b = ngx.re.find("1234, x", "(\\G[0-9]+)", "", c) return a, b, c.pos end)()`,
			`3 4 5`},
		{`(function() local c = setmetatable({}, {__index = {pos = 2}}) return ngx.re.find("aa", "a", "", c) end)()`, `2 2`},
	})
}

func TestRegexGmatch(t *testing.T) {
	runRegexCases(t, newRegexState(t), []regexCase{
		{`all(ngx.re.gmatch("hello, world", "[a-z]+", "i"))`, `'hello|world|end'`},
		{`all(ngx.re.gmatch("abc", ""))`, `'||||end'`},
		{`all(ngx.re.gmatch("", "x"))`, `'end'`},
		{`all(ngx.re.gmatch("axbx", "x*", "jo"))`, `'|x||x||end'`},
		{`all(ngx.re.gmatch(1212, "2"))`, `'2|2|end'`},
		{`(function() local n = 0 for m in ngx.re.gmatch("a b c", "\\w", "jo") do n = n + 1 end return n end)()`, `3`},
		{`(function() local it = ngx.re.gmatch("a", "a") it() return it(), it(), it() end)()`, `nil nil nil`},
		{`getmetatable(ngx.re.gmatch("a", "a")).__call({})`, `error: t:1: bad gmatch iterator`},
		{`getmetatable(ngx.re.gmatch("a", "a")).__call({"a", newproxy()})`, `error: t:1: bad gmatch iterator`},
		{`getmetatable(ngx.re.gmatch("a", "a")).__call(1)`, `error: t:1: bad gmatch iterator`},
	})
}

func TestRegexSub(t *testing.T) {
	runRegexCases(t, newRegexState(t), []regexCase{
		{`ngx.re.sub("hello, 1234", "([0-9])[0-9]", "[$0][$1]")`, `'hello, [12][1]34' 1`},
		{`ngx.re.sub("hello, 1234", "[0-9]", "${0}00$$$$")`, `'hello, 100$$234' 1`},
		{`ngx.re.sub("b c", "(b) (c)", "$1$2$3$134${2}", "jo")`, `'bcc' 1`},
		{`ngx.re.sub("b", "(a)?b", "<$1>")`, `'<>' 1`},
		{`ngx.re.sub("b", "x", "y")`, `'b' 0`},
		{`ngx.re.sub(1234, "([0-9])[0-9]", 5, "jo")`, `'534' 1`},
		{`ngx.re.sub("abcd", "(?=c)", ".")`, `'ab.cd' 1`},
		{`ngx.re.sub("abcd", "(?<=c)", ".")`, `'abc.d' 1`},
		{`ngx.re.sub("abcd", "", nil)`, `'nilabcd' 1`},
		{`ngx.re.gsub("hello", "a|", "b")`, `'bhbeblblbob' 6`},
		{`ngx.re.gsub("", "a|", "b")`, `'b' 1`},
		{`ngx.re.gsub("aaa", "a", "")`, `'' 3`},
		{`ngx.re.gsub("{foobarbaz}", "(?<=foo)bar|(?<=bar)baz", "h$0", "o")`, `'{foohbarhbaz}' 2`},
		{`ngx.re.gsub("The quick brown fox jumps over the lazy dog", [[\b(\w)(\w*)\b]], "$2$1", "jo")`,
			`'heT uickq rownb oxf umpsj vero het azyl ogd' 9`},
		{`ngx.re.gsub("\228\189\160\229\165\189", ".", "a", "u")`, `'aa' 2`},
		{`ngx.re.gsub("\228\189\160\229\165\189", ".", "a", "ujo")`, `'aa' 2`},
		{`ngx.re.sub("hello, 1234", "([0-9])[0-9]", function(m) return "<" .. m[0] .. m[1] .. ">" end, "jo")`,
			`'hello, <121>34' 1`},
		{`ngx.re.gsub("hello", "a|", function() return "b" end)`, `'bhbeblblbob' 6`},
		{`ngx.re.gsub("", "a|", function() return "b" end)`, `'b' 1`},
		{`ngx.re.gsub("xyx", "x", function() return 5 end)`, `'5y5' 2`},
		{`ngx.re.gsub("xyx", "x", function() return nil end)`, `'nilynil' 2`},
		{`ngx.re.gsub("xyx", "z", function() end)`, `'xyx' 0`},
		{`ngx.re.gsub(1213, "1", function(m) return "-" end)`, `'-2-3' 2`},
		{`ngx.re.gsub("a{b}", "(a)(.+)", function(m) return m[1] .. ngx.re.gsub(m[2], "{([a-z])}", function(x)
			return "<" .. x[1] .. ">" end) end)`, `'a<b>' 1`},
		{`#ngx.re.gsub(("a"):rep(8000) .. ("b"):rep(1000), "b(b+)(b)", "$1 $2")`, `9000`},
	})
}

// A replacement function may yield, as it may in OpenResty.
func TestRegexSubYields(t *testing.T) {
	runRegexCases(t, newRegexState(t), []regexCase{{`(function()
		local co = coroutine.wrap(function()
			return ngx.re.gsub("a b c", "\\w", function(m) return coroutine.yield(m[0]) end, "jo")
		end)
		local seen = {co()}
		seen[2] = co("1")
		seen[3] = co("2")
		return table.concat(seen), co("3")
	end)()`, `'abc' '1 2 3' 3`}})
}

func TestRegexTemplateErrors(t *testing.T) {
	s := newRegexState(t)
	var log []string
	defer s.SetRegexLog(8, func(level int, msg string) { log = append(log, fmt.Sprint(level, " ", msg)) })()
	for _, c := range []struct{ tpl, want string }{
		{`[$0] [${hello}]`, `4 attempt to use named capturing variable "hello" (named captures not supported yet)`},
		{`[$hello]`, `4 attempt to use named capturing variable "hello" (named captures not supported yet)`},
		{`[${134]`, `4 the closing bracket in "134" variable is missing`},
		{`[${134`, `4 the closing bracket in "134" variable is missing`},
		{`[${`, `4 lua script: invalid capturing variable name found in "[${"`},
		{`[$`, `4 lua script: invalid capturing variable name found in "[$"`},
		{`$]`, `4 lua script: invalid capturing variable name found in "$]"`},
		{`${}`, `4 lua script: invalid capturing variable name found in "${}"`},
	} {
		log = nil
		got, err := s.Eval(`return show(ngx.re.sub("a", "a", [==[`+c.tpl+`]==]))`, "=t")
		if err != nil || got != `nil nil 'failed to compile the replacement template'` {
			t.Errorf("%s: got %s, %v", c.tpl, got, err)
		}
		if len(log) != 1 || log[0] != c.want {
			t.Errorf("%s: log %q, want %q", c.tpl, log, c.want)
		}
	}
	log = nil
	if _, err := s.Eval(`ngx.re.match("a", "a", "j") ngx.re.match("a", "a", "j") ngx.re.match("a", "a", "jo")
		ngx.re.match("a", "a", "jo")`, "=t"); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(log, "|"); got != strings.Repeat("8 pcre2 JIT compiled successfully|", 2)+
		"8 pcre2 JIT compiled successfully" {
		t.Errorf("log of JIT compilations: %q", got)
	}
}

func TestRegexSplit(t *testing.T) {
	runRegexCases(t, newRegexState(t), []regexCase{
		{`split("a,b,c,d", ",")`, `{1='a' 2='b' 3='c' 4='d'}`},
		{`split("a,b,c,d", "(,)", "jo", nil, 2)`, `{1='a' 2=',' 3='b,c,d'}`},
		{`split(",a,b,,", ",")`, `{1='' 2='a' 3='b'}`},
		{`split(",a,b,,", ",", nil, nil, 9)`, `{1='' 2='a' 3='b' 4='' 5=''}`},
		{`split("a,b,c", ",", nil, nil, -1)`, `{1='a' 2='b' 3='c'}`},
		{`split("a,b,c", ",", nil, nil, 1)`, `{1='a,b,c'}`},
		{`split("abcd", "")`, `{1='a' 2='b' 3='c' 4='d'}`},
		{`split("abcd", "|", nil, nil, 2)`, `{1='a' 2='bcd'}`},
		{`split("ab", "()")`, `{1='a' 2='' 3='b'}`},
		{`split("abcd", ",")`, `{1='abcd'}`},
		{`split("", ",")`, `{}`},
		{`split(1234512345, "23", "jo")`, `{1='1' 2='451' 3='45'}`},
		{`split("a,b,c", ",", nil, {pos = 3})`, `{1='b' 2='c'}`},
		{`split("a,b,c", ",", nil, {pos = 10})`, `{}`},
		{`split("a,b,c", ",", nil, {pos = -1})`, `{1='' 2='b' 3='c'}`},
		{`(function() local c = {} split("a,b,c", ",", nil, c) return c.pos end)()`, `4`},
		{`(function() local r = {1, 2, 3, 4, 5} return split("a,b", ",", nil, nil, nil, r) == r, r end)()`,
			`true {1='a' 2='b' 4=4 5=5}`},
		{`split("a,b", "(;)|(,)")`, `{1='a' 2='a,b' 3='b'}`}, // as OpenResty: an unset group 1 cuts from 0 to -1
	})
}

func TestRegexCache(t *testing.T) {
	s := newRegexState(t)
	var log []string
	defer s.SetRegexLog(5, func(level int, msg string) { log = append(log, msg) })()
	s.SetRegexLimits(2, 0)
	run := func(code string) {
		t.Helper()
		if err := s.DoString(code, "=t"); err != nil {
			t.Fatal(err)
		}
	}
	run(`it = ngx.re.gmatch("a1b2", "[0-9]", "o") assert(it()[0] == "1")`)
	run(`for i = 1, 9 do assert(ngx.re.match("x" .. i, "x" .. i, "jo")) end collectgarbage()`)
	run(`assert(it()[0] == "2") assert(it() == nil)`) // still alive although thrown out
	if st := s.RegexStats(); st.CachedMatch != 2 || st.Evicted != 8 || st.Compiled != 10 || st.CachedRecent != 0 {
		t.Errorf("match: %+v", st)
	}
	if len(log) != 1 || log[0] != "lua exceeding regex cache max entries (2)" {
		t.Errorf("log %q", log)
	}
	run(`for i = 1, 9 do assert(ngx.re.gsub("x", "x", "y" .. i, "o") == "y" .. i) end`)
	if st := s.RegexStats(); st.CachedSub != 2 || st.CachedRecent != 8 || st.Compiled != 11 {
		t.Errorf("sub: %+v", st)
	}
	run(`for i = 1, 500 do ngx.re.match("x", "y" .. i) ngx.re.gsub("x", "y" .. i, function() end) end`)
	if st := s.RegexStats(); st.CachedRecent != 64 || st.CachedSub != 2 || st.CachedMatch != 2 {
		t.Errorf("recent: %+v", st)
	}
	before := s.RegexStats()
	run(`for i = 1, 100 do ngx.re.match("x", "y500") ngx.re.find("x", "x8", "jo") end`)
	after := s.RegexStats()
	if after.Hits-before.Hits < 199 || after.Compiled-before.Compiled > 1 {
		t.Errorf("hits: %+v then %+v", before, after)
	}
	s.SetRegexLimits(0, 0)
	run(`assert(ngx.re.match("hello 12", "[0-9]+", "oi")[0] == "12")`)
	if st := s.RegexStats(); st.CachedMatch != 2 {
		t.Errorf("no cache: %+v", st)
	}
}

// What a raising callback or a dropped iterator held is given back.
func TestRegexNoLeak(t *testing.T) {
	s := newRegexState(t)
	loop := `for i = 1, 2000 do
		local re = "(" .. i .. ")"
		pcall(ngx.re.gsub, "x" .. i, re, function() error("no") end)
		local it = ngx.re.gmatch("" .. i, re) it()
		coroutine.wrap(function() ngx.re.gsub(i, re, function() coroutine.yield() end) end)()
		ngx.re.match("x", "(" .. i)
		ngx.re.sub("x", re, "$")
	end collectgarbage() collectgarbage()`
	if err := s.DoString(loop, "=t"); err != nil {
		t.Fatal(err)
	}
	st := s.RegexStats()
	if st.CachedRecent != 64 || st.CodeBytes > 64*1024 {
		t.Errorf("%+v", st)
	}
}

// A finalizer may run inside any call that allocates, and may itself use ngx.re.
func TestRegexReentrantFinalizers(t *testing.T) {
	s := newRegexState(t)
	s.SetRegexLimits(4, 0)
	code := `
	collectgarbage("setpause", 100)
	local ran, n = 0, 0
	local function garbage()
		getmetatable(newproxy(true)).__gc = function()
			ran, n = ran + 1, n + 1
			ngx.re.match("zz" .. n, "(((((z)))))z" .. n % 20, "jo")
			ngx.re.gsub("abcabc", "(a)(b)(c)", "$3$2$1", "jo")
			ngx.re.find("foo", "(o)", "d")
		end
	end
	for i = 1, 3000 do
		if i % 10 == 0 then collectgarbage("step", 1) end
		garbage()
		local m = ngx.re.match("key" .. i .. "=value", "(?<k>\\w+)=(?<v>(\\w)(\\w)(\\w))", i % 2 == 0 and "jo" or "")
		assert(m.k == "key" .. i and m.v == "val" and m[5] == "l")
		local r = split("a" .. i .. ",b,c", "(,)", "jo")
		assert(r[1] == "a" .. i and r[5] == "c")
		local out = ngx.re.gsub("x" .. i .. "y", "([xy])", function(m) garbage() return "<" .. m[1] .. ">" end, "jo")
		assert(out == "<x>" .. i .. "<y>")
		local k = 0
		for m in ngx.re.gmatch("p q r " .. i, "\\w+", "jo") do k = k + 1 garbage() end
		assert(k == 4)
	end
	assert(ran > 1000, ran)`
	if err := s.DoString(code, "=t"); err != nil {
		t.Fatal(err)
	}
	// finalizers that run while the VM closes still work
	if err := s.DoString(`local p = newproxy(true)
		getmetatable(p).__gc = function() ngx.re.match("a", "a", "jo") end keep = p
		it = ngx.re.gmatch("a b", "\\w", "jo") it()`, "=t"); err != nil {
		t.Fatal(err)
	}
	s.Close()
}

func TestRegexLimits(t *testing.T) {
	s := newRegexState(t)
	s.SetRegexLimits(1024, 100)
	runRegexCases(t, s, []regexCase{
		{`ngx.re.match(("a"):rep(40), "(a+)+b", "o")`, `nil`}, // PCRE2 sees that no "b" can follow
		{`ngx.re.match(("a"):rep(40) .. "c", "(a+)+[bd]", "o")`, `nil 'pcre_exec() failed: -47'`},
		{`ngx.re.match(("a"):rep(40) .. "c", "(a+)+[bd]", "jo")`, `nil 'pcre_exec() failed: -47'`},
		{`ngx.re.gsub(("a"):rep(40) .. "c", "(a+)+[bd]", "", "jo")`, `nil nil 'pcre_exec() failed: -47'`},
	})
	s.SetRegexLimits(1024, 0)
	runRegexCases(t, s, []regexCase{{`ngx.re.match(("a"):rep(12) .. "c", "(a+)+[bd]", "jo")`, `nil`}})
}

func TestRegexJITStack(t *testing.T) {
	const deep = `ngx.re.find(("(" .. ("x"):rep(3)):rep(400) .. (")"):rep(400), [[\((?:[^()]|(?R))*\)]], "jo")`
	runRegexCases(t, newRegexState(t), []regexCase{
		{deep, `nil nil 'pcre_exec() failed: -46'`},
		{`ngx.re.opt("jit_stack_size", 2e6)`, `error: t:1: changing jit stack size is not allowed when some regexs ` +
			`have already been compiled and cached`},
	})
	runRegexCases(t, newRegexState(t), []regexCase{
		{`ngx.re.opt("jit_stack_size", 100)`, ``},
		{`require("ngx.re").opt("jit_stack_size", 4 * 1024 * 1024)`, ``},
		{deep, `1 2000`},
	})
}

// A deep match grows PCRE2's frames; they are given back.
func TestRegexDeepMatch(t *testing.T) {
	s := newRegexState(t)
	runRegexCases(t, s, []regexCase{
		{`#ngx.re.match(("ab"):rep(20000), "(?:(a)|(b))*", "o")[0]`, `40000`},
		{`ngx.re.match("ab", "b", "o")`, `{0='b'}`},
		{`#ngx.re.match(("a"):rep(60), ("(a)"):rep(60), "jo")`, `60`},
	})
}

func BenchmarkRegexLua(b *testing.B) {
	for _, c := range []struct{ name, body string }{
		{"match", `ngx.re.match("hello, 1234", "([0-9])([0-9]+)", "jo")`},
		{"find", `ngx.re.find("hello, 1234", "[0-9]+", "jo")`},
		{"sub", `ngx.re.sub("hello, 1234", "[0-9]+", "x", "jo")`},
		{"gsub", `ngx.re.gsub("The quick brown fox jumps over the lazy dog", [[\b(\w)(\w*)\b]], "$2$1", "jo")`},
		{"gsubFunction", `ngx.re.gsub("hello, 1234", "[0-9]+", tostring, "jo")`},
		{"gmatch", `for m in ngx.re.gmatch("a b c", "\\w", "jo") do end`},
		{"split", `split("a,b,c,d", ",", "jo")`},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := newRegexState(b)
			if err := s.DoString(fmt.Sprintf("for i = 1, %d do %s end", b.N, c.body), "=t"); err != nil {
				b.Fatal(err)
			}
		})
	}
}
