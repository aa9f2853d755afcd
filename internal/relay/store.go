package relay

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"moongate/internal/base/nlog"
	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/filecache"
	"moongate/internal/http1"
)

// Store says whether and where responses are kept as files.
type Store struct {
	on   bool
	path *engine.Template // nil: where the location's root or alias says
	at   *conf.Scope      // where it was said
}

// StoreRows makes the directives of storing, for protocols that have them.
func StoreRows[T any](prefix string, l *conf.Level[T], of func(*T) *Conf) []conf.Directive {
	typ := conf.NewType(storeType.String(), storeType.Arity(), func(c *conf.Cmd) (Store, error) {
		s, err := storeType.Parse(c)
		if err == nil && s.on && of(l.Of(c.Scope)).Caching.Caches() {
			err = c.Bad("is incompatible with \"" + prefix + "cache\"")
		}
		return s, err
	})
	return []conf.Directive{
		{Name: prefix + "store", In: anywhere, Default: "off", Set: conf.Slot(l, typ, func(t *T) *conf.Opt[Store] { return &of(t).Store }),
			Doc: "Keeps complete responses with the status 200 as files: where root or alias say, or under a name that may have variables."},
		{Name: prefix + "store_access", In: anywhere, Default: "user:rw", Set: conf.Slot(l, conf.Access, func(t *T) *conf.Opt[uint32] { return &of(t).StoreAccess }),
			Doc: "The permissions of stored files; folders that are made for them can also be entered."},
	}
}

var storeType = conf.NewType("on | off | string", conf.Take1, func(c *conf.Cmd) (s Store, err error) {
	s.at = c.Scope
	switch c.Args[0] {
	case "off":
	case "on":
		s.on = true
	case "":
		return s, c.Errorf("empty path")
	default:
		s.on = true
		s.path, err = engine.CompileArg(c, c.Args[0])
	}
	return s, err
})

// stored is a response that becomes a file: one of a folder that the configuration names, or of a cache.
type stored struct {
	f      *os.File
	size   int64
	failed bool
	use    *filecache.Use // of the cache
	buf    []byte         // what was not written yet, with use; from the worker's buffers
}

// storePiece is how much of a response for a cache is written at once.
const storePiece = 32 << 10

// beginStore opens the file when the response is one to keep.
func (x *Exchange) beginStore() {
	if !x.Conf.Store.V.on || x.Resp.Status != 200 || x.R.HeadOnly {
		return
	}
	f, err := x.R.CreateTemp(x.Conf.Temp.V)
	if err != nil {
		return
	}
	x.store = &stored{f: f}
}

func (s *stored) write(x *Exchange, p []byte) {
	if s.buf != nil && len(s.buf)+len(p) <= cap(s.buf) {
		s.buf = append(s.buf, p...)
		return
	}
	s.put(x, s.buf)
	if s.buf = s.buf[:0]; s.buf != nil && len(p) < cap(s.buf) {
		s.buf = append(s.buf, p...)
		return
	}
	s.put(x, p)
}

// put writes to the file.
func (s *stored) put(x *Exchange, p []byte) {
	if s.failed || len(p) == 0 {
		return
	}
	if _, err := s.f.WriteAt(p, s.size); err != nil {
		x.R.LogErr(nlog.Crit, err, "pwrite() \"%s\" failed", s.f.Name())
		s.failed = true
		return
	}
	s.size += int64(len(p))
}

// endStore moves the file to its place when the response is complete; else it goes.
func (x *Exchange) endStore(complete bool) {
	s := x.store
	if s == nil {
		return
	}
	x.store = nil
	defer s.f.Close()
	if s.use != nil {
		x.endFile(s, complete)
		return
	}
	n := x.Resp.ContentLength
	if !complete || s.failed || n >= 0 && !x.Resp.Chunked && n != s.size || !x.place(s) {
		os.Remove(s.f.Name())
	}
}

// place gives the file its name, permissions and time; it logs what goes wrong.
func (x *Exchange) place(s *stored) bool {
	r := x.R
	var to string
	if t := x.Conf.Store.V.path; t != nil {
		to = t.EvalString(r)
	} else {
		to = string(r.MapPath(nil))
	}
	if to == "" {
		return false
	}
	to = r.H.Config.FullName(to)
	mode := fs.FileMode(x.Conf.StoreAccess.V)
	from := s.f.Name()
	if v := x.Resp.Get(http1.HLastModified); v != nil {
		if t, ok := http1.ParseTime(v); ok {
			at := time.Unix(t, 0)
			os.Chtimes(from, at, at)
		}
	}
	if call, err := filecache.Move(s.f, to, mode, mode|mode&0o444>>2); err != nil {
		r.LogErr(nlog.Crit, err, "%s failed", call)
		return false
	}
	return true
}

// createKept makes the temporary file of a response for a cache.
func (x *Exchange) createKept() (*os.File, error) {
	r, u := x.R, &x.cache.use
	if !u.Cache().OwnTemp {
		return r.CreateTemp(x.Conf.Temp.V)
	}
	name := string(u.Name(nil))
	for {
		file := fmt.Sprintf("%s.%010d", name, rand.Uint64N(1e10))
		f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		switch {
		case err == nil:
			return f, nil
		case os.IsExist(err):
			continue
		case os.IsNotExist(err) && os.MkdirAll(filepath.Dir(file), 0o700) == nil:
			if f, err = os.OpenFile(file, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600); err == nil {
				return f, nil
			}
		}
		r.LogErr(nlog.Crit, err, "open() \"%s\" failed", file)
		return nil, err
	}
}

// endFile makes a complete response the cache's; else it goes.
func (x *Exchange) endFile(s *stored, complete bool) {
	if complete {
		s.put(x, s.buf)
	}
	x.w.FreeBuffer(s.buf)
	s.buf = nil
	if complete && !s.failed {
		call, err := s.use.Commit(s.f)
		if err == nil {
			return
		}
		x.R.LogErr(nlog.Crit, err, "%s failed", call)
	} else {
		s.use.Free()
	}
	os.Remove(s.f.Name())
}
