package descriptor

import (
	"bytes"
	"errors"
	"io/fs"
	"slices"
	"strings"

	"github.com/bufbuild/protocompile/ast"
	"github.com/bufbuild/protocompile/linker"
	"github.com/bufbuild/protocompile/options"
	"github.com/bufbuild/protocompile/parser"
	"github.com/bufbuild/protocompile/reporter"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/gofeaturespb"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/apipb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/sourcecontextpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/typepb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// The parts of protocompile are used one by one: its own front makes descriptors of all well-known files when a program
// starts, which each process would pay for.

// wellKnown are the descriptors of Google's own files; they are looked at when a file imports them.
func wellKnown(path string) protoreflect.FileDescriptor {
	switch path {
	case "google/protobuf/any.proto":
		return anypb.File_google_protobuf_any_proto
	case "google/protobuf/api.proto":
		return apipb.File_google_protobuf_api_proto
	case "google/protobuf/descriptor.proto":
		return descriptorpb.File_google_protobuf_descriptor_proto
	case "google/protobuf/duration.proto":
		return durationpb.File_google_protobuf_duration_proto
	case "google/protobuf/empty.proto":
		return emptypb.File_google_protobuf_empty_proto
	case "google/protobuf/field_mask.proto":
		return fieldmaskpb.File_google_protobuf_field_mask_proto
	case "google/protobuf/go_features.proto":
		return gofeaturespb.File_google_protobuf_go_features_proto
	case "google/protobuf/source_context.proto":
		return sourcecontextpb.File_google_protobuf_source_context_proto
	case "google/protobuf/struct.proto":
		return structpb.File_google_protobuf_struct_proto
	case "google/protobuf/timestamp.proto":
		return timestamppb.File_google_protobuf_timestamp_proto
	case "google/protobuf/type.proto":
		return typepb.File_google_protobuf_type_proto
	case "google/protobuf/wrappers.proto":
		return wrapperspb.File_google_protobuf_wrappers_proto
	}
	return nil
}

// build is one compilation.
type build struct {
	r       *resolver
	h       *reporter.Handler
	symbols *linker.Symbols
	done    map[string]linker.File
	chain   []string // of imports under way
}

func newBuild(r *resolver) *build {
	return &build{r: r, h: reporter.NewHandler(nil), symbols: &linker.Symbols{}, done: map[string]linker.File{}}
}

// file compiles a file and what it imports.
func (b *build) file(path string) (linker.File, error) {
	if f := b.done[path]; f != nil {
		return f, nil
	}
	text, err := b.r.find(path)
	if errors.Is(err, fs.ErrNotExist) {
		if d := wellKnown(path); d != nil {
			f, err := linker.NewFileRecursive(d)
			if err == nil {
				err = b.symbols.Import(d, b.h)
			}
			b.done[path] = f
			return f, err
		}
	}
	if err != nil {
		return nil, err
	}
	node, err := parser.Parse(path, bytes.NewReader(text), b.h)
	if err != nil {
		return nil, err
	}
	res, err := parser.ResultFromAST(node, true, b.h)
	if err != nil {
		return nil, err
	}
	b.chain = append(b.chain, path)
	deps, err := b.imports(node, res.FileDescriptorProto().Dependency)
	b.chain = b.chain[:len(b.chain)-1]
	if err != nil {
		return nil, err
	}
	linked, err := linker.Link(res, deps, b.symbols, b.h)
	if err != nil {
		return nil, err
	}
	if _, err := options.InterpretOptions(linked, b.h); err != nil {
		return nil, err
	}
	b.done[path] = linked
	return linked, nil
}

func (b *build) imports(node *ast.FileNode, paths []string) (linker.Files, error) {
	var deps linker.Files
	for _, path := range paths {
		at := importOf(node, path)
		if i := slices.Index(b.chain, path); i >= 0 {
			return nil, reporter.Errorf(at, "cycle of imports: %s", strings.Join(append(b.chain[i:], path), " -> "))
		}
		f, err := b.file(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, reporter.Errorf(at, "imported file not found: %q", path)
		}
		if err != nil {
			return nil, err
		}
		deps = append(deps, f)
	}
	return deps, nil
}

// importOf is where a file imports another.
func importOf(node *ast.FileNode, path string) ast.SourceSpan {
	for _, d := range node.Decls {
		if i, ok := d.(*ast.ImportNode); ok && i.Name.AsString() == path {
			return node.NodeInfo(i)
		}
	}
	return ast.UnknownSpan(node.Name())
}
