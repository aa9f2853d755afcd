package grpcserver_test

import (
	"os"
	"path/filepath"
	"testing"

	"moongate/internal/engine/enginetest"
	"moongate/internal/modules"
)

// TestHttpBody: bodies that are no JSON, in both directions, answered here and by transcoding.
func TestHttpBody(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"files.proto": `syntax = "proto3"; package files;
			import "google/api/annotations.proto"; import "google/api/httpbody.proto";
			message Put { string name = 1; google.api.HttpBody file = 2; }
			message Got { google.api.HttpBody file = 1; }
			service Files {
				rpc Echo(google.api.HttpBody) returns (google.api.HttpBody) { option (google.api.http) = {post: "/echo" body: "*"}; }
				rpc Store(Put) returns (Got) { option (google.api.http) = {put: "/store/{name}" body: "file" response_body: "file"}; }
				rpc Parts(Put) returns (stream google.api.HttpBody) { option (google.api.http) = {get: "/parts/{name}"}; }
			}`,
		"files.lua": `return {
			Echo = function(body) return body end,
			Store = function(put) return {file = {content_type = "text/x-" .. put.name, data = put.file.data:upper()}} end,
			Parts = function(put, call)
				if put.name == "split" then return call:send{content_type = "a\r\nX-B: c"} end
				for i = 1, 2 do call:send{content_type = "text/csv", data = i .. "," .. put.name .. "\n"} end
				if put.name == "fails" then call:error("ABORTED", "half") end
			end }`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s := enginetest.StartIn(t, dir, modules.Set(), `lua_package_path "$prefix/?.lua;;"; grpc_proto files.proto; http2 on;
		server { listen 127.0.0.1:8080; grpc_service files.Files files; }
		server { listen 127.0.0.1:8081; location / { grpc_transcode files.Files grpc://127.0.0.1:8080; } }`)
	for _, where := range []string{"127.0.0.1:8080", "127.0.0.1:8081"} {
		for _, c := range []struct {
			method, target, body, ctype string
			status                      int
			text, rtype                 string
		}{
			{"POST", "/echo", "\x00\xff{", "image/png", 200, "\x00\xff{", "image/png"},
			{"POST", "/echo", "", "", 200, "", "application/octet-stream"},
			{"PUT", "/store/a", "abc", "text/plain", 200, "ABC", "text/x-a"},
			{"GET", "/parts/x", "", "", 200, "1,x\n2,x\n", "text/csv"},
			{"GET", "/parts/split", "", "", 500, `{"code":13,"details":[],"message":"invalid content_type of a google.api.HttpBody"}`, "application/json"},
		} {
			var headers []string
			if c.ctype != "" {
				headers = []string{"Content-Type: " + c.ctype}
			}
			status, h, text := get(t, s, where, c.method, c.target, c.body, headers...)
			if len(h["Date"]) != 1 || len(h["Server"]) != 1 {
				t.Errorf("%s: %v", where, h)
			}
			if status != c.status || text != c.text || h.Get("Content-Type") != c.rtype {
				t.Errorf("%s %s %s: %d %q %v", where, c.method, c.target, status, text, h)
			}
		}
	}
}
