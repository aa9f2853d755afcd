package grpcserver_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"moongate/internal/engine/enginetest"
	"moongate/internal/modules"
	"moongate/internal/testkit/cert"
)

const detailsSite = `
	lua_package_path "$prefix/?.lua;;";
	grpc_proto_path .;
	grpc_proto greeter.proto;
	server {
		listen 127.0.0.1:8080;
		http2 on;
		location / {
			grpc_method_by_lua_block hello.Greeter/Say {
				local details = {
					info = {{["@type"] = "google.rpc.ErrorInfo", reason = "R", domain = "d", metadata = {k = "v"}}},
					one = {["@type"] = "type.googleapis.com/google.rpc.RetryInfo", retry_delay = {seconds = 3}},
					bad = {{["@type"] = "google.rpc.BadRequest", field_violations = {{field = "f", description = "no"}}}, {["@type"] = "google.rpc.LocalizedMessage", locale = "en", message = "m"}},
					unknown = {{["@type"] = "no.Such", x = 1}, {["@type"] = "hello.Request", name = "still"}},
					raw = {{["@type"] = "no.Such", value = "abc"}},
					wrong = {{["@type"] = "google.rpc.ErrorInfo", reason = {}}, {reason = "untyped"}, 7},
					number = 7,
				}
				call:error("ABORTED", "why", details[request.name])
			}
		}
		location = /client {
			content_by_lua_block {
				local grpc = require "ngx.grpc"
				local registry = grpc.registry()
				assert(registry:load(ngx.config.prefix() .. "greeter.proto"))
				local channel = assert(grpc.channel("127.0.0.1:" .. ngx.var.server_port, {registry = registry}))
				local reply, err = channel:call("hello.Greeter/Say", {name = ngx.var.arg_name})
				local d = err.details[1]
				ngx.say(tostring(err), " ", #err.details, " ", d["@type"], " ", d.reason or d.value)
			}
		}
	}`

// Details of the usual types need no files; one that cannot be encoded does not take the status with it.
func TestDetails(t *testing.T) {
	s := enginetest.StartIn(t, site(t), modules.Set(), detailsSite)
	for name, want := range map[string]string{
		"info":    `[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"R","domain":"d","metadata":{"k":"v"}}]`,
		"one":     `[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"3s"}]`,
		"bad":     `[{"@type":"type.googleapis.com/google.rpc.BadRequest","fieldViolations":[{"field":"f","description":"no","reason":""}]},{"@type":"type.googleapis.com/google.rpc.LocalizedMessage","locale":"en","message":"m"}]`,
		"unknown": `[{"@type":"type.googleapis.com/hello.Request","name":"still","n":0}]`,
		"raw":     `[{"@type":"type.googleapis.com/no.Such","value":"YWJj"}]`,
		"wrong":   `[]`,
		"number":  `[]`,
		"none":    `[]`,
	} {
		status, _, text := get(t, s, "", "GET", "/v1/hello/"+name, "")
		if status != 409 || strings.ReplaceAll(text, " ", "") != `{"code":10,"details":`+want+`,"message":"why"}` {
			t.Errorf("%s: %d %s", name, status, text)
		}
	}
	for name, want := range map[string]string{"info": "ABORTED: why 1 google.rpc.ErrorInfo R\n", "raw": "ABORTED: why 1 no.Such abc\n"} {
		if _, _, text := get(t, s, "", "GET", "/client?name="+name, ""); text != want {
			t.Errorf("%s: %s", name, text)
		}
	}
	for _, want := range []string{"status details: no.Such: unknown type", `status details: a message without "@type"`} {
		if !strings.Contains(s.ErrorLog(), want) {
			t.Errorf("%q is not in the log:\n%s", want, s.ErrorLog())
		}
	}
}

// Files of the configuration stand in the place of those that are there without.
func TestOwnStandardFiles(t *testing.T) {
	dir := site(t)
	for name, text := range map[string]string{
		"google/rpc/status.proto":        `syntax = "proto3"; package google.rpc; import "google/protobuf/any.proto"; option go_package = "x/y"; message Status { int32 code = 1; string message = 2; repeated google.protobuf.Any details = 3; }`,
		"google/rpc/error_details.proto": `syntax = "proto3"; package google.rpc; option go_package = "x/y"; message ErrorInfo { string reason = 1; string domain = 2; map<string, string> metadata = 3; message More { } }`,
		"my/health.proto":                `syntax = "proto3"; package grpc.health.v1; message HealthCheckRequest { string service = 1; }`,
		"own.proto":                      `syntax = "proto3"; import "google/rpc/status.proto"; import "google/rpc/error_details.proto"; import "my/health.proto"; message Own { google.rpc.Status status = 1; }`,
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		cert.WriteFile(t, dir, name, []byte(text))
	}
	s := enginetest.StartIn(t, dir, modules.Set(), strings.Replace(detailsSite, "greeter.proto;", "greeter.proto own.proto;", 1))
	if status, _, text := get(t, s, "", "GET", "/v1/hello/info", ""); status != 409 || !strings.Contains(text, "google.rpc.ErrorInfo") {
		t.Errorf("%d %s", status, text)
	}
	if _, h, _ := get(t, s, "", "POST", "/grpc.health.v1.Health/Check", frame(0, ""), grpcType); h.Get("Grpc-Status") != "12" {
		t.Error(h)
	}
}
