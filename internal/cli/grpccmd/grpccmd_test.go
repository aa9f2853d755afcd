package grpccmd

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"moongate/internal/grpc"
	"moongate/internal/grpc/descriptor"
	"moongate/internal/grpc/transcode"
	"moongate/internal/testkit/grpctest"
)

func TestCommands(t *testing.T) {
	addr := grpctest.Serve(t, nil)
	file := filepath.Join(t.TempDir(), "m.json")
	if err := os.WriteFile(file, []byte(`{"responseSize": 2}`), 0o644); err != nil {
		t.Fatal(err)
	}
	svc := "grpc.testing.TestService"
	for _, c := range []struct {
		args string
		in   string
		code int
		out  string // begins, or with "..." is in it
		err  string
	}{
		{"list " + addr, "", 0, "...\n" + svc + "\n", ""},
		{"list " + addr + " " + svc, "", 0, "..." + svc + "/UnaryCall\n", ""},
		{"describe " + addr, "", 0, "...service " + svc + " {\n", ""},
		{"call -v " + addr + " " + svc + "/UnaryCall -H x-grpc-test-echo-trailing-bin:q6ur", "", 0, "{", "...trailer: x-grpc-test-echo-trailing-bin: q6ur\n"},
		{"call -v " + addr + " " + svc + "/UnaryCall -rpc-header x-grpc-test-echo-trailing-bin:q_8=", "", 0, "{", "...trailer: x-grpc-test-echo-trailing-bin: q/8\n"},
		{"call -v -user-agent me -reflect-header a:b " + addr + " " + svc + "/UnaryCall -H x-grpc-test-echo-initial:a&b -d @", `{"fillUsername":false}`, 0, "{", "...header: x-grpc-test-echo-initial: a&b\n"},
		{"call -H nothing " + addr + " " + svc + "/UnaryCall", "", 1, "", `moongate grpc: "nothing" is not of the form`},
		{"call -allow-unknown-fields -max-time 60 -connect-timeout 5.5 " + addr + " " + svc + `/UnaryCall -d {"nope":1}`, "", 0, "{", ""},
		{"call -max-time soon " + addr + " " + svc + `/UnaryCall`, "", 2, "", "invalid value"},
		{"list -plaintext -insecure " + addr, "", 1, "", "moongate grpc: -plaintext does not go with"},
		{"list -servername x " + addr, "", 78, "", "reflection: UNAVAILABLE"},
		{"list -cacert nosuch " + addr, "", 1, "", "moongate grpc: open nosuch"},
		{"call " + addr + " " + svc + `/UnaryCall -d {"payload":{"body":"PA=="}} -max-msg-sz 1`, "", 72, "", "reflection: RESOURCE_EXHAUSTED"},
		{"list " + addr + " no.Such", "", 69, "", "reflection: NOT_FOUND"},
		{"describe " + addr + " " + svc, "", 0, "...  rpc FullDuplexCall(stream grpc.testing.StreamingOutputCallRequest) returns (stream grpc.testing.StreamingOutputCallResponse);\n", ""},
		{"describe " + addr + " grpc.testing.Payload", "", 0, "message grpc.testing.Payload {\n  grpc.testing.PayloadType type = 1;\n  bytes body = 2;\n}\n", ""},
		{"describe " + addr + " grpc.testing.PayloadType", "", 0, "enum grpc.testing.PayloadType {\n", ""},
		{"call " + addr + " " + svc + "/EmptyCall", "", 0, "{}\n", ""},
		{"call " + addr + " " + svc + ".EmptyCall -d {}", "", 0, "{}\n", ""},
		{"call " + addr + " " + svc + "/UnaryCall -d @" + file, "", 0, "{\n  \"payload\": {\n    \"type\": \"COMPRESSABLE\",\n    \"body\": \"AAA=\"\n  },", ""},
		{"call " + addr + " " + svc + "/StreamingInputCall -d -", `{"payload":{"body":"AAA="}} {"payload":{"body":"AA=="}}`, 0, "{\n  \"aggregatedPayloadSize\": 3\n}\n", ""},
		{"call " + addr + " " + svc + `/StreamingOutputCall -d {"responseParameters":[{"size":1},{"size":1}]}`, "", 0, "{\n  \"payload\": {\n    \"type\": \"COMPRESSABLE\",\n    \"body\": \"AA==\"\n  },\n  \"peerSocketAddress\": \"\"\n}\n{\n", ""},
		{"call " + addr + " " + svc + `/UnaryCall -d {"responseStatus":{"code":5,"message":"none"}}`, "", 69, "", "NOT_FOUND: none\n"},
		{"call -v " + addr + " " + svc + "/UnaryCall -H x-grpc-test-echo-initial:abc", "", 0, "{", "...header: x-grpc-test-echo-initial: abc\n"},
		{"call " + addr + " " + svc + `/UnaryCall -d {"nope":1}`, "", 1, "", "...unknown field"},
		{"call " + addr + " " + svc + `/UnaryCall -d {`, "", 1, "", "moongate grpc: invalid JSON"},
		{"call " + addr + " " + svc + `/UnaryCall -d {}{}`, "", 1, "", "moongate grpc: UnaryCall takes one message"},
		{"call " + addr + " " + svc + "/Nope", "", 1, "", "moongate grpc: there is no method Nope"},
		{"call 127.0.0.1:1 x/y", "", 78, "", "reflection: UNAVAILABLE"},
		{"call " + addr + " " + svc + `/StreamingOutputCall -timeout 50ms -d {"responseParameters":[{"size":1,"intervalUs":5000000}]}`, "", 68, "", "DEADLINE_EXCEEDED"},
		{"nonsense", "", 2, "", "Usage"},
		{"", "", 2, "", "Usage"},
		{"-h", "", 0, "", "Usage"},
	} {
		var out, errs bytes.Buffer
		code := Main(strings.Fields(c.args), strings.NewReader(c.in), &out, &errs)
		if code != c.code || !like(out.String(), c.out) || !like(errs.String(), c.err) {
			t.Errorf("%s: %d\n%s%s", c.args, code, out.String(), errs.String())
		}
	}
}

func like(got, want string) bool {
	if in, ok := strings.CutPrefix(want, "..."); ok {
		return strings.Contains(got, in)
	}
	return strings.HasPrefix(got, want)
}

// TestDetails shows details of a status: of the usual types and of unknown ones.
func TestDetails(t *testing.T) {
	std, err := descriptor.Details()
	if err != nil {
		t.Fatal(err)
	}
	b, err := transcode.FromJSON(std.Types, std.Message("google.rpc.Status"), []byte(`{"code":5,"message":"none","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"R"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	var errs bytes.Buffer
	c := &command{stderr: &errs}
	b = protowire.AppendBytes(protowire.AppendTag(b, 3, protowire.BytesType), []byte("\x0a\x09x/no.Such\x12\x01a"))
	if code := c.failed(&grpc.Status{Code: 5, Message: "none", Details: b}); code != 69 || strings.ReplaceAll(errs.String(), " ", "") !=
		"NOT_FOUND:none\ndetail:{\"@type\":\"type.googleapis.com/google.rpc.ErrorInfo\",\"reason\":\"R\"}\ndetail:{\"@type\":\"x/no.Such\",\"value\":\"YQ==\"}\n" {
		t.Errorf("%d %s", code, errs.String())
	}
}

// TestReflectionByParts asks a server that does not send what files import along with them.
func TestReflectionByParts(t *testing.T) {
	addr := grpctest.ServeParts(t)
	for _, c := range []struct{ args, out string }{
		{"describe " + addr + " parts.S", "service parts.S {\n  rpc M(other.X) returns (other.X);\n}\n"},
		{"describe " + addr, "service parts.S {\n  rpc M(other.X) returns (other.X);\n}\n"},
		{"list " + addr, "parts.S\n"},
	} {
		var out, errs bytes.Buffer
		if code := Main(strings.Fields(c.args), nil, &out, &errs); code != 0 || out.String() != c.out {
			t.Errorf("%s: %d %s%s", c.args, code, out.String(), errs.String())
		}
	}
}

func TestFiles(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.proto")
	if err := os.WriteFile(file, []byte(`syntax = "proto3"; package a; service S { rpc M(X) returns (X); } message X { map<string, int32> m = 1; oneof o { string s = 2; int32 n = 3; } optional bool b = 4; repeated X xs = 5; message Y {} enum E { Z = 0; } }`), 0o644); err != nil {
		t.Fatal(err)
	}
	dir, base := filepath.Split(file)
	if err := os.WriteFile(filepath.Join(dir, "b.proto"), []byte(`syntax = "proto3"; package b; import "a.proto"; service T { rpc M(a.X) returns (a.X); }`), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ args, out string }{
		{"list -import-path " + dir + " -proto " + base + " -proto b.proto", "a.S\nb.T\n"},
		{"list -path " + dir + " -proto " + file + " -proto b.proto b.T", "b.T/M\n"},
		{"describe -proto " + file, "service a.S {\n"},
		{"list -proto " + file, "a.S\n"},
		{"describe -proto " + file + " a.X", "message a.X {\n  enum E {\n    Z = 0;\n  }\n  message Y {\n  }\n  map<string, int32> m = 1;\n  oneof o {\n    string s = 2;\n    int32 n = 3;\n  }\n  optional bool b = 4;\n  repeated a.X xs = 5;\n}\n"},
		{"describe -proto " + file + " a.S/M", "rpc M(a.X) returns (a.X);\nmessage a.X {"},
	} {
		var out, errs bytes.Buffer
		if code := Main(strings.Fields(c.args), nil, &out, &errs); code != 0 || !strings.HasPrefix(out.String(), c.out) {
			t.Errorf("%s: %d\n%s%s", c.args, code, out.String(), errs.String())
		}
	}
}
