package lua

import (
	"errors"
	"io/fs"
	"os"
	"strings"

	"moongate/internal/luajit"
)

// Code is Lua code of the configuration: made once, loaded by each VM at its first use.
type Code struct {
	name string // chunk name: "=content_by_lua(nginx.conf:40)", "@/path/file.lua"
	file string
	src  []byte
}

// NewCode is code written in the configuration; name is a chunk name (conf.Cmd.ChunkName makes it).
func NewCode(src, name string) *Code { return &Code{name: name, src: []byte(src)} }

// NewFile is a file of source or bytecode. It is read when a VM loads it.
func NewFile(path string) *Code { return &Code{name: "@" + path, file: path} }

// Name is the chunk name, with its "=" or "@".
func (c *Code) Name() string { return c.name }

// File is the file's path, "" for code of the configuration.
func (c *Code) File() string { return c.file }

// Source is the code of the configuration.
func (c *Code) Source() []byte { return c.src }

// Chunk is a function loaded into a VM.
type Chunk struct {
	vm  *VM
	fn  int32
	own bool
}

// LoadError says why code cannot be loaded; its text is what goes to the error log.
type LoadError struct {
	File string // "" for code in the configuration
	Err  error  // an error of the file system, or *luajit.Error
}

func (e *LoadError) Error() string {
	if e.File == "" {
		return "failed to load inlined Lua code: " + e.Err.Error()
	}
	if pe, ok := e.Err.(*os.PathError); ok {
		text := pe.Err.Error() // of the system, whose texts begin with a capital
		return `failed to load external Lua file "` + e.File + `": cannot ` + pe.Op + " " + e.File + ": " +
			strings.ToUpper(text[:1]) + text[1:]
	}
	return `failed to load external Lua file "` + e.File + `": ` + e.Err.Error()
}

func (e *LoadError) Unwrap() error { return e.Err }

// Check compiles the code and forgets it: whether there is a slip in it shows when the configuration is read. The error is
// a *LoadError.
func (c *Code) Check() error {
	src := c.src
	if c.file != "" {
		b, err := os.ReadFile(c.file)
		if err != nil {
			return &LoadError{File: c.file, Err: err}
		}
		src = stripShebang(b)
	}
	if len(src) > 0 && src[0] == luajit.Bytecode {
		return nil
	}
	s, err := luajit.New()
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.DoString("do return end "+string(src), c.name); err != nil { // what stands behind a return is compiled, and not run
		return &LoadError{File: c.file, Err: err}
	}
	return nil
}

// Load returns the code's function, compiled at the first call. The error is a *LoadError.
func (v *VM) Load(code *Code) (*Chunk, error) {
	if c := v.loaded[code]; c != nil {
		return c, nil
	}
	src := code.src
	if code.file != "" {
		b, err := os.ReadFile(code.file)
		if err != nil {
			return nil, &LoadError{File: code.file, Err: err}
		}
		src = stripShebang(b)
	}
	fn, err := v.lj.Load(src, code.name)
	if err != nil {
		return nil, &LoadError{File: code.file, Err: err}
	}
	c := &Chunk{vm: v, fn: fn, own: true}
	v.loaded[code] = c
	return c, nil
}

// Function is an anchored Lua function as a chunk, which a timer runs.
func (v *VM) Function(r Ref) Chunk { return Chunk{vm: v, fn: int32(r)} }

// RefInfo tells where an anchored Lua function was defined, as Call.FuncInfo does.
func (v *VM) RefInfo(r Ref) (source string, line int, ok bool) { return v.lj.RefInfo(int32(r)) }

// stripShebang blanks a first line which begins with "#", as luaL_loadfile does, keeping line numbers.
func stripShebang(b []byte) []byte {
	if len(b) == 0 || b[0] != '#' {
		return b
	}
	for i, c := range b {
		if c == '\n' {
			return b[i:]
		}
	}
	return nil
}

// Unreadable says that the file is there but may not be read.
func (e *LoadError) Unreadable() bool { return e.Missing() && !errors.Is(e.Err, fs.ErrNotExist) }

// Missing says that the file does not exist or cannot be opened.
func (e *LoadError) Missing() bool {
	_, ok := e.Err.(*os.PathError)
	return ok
}
