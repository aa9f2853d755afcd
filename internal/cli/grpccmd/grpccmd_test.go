package grpccmd

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

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

func TestFiles(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.proto")
	if err := os.WriteFile(file, []byte(`syntax = "proto3"; package a; service S { rpc M(X) returns (X); } message X { map<string, int32> m = 1; oneof o { string s = 2; int32 n = 3; } optional bool b = 4; repeated X xs = 5; message Y {} enum E { Z = 0; } }`), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ args, out string }{
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
