package engine

import (
	"strings"
	"time"

	"moongate/internal/base/units"
	"moongate/internal/conf"
	"moongate/internal/openfile"
)

// FileConf is how a location opens files: open_file_cache and disable_symlinks. It is a part of LocConf.
type FileConf struct {
	Cache    conf.Opt[*FileCache]
	Valid    conf.Opt[time.Duration]
	MinUses  conf.Opt[int]
	Errors   conf.Opt[bool]
	Symlinks conf.Opt[Symlinks]
}

// FileCache is one open_file_cache directive: every worker has a cache of its own for it.
type FileCache struct {
	max      int
	inactive time.Duration
}

// Symlinks is disable_symlinks.
type Symlinks struct {
	Links openfile.Links
	From  *Template
}

var openFileRows = []conf.Directive{
	{Name: "open_file_cache", In: httpAll, Args: conf.Take12, Syntax: "off | max=number [inactive=time]", Default: "off",
		Set: conf.Slot(locLevel, fileCacheType, func(c *LocConf) *conf.Opt[*FileCache] { return &c.Files.Cache }),
		Doc: "Keeps up to max files open that were asked for within the time of inactive, with what is known about them."},
	{Name: "open_file_cache_valid", In: httpAll, Default: "60s", Set: conf.Slot(locLevel, conf.Sec, func(c *LocConf) *conf.Opt[time.Duration] { return &c.Files.Valid }),
		Doc: "The time after which an entry of open_file_cache is compared with the file system."},
	{Name: "open_file_cache_min_uses", In: httpAll, Default: "1", Set: conf.Slot(locLevel, conf.Number, func(c *LocConf) *conf.Opt[int] { return &c.Files.MinUses }),
		Doc: "How often a file must have been asked for to stay open."},
	{Name: "open_file_cache_errors", In: httpAll, Default: "off", Set: conf.Slot(locLevel, conf.Flag, func(c *LocConf) *conf.Opt[bool] { return &c.Files.Errors }),
		Doc: "Whether errors of looking for a file are remembered, too."},
	{Name: "open_file_cache_events", In: httpAll, Default: "off", Set: conf.Checked(conf.Flag),
		Doc: "Accepted for compatibility: entries are compared with the file system by open_file_cache_valid only."},
	{Name: "disable_symlinks", In: httpAll, Args: conf.Take12, Syntax: "off | on | if_not_owner [from=part]", Default: "off",
		Set: conf.Slot(locLevel, symlinksType, func(c *LocConf) *conf.Opt[Symlinks] { return &c.Files.Symlinks }),
		Doc: "Refuses files whose names have symbolic links: any, or those whose owner differs from the target's. The part of the name given with from is not looked at."},
}

var fileCacheType = conf.NewType("off | max=number [inactive=time]", conf.Take12, func(c *conf.Cmd) (*FileCache, error) {
	fc := &FileCache{inactive: 60 * time.Second}
	off := false
	for _, a := range c.Args {
		ok := false
		if v, is := strings.CutPrefix(a, "max="); is {
			var n int64
			n, ok = units.Number(v)
			ok = ok && n > 0
			fc.max = int(n)
		} else if v, is := strings.CutPrefix(a, "inactive="); is {
			fc.inactive, ok = units.Sec(v)
		} else if a == "off" {
			off, ok = true, true
		}
		if !ok {
			return nil, c.Errorf("invalid \"open_file_cache\" parameter \"%s\"", a)
		}
	}
	if off {
		return nil, nil
	}
	if fc.max == 0 {
		return nil, c.Errorf("\"open_file_cache\" must have the \"max\" parameter")
	}
	return fc, nil
})

var symlinksType = conf.NewType("off | on | if_not_owner [from=part]", conf.Take12, func(c *conf.Cmd) (Symlinks, error) {
	var s Symlinks
	words := map[string]openfile.Links{"off": openfile.LinksAny, "if_not_owner": openfile.LinksOwner, "on": openfile.LinksNone}
	set := false
	for _, a := range c.Args {
		if l, ok := words[a]; ok {
			s.Links, set = l, true
			continue
		}
		from, ok := strings.CutPrefix(a, "from=")
		if !ok {
			return s, c.InvalidParameter(a)
		}
		t, err := CompileArg(c, from)
		if err != nil {
			return s, err
		}
		s.From = t
	}
	switch {
	case !set:
		return s, c.Errorf("\"%s\" must have \"off\", \"on\" or \"if_not_owner\" parameter", c.Name)
	case len(c.Args) == 1:
		s.From = nil
	case s.From == nil:
		return s, c.Errorf("duplicate parameters \"%s %s\"", c.Args[0], c.Args[1])
	case s.Links == openfile.LinksAny:
		return s, c.Errorf("\"from=\" cannot be used with \"off\" parameter")
	}
	return s, nil
})

// fileMode applies disable_symlinks to a name.
func (c *FileConf) fileMode(r *Request, name []byte) openfile.Mode {
	s := &c.Symlinks.V
	m := openfile.Mode{Links: s.Links}
	if s.From == nil {
		return m
	}
	from := s.From.Eval(r)
	n := len(from)
	switch {
	case n == 0 || n > len(name) || str(name[:n]) != str(from):
	case n == len(name):
		m.Links = openfile.LinksAny
	case name[n] == '/':
		m.From = n
	case name[n-1] == '/':
		m.From = n - 1
	}
	return m
}

// zeroed makes sure that a zero byte stands behind the name, for the kernel.
func (r *Request) zeroed(name []byte) []byte {
	if n := len(name); n < cap(name) && name[:n+1][n] == 0 {
		return name
	}
	p := r.Alloc(len(name) + 1)
	copy(p, name)
	p[len(name)] = 0
	return p[:len(name)]
}

// OpenFile opens the file of a name by the rules of the location. What is known about it, or what failed, goes to i. A
// plain file or a device comes with a File, of which the caller has a reference; a folder does not.
func (r *Request) OpenFile(name []byte, i *openfile.Info) *File {
	name = r.zeroed(name)
	c := &r.Core().Files
	return r.openFile(name, openfile.Terms{Mode: c.fileMode(r, name)}, i)
}

// OpenKept is OpenFile for a file of our own making, whatever disable_symlinks says. A descriptor that is kept open is used if it
// is that of the file with the number uniq; 0: it is not known.
func (r *Request) OpenKept(name []byte, uniq uint64, i *openfile.Info) *File {
	return r.openFile(r.zeroed(name), openfile.Terms{Uniq: uniq}, i)
}

func (r *Request) openFile(name []byte, t openfile.Terms, i *openfile.Info) *File {
	c := &r.Core().Files
	if c.Cache.V == nil {
		if !openfile.Open(name, t.Mode, i) || i.FD < 0 {
			return nil
		}
		return r.W.newFile(i.FD, str(name))
	}
	cache := r.W.fileCache(c.Cache.V)
	c.terms(&t)
	e, _ := cache.Open(name, &t, r.W.Loop.Wall()/1e9, i)
	if e == nil {
		return nil
	}
	f := r.W.newFile(i.FD, str(name))
	f.cache, f.entry, f.uses = cache, e, t.MinUses
	return f
}

// StatFile examines the file of a name by the rules of the location; dir says that it should be a folder. It reports
// whether that went well.
func (r *Request) StatFile(name []byte, dir bool, i *openfile.Info) bool {
	name = r.zeroed(name)
	c := &r.Core().Files
	t := openfile.Terms{Mode: c.fileMode(r, name)}
	if c.Cache.V == nil {
		return openfile.Stat(name, t.Mode, i)
	}
	t.Dir = dir
	cache := r.W.fileCache(c.Cache.V)
	c.terms(&t)
	now := r.W.Loop.Wall() / 1e9
	e, ok := cache.Open(name, &t, now, i)
	if e != nil {
		cache.Release(e, t.MinUses, now)
	}
	return ok
}

func (c *FileConf) terms(t *openfile.Terms) {
	t.Valid, t.MinUses, t.Errors = int64(c.Valid.V/time.Second), c.MinUses.V, c.Errors.V
}

// fileCache is the worker's cache for a directive.
func (w *Worker) fileCache(fc *FileCache) *openfile.Cache {
	c := w.fileCaches[fc]
	if c == nil {
		if w.fileCaches == nil {
			w.fileCaches = map[*FileCache]*openfile.Cache{}
		}
		c = openfile.NewCache(fc.max, int64(fc.inactive/time.Second))
		w.fileCaches[fc] = c
	}
	return c
}

// shutFileCaches drops the caches of a snapshot that was replaced.
func (w *Worker) shutFileCaches() {
	for _, c := range w.fileCaches {
		c.Shut()
	}
	w.fileCaches = nil
}

func (w *Worker) trimFileCaches() {
	for _, c := range w.fileCaches {
		c.Trim(w.Loop.Wall() / 1e9)
	}
	w.freeFiles = nil
}
