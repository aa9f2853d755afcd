package grpcclient

import (
	"os"
	"path/filepath"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	"moongate/internal/grpc/descriptor"
	"moongate/internal/lua"
)

// texts reads a list of strings.
func texts(c *lua.Call, i int) []string {
	var list []string
	if c.Type(i) == lua.Table {
		for k, v := range options(c, i).Pairs() {
			if k.Type == lua.Number {
				list = append(list, string(v.Text()))
			}
		}
	}
	return list
}

// compile compiles .proto files at run time. Names that are no full ones are looked for in paths, and from where the process
// stands.
func compile(c *lua.Call) lua.Outcome {
	src := descriptor.Sources{Read: os.ReadFile, Paths: texts(c, 2), Text: map[string]string{}}
	if c.Type(3) == lua.Table {
		for k, v := range options(c, 3).Pairs() {
			src.Text[string(k.Text())] = string(v.Text())
		}
	}
	names := texts(c, 1)
	for i, n := range names {
		if _, ok := src.Text[n]; ok || filepath.IsAbs(n) || found(src.Paths, n) || !found([]string{"."}, n) {
			continue
		}
		if abs, err := filepath.Abs(n); err == nil {
			names[i] = abs
		}
	}
	set, err := src.Compile(names...)
	if err != nil {
		return c.ReturnNilErr(err.Error())
	}
	return returnSet(c, set)
}

func found(paths []string, name string) bool {
	for _, dir := range paths {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			return true
		}
	}
	return false
}

func services(c *lua.Call) lua.Outcome {
	set, err := descriptor.Parse(c.Str(1))
	if err != nil {
		return c.ReturnNilErr(err.Error())
	}
	return returnSet(c, set)
}

// encodedFiles reads a list of encoded files; each is there once.
func encodedFiles(c *lua.Call) (files []*descriptorpb.FileDescriptorProto, ok bool) {
	seen := map[string]bool{}
	for _, b := range texts(c, 1) {
		f := &descriptorpb.FileDescriptorProto{}
		if err := proto.Unmarshal([]byte(b), f); err != nil {
			return nil, false
		}
		if !seen[f.GetName()] {
			seen[f.GetName()] = true
			files = append(files, f)
		}
	}
	return files, true
}

// join makes a set of files as reflection gives them.
func join(c *lua.Call) lua.Outcome {
	files, ok := encodedFiles(c)
	if !ok {
		return c.ReturnNilErr("invalid file descriptor")
	}
	set, err := descriptor.FromFiles(files)
	if err != nil {
		return c.ReturnNilErr(err.Error())
	}
	return returnSet(c, set)
}

// missing are the names of the files that files import and that are not among them.
func missing(c *lua.Call) lua.Outcome {
	files, _ := encodedFiles(c)
	have := map[string]bool{}
	for _, f := range files {
		have[f.GetName()] = true
	}
	w := c.Push()
	w.Begin(4, 0)
	for _, f := range files {
		for _, name := range f.Dependency {
			if !have[name] {
				have[name] = true
				w.String(name)
			}
		}
	}
	w.End()
	return c.Return()
}

// returnSet returns the bytes of a set and its services: methods by name, each with types and kinds.
func returnSet(c *lua.Call, set *descriptor.Set) lua.Outcome {
	w := c.Push()
	w.Str(set.Bytes())
	w.Begin(0, 4)
	for _, sd := range set.Services() {
		w.Key(string(sd.FullName()))
		w.Begin(0, sd.Methods().Len())
		for i := range sd.Methods().Len() {
			m := sd.Methods().Get(i)
			w.Key(string(m.Name()))
			w.Begin(0, 4)
			w.SetString("input", string(m.Input().FullName()))
			w.SetString("output", string(m.Output().FullName()))
			w.SetBool("client_stream", m.IsStreamingClient())
			w.SetBool("server_stream", m.IsStreamingServer())
			w.End()
		}
		w.End()
	}
	w.End()
	return c.Return()
}
