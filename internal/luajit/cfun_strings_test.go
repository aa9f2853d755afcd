package luajit

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"math/rand"
	"net/http"
	"strings"
	"testing"
	"time"
)

// show(...) writes values, tables with sorted keys; a function of ngx called in an expression is not a tail call.
const stringsPrelude = `local ngx, tables, b64 = require "mg.strings", require "mg.tables", require "ngx.base64"
local function one(v) if type(v) ~= "table" then return tostring(v) end
  local l = {} for k, x in pairs(v) do l[#l + 1] = tostring(k) .. "=" .. one(x) end table.sort(l) return "{" .. table.concat(l, ",") .. "}" end
local function show(...) local l = {} for i = 1, select("#", ...) do l[i] = one((select(i, ...))) end return table.concat(l, " ") end
`

func showAll(t *testing.T, cases []evalCase) {
	t.Helper()
	for i := range cases {
		if !strings.HasPrefix(cases[i].code, "local ") {
			cases[i].code = "return show(" + cases[i].code + ")"
		}
	}
	evalAll(t, stringsPrelude, cases)
}

func TestNgxEscapes(t *testing.T) {
	const printable = " !\"#$%&'()*+,-./09:;<=>?@AZ[\\]^_`az{|}~"
	showAll(t, []evalCase{
		{`ngx.escape_uri("a 你")`, `a%20%E4%BD%A0`},
		{`ngx.escape_uri(` + quote(printable) + `)`, `%20!%22%23%24%25%26'()*%2B%2C-.%2F09%3A%3B%3C%3D%3E%3F%40AZ%5B%5C%5D%5E_%60az%7B%7C%7D~`},
		{`ngx.escape_uri(` + quote(printable) + `, 0)`, `%20!"%23$%25&'()*+,-./09:;<=>%3F@AZ[\]^_` + "`" + `az{|}~`},
		{`ngx.escape_uri(` + quote(printable) + `, 1)`, `%20!"%23$%25&'()*%2B,-./09:;<=>%3F@AZ[\]^_` + "`" + `az{|}~`},
		{`ngx.escape_uri(` + quote(printable) + `, 3)`, `%20!%22%23$%25&%27()*+,-./09:;<=>?@AZ[\]^_` + "`" + `az{|}~`},
		{`ngx.escape_uri(` + quote(printable) + `, 4)`, `%20!%22#$%&%27()*+,-./09:;<=>?@AZ[\]^_` + "`" + `az{|}~`},
		{`ngx.escape_uri(` + quote(printable) + `, 5)`, `%20!"#$%25&'()*+,-./09:;<=>?@AZ[\]^_` + "`" + `az{|}~`},
		{`ngx.escape_uri("\0\31\127\128\255", 0) .. ngx.escape_uri("\0\31\127\128\255", 6)`, "%00%1F%7F%80%FF%00%1F\x7f\x80\xff"},
		{`ngx.escape_uri(nil) .. ngx.escape_uri(false) .. ngx.escape_uri(true) .. ngx.escape_uri(1.5) .. ngx.escape_uri()`, `true1.5`},
		{`ngx.escape_uri(setmetatable({}, {__tostring = function() return "a b" end}))`, `a%20b`},
		{`#ngx.escape_uri((" "):rep(5000))`, `15000`},
		{`ngx.escape_uri("x", 7)`, `error: "type" 7 out of range`},
		{`ngx.escape_uri("x", -1)`, `error: "type" -1 out of range`},
		{`ngx.escape_uri("x", "1")`, `error: "type" is not a number`},
		{`local function f() local s = ngx.escape_uri("x", true) return s end local s = f() return s`, `error: t:5: "type" is not a number`},
		{`ngx.unescape_uri("a%20%e4%bd%a0+b")`, `a 你 b`},
		{`ngx.unescape_uri("%ua%%20%au") .. ngx.unescape_uri("%a") .. ngx.unescape_uri("%") .. ngx.unescape_uri("%4"), #ngx.unescape_uri("%00")`, `%ua% %au%a%%4 1`},
		{`ngx.unescape_uri(nil) .. ngx.unescape_uri(32)`, `32`},
		{`ngx.quote_sql_str("a\0b\b\n\r\t\26\\'\"é")`, `'a\0b\b\n\r\t\Z\\\'\"é'`},
		{`ngx.quote_sql_str("") .. ngx.quote_sql_str(5)`, `'''5'`},
		{`ngx.quote_sql_str()`, `error: t:5: expecting one argument`},
		{`ngx.quote_sql_str({})`, `error: t:5: bad argument #1 to 'quote_sql_str' (string expected, got table)`},
	})
}

func TestNgxArgs(t *testing.T) {
	showAll(t, []evalCase{
		{`ngx.encode_args({a = "x y"}) .. ngx.encode_args({}) .. ngx.encode_args({a = true}) .. ngx.encode_args({a = false})`, `a=x%20ya`},
		{`ngx.encode_args({["a b"] = {1, true, "=&", false}})`, `a%20b=1&a%20b&a%20b=%3D%26`},
		{`ngx.encode_args({["a b"] = {}, ["c d"] = false})`, ``},
		{`ngx.encode_args({a = 1e15}) .. ngx.encode_args({b = 0.1}) .. ngx.encode_args({c = "-_.!~*'()"})`, `a=1e%2B15b=0.1c=-_.!~*'()`},
		{`#ngx.encode_args({a = ("%"):rep(5000)})`, `15002`},
		{`ngx.encode_args({1})`, `error: t:5: attempt to use a non-string key in the "args" option table`},
		{`ngx.encode_args({a = print})`, `error: t:5: attempt to use function as query arg value`},
		{`ngx.encode_args({a = {{}}})`, `error: t:5: attempt to use table as query arg value`},
		{`ngx.encode_args()`, `error: t:5: expecting 1 argument but seen 0`},
		{`pcall(ngx.encode_args, true)`, `false bad argument #1 to '?' (table expected, got boolean)`},
		{`ngx.decode_args("a=bar&b=foo&a=baz&c&d=&=x&&e=f=g&%20=+%41")`, `{ = A,a={1=bar,2=baz},b=foo,c=true,d=,e=f=g}`},
		{`ngx.decode_args("a&a&a=1")`, `{a={1=true,2=true,3=1}}`},
		{`ngx.decode_args("a=1&b=2&c=3", 2)`, `{a=1,b=2} truncated`},
		{`ngx.decode_args("a=1&b=2&", 2)`, `{a=1,b=2} truncated`},
		{`ngx.decode_args("a=1&b=2", 2)`, `{a=1,b=2}`},
		{`ngx.decode_args("&&a=1&b=2", 2)`, `{} truncated`},
		{`ngx.decode_args("a=1&b=2", -1)`, `{a=1,b=2}`},
		{`ngx.decode_args("")`, `{}`},
		{`local t, err = ngx.decode_args(("a&"):rep(101)) return #t.a .. err`, `100truncated`},
		{`local s = "k=" .. ("%41"):rep(3000) return #ngx.decode_args(s).k`, `3000`},
		{`ngx.decode_args()`, `error: t:5: expecting 1 or 2 arguments but seen 0`},
		{`ngx.decode_args("a", "x")`, `error: t:5: bad argument #2 to 'decode_args' (number expected, got string)`},

		{`tables.uri_args("a=1&b&c=&a=%41+&=x&&d==")`, `{a={1=1,2=A },b=true,c=,d==}`},
		{`tables.uri_args("")`, `{}`},
		{`tables.uri_args("a=1&b=2&c=3", 2)`, `{a=1,b=2} truncated`},
		{`tables.uri_args("a=1&=x&=y", 2)`, `{a=1} truncated`},
		{`tables.uri_args("a=1&b=2&", 2)`, `{a=1,b=2} truncated`},
		{`tables.uri_args("&&a=1&b=2", 3)`, `{a=1,b=2} truncated`},
		{`tables.uri_args("a=1&b=2", 2)`, `{a=1,b=2}`},
		{`local t = tables.uri_args(("a&"):rep(300), 0) return #t.a`, `300`},
		{`local t, err = tables.uri_args(("a&"):rep(300)) return #t.a .. err`, `100truncated`},
		{`local t = {} local r = tables.uri_args("x=y", -1, t) return show(t, r == t)`, `{x=y} true`},
		{`tables.args_text({a = "&"}) .. tables.args_text("a b\r\n&=é%") .. tables.args_text("x=1") .. tables.args_text(7)`, `a=%26a%20b%0D%0A&=é%x=17`},
		{`tables.args_text(true)`, `error: t:5: bad argument #1 to 'args_text' (string, number, or table expected, but got boolean)`},
	})
}

// wireHeaders returns names and values in turn as mg_push_headers reads them, as a Lua literal.
func wireHeaders(kv ...string) string {
	var b []byte
	for i := 0; i < len(kv); i += 2 {
		b = binary.NativeEndian.AppendUint32(b, uint32(len(kv[i])))
		b = binary.NativeEndian.AppendUint32(b, uint32(len(kv[i+1])))
		b = append(append(b, kv[i]...), kv[i+1]...)
	}
	return quote(string(b))
}

func TestHeaderTables(t *testing.T) {
	hs := wireHeaders("Host", "a", "X-Foo-Bar", "1", "x-foo-bar", "2", "X-FOO-BAR", "3", "", "e", strings.Repeat("L", 300), "long")
	var many []string
	for i := range 150 {
		many = append(many, fmt.Sprintf("H%d", i), "v")
	}
	showAll(t, []evalCase{
		{`tables.headers(` + wireHeaders("Host", "a", "X-A", "1") + `)`, `{host=a,x-a=1}`},
		{`tables.headers(` + wireHeaders("Host", "a", "host", "b") + `, -1, true)`, `{Host=a,host=b}`},
		{`tables.headers("") , getmetatable(tables.headers("")) ~= nil, getmetatable(tables.headers("", 0, true))`, `{} true nil`},
		{`local h = tables.headers(` + hs + `) return show(h.host, h.Host, h.HOST, h["X-Foo-Bar"], h.x_foo_bar, h.X_Foo_bar, h.nope, h.no_pe, h[""], h[("l"):rep(300)])`,
			`a a a {1=1,2=2,3=3} {1=1,2=2,3=3} {1=1,2=2,3=3} nil nil e long`},
		{`getmetatable(tables.headers("")) == getmetatable(tables.headers(` + hs + `))`, `true`},
		{`tables.headers(` + hs + `, 1)`, `{host=a} truncated`},
		{`local h, err = tables.headers(` + wireHeaders(many...) + `) local n = 0 for _ in pairs(h) do n = n + 1 end return n .. err`, `100truncated`},
		{`local h, err = tables.headers(` + wireHeaders(many...) + `, 0) local n = 0 for _ in pairs(h) do n = n + 1 end return n .. tostring(err)`, `150nil`},
		{`tables.headers("short")`, `{}`},
		{`tables.headers("\1\0\0\0\255\255\255\255x")`, `{}`},
	})
}

func TestNgxBase64(t *testing.T) {
	showAll(t, []evalCase{
		{`ngx.encode_base64("hello") .. ngx.encode_base64("w", true) .. ngx.encode_base64("w", false) .. ngx.encode_base64(32) .. ngx.encode_base64(nil)`, `aGVsbG8=dwdw==MzI=`},
		{`ngx.encode_base64("w", 0)`, `error: t:5: bad no_padding: boolean expected, got number`},
		{`ngx.decode_base64("aGVsbG8="), ngx.decode_base64("aGVsbG8"), ngx.decode_base64("aGVsbG8=junk*"), ngx.decode_base64("")`, `hello hello hello `},
		{`ngx.decode_base64("^*~"), ngx.decode_base64("aGVsb"), ngx.decode_base64("aGV\nsbG8="), ngx.decode_base64("aGV*")`, `nil nil nil nil`},
		{`ngx.decode_base64(32)`, `error: t:5: string argument only`},
		{`ngx.decode_base64mime("aGV\r\nsb G8=x"), ngx.decode_base64mime("a"), ngx.decode_base64mime("**")`, `hello nil `},
		{`b64.encode_base64url("\251\255\254"), b64.encode_base64url("a"), b64.decode_base64url("-__-"), b64.decode_base64url("YQ==")`, "-__- YQ \xfb\xff\xfe a"},
		{`b64.decode_base64url("+")`, `nil invalid input`},
		{`b64.encode_base64url(1)`, `nil must provide a string`},
		{`b64.decode_base64url()`, `nil must provide a string`},
	})
}

func TestNgxDates(t *testing.T) {
	showAll(t, []evalCase{
		{`ngx.http_time(1290079655), ngx.cookie_time(1290079655)`, `Thu, 18 Nov 2010 11:27:35 GMT Thu, 18-Nov-10 11:27:35 GMT`},
		{`ngx.http_time(-5), ngx.cookie_time(2147483648), ngx.cookie_time(2145916800)`, `Thu, 01 Jan 1970 00:00:00 GMT Tue, 19-Jan-2038 03:14:08 GMT Fri, 01-Jan-2038 00:00:00 GMT`},
		{`ngx.http_time(1e30), ngx.http_time(1e15), ngx.http_time(0 / 0)`, `Thu, 01 Jan 1970 00:00:00 GMT Fri, 31 Dec 9999 23:59:59 GMT Thu, 01 Jan 1970 00:00:00 GMT`},
		{`ngx.http_time("1")`, `error: t:5: number argument only`},
		{`ngx.parse_http_time("Thu, 18 Nov 2010 11:27:35 GMT"), ngx.parse_http_time("Thursday, 18-Nov-10 11:27:35 GMT"), ngx.parse_http_time("Thu Nov 18 11:27:35 2010")`, `1290079655 1290079655 1290079655`},
		{`ngx.parse_http_time("Sat Nov  6 08:49:37 1994"), ngx.parse_http_time("x, 29 Feb 2000 00:00:00")`, `784111777 951782400`},
		{`ngx.parse_http_time("x, 29 Feb 1900 00:00:00"), ngx.parse_http_time("x, 31 Apr 2000 00:00:00"), ngx.parse_http_time("x, 01 Xxx 2000 00:00:00"), ngx.parse_http_time("abc"), ngx.parse_http_time("x, 01 Jan 2000 24:00:00"), ngx.parse_http_time("")`, `nil nil nil nil nil nil`},
		{`ngx.parse_http_time(1)`, `error: t:5: string argument only`},
	})

	// against Go, over the years
	s := newState(t)
	var code, want strings.Builder
	code.WriteString(stringsPrelude + "local l = {}\nfor _, t in ipairs {")
	r := rand.New(rand.NewSource(1))
	for range 500 {
		at := time.Unix(r.Int63n(253402300800), 0).UTC()
		fmt.Fprintf(&code, "%d,", at.Unix())
		fmt.Fprintf(&want, "%s %d\n", at.Format(http.TimeFormat), at.Unix())
	}
	code.WriteString("} do local s = ngx.http_time(t) l[#l + 1] = s .. (' %.0f'):format(ngx.parse_http_time(s)) end return table.concat(l, '\\n') .. '\\n'")
	got, err := s.Eval(code.String(), "=t")
	if err != nil || got != want.String() {
		t.Errorf("%v\ngot %s\nwant %s", err, got, want.String())
	}
}

// TestNgxDigests compares with Go's own for every length around the block sizes.
func TestNgxDigests(t *testing.T) {
	s := newState(t)
	if err := s.DoString(stringsPrelude+`function all(s, key)
		local function hex(b) return (b:gsub(".", function(c) return ("%02x"):format(c:byte()) end)) end
		assert(ngx.md5(s) == hex(ngx.md5_bin(s)) and ngx.crc32_short(s) == ngx.crc32_long(s))
		assert(ngx.decode_base64(ngx.encode_base64(s)) == s and ngx.decode_base64(ngx.encode_base64(s, true)) == s)
		assert(b64.decode_base64url(b64.encode_base64url(s)) == s and ngx.decode_base64mime(ngx.encode_base64(s)) == s)
		assert(ngx.unescape_uri(ngx.escape_uri(s)) == s)
		return table.concat({ngx.md5(s), hex(ngx.sha1_bin(s)), hex(ngx.hmac_sha1(key, s)), ("%08x"):format(ngx.crc32_long(s)),
			ngx.encode_base64(s), b64.encode_base64url(s)}, " ") end`, "=t"); err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewSource(1))
	for n := range 300 {
		if n > 260 {
			n = r.Intn(10000)
		}
		text, key := make([]byte, n), make([]byte, r.Intn(130))
		r.Read(text)
		r.Read(key)
		mac := hmac.New(sha1.New, key)
		mac.Write(text)
		m, h := md5.Sum(text), sha1.Sum(text)
		want := fmt.Sprintf("%x %x %x %08x %s %s", m, h, mac.Sum(nil), crc32.ChecksumIEEE(text),
			base64.StdEncoding.EncodeToString(text), base64.RawURLEncoding.EncodeToString(text))
		got, err := s.Eval("return all("+quote(string(text))+","+quote(string(key))+")", "=t")
		if err != nil || got != want {
			t.Fatalf("%d bytes %s: %v\n got %s\nwant %s", n, hex.EncodeToString(text), err, got, want)
		}
	}
	evalAll(t, stringsPrelude, []evalCase{
		{`return ngx.md5(nil) .. ngx.md5(45)`, "d41d8cd98f00b204e9800998ecf8427e6c8349cc7260ae62e3b1396831a8398f"},
		{`return ngx.crc32_short("hello, world")`, "4289425978"},
		{`local v = ngx.hmac_sha1("a") return v`, "error: t:5: expecting 2 arguments, but got 1"},
	})
}

// FuzzHTTPTime: whatever the bytes, no crash, and what is a date comes back the same.
func FuzzHTTPTime(f *testing.F) {
	for _, s := range []string{"Thu, 18 Nov 2010 11:27:35 GMT", "Thursday, 18-Nov-10 11:27:35 GMT", "Thu Nov  8 11:27:35 2010", ",", " ", ""} {
		f.Add(s)
	}
	s, err := New()
	if err != nil {
		f.Fatal(err)
	}
	defer s.Close()
	if err := s.DoString(stringsPrelude+`function check(s)
		local t = ngx.parse_http_time(s)
		assert(not t or t < 0 or ngx.parse_http_time(ngx.http_time(t)) == t, t) end`, "=t"); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if err := s.DoString("check("+quote(text)+")", "=t"); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	})
}
