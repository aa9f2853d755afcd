package grpcclient_test

import (
	"strings"
	"testing"

	"moongate/internal/engine/enginetest"
	"moongate/internal/modules"
	"moongate/internal/testkit/cert"
	"moongate/internal/testkit/grpctest"
)

// TestProtoc compiles sources in Lua, as programs that use lua-protobuf do.
func TestProtoc(t *testing.T) {
	dir := t.TempDir()
	grpctest.Files(t, dir)
	cert.WriteFile(t, dir, "a.proto", []byte(`syntax = "proto3"; package pa; import "sub/b.proto"; message A { pb.B b = 1; }`))
	cert.WriteFile(t, dir, "b.proto", []byte(`syntax = "proto3"; package pb; message B { string s = 1; }`))
	s := enginetest.StartIn(t, dir, modules.Set(), `
		location = /load { content_by_lua_block {
			local pb, protoc = require "pb", require "protoc"
			assert(protoc:load [[ message Phone { optional string name = 1; optional int64 number = 2; } message Person { optional string name = 1; repeated Phone contacts = 4; } ]])
			local bytes = pb.encode("Person", {name = "ilse", contacts = {{name = "alice", number = 12312341234}}})
			ngx.say(pb.tohex(bytes), " ", pb.decode("Person", bytes).contacts[1].number)
		} }
		location = /state { content_by_lua_block {
			local pb, protoc = require "pb", require "protoc"
			local old = pb.state(nil)
			protoc.reload()
			local p = protoc.new()
			p:addpath(ngx.config.prefix())
			assert(p:load('syntax = "proto3"; package x; import "test.proto"; service S { rpc M(In) returns (stream Out); } message In { grpc.testing.Payload p = 1; } message Out {}', "x.proto"))
			local info = p.loaded["x.proto"]
			local m = info.service[1].method[1]
			local mine = pb.state(old)
			ngx.say(info.package, " ", info.service[1].name, " ", m.name, " ", m.input_type, " ", tostring(m.client_streaming), " ", tostring(m.server_streaming), " ", tostring((pb.type "x.In")))
			pb.state(mine)
			ngx.say(pb.type "x.In", " ", (pb.type "grpc.testing.Payload"))
			pb.state(old)
		} }
		location = /file { content_by_lua_block {
			local p = require("protoc").new()
			p:loadfile(ngx.config.prefix() .. "test.proto")
			ngx.say(#p.loaded["test.proto"].message_type, " ", (require("pb").type "grpc.testing.Payload"))
			ngx.say((select(2, pcall(p.load, p, 'syntax = "proto3";\nmessage A { B b = 1; }', "bad.proto"))))
			ngx.say((select(2, pcall(p.loadfile, p, "/no/such.proto"))))
		} }
		location = /grpc { content_by_lua_block {
			local grpc = require "ngx.grpc"
			ngx.say(select(2, grpc.load "/no/such.proto"))
			ngx.say(select(2, grpc.load_text "message {"))
			ngx.say(select(2, grpc.load_set "junk"))
			ngx.say(select(2, grpc.channel "host:port:more"))
			assert(grpc.load_text('syntax = "proto3"; package t; service S { rpc M(E) returns (E); } message E { int64 n = 1; }'))
			local ch = grpc.channel("127.0.0.1:1", {retries = 2, retry_delay = 0.001})
			local _, err = ch:call("t.S/M", {})
			ngx.say(err.name, " ", err.code, " ", tostring(err))
			ngx.say(tostring(select(2, ch:call("t.S/No", {}))), " ", tostring(select(2, ch:call("t.S/M", {n = "x"}))))
			ngx.say(tostring(select(2, ch:call("t.S/M", {}, {metadata = {["bad name"] = "x"}}))))
			ngx.say(tostring(select(2, ch:stream("t.S/M", {}))))
		} }`)
	for target, want := range map[string][]string{
		"/load":  {"0A 04 69 6C 73 65 22 0D 0A 05 61 6C 69 63 65 10 F2 D5 FD EE 2D 12312341234\n"},
		"/state": {"x S M .x.In nil true nil\n", ".x.In", ".grpc.testing.Payload\n"},
		"/file":  {"9 .grpc.testing.Payload\n", "bad.proto:2: ", "such.proto: file not found\n"},
		"/grpc": {"such.proto: file not found\n", "text.proto:1: ", "invalid descriptor set\n", "invalid port in target \"host:port:more\"\n",
			"UNAVAILABLE 14 UNAVAILABLE: connection error: 127.0.0.1:1: ", "UNIMPLEMENTED: method No not found in service t.S INTERNAL: invalid request message: number/'#number' expected",
			"INTERNAL: invalid metadata name \"bad name\"\n"},
	} {
		resp := s.Get(target)
		for _, w := range want {
			if !strings.Contains(resp, w) {
				t.Errorf("%s: %q is not in\n%s\n%s", target, w, resp, s.ErrorLog())
			}
		}
	}
}
