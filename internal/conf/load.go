package conf

import (
	"io"
	"os"
	"strings"
)

// Builtin has the directives of the language itself. Load always knows them.
var Builtin = Module{Name: "conf", Directives: []Directive{
	{Name: "include", Syntax: "file | mask", In: Everywhere, Args: Take1,
		Set: Func(func(c *Cmd) error { return c.Include() }),
		Doc: "Reads another file, or all files that match a mask in sorted order, as if their text stood here. Relative names start at the directory of the main configuration file."},
}}

// Options says what to load.
type Options struct {
	Modules          []*Module
	Prefix           string // -p
	Path             string // -c; relative to Prefix
	GlobalDirectives string // -g
	Test             bool   // -t: nothing outside may be touched

	// Text, unless empty, stands for the contents of the file Path.
	Text string

	// SkipUnknown has directives that no module knows stepped over, with their blocks: a
	// quick look at the process level.
	SkipUnknown bool

	// ReadFile reads configuration files; nil means from the disk. A failure to open is
	// an *os.PathError.
	ReadFile func(name string) ([]byte, error)

	// Glob lists the files that match a mask of include, sorted; nil means those on the
	// disk.
	Glob func(mask string) []string

	// Log gets warnings, with their place, as they are met. May be nil.
	Log func(level, msg string)

	// Parsed is called once everything is read and http{} is complete, before the
	// process level is: nginx says "syntax is ok" at this moment. May be nil.
	Parsed func()
}

// Config is a loaded configuration. It does not change after Load.
type Config struct {
	Prefix     string // ends in "/"
	ConfPrefix string // directory of the main file, ends in "/"
	Path       string // full name of the main file
	Modules    []*Module
	Core       *Scope // process level; http{}, stream{} are among its Children
	Files      []File // every file read, once, in order
	Test       bool

	// Values is state that modules share during and after the load, by keys of their own
	// types.
	Values map[any]any

	parser      *parser
	logger      func(level, msg string)
	readFile    func(name string) ([]byte, error)
	glob        func(mask string) []string
	skipUnknown bool
}

// File is a configuration file as it was read.
type File struct {
	Name string
	Data []byte
}

// Load reads a configuration. The error is an *Error unless a module made another.
func Load(opt Options) (*Config, error) {
	cfg := newConfig(opt)
	p := cfg.parser
	top := &frame{in: Main, scope: cfg.Core}
	if opt.GlobalDirectives != "" {
		lx := newLexer("", opt.GlobalDirectives)
		lx.param = true
		if err := p.text(lx, top, inParam); err != nil {
			return nil, err
		}
	}
	var err error
	if opt.Text != "" {
		cfg.addFile(cfg.Path, []byte(opt.Text))
		err = p.text(newLexer(cfg.Path, opt.Text), top, inFile)
	} else {
		err = p.file(cfg.Path, top)
	}
	if err != nil {
		return nil, err
	}
	if opt.Parsed != nil {
		opt.Parsed()
	}
	if err := Merge(nil, cfg.Core); err != nil {
		return nil, err
	}
	if err := cfg.Core.initOwn(); err != nil {
		return nil, err
	}
	return cfg, nil
}

func newConfig(opt Options) *Config {
	cfg := &Config{
		Prefix:  opt.Prefix,
		Modules: append([]*Module{&Builtin}, opt.Modules...),
		Test:    opt.Test,
		Values:  map[any]any{},
		logger:  opt.Log,

		readFile:    opt.ReadFile,
		glob:        opt.Glob,
		skipUnknown: opt.SkipUnknown,
	}
	if cfg.readFile == nil {
		cfg.readFile = os.ReadFile
	}
	if cfg.glob == nil {
		cfg.glob = Glob
	}
	if cfg.Prefix != "" && !strings.HasSuffix(cfg.Prefix, "/") {
		cfg.Prefix += "/"
	}
	cfg.Path = cfg.FullName(opt.Path)
	cfg.ConfPrefix = cfg.Path[:strings.LastIndexByte(cfg.Path, '/')+1]
	cfg.parser = newParser(cfg)
	cfg.Core = NewScope(KindCore, nil)
	cfg.Core.config = cfg
	return cfg
}

// ReadFile reads a file that a directive names: a key, a table. Modules read all such
// files through it while the configuration loads. The server may read them as root and
// keep what it read for the process that serves, which is not.
func (cfg *Config) ReadFile(name string) ([]byte, error) { return cfg.readFile(name) }

// Partial reports whether unknown directives were skipped (Options.SkipUnknown): what
// is missing may stand in their blocks.
func (cfg *Config) Partial() bool { return cfg.skipUnknown }

// FullName makes a name relative to the prefix absolute.
func (cfg *Config) FullName(name string) string {
	if strings.HasPrefix(name, "/") {
		return name
	}
	return cfg.Prefix + name
}

// fullConfName makes a name relative to the main file's directory absolute.
func (cfg *Config) fullConfName(name string) string {
	if strings.HasPrefix(name, "/") {
		return name
	}
	return cfg.ConfPrefix + name
}

// FullConfName is FullName for names relative to the main file's directory, as
// certificates and included files are.
func (cfg *Config) FullConfName(name string) string { return cfg.fullConfName(name) }

func (cfg *Config) addFile(name string, data []byte) {
	for i := range cfg.Files {
		if cfg.Files[i].Name == name {
			return
		}
	}
	cfg.Files = append(cfg.Files, File{name, data})
}

// WriteFiles writes every file that was read, as -T does.
func (cfg *Config) WriteFiles(w io.Writer) error {
	for _, f := range cfg.Files {
		_, err := io.WriteString(w, "# configuration file "+f.Name+":\n"+string(f.Data)+"\n")
		if err != nil {
			return err
		}
	}
	return nil
}

func (cfg *Config) log(level, msg string) {
	if cfg.logger != nil {
		cfg.logger(level, msg)
	}
}
