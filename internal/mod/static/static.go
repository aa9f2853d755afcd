// Package static serves files: the content step for URIs that do not end in a slash. A folder gets a redirect to its URI
// with the slash.
//
// It knows nothing of ranges, conditions and compression, which are filters, and of where files are cached, which is the
// engine's open_file_cache. A request for a small file costs open, fstat, pread, write and close, and no memory.
package static

import (
	"syscall"

	"moongate/internal/base/nlog"
	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/http1"
	"moongate/internal/openfile"
)

// Module serves files.
var Module = engine.Module{
	Module: conf.Module{Name: "static"},
	Steps:  []engine.Step{{Phase: engine.Content, Run: serve}},
}

func serve(r *engine.Request) engine.Status {
	if r.Method&(http1.MethodGet|http1.MethodHead|http1.MethodPost) == 0 {
		return 405
	}
	if n := len(r.URI); n > 0 && r.URI[n-1] == '/' {
		return engine.Declined
	}
	name, _ := r.FileName(0)
	if name == nil {
		return 500
	}
	var info openfile.Info
	f := r.OpenFile(name, &info)
	switch {
	case info.Err != 0:
		return failed(r, name, &info)
	case info.IsDir():
		return redirect(r)
	}
	st := send(r, f, name, &info)
	f.Unref()
	return st
}

// failed logs why a file was not opened and gives the status for it.
func failed(r *engine.Request, name []byte, i *openfile.Info) engine.Status {
	level, st := nlog.Crit, engine.Status(500)
	switch i.Err {
	case syscall.ENOENT, syscall.ENOTDIR, syscall.ENAMETOOLONG:
		level, st = nlog.Error, 404
	case syscall.EACCES, syscall.EMLINK, syscall.ELOOP:
		level, st = nlog.Error, 403
	}
	if st != 404 || r.Core().LogNotFound.V {
		r.LogErr(level, i.Err, "%s \"%s\" failed", i.Failed, name)
	}
	return st
}

// redirect sends a client that asks for a folder without its last slash to the URI with it.
func redirect(r *engine.Request) engine.Status {
	escaped := 2 * http1.CountEscape(r.URI, http1.EscapeURI)
	to := r.Alloc(len(r.URI) + escaped + 2 + len(r.Args))[:0]
	to = append(http1.AppendEscape(to, r.URI, http1.EscapeURI), '/')
	if len(r.Args) > 0 {
		to = append(append(to, '?'), r.Args...)
	}
	r.Expose(to)
	return 301
}

func send(r *engine.Request, f *engine.File, name []byte, i *openfile.Info) engine.Status {
	if !i.IsRegular() {
		r.Logf(nlog.Crit, "\"%s\" is not a regular file", name)
		return 404
	}
	if r.Method == http1.MethodPost {
		return 405
	}
	if st := r.DiscardBody(); st != engine.OK {
		return st
	}
	return r.SendFile(f, i)
}
