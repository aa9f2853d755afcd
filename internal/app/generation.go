package app

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"moongate/internal/base/nlog"
	"moongate/internal/base/version"
	"moongate/internal/conf"
	"moongate/internal/errlog"
	"moongate/internal/luajit"
	"moongate/internal/mod/core"
	"moongate/internal/plane"
)

// generation is one configuration and what is open for it. A reload makes the
// next one.
type generation struct {
	cfg   *conf.Config
	core  *core.Config
	log   *nlog.Logger
	files *nlog.Files
	socks []plane.Socket // none while only parsed
	disk  *disk
}

// disk is what reading a configuration got from the disk. The supervisor keeps
// it for the worker, which starts again with the same, and which on a reload
// may not be allowed to read it.
type disk struct {
	Files map[string][]byte
	Globs map[string][]string
}

// use has a load read from d, or, when record is set, from the disk into d.
func (d *disk) use(opt *conf.Options, record bool) {
	opt.ReadFile = func(name string) ([]byte, error) {
		if data, ok := d.Files[name]; ok && !record {
			return data, nil
		}
		data, err := os.ReadFile(name)
		if err == nil && record {
			d.Files[name] = data
		}
		return data, err
	}
	opt.Glob = func(mask string) []string {
		if names, ok := d.Globs[mask]; ok && !record {
			return names
		}
		names := conf.Glob(mask)
		if record {
			d.Globs[mask] = names
		}
		return names
	}
}

// configPath is -c or its default, still relative to the prefix.
func (p *process) configPath() string {
	if p.opt.Config == "" {
		return DefaultConfig
	}
	return p.opt.Config
}

// parse reads the configuration, from the disk or from what another process
// found there and has reported on. Errors are logged here.
func (p *process) parse(from *disk) (*generation, error) {
	opt := conf.Options{
		Modules: p.prog.Modules, Prefix: p.prefix(), Path: p.configPath(), Text: p.opt.Text,
		GlobalDirectives: p.opt.Global, Test: p.opt.Test,
	}
	record := from == nil
	if record {
		from = &disk{map[string][]byte{}, map[string][]string{}}
		opt.Log = func(level, msg string) {
			l, _ := nlog.ParseLevel(level)
			p.log.Log(l, nil, nil, msg)
		}
	}
	from.use(&opt, record)
	if p.opt.Test && !p.opt.Quiet {
		opt.Parsed = func() {
			os.Stderr.WriteString("nginx: the configuration file " + p.configName() + " syntax is ok\n")
		}
	}
	cfg, err := conf.Load(opt)
	if err != nil {
		p.fail(nlog.Emerg, err)
		return nil, err
	}
	errlog.Default(cfg, p.errorLogPath())
	return &generation{cfg: cfg, core: core.Of(cfg), log: errlog.Process(cfg), files: nlog.FilesIn(cfg.Values), disk: from}, nil
}

// configName is the full name of the configuration file.
func (p *process) configName() string {
	name := p.configPath()
	if name[0] == '/' {
		return name
	}
	return p.prefix() + name
}

// open opens what g needs, in nginx's order: directories, log files, sockets.
// Sockets that old has as well are taken over. openLog is for log files, nil
// means by name. After an error, which is logged, nothing stays open.
func (p *process) open(g, old *generation, openLog func(string) (int, error)) error {
	if err := plane.PathsIn(g.cfg.Values).Make(g.uid()); err != nil {
		p.fail(nlog.Emerg, err)
		return err
	}
	if err := g.files.Open(openLog); err != nil {
		p.fail(nlog.Emerg, err)
		return err
	}
	have := p.inherited
	if old != nil {
		have = old.socks
	}
	wanted, err := p.wanted(g, have)
	if err == nil {
		g.socks, err = openSockets(wanted, have, p.opt.Test, g.log)
	}
	if err != nil {
		p.advise(bindAdvice(err))
		g.files.Close()
		return err
	}
	p.checkLimits(g)
	return nil
}

// wanted is what g listens on: one socket for each worker where the
// configuration says reuseport. An address that is kept never gets fewer sockets
// than it has: a socket that is closed resets what waits in it.
func (p *process) wanted(g *generation, have []plane.Socket) ([]plane.Socket, error) {
	var list []plane.Socket
	plain := p.data().Sockets(g.cfg)
	if n := g.core.Connections; n < len(plain)+1 {
		g.log.Logf(nlog.Emerg, nil, nil, "%d worker_connections are not enough for %d listening sockets", n, len(plain))
		return nil, plane.ErrLogged
	}
	for _, s := range plain {
		n := 1
		if s.Options.ReusePort && s.Type == syscall.SOCK_STREAM && !p.opt.Test { // one is enough to see whether the address is free
			n = core.Workers(g.cfg)
		}
		for i := range have {
			if h := &have[i]; h.Addr == s.Addr && h.Type == s.Type {
				n = max(n, h.Worker+1)
			}
		}
		s.FD = -1
		for s.Worker = range n {
			list = append(list, s)
		}
	}
	return list, nil
}

// data returns the data plane of this process.
func (p *process) data() plane.Plane {
	if p.plane == nil {
		luajit.SetArgv(p.args)
		p.plane = p.prog.NewPlane()
	}
	return p.plane
}

// uid is the account served under, -1 when it is the own one.
func (g *generation) uid() int {
	if g.core.User == nil {
		return -1
	}
	return g.core.User.UID
}

// params is what the plane is told.
func (g *generation) params(worker bool) *plane.Params {
	p := &plane.Params{
		Config: g.cfg, Sockets: g.socks, Workers: max(g.core.Workers, 1), Connections: g.core.Connections,
		Log: g.log, Shutdown: g.core.ShutdownTimeout.V, DebugConn: g.core.DebugConn, Worker: worker, UID: -1, GID: -1,
	}
	if !worker {
		p.Workers = 1 // as nginx: one process is one worker
	} else if g.core.User != nil {
		p.UID, p.GID = g.core.User.UID, g.core.User.GID
	}
	return p
}

// ownParams are params for a plane in this process.
func (p *process) ownParams(g *generation) *plane.Params {
	pp := g.params(false)
	if p.opt.Foreground {
		pp.Workers = core.Workers(g.cfg)
	}
	return pp
}

func keepsStderr(g *generation) bool { return errlog.KeepStderr(g.cfg) }

// fail logs an error of starting or reloading, unless that has been done.
func (p *process) fail(level nlog.Level, err error) {
	var fault *plane.Fault
	var placed *conf.Error
	var path *os.PathError
	switch {
	case errors.Is(err, plane.ErrLogged):
	case errors.As(err, &fault):
		p.log.Log(fault.Level, nil, fault.Err, fault.Msg)
	case errors.As(err, &placed):
		if l, ok := nlog.ParseLevel(placed.Level); ok {
			level = l
		}
		p.log.Log(level, nil, nil, placed.Error())
		p.advise(placed.Advice())
	case errors.As(err, &path):
		p.log.Logf(level, nil, path.Err, "%s() \"%s\" failed", path.Op, path.Path)
		if p.opt.Config == "" && p.opt.Prefix == "" && path.Path == DefaultPrefix+DefaultConfig {
			p.advise("without -p or -c this is the file that is served; \"moongate run DIR\" and \"moongate -p DIR/\" serve another folder")
		} else if folder := filepath.Dir(path.Path); errors.Is(err, fs.ErrNotExist) && !exists(folder) {
			p.advise("there is no folder " + folder)
		}
	default:
		p.log.Log(level, nil, nil, err.Error())
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// advise tells who starts the program what to do about the line of nginx's before; a running server has nobody to tell.
func (p *process) advise(text string) {
	if text != "" && p.gen == nil {
		os.Stderr.WriteString("moongate: " + text + "\n")
	}
}

// status logs what nginx logs at this point of the start.
func (p *process) status() {
	log := p.log
	if !log.On(nlog.Notice) {
		return
	}
	log.Log(nlog.Notice, nil, nil, "using the \"epoll\" event method")
	log.Log(nlog.Notice, nil, nil, version.Build)
	var u syscall.Utsname
	if syscall.Uname(&u) == nil {
		log.Logf(nlog.Notice, nil, nil, "OS: %s %s", text(u.Sysname), text(u.Release))
	}
	var r syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r) == nil {
		log.Logf(nlog.Notice, nil, nil, "getrlimit(RLIMIT_NOFILE): %d:%d", r.Cur, r.Max)
	}
}

// checkLimits warns of worker_connections that cannot be had.
func (p *process) checkLimits(g *generation) {
	var r syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r) != nil || p.opt.Test {
		return
	}
	limit, n := int(r.Cur), g.core.Connections
	if n > limit && (!g.core.RlimitNofile.IsSet || n > g.core.RlimitNofile.V) {
		if g.core.RlimitNofile.IsSet {
			limit = g.core.RlimitNofile.V
		}
		g.log.Logf(nlog.Warn, nil, nil, "%d worker_connections exceed open file resource limit: %d", n, limit)
	}
}

func text(b [65]int8) string {
	s := make([]byte, 0, len(b))
	for _, c := range b {
		if c == 0 {
			break
		}
		s = append(s, byte(c))
	}
	return string(s)
}

// glance reads the process level only, and says nothing.
func (p *process) glance() (*generation, error) {
	cfg, err := conf.Load(conf.Options{
		Modules: []*conf.Module{&core.Module, &core.Events}, Prefix: p.prefix(), Path: p.configPath(), Text: p.opt.Text,
		GlobalDirectives: p.opt.Global, SkipUnknown: true,
	})
	if err != nil {
		return nil, err
	}
	return &generation{cfg: cfg, core: core.Of(cfg)}, nil
}
