// Package randomindex answers a request for a folder with any of its files (random_index).
package randomindex

import (
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"syscall"

	"moongate/internal/base/nlog"
	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/http1"
)

type config struct{ on conf.Opt[bool] }

var loc = conf.NewLevel[config](conf.KindLocation)

// Module is the random_index directive and its step, which stands before that of index.
var Module = engine.Module{
	Module: conf.Module{Name: "random_index", Directives: []conf.Directive{
		{Name: "random_index", In: conf.Location, Default: "off", Set: conf.Slot(loc, conf.Flag, func(c *config) *conf.Opt[bool] { return &c.on }),
			Doc: "Sends any of the files in a folder, whose names begin with no dot, to those who ask for the folder."},
	}},
	Steps: []engine.Step{{Phase: engine.Content, Active: func(s *conf.Scope) bool { return loc.Of(s).on.V }, Run: serve}},
}

func serve(r *engine.Request) engine.Status {
	if n := len(r.URI); n == 0 || r.URI[n-1] != '/' || r.Method&(http1.MethodGet|http1.MethodHead|http1.MethodPost) == 0 {
		return engine.Declined
	}
	name, _ := r.FileName(0)
	if name == nil {
		return 500
	}
	dir := string(name[:len(name)-1])
	names, st := files(r, dir)
	if st != engine.OK {
		return st
	}
	if len(names) == 0 {
		return engine.Declined
	}
	pick := names[rand.IntN(len(names))]
	uri := append(append(r.Alloc(len(r.URI) + len(pick))[:0], r.URI...), pick...)
	return r.InternalRedirect(uri, r.Args)
}

// files lists the files of a folder.
func files(r *engine.Request, dir string) ([]string, engine.Status) {
	f, err := os.Open(dir)
	if err == nil {
		defer f.Close()
		if fi, e := f.Stat(); e == nil && !fi.IsDir() {
			err = syscall.ENOTDIR
		}
	}
	if err != nil {
		return nil, failed(r, dir, err)
	}
	var names []string
	for {
		list, err := f.ReadDir(256)
		for _, e := range list {
			if e.Name()[0] != '.' && isFile(dir, e) {
				names = append(names, e.Name())
			}
		}
		if err == io.EOF {
			return names, engine.OK
		}
		if err != nil {
			r.LogErr(nlog.Crit, err, "readdir() \"%s\" failed", dir)
			return nil, 500
		}
	}
}

func isFile(dir string, e fs.DirEntry) bool {
	if e.Type()&fs.ModeSymlink == 0 {
		return e.Type().IsRegular()
	}
	fi, err := os.Stat(dir + "/" + e.Name())
	return err == nil && fi.Mode().IsRegular()
}

func failed(r *engine.Request, dir string, err error) engine.Status {
	level, st := nlog.Error, engine.Status(404)
	switch {
	case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.ENAMETOOLONG):
	case errors.Is(err, syscall.EACCES):
		st = 403
	default:
		level, st = nlog.Crit, 500
	}
	r.LogErr(level, err, "opendir() \"%s\" failed", dir)
	return st
}
