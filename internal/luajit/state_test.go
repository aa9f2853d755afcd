package luajit

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestStateEval(t *testing.T) {
	s, err := New()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, c := range []struct{ code, want string }{
		{`return 1 + 1`, "2"},
		{`return "a\0b"`, "a\x00b"},
		{`return nil`, "nil"},
		{``, "nil"},
		{`return require("ffi").abi("64bit")`, "true"},
		{`return require("table.new")(4, 0) ~= nil`, "true"},
		{`return require("table.nkeys")({1, 2, a = 3})`, "3"},
		{`return require("table.isempty")({})`, "true"},
		{`return require("table.isarray")({1})`, "true"},
		{`return require("table.clone")({7})[1]`, "7"},
		{`return type(require("string.buffer").new())`, "userdata"},
		{`return type(require("thread.exdata"))`, "function"},
		{`return type(require("jit.util").funcinfo)`, "function"},
	} {
		got, err := s.Eval(c.code, "=t")
		if err != nil || got != c.want {
			t.Errorf("%s: got %q, %v; want %q", c.code, got, err, c.want)
		}
	}
}

func TestStateError(t *testing.T) {
	s, err := New()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	err = s.DoString("local function f()\nerror('boom')\nend\nf()", "=chunk")
	e, ok := err.(*Error)
	if !ok || e.Msg != "chunk:2: boom" || !strings.Contains(e.Traceback, "chunk:4: in main chunk") {
		t.Fatalf("got %#v", err)
	}
	err = s.DoString("x = = 1", "=chunk")
	if err == nil || !strings.HasPrefix(err.Error(), "chunk:1: unexpected symbol") {
		t.Fatalf("got %v", err)
	}
}

// The binary offers the whole Lua C API to modules opened at run time.
func TestCModule(t *testing.T) {
	const dir = "/usr/lib/x86_64-linux-gnu/lua/5.1/"
	if _, err := os.Stat(dir + "cjson.so"); err != nil {
		t.Skip("no Lua C module is installed that could be opened (Debian: lua-cjson): ", err)
	}
	s, err := New()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	got, err := s.Eval(`return assert(package.loadlib("`+dir+`cjson.so", "luaopen_cjson"))().encode({1, "a"})`, "=t")
	if err != nil || got != `[1,"a"]` {
		t.Fatalf("%q, %v", got, err)
	}
}

// As in a program linked with OpenSSL, ffi.C knows libcrypto's names.
func TestFFILibcrypto(t *testing.T) {
	if found, _ := filepath.Glob("/usr/lib/*/libcrypto.so.*"); found == nil {
		t.Skip("no libcrypto on this machine")
	}
	s, err := New()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	got, err := s.Eval(`
		local ffi = require "ffi"
		ffi.cdef "unsigned char *MD5(const unsigned char *d, unsigned long n, unsigned char *md);"
		local md = ffi.new("unsigned char[16]")
		ffi.C.MD5("a", 1, md)
		return (ffi.string(md, 16):gsub(".", function(c) return string.format("%02x", c:byte()) end))`, "=t")
	if want := "0cc175b9c0f1b6a831c399e269772661"; err != nil || got != want {
		t.Fatalf("got %q, %v; want %q", got, err, want)
	}
}

// Libraries take functions of nginx's core by its names.
func TestFFINginxNames(t *testing.T) {
	s, err := New()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	got, err := s.Eval(`
		local ffi = require "ffi"
		ffi.cdef [[
			unsigned char *ngx_hex_dump(unsigned char *dst, const unsigned char *src, size_t len);
			intptr_t ngx_atoi(const unsigned char *line, size_t n);
			void ngx_encode_base64url(ngx_str_t *dst, const ngx_str_t *src);
			intptr_t ngx_decode_base64url(ngx_str_t *dst, const ngx_str_t *src);
		]]
		local hex = ffi.new("unsigned char[8]")
		local n = ffi.C.ngx_hex_dump(hex, "a\0\255", 3) - hex
		local from, to = ffi.new("ngx_str_t"), ffi.new("ngx_str_t")
		local a, b = ffi.new("unsigned char[16]"), ffi.new("unsigned char[16]")
		from.data, from.len, to.data = "\255\254x", 3, a
		ffi.C.ngx_encode_base64url(to, from)
		local text = ffi.string(to.data, to.len)
		from.data = b
		local rc = ffi.C.ngx_decode_base64url(from, to)
		return table.concat({ffi.string(hex, n), tonumber(ffi.C.ngx_atoi("0120", 4)), tonumber(ffi.C.ngx_atoi("1x", 2)),
			tonumber(ffi.C.ngx_atoi("9223372036854775808", 19)), text, tonumber(rc), #ffi.string(from.data, from.len)}, " ")`, "=t")
	if want := "6100ff 120 -1 -1 __54 0 3"; err != nil || got != want {
		t.Fatalf("got %q, %v; want %q", got, err, want)
	}
}
