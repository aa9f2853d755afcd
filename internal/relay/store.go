package relay

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"moongate/internal/base/nlog"
	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/http1"
)

// Store says whether and where responses are kept as files.
type Store struct {
	on   bool
	path *engine.Template // nil: where the location's root or alias says
}

// StoreRows makes the directives of storing, for protocols that have them.
func StoreRows[T any](prefix string, l *conf.Level[T], of func(*T) *Conf) []conf.Directive {
	return []conf.Directive{
		{Name: prefix + "store", In: anywhere, Default: "off", Set: conf.Slot(l, storeType, func(t *T) *conf.Opt[Store] { return &of(t).Store }),
			Doc: "Keeps complete responses with the status 200 as files: where root or alias say, or under a name that may have variables."},
		{Name: prefix + "store_access", In: anywhere, Default: "user:rw", Set: conf.Slot(l, conf.Access, func(t *T) *conf.Opt[uint32] { return &of(t).StoreAccess }),
			Doc: "The permissions of stored files; folders that are made for them can also be entered."},
	}
}

var storeType = conf.NewType("on | off | string", conf.Take1, func(c *conf.Cmd) (s Store, err error) {
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

// stored is a response that becomes a file.
type stored struct {
	f      *os.File
	size   int64
	failed bool
}

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
	if s.failed {
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
	fail := func(call string, err error) bool {
		r.LogErr(nlog.Crit, err, "%s failed", call)
		return false
	}
	if err := s.f.Chmod(mode); err != nil {
		return fail("chmod() \""+from+"\"", err)
	}
	if v := x.Resp.Get(http1.HLastModified); v != nil {
		if t, ok := http1.ParseTime(v); ok {
			at := time.Unix(t, 0)
			os.Chtimes(from, at, at)
		}
	}
	err := os.Rename(from, to)
	if err != nil && os.IsNotExist(err) {
		if err := os.MkdirAll(filepath.Dir(to), mode|mode&0o444>>2); err != nil {
			return fail("mkdir() \""+filepath.Dir(to)+"\"", err)
		}
		err = os.Rename(from, to)
	}
	if errors.Is(err, syscall.EXDEV) {
		err = s.copy(to, mode)
	}
	if err != nil {
		return fail("rename() \""+from+"\" to \""+to+"\"", err)
	}
	return true
}

// copy is a rename to another file system.
func (s *stored) copy(to string, mode fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(to), filepath.Base(to)+".")
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(f, io.NewSectionReader(s.f, 0, s.size))
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		if fi, e := s.f.Stat(); e == nil {
			os.Chtimes(f.Name(), fi.ModTime(), fi.ModTime())
		}
		err = os.Rename(f.Name(), to)
	}
	if err != nil {
		os.Remove(f.Name())
		return err
	}
	os.Remove(s.f.Name())
	return nil
}
