package conf

import (
	"os"
	"syscall"
	"testing"
)

var optionsLevel = NewLevel[struct{ a Opt[string] }](KindCore)

var optionsModule = Module{Name: "t", Directives: []Directive{
	{Name: "a", In: Main, Set: Slot(optionsLevel, Str, func(t *struct{ a Opt[string] }) *Opt[string] { return &t.a }), Doc: "A."},
}}

func TestSkipUnknown(t *testing.T) {
	opt := Options{Modules: []*Module{&optionsModule}, Prefix: "/", Path: "nginx.conf", SkipUnknown: true,
		ReadFile: func(name string) ([]byte, error) {
			if name != "/nginx.conf" {
				return nil, &os.PathError{Op: "open", Path: name, Err: syscall.ENOENT}
			}
			return []byte("x y; http { a 1; content_by_lua_block { s = '}' } } a found; include no;"), nil
		}}
	_, err := Load(opt)
	if err == nil || err.Error() != `open() "/no" failed (2: No such file or directory) in /nginx.conf:1` {
		t.Fatal(err)
	}
	opt.ReadFile = func(string) ([]byte, error) {
		return []byte("x y; http { a 1; content_by_lua_block { s = '}' } } a found;"), nil
	}
	cfg, err := Load(opt)
	if err != nil || optionsLevel.Of(cfg.Core).a.V != "found" {
		t.Fatal(err)
	}
	opt.SkipUnknown = false
	if _, err = Load(opt); err == nil || err.Error() != `unknown directive "x" in /nginx.conf:1` {
		t.Fatal(err)
	}
}
