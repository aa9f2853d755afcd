package transcode

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"

	"moongate/internal/grpc/descriptor"
)

const source = `syntax = "proto3"; package t;
import "google/protobuf/timestamp.proto"; import "google/protobuf/wrappers.proto"; import "google/protobuf/any.proto"; import "google/protobuf/duration.proto"; import "google/protobuf/field_mask.proto";
enum Color { RED = 0; BLUE = 1; }
message Sub { string name = 1; int64 n = 2; }
message Req { string name = 1; int32 id = 2; Sub sub = 3; repeated string tags = 4; Color color = 5; google.protobuf.Timestamp at = 6;
  google.protobuf.Int64Value wrapped = 7; bytes raw = 8; bool on = 9; double x = 10; repeated Sub subs = 11; map<string, string> m = 12; google.protobuf.Any any = 13; google.protobuf.Duration d = 14; float f = 15; uint32 u = 16; uint64 uu = 17; google.protobuf.FieldMask mask = 18; google.protobuf.StringValue text = 19; repeated string long_name = 20; }
service S { rpc M(Req) returns (Req); }`

func compile(t testing.TB) (*descriptor.Set, protoreflect.MethodDescriptor) {
	t.Helper()
	set, err := (&descriptor.Sources{Text: map[string]string{"t.proto": source}}).Compile("t.proto")
	if err != nil {
		t.Fatal(err)
	}
	return set, set.Method("t.S", "M")
}

func TestMatch(t *testing.T) {
	_, m := compile(t)
	for _, c := range []struct{ template, path, values string }{
		{"/v1/{name}", "/v1/a%20b", "a b"},
		{"/v1/{name}", "/v1/", "-"},
		{"/v1/{name}", "/v1/a/b", "-"},
		{"/v1/{name}", "/v2/a", "-"},
		{"/v1/{name=**}", "/v1/a/b%2Fc", "a/b%2Fc"},
		{"/v1/{name=**}", "/v1", ""},
		{"/v1/{name=people/*/pets/*}", "/v1/people/x/pets/y", "people/x/pets/y"},
		{"/v1/{name=people/*}/{sub.name}", "/v1/people/x/z", "people/x z"},
		{"/v1/{name=people/*}:greet", "/v1/people/x:greet", "people/x"},
		{"/v1/{name=people/*}:greet", "/v1/people/x", "-"},
		{"/v1/list", "/v1/list", ""},
		{"/v1/list", "/v1/list/", "-"},
		{"/v1/*/x/{name}", "/v1/any/x/n", "n"},
		{"/", "/", ""},
		{"/", "/x", "-"},
	} {
		r, err := Compile(m, descriptor.Rule{Verb: "GET", Path: c.template})
		if err != nil {
			t.Errorf("%s: %v", c.template, err)
			continue
		}
		got := "-"
		if values, ok := r.Match("GET", c.path); ok {
			got = strings.Join(values, " ")
		}
		if got != c.values {
			t.Errorf("%s on %s: %q, want %q", c.template, c.path, got, c.values)
		}
	}
	for _, bad := range []string{"", "v1", "/{", "/{}", "/{nope}", "/{name=}/", "/a//b", "/{name=**}/x", "/a*b", "/{sub.nope}", "/{id.x}", "/{tags.x}"} {
		if _, err := Compile(m, descriptor.Rule{Verb: "GET", Path: bad}); err == nil {
			t.Errorf("%q is a template", bad)
		}
	}
}

func TestRequest(t *testing.T) {
	set, m := compile(t)
	for _, c := range []struct{ template, body, target, text, want string }{
		{"/{name}", "", "/n?id=5&tags=a&tags=b+c&sub.n=7&color=BLUE&nope=1", "", `{"name":"n","id":5,"sub":{"n":"7"},"tags":["a","b c"],"color":"BLUE"}`},
		{"/{name}", "", "/n?at=2020-01-02T03:04:05Z&wrapped=9&raw=_-8&on=true&x=1.5&d=3s&f=2&u=1&uu=2", "", `{"name":"n","at":"2020-01-02T03:04:05Z","wrapped":"9","raw":"/+8=","on":true,"x":1.5,"d":"3s","f":2,"u":1,"uu":"2"}`},
		{"/{name}", "*", "/n?id=5", `{"name":"other","id":3}`, `{"name":"n","id":3}`},
		{"/{name}", "sub", "/n?id=5&sub.n=9", `{"name":"s"}`, `{"name":"n","id":5,"sub":{"name":"s"}}`},
		{"/{name}", "tags", "/n", `["a","b"]`, `{"name":"n","tags":["a","b"]}`},
		{"/{name}", "", "/n?mask=long_name,sub.n", "", `{"name":"n","mask":"longName,sub.n"}`},
		{"/{name}", "", "/n?mask=longName,id", "", `{"name":"n","mask":"longName,id"}`},
		{"/{name}", "", "/n?mask=a_%ff", "", `invalid value`},
		{"/{name}", "", "/n?text=%07%22%F0%9F%98%80", "", `{"name":"n","text":"\u0007\"😀"}`},
		{"/{name}", "long_name", "/n?longName=x", `["b"]`, `{"name":"n","longName":["b"]}`},
		{"/{long_name}", "", "/p?longName=x", "", `{"longName":["p"]}`},
		{"/{name}", "tags", "/n", `["a"],"id":5`, "the body is no JSON"},
		{"/{name}", "tags", "/n", `["a"`, "the body is no JSON"},
		{"/{name}", "id", "/n", `7`, `{"name":"n","id":7}`},
		{"/{name}", "", "/n?color=1", "", `{"name":"n","color":"BLUE"}`},
		{"/{name}", "", "/n?id=x", "", `invalid value "x" of field "id"`},
		{"/{name}", "", "/n?m=x", "", `field "m" is a map`},
		{"/{name}", "", "/n?at=x", "", `invalid value "x" of field "at"`},
		{"/{name}", "*", "/n", `{"nope":1}`, `proto:`},
		{"/{id}", "*", "/x", `{}`, `invalid value "x" of field "id"`},
	} {
		r, err := Compile(m, descriptor.Rule{Verb: "POST", Path: c.template, Body: c.body})
		if err != nil {
			t.Fatal(err)
		}
		values, ok := r.Match("POST", Path(c.target))
		if !ok {
			t.Fatalf("%s does not match %s", c.target, c.template)
		}
		_, query, _ := strings.Cut(c.target, "?")
		got := ""
		if msg, err := r.Request(set.Types, values, query, "", []byte(c.text)); err != nil {
			got = err.Error()
		} else {
			b, _ := protojson.Marshal(msg)
			got = strings.ReplaceAll(string(b), " ", "")
			got = strings.ReplaceAll(got, `bc"`, `b c"`)
		}
		if !strings.HasPrefix(got, c.want) {
			t.Errorf("%s %s:\n got %s\nwant %s", c.target, c.text, got, c.want)
		}
	}
}

// TestRequired has a field of proto2 that must be there: in the path, the query or the body.
func TestRequired(t *testing.T) {
	set, err := (&descriptor.Sources{Text: map[string]string{"r.proto": `syntax = "proto2"; package r; message Req { required string name = 1; } service S { rpc M(Req) returns (Req); }`}}).Compile("r.proto")
	if err != nil {
		t.Fatal(err)
	}
	m := set.Method("r.S", "M")
	for _, c := range []struct{ template, query, text, want string }{
		{"/{name}", "", `{}`, ""},
		{"/x", "", `{"name":"n"}`, ""},
		{"/x", "", `{}`, "proto:"},
		{"/x", "", ``, "proto:"},
	} {
		r, err := Compile(m, descriptor.Rule{Verb: "POST", Path: c.template, Body: "*"})
		if err != nil {
			t.Fatal(err)
		}
		values, _ := r.Match("POST", "/x")
		_, err = r.Request(set.Types, values, "", "", []byte(c.text))
		if (err == nil) != (c.want == "") || err != nil && !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s %s: %v", c.template, c.text, err)
		}
	}
}

func TestResponse(t *testing.T) {
	set, m := compile(t)
	wire, err := FromJSON(set.Types, m.Output(), []byte(`{"sub":{"name":"s"},"tags":["a"],"any":{"@type":"type.googleapis.com/t.Sub","n":"5"}}`))
	if err != nil {
		t.Fatal(err)
	}
	for field, want := range map[string]string{"sub": `{"name":"s","n":"0"}`, "tags": `["a"]`, "id": "0", "subs": "[]"} {
		r, err := Compile(m, descriptor.Rule{Verb: "GET", Path: "/", ResponseBody: field})
		if err != nil {
			t.Fatal(err)
		}
		if b, err := r.Response(set.Types, wire); err != nil || strings.ReplaceAll(string(b), " ", "") != want {
			t.Errorf("%s: %s %v", field, b, err)
		}
	}
	b, err := ToJSON(set.Types, m.Output(), wire)
	if err != nil || !strings.Contains(string(b), `"t.Sub"`) && !strings.Contains(string(b), "type.googleapis.com/t.Sub") {
		t.Errorf("%s %v", b, err)
	}
	if _, err := ToJSON(set.Types, m.Output(), []byte{0xff}); err == nil {
		t.Error("junk is a message")
	}
}

func FuzzMatch(f *testing.F) {
	set, m := compile(f)
	f.Add("/v1/{name=a/*}:x", "/v1/a/b:x", "id=5")
	f.Fuzz(func(t *testing.T, template, path, query string) {
		r, err := Compile(m, descriptor.Rule{Verb: "GET", Path: template, Body: "sub"})
		if err != nil {
			return
		}
		if values, ok := r.Match("GET", path); ok {
			r.Request(set.Types, values, query, "", nil)
		}
	})
}
