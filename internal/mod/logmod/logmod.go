// Package logmod writes the access log: log_format, access_log.
//
// A format is compiled to operations that append to a line in the worker's memory; the line goes out with one write(2)
// on a descriptor opened for appending, or into the worker's buffer of the file. Files belong to the configuration
// (nlog.Files), which opens them, and reopens them on USR1 after the buffers were written.
package logmod

import (
	"strings"
	"time"

	"moongate/internal/base/ascii"
	"moongate/internal/base/nlog"
	"moongate/internal/base/units"
	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/errlog"
)

// mainConfig is what an http block has: formats by name and the files that are logged to.
type mainConfig struct {
	formats []*format
	files   []*file
}

// config is what a location says. Logs are inherited as a whole.
type config struct {
	logs  []*target
	off   bool
	cache conf.Opt[*nameCache]
}

// target is one access_log directive. Exactly one of file, path and syslog is set.
type target struct {
	format *format
	filter *engine.Template // if=
	file   *file
	path   *engine.Template // a name with variables
	syslog *nlog.Syslog
	quiet  quiet
}

var (
	mainLevel = conf.NewLevel(conf.KindMain, func(m *mainConfig) { m.formats = []*format{{name: combinedName}} })
	loc       = conf.NewLevel[config](conf.KindLocation).OnMerge(inherit)
)

const (
	combinedName = "combined"
	combined     = `$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent"`
	defaultPath  = "logs/access.log"
)

// Module is the log module. It stands behind Lua in the list: log_by_lua runs first.
var Module = engine.Module{
	Module: conf.Module{Name: "log", Directives: []conf.Directive{
		{Name: "log_format", Syntax: "name [escape=default | json | none] string ...", In: conf.HTTP, Args: conf.TwoMore, Set: conf.Func(readFormat),
			Default: "combined \"...\"",
			Doc:     "Names a format of log lines. Values of variables are escaped as `\\xXX`, for a JSON string, or not at all; a variable without value is `-` in the first way, else empty. `combined` is there from the beginning."},
		{Name: "access_log", Syntax: "path [format [buffer=size] [gzip[=level]] [flush=time] [if=condition]] | off", In: conf.HTTP | conf.Server | conf.Location | conf.LocationIf | conf.LimitExcept, Args: conf.OneMore, Set: conf.Func(readLog),
			Default: "logs/access.log combined",
			Doc:     "Logs each request to a file, whose name may have variables, or with `syslog:server=...` to a syslog server; may be repeated. `buffer` gathers lines, which are written when the buffer is full or after `flush`; `gzip` compresses them. With `if` a request is logged when the value is neither empty nor `0`."},
		{Name: "open_log_file_cache", Syntax: "max=N [inactive=time] [min_uses=N] [valid=time] | off", In: conf.HTTPServerLocation, Args: conf.Take1234, Set: conf.Func(readCache), Default: "off",
			Doc: "Keeps log files whose names have variables open: up to max of them, unless unused for the time of inactive (10s) or used less often than min_uses (1) in it. After the time of valid (60s) it is seen whether the name still means the same file."},
	}},
	Steps:      []engine.Step{{Phase: engine.Log, Active: logs, Run: log}},
	Setup:      setup,
	Init:       makeBuffers,
	StopWorker: stopWorker,
	TrimWorker: trimWorker,

	RetireWorker: retireWorker,
}

func logs(s *conf.Scope) bool {
	c := loc.Of(s)
	return !c.off && len(c.logs) > 0
}

// inherit completes a level; where nobody says anything, everything is logged.
func inherit(parent, child *config, s *conf.Scope) error {
	if !child.cache.IsSet {
		child.cache = parent.cache
	}
	if child.logs != nil || child.off {
		return nil
	}
	child.logs, child.off = parent.logs, parent.off
	if child.logs == nil && !child.off {
		m := mainLevel.Of(s)
		child.logs = []*target{{format: m.formats[0], file: m.open(s.Config(), defaultPath)}}
	}
	return nil
}

// setup compiles the predefined format, once variables of all modules are known.
func setup(h *engine.HTTP) error {
	return mainLevel.Of(h.Scope).formats[0].compile(h, []string{combined})
}

// open names a file of the configuration.
func (m *mainConfig) open(cfg *conf.Config, path string) *file {
	f := nlog.FilesIn(cfg.Values).Add(cfg.FullName(path))
	for _, have := range m.files {
		if have.File == f {
			return have
		}
	}
	have := &file{File: f, report: errlog.Process(cfg)}
	m.files = append(m.files, have)
	return have
}

func readFormat(c *conf.Cmd) error {
	m := mainLevel.Of(c.Scope)
	f := &format{name: c.Args[0]}
	for _, have := range m.formats {
		if have.name == f.name {
			return c.Errorf("duplicate \"log_format\" name \"%s\"", f.name)
		}
	}
	texts := c.Args[1:]
	if kind, ok := strings.CutPrefix(texts[0], "escape="); ok {
		switch kind {
		case "default":
		case "json":
			f.escape = escapeJSON
		case "none":
			f.escape = escapeNone
		default:
			return c.Errorf("unknown log format escaping \"%s\"", kind)
		}
		texts = texts[1:]
	}
	if err := f.compile(engine.HTTPOf(c), texts); err != nil {
		return c.Errorf("%s", err)
	}
	m.formats = append(m.formats, f)
	return nil
}

func readLog(c *conf.Cmd) error {
	lc := loc.Of(c.Scope)
	path := c.Args[0]
	if path == "off" {
		if len(c.Args) > 1 {
			return c.InvalidParameter(c.Args[1])
		}
		lc.off = true
		return nil
	}
	t := &target{}
	if err := t.place(c, path); err != nil {
		return err
	}
	name := combinedName
	if len(c.Args) > 1 {
		name = c.Args[1]
	}
	for _, f := range mainLevel.Of(c.Scope).formats {
		if strings.EqualFold(f.name, name) {
			t.format = f
			break
		}
	}
	if t.format == nil {
		return c.Errorf("unknown log format \"%s\"", name)
	}
	if err := t.params(c); err != nil {
		return err
	}
	lc.logs = append(lc.logs, t)
	return nil
}

// place reads where the lines go.
func (t *target) place(c *conf.Cmd, path string) (err error) {
	if params, ok := strings.CutPrefix(path, "syslog:"); ok {
		if t.syslog, err = nlog.ParseSyslog(params); err != nil {
			return c.Errorf("%s", err)
		}
		report := errlog.Process(c.Config())
		t.syslog.OnFailure(func(what string, err error) {
			report.Logf(nlog.FailureLevel(err), nil, err, "%s failed while logging to syslog", what)
		})
		return nil
	}
	if strings.Contains(path, "$") {
		t.path, err = engine.CompileArg(c, c.Config().FullName(path))
		return err
	}
	t.file = mainLevel.Of(c.Scope).open(c.Config(), path)
	return nil
}

func (t *target) params(c *conf.Cmd) error {
	var b buffering
	for _, a := range c.Args[min(2, len(c.Args)):] {
		key, val, has := strings.Cut(a, "=")
		var err error
		switch {
		case key == "buffer" && has:
			n, ok := units.Size(val)
			if !ok || n == 0 {
				return c.Errorf("invalid buffer size \"%s\"", val)
			}
			b.size = int(n)
		case key == "flush" && has:
			d, ok := units.Msec(val)
			if !ok || d == 0 {
				return c.Errorf("invalid flush time \"%s\"", val)
			}
			b.flush = d
		case key == "gzip":
			if b.size == 0 {
				b.size = 64 << 10
			}
			n, ok := int64(1), true
			if has {
				n, ok = ascii.ParseInt(val)
			}
			if !ok || n < 1 || n > 9 {
				return c.Errorf("invalid compression level \"%s\"", val)
			}
			b.gzip = int(n)
		case key == "if" && has:
			t.filter, err = engine.CompileArg(c, val)
		default:
			err = c.InvalidParameter(a)
		}
		if err != nil {
			return err
		}
	}
	switch {
	case b.flush != 0 && b.size == 0:
		return c.Errorf("no buffer is defined for access_log \"%s\"", c.Args[0])
	case b.size == 0:
		return nil
	case t.path != nil:
		return c.Errorf("buffered logs cannot have variables in name")
	case t.syslog != nil:
		return c.Errorf("logs to syslog cannot be buffered")
	case t.file.size == 0:
		t.file.buffering = b
	case t.file.buffering != b:
		return c.Errorf("access_log \"%s\" already defined with conflicting parameters", c.Args[0])
	}
	return nil
}

func readCache(c *conf.Cmd) error {
	lc := loc.Of(c.Scope)
	if lc.cache.IsSet {
		return c.Duplicate()
	}
	n := &nameCache{inactive: 10 * time.Second, valid: 60 * time.Second, minUses: 1}
	off := false
	for _, a := range c.Args {
		key, val, has := strings.Cut(a, "=")
		ok := has
		switch {
		case key == "max" && has:
			var v int64
			v, ok = ascii.ParseInt(val)
			n.max = int(v)
		case key == "inactive" && has:
			n.inactive, ok = units.Sec(val)
		case key == "min_uses" && has:
			var v int64
			v, ok = ascii.ParseInt(val)
			n.minUses = int(v)
		case key == "valid" && has:
			n.valid, ok = units.Sec(val)
		case a == "off":
			off, ok = true, true
		default:
			ok = false
		}
		if !ok {
			return c.Errorf("invalid \"open_log_file_cache\" parameter \"%s\"", a)
		}
	}
	switch {
	case off:
		lc.cache = conf.Some[*nameCache](nil)
		return nil
	case n.max == 0:
		return c.Errorf("\"open_log_file_cache\" must have \"max\" parameter")
	}
	lc.cache = conf.Some(n)
	return nil
}
