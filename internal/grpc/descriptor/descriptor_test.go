package descriptor

import (
	"io/fs"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
)

func read(files map[string]string) func(string) ([]byte, error) {
	return func(name string) ([]byte, error) {
		if s, ok := files[name]; ok {
			return []byte(s), nil
		}
		return nil, &os.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
}

const greeter = `syntax = "proto3";
package hello;
import "google/api/annotations.proto";
import "google/protobuf/timestamp.proto";
import "sub/types.proto";
service Greeter {
  rpc Say(Req) returns (sub.Reply) {
    option (google.api.http) = {
      get: "/v1/{name=people/*}:say"
      additional_bindings { post: "/v1/say" body: "*" response_body: "text" }
      additional_bindings { custom: { kind: "LIST" path: "/v1/list" } }
    };
  }
  rpc Chat(stream Req) returns (stream sub.Reply);
}
message Req { string name = 1; google.protobuf.Timestamp at = 2; }
`

var files = map[string]string{
	"/p/greeter.proto":       greeter,
	"/inc/sub/types.proto":   `syntax = "proto3"; package sub; message Reply { string text = 1; }`,
	"/p/bad.proto":           "syntax = \"proto3\";\nmessage A {\n  Nope x = 1;\n}\n",
	"/p/syntax.proto":        "syntax = \"proto3\";\nmessage {\n",
	"/p/noimport.proto":      "syntax = \"proto3\";\nimport \"nosuch.proto\";\n",
	"/p/two/greeter.proto":   `syntax = "proto3"; package other;`,
	"/p/cycle.proto":         `syntax = "proto3"; import "cycle.proto";`,
	"/p/edition.proto":       `edition = "2023"; package ed; message E { string s = 1; }`,
	"/inc/importbad.proto":   `syntax = "proto3"; import "broken.proto";`,
	"/inc/broken.proto":      "syntax = \"proto3\";\n\nmessage B { int32 a = 1; int32 a = 2; }",
	"/p/health-import.proto": `syntax = "proto3"; import "grpc/health/v1/health.proto"; import "grpc/reflection/v1/reflection.proto"; import "grpc/reflection/v1alpha/reflection.proto"; import "google/rpc/status.proto";`,
}

func TestCompile(t *testing.T) {
	src := &Sources{Read: read(files), Paths: []string{"/inc"}}
	set, err := src.Compile("/p/greeter.proto", "/p/edition.proto", "/p/health-import.proto")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*Set{set, reparse(t, set)} {
		m := s.Method("hello.Greeter", "Say")
		if m == nil || m.Input().FullName() != "hello.Req" || m.Output().FullName() != "sub.Reply" {
			t.Fatalf("%v", m)
		}
		want := []Rule{{"GET", "/v1/{name=people/*}:say", "", ""}, {"POST", "/v1/say", "*", "text"}, {"LIST", "/v1/list", "", ""}}
		if got := Rules(m); !reflect.DeepEqual(got, want) {
			t.Errorf("%v", got)
		}
		if s.Method("hello.Greeter", "Nope") != nil || s.Method("no.Such", "X") != nil || s.Message(".hello.Req") == nil || s.Message("hello.Greeter") != nil {
			t.Error("lookups")
		}
		var names []string
		for _, sd := range s.Services() {
			names = append(names, string(sd.FullName()))
		}
		if got := strings.Join(names, " "); got != "grpc.health.v1.Health grpc.reflection.v1.ServerReflection grpc.reflection.v1alpha.ServerReflection hello.Greeter" {
			t.Error(got)
		}
		if f := s.File("greeter.proto"); len(f) != 6 || s.File("nope") != nil {
			t.Errorf("%d files", len(f))
		}
	}
}

func reparse(t *testing.T, s *Set) *Set {
	t.Helper()
	again, err := Parse(s.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return again
}

func TestErrors(t *testing.T) {
	src := &Sources{Read: read(files), Paths: []string{"/inc"}}
	for _, c := range []struct{ name, err string }{
		{"/p/bad.proto", "/p/bad.proto:3: "},
		{"/p/syntax.proto", "/p/syntax.proto:2: "},
		{"/p/noimport.proto", `/p/noimport.proto:2: `},
		{"/p/cycle.proto", "/p/cycle.proto:1: "},
		{"/inc/importbad.proto", "/inc/broken.proto:3: "},
		{"/p/nosuch.proto", "nosuch.proto"},
	} {
		if _, err := src.Compile(c.name); err == nil || !strings.HasPrefix(err.Error(), c.err) && !strings.Contains(err.Error(), "nosuch.proto") {
			t.Errorf("%s: %v, want %s", c.name, err, c.err)
		}
	}
	if _, err := Parse([]byte("junk")); err == nil {
		t.Error("junk is a descriptor set")
	}
}

func TestJoin(t *testing.T) {
	src := &Sources{Read: read(files), Paths: []string{"/inc"}}
	a, err := src.Compile("/p/greeter.proto")
	if err != nil {
		t.Fatal(err)
	}
	b, err := src.Compile("/p/edition.proto", "sub/types.proto")
	if err != nil {
		t.Fatal(err)
	}
	both, err := Join(a, b)
	if err != nil || both.Message("ed.E") == nil || both.Message("hello.Req") == nil {
		t.Error(err)
	}
	c, err := src.Compile("/p/two/greeter.proto")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Join(a, c); err == nil {
		t.Error("two files of one name")
	}
	// Of Google's files there may be several versions; comments do not count.
	old, err := (&Sources{Text: map[string]string{"google/api/http.proto": `syntax = "proto3"; package google.api; message Http { }`}}).Compile("google/api/http.proto")
	if err != nil {
		t.Fatal(err)
	}
	told := slices.Clone(b.list)
	told[0] = proto.CloneOf(told[0])
	told[0].SourceCodeInfo = &descriptorpb.SourceCodeInfo{Location: []*descriptorpb.SourceCodeInfo_Location{{Path: []int32{1}, Span: []int32{1, 2, 3}}}}
	if _, err := Join(a, old, &Set{list: told}); err != nil {
		t.Error(err)
	}
}

func TestText(t *testing.T) {
	set, err := (&Sources{Text: map[string]string{"a.proto": `syntax = "proto3"; message A {}`}}).Compile("a.proto")
	if err != nil || set.Message("A") == nil {
		t.Error(err)
	}
}

func FuzzParse(f *testing.F) {
	set, err := (&Sources{Read: read(files), Paths: []string{"/inc"}}).Compile("/p/greeter.proto")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(set.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := Parse(b); err == nil {
			for _, sd := range s.Services() {
				for i := range sd.Methods().Len() {
					Rules(sd.Methods().Get(i))
				}
			}
		}
	})
}
