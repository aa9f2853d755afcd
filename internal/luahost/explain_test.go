package luahost

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"moongate/internal/lua"
)

func TestExplanation(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.lua")
	if err := os.WriteFile(file, []byte("local x = 1\nlocal y = nil .. '<b>'\nreturn x\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	inline := lua.NewCode("\n  error('x')\n", "=content_by_lua(nginx.conf:40)")
	for _, c := range []struct {
		code *lua.Code
		err  error
		want []string
		none string
	}{
		{lua.NewFile(file), &lua.RunError{Msg: file + ":2: attempt to concatenate a nil value", Trace: "stack traceback:\n\tx"},
			[]string{"a.lua:2: attempt to concatenate", "<mark>   2  local y = nil .. &#39;&lt;b&gt;&#39;</mark>   3  return x", "stack traceback:\n\tx"}, "<b>'"},
		{inline, &lua.RunError{Msg: "content_by_lua(nginx.conf:40):2: x"}, []string{"<mark>   2    error(&#39;x&#39;)</mark>"}, "traceback"},
		{inline, &lua.LoadError{Err: errors.New("content_by_lua(nginx.conf:40):1: unexpected symbol near '='")}, []string{"failed to load inlined Lua code", "<mark>   1  </mark>"}, "traceback"},
		{inline, &lua.LoadError{Err: errors.New("content_by_lua(nginx.conf:40):3: 'end' expected near '<eof>'")}, []string{"<mark>   2    error"}, "traceback"},
		{lua.NewCode("ngx.shared.cats:get(1)", "=content_by_lua(nginx.conf:4)"), &lua.RunError{Msg: "content_by_lua(nginx.conf:4):1: attempt to index field 'cats' (a nil value)"},
			[]string{"lua_shared_dict cats 1m;"}, "traceback"},
		{inline, &lua.RunError{Msg: "content_by_lua(nginx.conf:40):2: module 'a.b' not found:\n\tno field"}, []string{": lua/a/b.lua of the site"}, "traceback"},
		{inline, &lua.RunError{Msg: `content_by_lua(nginx.conf:40):2: no resolver defined to resolve "a.b"`}, []string{"&#34;resolver&#34; in the http block"}, "traceback"},
		{inline, &lua.RunError{Msg: "unknown reason"}, []string{"unknown reason"}, "<mark>"},
		{inline, &lua.RunError{Msg: "/nosuch/file.lua:7: x"}, []string{"/nosuch/file.lua:7: x"}, "<mark>"},
		{inline, &lua.RunError{Msg: file + ":99: x"}, []string{":99: x"}, "<mark>"},
	} {
		got := string(explanation(c.code, c.err))
		for _, w := range c.want {
			if !strings.Contains(got, w) {
				t.Errorf("%v: %q is missing in\n%s", c.err, w, got)
			}
		}
		if strings.Contains(got, c.none) {
			t.Errorf("%v: %q in\n%s", c.err, c.none, got)
		}
	}
}
