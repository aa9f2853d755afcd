package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A stand-in for the binary prints one list per kind; the tables hold a name of every sort.
func TestReport(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, lines ...string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(strings.Join(lines, "\n")+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write("moongate", "#!/bin/sh", "[ $1 = dump ] && cat "+dir+"/dump-$2")
	write("dump-directives", "name\tcontexts\tmodule", "listen\tserver\thttp", "error_log\tmain, stream\terrlog",
		"proxy_pass\tserver\tstream_proxy", "echo\tlocation\techo", "access_by_lua\tlocation\tlua")
	write("dump-variables", "name", "uri", "http_*")
	write("dump-lua", "name", "ngx.say", "ngx.shared.DICT:get", "proc:pid", "ngx.var", "ngx.ssl.A")
	write("nginx_directives.tsv", "subsystem\tmodule\tname\ttier", "http\tcore\tlisten\tcore", "http\tproxy\tproxy_pass\tcore",
		"stream\tsproxy\tproxy_pass\tcommon", "stream\tlog\terror_log\trare", "stream\tscore\tlisten\trare")
	write("lua_directives.tsv", "name", "access_by_lua")
	write("companion_modules.tsv", "module\tname\ttier", "echo\techo\tcore")
	write("stream_lua.tsv", "kind\tname", "directive\tpreread_by_lua", "api\tngx.say")
	write("nginx_variables.tsv", "subsystem\tmodule\tname\ttier", "http\tcore\t$uri\tcore", "http\tcore\t$http_NAME\tcore",
		"http\tcore\t$arg_NAME\tcommon")
	write("lua_api.tsv", "module\tname", "ngx_lua\tngx.say", "ngx_lua\tngx.shared.DICT.get", "ngx.pipe\tngx.pipe: proc:pid",
		"ngx_lua\tngx.print", "ngx_lua\tngx.var.NAME", "ngx.ssl\tngx.ssl: A B", "ngx_lua\tos.getenv of env")

	var out strings.Builder
	if err := run(&out, dir, filepath.Join(dir, "moongate"), "common"); err != nil {
		t.Fatal(err)
	}
	want := `Directives: 5 of 8
  core        3 of    4
  common      1 of    2
  rare        1 of    2
  missing, core:
    proxy: proxy_pass
  missing, common:
    stream lua: preread_by_lua
Variables: 2 of 3
  core        2 of    2
  common      0 of    1
  missing, common:
    core: arg_NAME
Lua functions: 4 of 6
  core        4 of    6
  missing, core:
    ngx.ssl: ngx.ssl: A B
    ngx_lua: ngx.print
`
	if out.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", out.String(), want)
	}
	if err := run(&out, t.TempDir(), filepath.Join(dir, "moongate"), "all"); err == nil {
		t.Error("no error for an empty inventory")
	}
	if err := run(&out, dir, filepath.Join(dir, "nothing"), "all"); err == nil {
		t.Error("no error for a missing binary")
	}
}
