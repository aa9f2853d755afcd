package grpctest

//lint:file-ignore SA1019 the old version of reflection is what this serves: servers have it

import (
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	alpha "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
)

// ServeParts runs a server whose reflection is what the protocol asks for and no more: the old version, and of the service
// parts.S, whose message other.X is in a file that it imports, each file for itself. It gives the server's address.
func ServeParts(t testing.TB) string {
	t.Helper()
	l := listen(t)
	s := grpc.NewServer()
	alpha.RegisterServerReflectionServer(s, parts{})
	go s.Serve(l)
	t.Cleanup(s.Stop)
	return l.Addr().String()
}

type parts struct {
	alpha.UnimplementedServerReflectionServer
}

var partFiles = map[string]*descriptorpb.FileDescriptorProto{
	"other.proto": {Name: proto.String("other.proto"), Package: proto.String("other"), Syntax: proto.String("proto3"), MessageType: []*descriptorpb.DescriptorProto{{Name: proto.String("X")}}},
	"parts.proto": {Name: proto.String("parts.proto"), Package: proto.String("parts"), Syntax: proto.String("proto3"), Dependency: []string{"other.proto"},
		Service: []*descriptorpb.ServiceDescriptorProto{{Name: proto.String("S"), Method: []*descriptorpb.MethodDescriptorProto{{Name: proto.String("M"), InputType: proto.String(".other.X"), OutputType: proto.String(".other.X")}}}}},
}

func (parts) ServerReflectionInfo(st alpha.ServerReflection_ServerReflectionInfoServer) error {
	for {
		q, err := st.Recv()
		if err != nil {
			return nil
		}
		a := &alpha.ServerReflectionResponse{OriginalRequest: q}
		name := q.GetFileByFilename()
		if q.GetFileContainingSymbol() == "parts.S" {
			name = "parts.proto"
		}
		switch f := partFiles[name]; {
		case q.GetListServices() != "":
			a.MessageResponse = &alpha.ServerReflectionResponse_ListServicesResponse{ListServicesResponse: &alpha.ListServiceResponse{Service: []*alpha.ServiceResponse{{Name: "parts.S"}}}}
		case f != nil:
			b, err := proto.Marshal(f)
			if err != nil {
				return err
			}
			a.MessageResponse = &alpha.ServerReflectionResponse_FileDescriptorResponse{FileDescriptorResponse: &alpha.FileDescriptorResponse{FileDescriptorProto: [][]byte{b}}}
		default:
			a.MessageResponse = &alpha.ServerReflectionResponse_ErrorResponse{ErrorResponse: &alpha.ErrorResponse{ErrorCode: int32(codes.NotFound), ErrorMessage: "not found"}}
		}
		if err := st.Send(a); err != nil {
			return err
		}
	}
}
