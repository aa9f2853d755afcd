package grpcclient_test

import (
	"fmt"
	"io"
	"net/http"
	"testing"

	"moongate/internal/engine/enginetest"
	"moongate/internal/modules"
	"moongate/internal/testkit/grpctest"
)

// TestReflectParts asks servers that have only the old version of reflection, or none, and that give files one by one.
func TestReflectParts(t *testing.T) {
	s := enginetest.Start(t, modules.Set(), fmt.Sprintf(`server { listen 127.0.0.1:8080; location / { content_by_lua_block {
		local grpc = require "ngx.grpc"
		local channel = assert(grpc.channel(%q, {registry = grpc.registry()}))
		for _, names in ipairs{false, "parts.S", "no.Such"} do
			local list, err = channel:reflect(names or nil)
			ngx.say(list and table.concat(list, " ") or tostring(err))
		end
		local _, err = channel:call("parts.S/M", {})
		ngx.say(tostring(err))
	} } }`, grpctest.ServeParts(t)))
	resp, err := http.Get("http://" + s.Addr(""))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if want := "parts.S\nparts.S\nNOT_FOUND: not found\nUNIMPLEMENTED: unknown service parts.S\n"; err != nil || string(b) != want {
		t.Errorf("%s %v\n%s", b, err, s.ErrorLog())
	}
}
