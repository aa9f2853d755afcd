// Package tryfiles looks for files before the content phase (try_files): the first that is there becomes the URI, else
// the last parameter is a redirect or a status.
//
// The directive belongs to its block: it is not inherited, not even by an "if" in the same location.
package tryfiles

import (
	"bytes"
	"strings"
	"syscall"

	"moongate/internal/base/nlog"
	"moongate/internal/base/units"
	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/openfile"
)

type config struct {
	files []file
	last  file
	code  engine.Status // of "=code", instead of last
}

type file struct {
	name *engine.Template
	dir  bool
}

var loc = conf.NewLevel[config](conf.KindLocation)

// Module is the try_files directive and its step.
var Module = engine.Module{
	Module: conf.Module{Name: "try_files", Directives: []conf.Directive{
		{Name: "try_files", In: conf.Server | conf.Location, Args: conf.TwoMore, Syntax: "file ... uri | file ... =code",
			Set: conf.Func(read),
			Doc: "Serves the first of the files (folders, where a name ends in a slash) that is there; when none is, redirects internally to the URI or named location, or ends with the status."},
	}},
	Steps: []engine.Step{{Phase: engine.Precontent, Active: func(s *conf.Scope) bool { return loc.Of(s).files != nil }, Run: try}},
}

func read(c *conf.Cmd) error {
	cf := loc.Of(c.Scope)
	if cf.files != nil {
		return c.Duplicate()
	}
	n := len(c.Args) - 1
	for i, a := range c.Args {
		dir := i < n && strings.HasSuffix(a, "/")
		if dir {
			a = a[:len(a)-1]
		}
		t, err := engine.CompileArg(c, a)
		if err != nil {
			return err
		}
		f := file{t, dir}
		if i < n {
			cf.files = append(cf.files, f)
		} else {
			cf.last = f
		}
	}
	if code, ok := strings.CutPrefix(c.Args[n], "="); ok {
		v, ok := units.Number(code)
		if !ok || v > 999 {
			return c.Errorf("invalid code \"%s\"", c.Args[n])
		}
		cf.code = engine.Status(v)
	}
	return nil
}

func try(r *engine.Request) engine.Status {
	cf := loc.Of(r.Scope)
	var at place
	for i := range cf.files {
		f := &cf.files[i]
		name := at.name(r, f.name)
		if name == nil {
			return 500
		}
		var info openfile.Info
		if !r.StatFile(name, false, &info) {
			switch info.Err {
			case syscall.ENOENT, syscall.ENOTDIR, syscall.ENAMETOOLONG:
			default:
				r.LogErr(nlog.Crit, info.Err, "%s \"%s\" failed", info.Failed, name)
			}
			continue
		}
		if info.IsDir() == f.dir {
			at.take(r, name, f.dir)
			return engine.Declined
		}
	}
	if cf.code != 0 {
		return cf.code
	}
	name := at.name(r, cf.last.name)
	if name == nil {
		return 500
	}
	to := name[at.root:]
	if len(to) > 0 && to[0] == '@' {
		return r.NamedRedirect(to)
	}
	uri, args, _ := bytes.Cut(to, []byte("?"))
	return r.InternalRedirect(uri, args)
}

// place is the memory for the names of one run: what stands before the value, and room behind it.
type place struct {
	buf   []byte
	root  int
	alias int
	whole bool // the alias is a file name for itself
}

// name is root or alias with the value behind it.
func (p *place) name(r *engine.Request, t *engine.Template) []byte {
	v := t.Eval(r)
	if p.alias == 0 && !p.whole {
		p.alias, p.whole = r.AliasLen()
	}
	// A value that begins like the URI stands for what is below the alias.
	if n := p.alias; n > 0 && !t.IsLiteral() && len(v) >= n && n <= len(r.URI) && bytes.Equal(v[:n], r.URI[:n]) {
		v = v[n:]
	}
	if p.buf == nil || p.root+len(v) >= cap(p.buf) {
		name, root := r.FileName(len(v) + 16)
		if name == nil {
			return nil
		}
		p.buf, p.root = name, root
	}
	end := p.root + len(v)
	b := p.buf[:end+1]
	copy(b[p.root:], v)
	b[end] = 0
	return b[:end]
}

// take makes the file that was found the URI.
func (p *place) take(r *engine.Request, name []byte, dir bool) {
	rest := name[p.root:]
	switch {
	case p.whole:
		if !dir {
			r.TakeURI(rest, true)
		}
	case p.alias > 0:
		r.TakeURI(append(append(r.Alloc(p.alias + len(rest))[:0], r.URI[:p.alias]...), rest...), false)
	default:
		r.TakeURI(rest, false)
	}
}
