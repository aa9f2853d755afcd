package variable_test

import (
	"strings"
	"testing"

	"moongate/internal/engine/enginetest"
	"moongate/internal/modules"
)

func TestVar(t *testing.T) {
	s := enginetest.Start(t, modules.Set(), `
		location / {
			set $kept old;
			content_by_lua_block { ngx.say(ngx.var.kept, ngx.var.KEPT, ngx.var.nowhere, ngx.var.arg_a) ngx.var.Kept = 12 ngx.say(ngx.var.kept)
				ngx.var.kept = nil ngx.say(ngx.var.kept) ngx.var.kept = true ngx.say(ngx.var.kept) }
		}
		location ~ ^/group/(\d+)(x)?$ { content_by_lua_block { ngx.print(ngx.var[1], "|", ngx.var[2], "|", ngx.var[3], "|", ngx.var[0]) } }
		location /bad { content_by_lua_block {
			for _, f in ipairs { function() ngx.var.nope = 1 end, function() ngx.var.host = 1 end, function() return ngx.var[{}] end,
				function() ngx.var[1] = 2 end, function() ngx.var.http_x = 1 end } do
				local ok, err = pcall(f)
				ngx.say(err)
			end
		} }`)
	for uri, want := range map[string]string{
		"/?a=b":      "oldoldnilb\n12\nnil\ntrue\n",
		"/group/42":  "42||nil|nil",
		"/group/42x": "42|x|nil|nil",
	} {
		if got := enginetest.Body(s.Raw("GET " + uri + " HTTP/1.0\r\nHost: a\r\n\r\n")); got != want {
			t.Errorf("%s: %q, want %q", uri, got, want)
		}
	}
	lines := strings.Split(enginetest.Body(s.Raw("GET /bad HTTP/1.0\r\n\r\n")), "\n")
	for _, want := range []string{
		`variable "nope" not found for writing; maybe it is a built-in variable that is not changeable or you forgot to use "set $nope '';" in the config file to define it first`,
		`variable "host" not changeable`, `bad variable name`, `variable "http_x" not found for writing;`,
	} {
		if !strings.Contains(strings.Join(lines, "\n"), want) {
			t.Errorf("no %q in %q", want, lines)
		}
	}
}
