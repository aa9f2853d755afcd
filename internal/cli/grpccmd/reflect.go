package grpccmd

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	"moongate/internal/grpc"
	"moongate/internal/grpc/descriptor"
)

// Fields of a ServerReflectionRequest.
const (
	askFile     = 3
	askSymbol   = 4
	askServices = 7
)

// everything asks reflection for all services, names for what they are called only.
const (
	everything = ""
	names      = "*"
)

// reflect asks the server for the descriptors of a symbol, of everything, or for the names of its services; then there is no
// set.
func (t *target) reflect(symbol string) (*descriptor.Set, error) {
	var err error
	for _, version := range []string{"v1", "v1alpha"} {
		r := &reflection{t: t, version: version, files: map[string]*descriptorpb.FileDescriptorProto{}}
		if err = r.find(symbol); err == nil {
			if symbol == names {
				return nil, nil
			}
			return r.set()
		}
		var st *grpc.Status
		if !errors.As(err, &st) || st.Code != grpc.Unimplemented {
			break
		}
	}
	return nil, fmt.Errorf("reflection: %w", err)
}

// reflection is the questions put to a server, and what it has answered.
type reflection struct {
	t       *target
	version string
	files   map[string]*descriptorpb.FileDescriptorProto
	lenient bool // files that the server does not have are no failure
}

func (r *reflection) find(symbol string) error {
	switch symbol {
	case names, everything:
		r.t.offered = nil
		if err := r.ask(askServices, "*"); err != nil || symbol == names {
			return err
		}
		if err := r.ask(askSymbol, r.t.offered...); err != nil {
			return err
		}
	default:
		if err := r.ask(askSymbol, symbol); err != nil {
			return err
		}
	}
	return r.imports()
}

// imports asks for the files that are missing: a server need not send what a file imports along with it.
func (r *reflection) imports() error {
	r.lenient = true
	asked := map[string]bool{}
	for {
		var missing []string
		for _, f := range r.files {
			for _, name := range f.Dependency {
				if r.files[name] == nil && !asked[name] {
					asked[name] = true
					missing = append(missing, name)
				}
			}
		}
		if len(missing) == 0 {
			return nil
		}
		slices.Sort(missing)
		if err := r.ask(askFile, missing...); err != nil {
			return err
		}
	}
}

func (r *reflection) ask(what protowire.Number, texts ...string) error {
	return r.t.do(&exchange{path: "/grpc.reflection." + r.version + ".ServerReflection/ServerReflectionInfo", metadata: r.t.forReflection, timeout: 20 * time.Second,
		next: func() ([]byte, error) {
			if len(texts) == 0 {
				return nil, io.EOF
			}
			text := texts[0]
			texts = texts[1:]
			return protowire.AppendString(protowire.AppendTag(nil, what, protowire.BytesType), text), nil
		},
		received: r.answer})
}

// answer takes what a ServerReflectionResponse holds.
func (r *reflection) answer(msg []byte) (err error) {
	descriptor.EachField(msg, func(n protowire.Number, v []byte) {
		switch n {
		case 4:
			descriptor.EachField(v, func(_ protowire.Number, b []byte) {
				f := &descriptorpb.FileDescriptorProto{}
				if proto.Unmarshal(b, f) == nil {
					r.files[f.GetName()] = f
				}
			})
		case 6:
			descriptor.EachField(v, func(_ protowire.Number, service []byte) {
				descriptor.EachField(service, func(n protowire.Number, name []byte) {
					if n == 1 {
						r.t.offered = append(r.t.offered, string(bytes.Clone(name)))
					}
				})
			})
		case 7:
			st := &grpc.Status{Code: grpc.NotFound}
			descriptor.EachField(v, func(n protowire.Number, text []byte) {
				if n == 2 {
					st.Message = string(text)
				}
			})
			if !r.lenient {
				err = st
			}
		}
	})
	return err
}

func (r *reflection) set() (*descriptor.Set, error) {
	var list []*descriptorpb.FileDescriptorProto
	for _, f := range r.files {
		list = append(list, f)
	}
	slices.SortFunc(list, func(a, b *descriptorpb.FileDescriptorProto) int { return strings.Compare(a.GetName(), b.GetName()) })
	return descriptor.FromFiles(list)
}
