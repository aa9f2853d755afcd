// Package errlog is the error_log directive, in every block that may have it:
// it gives each scope its nlog.Logger. A scope without a directive of its own
// has its parent's; the process level writes to the file of the -e option when
// the configuration names no file.
package errlog

import (
	"strings"

	"moongate/internal/base/nlog"
	"moongate/internal/base/units"
	"moongate/internal/conf"
)

// Module has the directive's row.
var Module = conf.Module{Name: "errlog", Directives: []conf.Directive{
	{Name: "error_log", Syntax: "file | stderr | syslog:server=address[,parameter=value] | memory:size [level]",
		Default: "logs/error.log error", Args: conf.OneMore,
		In:  conf.Main | conf.HTTP | conf.Server | conf.Location | conf.Stream | conf.StreamServer,
		Set: conf.Func(set),
		Doc: "Logs errors of the given severity and above (`debug`, `info`, `notice`, `warn`, `error`, `crit`, `alert`, `emerg`; `error` unless said) to a file, the standard error stream, a syslog server, or a ring in memory. It may be given several times in a block. The debug level may be narrowed to classes such as `debug_http`."},
}}

// config is what one scope says. log is nil until the scope has, or inherits,
// a logger.
type config struct{ log *nlog.Logger }

// process is the process level. Its logger exists from the start, because
// scopes read before the main error_log still inherit it.
type process struct {
	log    *nlog.Logger
	stderr bool // "error_log stderr" stands somewhere
}

var (
	core   = conf.NewLevel(conf.KindCore, func(p *process) { p.log = nlog.New() })
	loc    = conf.NewLevel[config](conf.KindLocation).OnMerge(inherit).OnInit(outermost)
	stream = conf.NewLevel[config](conf.KindStreamServer).OnMerge(inherit).OnInit(outermost)
)

// Process returns the logger of the process level.
func Process(cfg *conf.Config) *nlog.Logger { return core.Of(cfg.Core).log }

// Of returns the logger of a location, server or http scope, after merging.
func Of(s *conf.Scope) *nlog.Logger { return loc.Of(s).log }

// KeepStderr reports whether the configuration logs to stderr, which must then
// stay what it is.
func KeepStderr(cfg *conf.Config) bool { return core.Of(cfg.Core).stderr }

// Default completes the process level: name, "" for stderr, is the file of the
// -e option. The server calls it once the configuration is read.
func Default(cfg *conf.Config, name string) {
	log := Process(cfg)
	if log.FirstFile() == nil {
		log.Add(nlog.Target{Level: nlog.Error, File: nlog.FilesIn(cfg.Values).Add(name)})
	}
}

func inherit(parent, child *config, s *conf.Scope) error {
	if child.log == nil {
		child.log = parent.log
	}
	return outermost(child, s)
}

func outermost(c *config, s *conf.Scope) error {
	if c.log == nil && s.Config() != nil {
		c.log = Process(s.Config())
	}
	return nil
}

func set(c *conf.Cmd) error {
	var log **nlog.Logger
	switch {
	case c.In&conf.Main != 0:
		log = &core.Of(c.Scope).log
	case c.In&(conf.Stream|conf.StreamServer) != 0:
		log = &stream.Of(c.Scope).log
	default:
		log = &loc.Of(c.Scope).log
	}
	t, err := target(c)
	if err != nil {
		return err
	}
	if t.Level, err = level(c); err != nil {
		return err
	}
	if *log == nil {
		*log = nlog.New()
	}
	(*log).Add(t)
	return nil
}

// target reads where the lines go.
func target(c *conf.Cmd) (t nlog.Target, err error) {
	files := nlog.FilesIn(c.Config().Values)
	where := c.Args[0]
	if where == "stderr" {
		core.Of(c.Config().Core).stderr = true
		t.File = files.Add("")
		return t, nil
	}
	if size, ok := strings.CutPrefix(where, "memory:"); ok {
		n, ok := units.Size(size)
		if !ok || int(n) < nlog.RingOverhead+len(c.File) {
			return t, c.Errorf("invalid buffer size \"%s\"", size)
		}
		t.Writer = nlog.NewRing(int(n), c.File, c.Line).Write
		return t, nil
	}
	if params, ok := strings.CutPrefix(where, "syslog:"); ok {
		s, err := nlog.ParseSyslog(params)
		if err != nil {
			return t, c.Errorf("%s", err)
		}
		report := Process(c.Config())
		s.OnFailure(func(what string, err error) {
			report.Logf(nlog.FailureLevel(err), nil, err, "%s failed while logging to syslog", what)
		})
		t.Writer = s.Writer()
		return t, nil
	}
	t.File = files.Add(c.Config().FullName(where))
	return t, nil
}

// level reads the words after the target: one severity, or debug classes.
func level(c *conf.Cmd) (nlog.Level, error) {
	if len(c.Args) == 1 {
		return nlog.Error, nil
	}
	var l nlog.Level
	for _, word := range c.Args[1:] {
		next, ok := nlog.ParseLevel(word)
		if !ok || next > nlog.Debug && l != 0 && l <= nlog.Debug {
			return 0, c.Errorf("invalid log level \"%s\"", word)
		}
		if next <= nlog.Debug && l != 0 {
			return 0, c.Errorf("duplicate log level \"%s\"", word)
		}
		l |= next
	}
	if l == nlog.Debug {
		l = nlog.DebugAll
	}
	return l, nil
}
