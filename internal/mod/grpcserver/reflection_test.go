package grpcserver_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	v1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	"moongate/internal/engine/enginetest"
	"moongate/internal/modules"
	"moongate/internal/testkit/cert"
)

type question = v1.ServerReflectionRequest

// TestReflection asks all questions of the protocol on one stream; a failure does not end it.
func TestReflection(t *testing.T) {
	dir := site(t)
	cert.WriteFile(t, dir, "old.proto", []byte(`syntax = "proto2"; package old; message M { extensions 100 to 200; message In { extend M { optional int32 b = 101; } } enum E { Z = 0; } oneof o { string s = 1; } } extend M { optional string a = 150; } service S { rpc Do(M) returns (M); }`))
	s := enginetest.StartIn(t, dir, modules.Set(), `grpc_proto greeter.proto old.proto; http2 on;
		server { listen 127.0.0.1:8080; grpc_method_by_lua_block old.S/Do { } }`)
	stream, err := v1.NewServerReflectionClient(dial(t, s.Addr(""))).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	symbol := func(name string) *question {
		return &question{MessageRequest: &v1.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: name}}
	}
	extension := func(name string, n int32) *question {
		return &question{MessageRequest: &v1.ServerReflectionRequest_FileContainingExtension{FileContainingExtension: &v1.ExtensionRequest{ContainingType: name, ExtensionNumber: n}}}
	}
	numbers := func(name string) *question {
		return &question{MessageRequest: &v1.ServerReflectionRequest_AllExtensionNumbersOfType{AllExtensionNumbersOfType: name}}
	}
	file := func(name string) *question {
		return &question{MessageRequest: &v1.ServerReflectionRequest_FileByFilename{FileByFilename: name}}
	}
	notFound := fmt.Sprint(codes.NotFound)
	for _, c := range []struct {
		q    *question
		want string
	}{
		{&question{MessageRequest: &v1.ServerReflectionRequest_ListServices{ListServices: "*"}}, "grpc.health.v1.Health grpc.reflection.v1.ServerReflection grpc.reflection.v1alpha.ServerReflection old.S"},
		{file("old.proto"), "old.proto"},
		{file("greeter.proto"), "greeter.proto google/api/annotations.proto google/api/http.proto google/protobuf/descriptor.proto"},
		{file("google/rpc/status.proto"), "google/rpc/status.proto google/protobuf/any.proto"},
		{file("nosuch.proto"), notFound},
		{symbol("old.S"), "old.proto"},
		{symbol("old.S.Do"), "old.proto"},
		{symbol("old.M.In"), "old.proto"},
		{symbol("old.M.E.Z"), notFound}, // values are beside their enum
		{symbol("old.M.Z"), "old.proto"},
		{symbol("old.M.o"), "old.proto"},
		{symbol("old.M.s"), "old.proto"},
		{symbol("old.a"), "old.proto"},
		{symbol("old.Nope"), notFound},
		{symbol(""), notFound},
		{extension("old.M", 150), "old.proto"},
		{extension("old.M", 101), "old.proto"},
		{extension("old.M", 102), notFound},
		{extension("old.Nope", 1), notFound},
		{numbers("old.M"), "[101 150]"},
		{numbers("old.M.In"), "[]"},
		{numbers("old.Nope"), notFound},
		{&question{}, fmt.Sprint(codes.InvalidArgument)},
	} {
		c.q.Host = "h"
		if err := stream.Send(c.q); err != nil {
			t.Fatal(err)
		}
		a, err := stream.Recv()
		if err != nil {
			t.Fatalf("%v: %v", c.q, err)
		}
		if got := answered(t, a); got != c.want || !proto.Equal(a.OriginalRequest, c.q) || a.ValidHost != "h" {
			t.Errorf("%v: %s, want %s\n%v", c.q, got, c.want, a.OriginalRequest)
		}
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); fmt.Sprint(err) != "EOF" {
		t.Error(err)
	}
}

// answered is what an answer says, in short.
func answered(t *testing.T, a *v1.ServerReflectionResponse) string {
	var words []string
	switch m := a.MessageResponse.(type) {
	case *v1.ServerReflectionResponse_ListServicesResponse:
		for _, s := range m.ListServicesResponse.Service {
			words = append(words, s.Name)
		}
	case *v1.ServerReflectionResponse_FileDescriptorResponse:
		for _, b := range m.FileDescriptorResponse.FileDescriptorProto {
			f := &descriptorpb.FileDescriptorProto{}
			if err := proto.Unmarshal(b, f); err != nil {
				t.Error(err)
			}
			words = append(words, f.GetName())
		}
	case *v1.ServerReflectionResponse_AllExtensionNumbersResponse:
		n := slices.Sorted(slices.Values(m.AllExtensionNumbersResponse.ExtensionNumber))
		return fmt.Sprint(n)
	case *v1.ServerReflectionResponse_ErrorResponse:
		return fmt.Sprint(codes.Code(m.ErrorResponse.ErrorCode))
	}
	return strings.Join(words, " ")
}
