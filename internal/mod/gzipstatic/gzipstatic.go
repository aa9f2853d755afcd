// Package gzipstatic serves the file with ".gz" behind its name in place of a file (gzip_static), to clients that accept
// gzip or to all. What is not there is left to the content steps after it.
package gzipstatic

import (
	"syscall"

	"moongate/internal/base/nlog"
	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/http1"
	"moongate/internal/openfile"
)

// mode is gzip_static.
type mode uint8

const (
	off mode = iota
	on
	always
)

type config struct{ mode conf.Opt[mode] }

var loc = conf.NewLevel[config](conf.KindLocation)

// Module is the gzip_static directive and its step, which stands before that of static.
var Module = engine.Module{
	Module: conf.Module{Name: "gzip_static", Directives: []conf.Directive{
		{Name: "gzip_static", In: conf.HTTPServerLocation, Default: "off",
			Set: conf.Slot(loc, conf.Enum(conf.Case("off", off), conf.Case("on", on), conf.Case("always", always)), func(c *config) *conf.Opt[mode] { return &c.mode }),
			Doc: "Sends files that were compressed before, NAME.gz for NAME: to clients that accept it (on) or to all (always)."},
	}},
	Steps: []engine.Step{{Phase: engine.Content, Active: func(s *conf.Scope) bool { return loc.Of(s).mode.V != off }, Run: serve}},
}

var (
	nameContentEncoding = []byte("Content-Encoding")
	codingGzip          = []byte("gzip")
)

func serve(r *engine.Request) engine.Status {
	if n := len(r.URI); r.Method&(http1.MethodGet|http1.MethodHead) == 0 || n == 0 || r.URI[n-1] == '/' {
		return engine.Declined
	}
	m := loc.Of(r.Scope).mode.V
	welcome := m == always || r.GzipOK()
	if !welcome && !r.Core().Gzip.Vary.V {
		return engine.Declined
	}
	name, _ := r.FileName(len(".gz"))
	if name == nil {
		return 500
	}
	end := len(name)
	name = name[:end+4]
	copy(name[end:], ".gz\x00")
	name = name[:end+3]
	var info openfile.Info
	f := r.OpenFile(name, &info)
	if info.Err != 0 {
		failed(r, name, &info)
		return engine.Declined
	}
	if m == on {
		r.Out.VaryEncoding = true
	}
	switch {
	case info.IsDir():
		return engine.Declined
	case !welcome:
		f.Unref()
		return engine.Declined
	}
	st := send(r, f, name, &info)
	f.Unref()
	return st
}

// failed logs what is more than a file that is not there.
func failed(r *engine.Request, name []byte, i *openfile.Info) {
	switch i.Err {
	case syscall.ENOENT, syscall.ENOTDIR, syscall.ENAMETOOLONG:
	case syscall.EACCES, syscall.EMLINK, syscall.ELOOP:
		r.LogErr(nlog.Error, i.Err, "%s \"%s\" failed", i.Failed, name)
	default:
		r.LogErr(nlog.Crit, i.Err, "%s \"%s\" failed", i.Failed, name)
	}
}

func send(r *engine.Request, f *engine.File, name []byte, i *openfile.Info) engine.Status {
	if !i.IsRegular() {
		r.Logf(nlog.Crit, "\"%s\" is not a regular file", name)
		return 404
	}
	if st := r.DiscardBody(); st != engine.OK {
		return st
	}
	r.AddHeader(http1.HContentEncoding, nameContentEncoding, codingGzip)
	return r.SendFile(f, i)
}
