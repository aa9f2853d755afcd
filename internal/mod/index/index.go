// Package index answers for URIs that end in a slash with the first index file that is there, by an internal redirect to
// it: the file's own location serves it.
package index

import (
	"strings"
	"syscall"

	"moongate/internal/base/nlog"
	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/http1"
	"moongate/internal/openfile"
)

type config struct {
	lines [][]*engine.Template // the files of each directive
}

var loc = conf.NewLevel[config](conf.KindLocation)

// Module is the index directive and its step.
var Module = engine.Module{
	Module: conf.Module{Name: "index", Directives: []conf.Directive{
		{Name: "index", In: conf.HTTPServerLocation, Args: conf.OneMore, Syntax: "file ...", Default: "index.html",
			Set: conf.List(loc, parse, func(c *config) *[][]*engine.Template { return &c.lines }),
			Doc: "The files that are tried, in their order, for a URI that ends in a slash. The last one may be a URI, which is taken without looking."},
	}},
	Steps: []engine.Step{{Phase: engine.Content, Run: serve}},
}

func parse(c *conf.Cmd) ([]*engine.Template, error) {
	var files []*engine.Template
	for i, a := range c.Args {
		if strings.HasPrefix(a, "/") && i != len(c.Args)-1 {
			c.Warnf("only the last index in \"index\" directive should be absolute")
		}
		if a == "" {
			return nil, c.Errorf("index \"%s\" in \"index\" directive is invalid", a)
		}
		t, err := engine.CompileArg(c, a)
		if err != nil {
			return nil, err
		}
		files = append(files, t)
	}
	return files, nil
}

// room is what most names of index files fit into.
const room = 32

func serve(r *engine.Request) engine.Status {
	if n := len(r.URI); n == 0 || r.URI[n-1] != '/' || r.Method&(http1.MethodGet|http1.MethodHead|http1.MethodPost) == 0 {
		return engine.Declined
	}
	var dir []byte
	root, have, tested := 0, 0, false
	for _, line := range loc.Of(r.Scope).lines {
		for _, t := range line {
			file := t.Eval(r)
			if len(file) > 0 && file[0] == '/' {
				return r.InternalRedirect(file, r.Args)
			}
			if dir == nil || len(file) > have {
				have = max(len(file), room)
				if dir, root = r.FileName(have); dir == nil {
					return 500
				}
			}
			name := dir[:len(dir)+len(file)+1]
			copy(name[len(dir):], file)
			name[len(name)-1] = 0
			name = name[:len(name)-1]
			st := try(r, dir, name, &tested)
			if st == engine.Declined {
				continue
			}
			if st != engine.OK {
				return st
			}
			return r.InternalRedirect(found(r, name, root, file), r.Args)
		}
	}
	return engine.Declined
}

// found is the URI of an index file.
func found(r *engine.Request, name []byte, root int, file []byte) []byte {
	if n, whole := r.AliasLen(); n == 0 && !whole {
		return name[root:]
	}
	return append(append(r.Alloc(len(r.URI) + len(file))[:0], r.URI...), file...)
}

// try looks for one file: OK it is there, Declined try the next.
func try(r *engine.Request, dir, name []byte, tested *bool) engine.Status {
	var i openfile.Info
	if r.StatFile(name, false, &i) {
		return engine.OK
	}
	switch i.Err {
	case syscall.EMLINK, syscall.ELOOP:
		return 403
	case syscall.ENOTDIR, syscall.ENAMETOOLONG, syscall.EACCES:
		return missing(r, name, i.Err)
	}
	if !*tested {
		if st := testDir(r, dir, name); st != engine.OK {
			return st
		}
		*tested = true
	}
	if i.Err == syscall.ENOENT {
		return engine.Declined
	}
	r.LogErr(nlog.Crit, i.Err, "%s \"%s\" failed", i.Failed, name)
	return 500
}

// testDir makes sure that the folder itself is there.
func testDir(r *engine.Request, dir, name []byte) engine.Status {
	var i openfile.Info
	at := len(dir) - 1
	if at == 0 || dir[at] != '/' { // "alias" without a slash at its end
		at++
	}
	was := name[:at+1][at]
	name[:at+1][at] = 0
	ok := r.StatFile(name[:at], true, &i)
	name[:at+1][at] = was
	switch {
	case ok && i.IsDir():
		return engine.OK
	case ok:
		r.Logf(nlog.Alert, "\"%s\" is not a directory", name[:at])
		return 500
	}
	switch i.Err {
	case syscall.EMLINK, syscall.ELOOP:
		return 403
	case syscall.ENOENT:
		return missing(r, name, i.Err)
	case syscall.EACCES: // no more than searching is allowed, which the first look did
		return engine.OK
	}
	r.LogErr(nlog.Crit, i.Err, "%s \"%s\" failed", i.Failed, name[:at])
	return 500
}

func missing(r *engine.Request, name []byte, err syscall.Errno) engine.Status {
	if err == syscall.EACCES {
		r.LogErr(nlog.Error, err, "\"%s\" is forbidden", name)
		return 403
	}
	if r.Core().LogNotFound.V {
		r.LogErr(nlog.Error, err, "\"%s\" is not found", name)
	}
	return 404
}
