// Package descriptor has the types and services of protocol buffers: compiled from .proto files, read from a binary
// descriptor set, or put together from files that a server's reflection gave.
//
// A Set is a registry of its own: the process's global registry is never looked at or added to. A Set does not change after
// it was made.
package descriptor

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/bufbuild/protocompile/linker"
	"github.com/bufbuild/protocompile/reporter"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

// Set is a closed set of files: all imports are in it.
type Set struct {
	Files *protoregistry.Files
	// Types finds messages and extensions for Any and for JSON.
	Types *dynamicpb.Types
	list  []*descriptorpb.FileDescriptorProto // imports first
}

// builtin has files that may be imported although nobody has them, written for this purpose: they say what is needed.
//
//go:embed proto
var builtin embed.FS

// Sources says where files come from.
type Sources struct {
	// Read reads a file by its full name; a missing one gives an error that is fs.ErrNotExist.
	Read func(name string) ([]byte, error)
	// Paths are the directories in which imports are looked for, in order. The directory of a file that is compiled itself
	// is looked at last.
	Paths []string
	// Text has files that are in memory, by the name by which they are imported.
	Text map[string]string
}

// Compile compiles .proto files. names are as one would write them in an import, or names of files. An error begins with
// FILE:LINE.
func (src *Sources) Compile(names ...string) (*Set, error) {
	r := &resolver{src: src, real: map[string]string{}, dirs: slices.Clone(src.Paths)}
	var targets []string
	for _, n := range names {
		targets = append(targets, r.target(n))
	}
	b := newBuild(r)
	var linked []linker.File
	for _, t := range targets {
		f, err := b.file(t)
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) && !errors.As(err, new(reporter.ErrorWithPos)) {
				return nil, &Error{File: t, Msg: "file not found"}
			}
			return nil, r.explain(err)
		}
		linked = append(linked, f)
	}
	fds := &descriptorpb.FileDescriptorSet{}
	seen := map[string]bool{}
	for _, f := range linked {
		addFile(fds, seen, f)
	}
	return newSet(fds)
}

// addFile adds a file behind its imports.
func addFile(fds *descriptorpb.FileDescriptorSet, seen map[string]bool, f linker.File) {
	if seen[f.Path()] {
		return
	}
	seen[f.Path()] = true
	for i := range f.Imports().Len() {
		path := f.Imports().Get(i).Path()
		if dep := f.FindImportByPath(path); dep != nil {
			addFile(fds, seen, dep)
		}
	}
	fds.File = append(fds.File, protodesc.ToFileDescriptorProto(f))
}

// resolver finds the files of a compilation.
type resolver struct {
	src  *Sources
	dirs []string
	real map[string]string // full names by import name
}

// target is the import name of a file that is to be compiled.
func (r *resolver) target(name string) string {
	if _, ok := r.src.Text[name]; ok {
		return name
	}
	if !filepath.IsAbs(name) {
		return name
	}
	for _, dir := range r.src.Paths {
		if rel, err := filepath.Rel(dir, name); err == nil && !strings.HasPrefix(rel, "..") {
			return filepath.ToSlash(rel)
		}
	}
	if dir := filepath.Dir(name); !slices.Contains(r.dirs, dir) {
		r.dirs = append(r.dirs, dir)
	}
	return filepath.Base(name)
}

// find reads a file by the name that imports have for it.
func (r *resolver) find(path string) ([]byte, error) {
	if text, ok := r.src.Text[path]; ok {
		return []byte(text), nil
	}
	if r.src.Read != nil {
		for _, dir := range r.dirs {
			full := filepath.Join(dir, path)
			b, err := r.src.Read(full)
			if err == nil {
				r.real[path] = full
				return b, nil
			}
			if !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
		}
	}
	if path == reflectionAlpha { // the same messages under another package
		b, err := builtin.ReadFile("proto/" + reflection)
		return bytes.Replace(b, []byte("package grpc.reflection.v1;"), []byte("package grpc.reflection.v1alpha;"), 1), err
	}
	return builtin.ReadFile("proto/" + path)
}

const (
	reflection      = "grpc/reflection/v1/reflection.proto"
	reflectionAlpha = "grpc/reflection/v1alpha/reflection.proto"
)

// Error is a fault of a .proto file.
type Error struct {
	File string
	Line int // 0: of the whole file
	Msg  string
}

func (e *Error) Error() string {
	if e.Line == 0 {
		return e.File + ": " + e.Msg
	}
	return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Msg)
}

// explain gives an error the full name of its file.
func (r *resolver) explain(err error) error {
	var pos reporter.ErrorWithPos
	if !errors.As(err, &pos) {
		return err
	}
	at := pos.GetPosition()
	e := &Error{File: at.Filename, Line: at.Line, Msg: pos.Unwrap().Error()}
	if full, ok := r.real[e.File]; ok {
		e.File = full
	}
	return e
}

// Parse reads a binary FileDescriptorSet, which may leave out the well-known files.
func Parse(b []byte) (*Set, error) {
	fds := &descriptorpb.FileDescriptorSet{}
	if err := (proto.UnmarshalOptions{Resolver: (*protoregistry.Types)(nil)}).Unmarshal(b, fds); err != nil {
		return nil, errors.New("invalid descriptor set")
	}
	return FromFiles(fds.File)
}

// FromFiles makes a Set of files in any order, which may leave out the well-known ones.
func FromFiles(files []*descriptorpb.FileDescriptorProto) (*Set, error) {
	byName := map[string]*descriptorpb.FileDescriptorProto{}
	for _, f := range files {
		byName[f.GetName()] = f
	}
	fds := &descriptorpb.FileDescriptorSet{}
	state := map[string]int{} // 1: under way, 2: done
	var add func(name string) error
	add = func(name string) error {
		switch state[name] {
		case 1:
			return fmt.Errorf("cycle of imports at %q", name)
		case 2:
			return nil
		}
		state[name] = 1
		f := byName[name]
		if f == nil {
			std, err := (&Sources{}).Compile(name)
			if err != nil {
				return fmt.Errorf("imported file not found: %q", name)
			}
			for _, f := range std.list {
				if byName[f.GetName()] == nil && state[f.GetName()] != 2 {
					fds.File = append(fds.File, f)
					state[f.GetName()] = 2
				}
			}
			state[name] = 2
			return nil
		}
		for _, dep := range f.Dependency {
			if err := add(dep); err != nil {
				return err
			}
		}
		state[name] = 2
		fds.File = append(fds.File, f)
		return nil
	}
	for _, f := range files {
		if err := add(f.GetName()); err != nil {
			return nil, err
		}
	}
	return newSet(fds)
}

// Join makes one Set of several; a file that is in more than one must be the same in all, but for Google's own, of which
// everybody has some version: the first one is taken.
func Join(sets ...*Set) (*Set, error) {
	fds := &descriptorpb.FileDescriptorSet{}
	seen := map[string]*descriptorpb.FileDescriptorProto{}
	for _, s := range sets {
		for _, f := range s.list {
			if have := seen[f.GetName()]; have != nil {
				if !same(have, f) && !common(f.GetName()) {
					return nil, fmt.Errorf("there are two files named %q", f.GetName())
				}
				continue
			}
			seen[f.GetName()] = f
			fds.File = append(fds.File, f)
		}
	}
	return newSet(fds)
}

// same reports whether files declare the same; comments may differ.
func same(a, b *descriptorpb.FileDescriptorProto) bool {
	bare := func(f *descriptorpb.FileDescriptorProto) *descriptorpb.FileDescriptorProto {
		if f.SourceCodeInfo == nil {
			return f
		}
		f = proto.CloneOf(f)
		f.SourceCodeInfo = nil
		return f
	}
	return proto.Equal(bare(a), bare(b))
}

// common reports whether a file is one of those that need not be there to be imported.
func common(name string) bool {
	if wellKnown(name) != nil || name == reflectionAlpha {
		return true
	}
	_, err := fs.Stat(builtin, "proto/"+name)
	return err == nil
}

// With is the Set and those files of another that it has not: neither by their names nor by what they declare.
func (s *Set) With(more *Set) (*Set, error) {
	fds := &descriptorpb.FileDescriptorSet{File: slices.Clone(s.list)}
	left := map[string]bool{}
	for _, f := range more.list {
		if s.hasFile(f.GetName()) {
			continue
		}
		if s.declares(more, f.GetName()) || slices.ContainsFunc(f.Dependency, func(d string) bool { return left[d] }) {
			left[f.GetName()] = true
			continue
		}
		fds.File = append(fds.File, f)
	}
	return newSet(fds)
}

func (s *Set) hasFile(name string) bool {
	_, err := s.Files.FindFileByPath(name)
	return err == nil
}

// declares reports whether a Set has something by a name that a file of another declares.
func (s *Set) declares(other *Set, file string) bool {
	f, err := other.Files.FindFileByPath(file)
	if err != nil {
		return false
	}
	var names []protoreflect.FullName
	for i := range f.Messages().Len() {
		names = append(names, f.Messages().Get(i).FullName())
	}
	for i := range f.Enums().Len() {
		names = append(names, f.Enums().Get(i).FullName())
	}
	for i := range f.Services().Len() {
		names = append(names, f.Services().Get(i).FullName())
	}
	return slices.ContainsFunc(names, func(n protoreflect.FullName) bool {
		_, err := s.Files.FindDescriptorByName(n)
		return err == nil
	})
}

// Details has the messages that details of statuses are made of: google.rpc.Status, ErrorInfo, BadRequest and so on.
var Details = sync.OnceValues(func() (*Set, error) {
	return (&Sources{}).Compile("google/rpc/status.proto", "google/rpc/error_details.proto")
})

func newSet(fds *descriptorpb.FileDescriptorSet) (*Set, error) {
	// Options go through bytes once, so that those of extensions are unknown fields in all sets.
	b, err := proto.Marshal(fds)
	if err == nil {
		fds = &descriptorpb.FileDescriptorSet{}
		err = (proto.UnmarshalOptions{Resolver: (*protoregistry.Types)(nil)}).Unmarshal(b, fds)
	}
	if err != nil {
		return nil, err
	}
	files := new(protoregistry.Files)
	for _, f := range fds.File {
		d, err := protodesc.NewFile(f, files)
		if err == nil {
			err = files.RegisterFile(d)
		}
		if err != nil {
			return nil, errors.New(strings.TrimPrefix(err.Error(), "proto: "))
		}
	}
	return &Set{Files: files, Types: dynamicpb.NewTypes(files), list: fds.File}, nil
}

// Bytes is the Set as a binary FileDescriptorSet.
func (s *Set) Bytes() []byte {
	b, _ := proto.MarshalOptions{Deterministic: true}.Marshal(&descriptorpb.FileDescriptorSet{File: s.list})
	return b
}

// File is the encoded FileDescriptorProto of a file and of what it imports, the file first; nil when there is none.
func (s *Set) File(name string) (encoded [][]byte) {
	seen := map[string]bool{}
	var add func(name string)
	add = func(name string) {
		if seen[name] {
			return
		}
		seen[name] = true
		for _, f := range s.list {
			if f.GetName() == name {
				b, _ := proto.Marshal(f)
				encoded = append(encoded, b)
				for _, dep := range f.Dependency {
					add(dep)
				}
			}
		}
	}
	add(name)
	return encoded
}

// Services lists the services by their full names, in order.
func (s *Set) Services() []protoreflect.ServiceDescriptor {
	var list []protoreflect.ServiceDescriptor
	s.Files.RangeFiles(func(f protoreflect.FileDescriptor) bool {
		for i := range f.Services().Len() {
			list = append(list, f.Services().Get(i))
		}
		return true
	})
	slices.SortFunc(list, func(a, b protoreflect.ServiceDescriptor) int {
		return strings.Compare(string(a.FullName()), string(b.FullName()))
	})
	return list
}

// Service finds a service by its full name, nil when there is none.
func (s *Set) Service(name string) protoreflect.ServiceDescriptor {
	d, _ := s.Files.FindDescriptorByName(protoreflect.FullName(name))
	sd, _ := d.(protoreflect.ServiceDescriptor)
	return sd
}

// Method finds a method by the names of its service and its own, nil when there is none.
func (s *Set) Method(service, method string) protoreflect.MethodDescriptor {
	if sd := s.Service(service); sd != nil {
		return sd.Methods().ByName(protoreflect.Name(method))
	}
	return nil
}

// Message finds a message type by its full name, nil when there is none.
func (s *Set) Message(name string) protoreflect.MessageDescriptor {
	d, _ := s.Files.FindDescriptorByName(protoreflect.FullName(strings.TrimPrefix(name, ".")))
	m, _ := d.(protoreflect.MessageDescriptor)
	return m
}
