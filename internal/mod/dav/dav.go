// Package dav changes files by the methods PUT, DELETE, MKCOL, COPY and MOVE (dav_methods): as much of WebDAV as nginx has.
//
// What may take long, copying and walking through folders, is done on a thread of its own while the worker goes on.
package dav

import (
	"bytes"
	"os"
	"strings"
	"syscall"

	"moongate/internal/base/nlog"
	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/http1"
)

type config struct {
	methods  conf.Opt[uint32]
	fullPath conf.Opt[bool]
	minDepth conf.Opt[int]
	access   conf.Opt[uint32]
}

var loc = conf.NewLevel[config](conf.KindLocation)

// methodNames are the words of dav_methods; the place of each is its bit.
var (
	methodNames = []string{"off", "PUT", "DELETE", "MKCOL", "COPY", "MOVE"}
	methods     = []http1.Method{0, http1.MethodPut, http1.MethodDelete, http1.MethodMkcol, http1.MethodCopy, http1.MethodMove}
)

// Module is the dav family; its step stands behind that of autoindex.
var Module = engine.Module{
	Module: conf.Module{Name: "dav", Directives: []conf.Directive{
		{Name: "dav_methods", Syntax: "off | method ...", In: conf.HTTPServerLocation, Default: "off", Set: conf.Slot(loc, conf.Bits(methodNames...), func(c *config) *conf.Opt[uint32] { return &c.methods }),
			Doc: "The methods of PUT, DELETE, MKCOL, COPY and MOVE that are carried out on files."},
		{Name: "create_full_put_path", In: conf.HTTPServerLocation, Default: "off", Set: conf.Slot(loc, conf.Flag, func(c *config) *conf.Opt[bool] { return &c.fullPath }),
			Doc: "Makes the folders that are missing for PUT."},
		{Name: "min_delete_depth", In: conf.HTTPServerLocation, Default: "0", Set: conf.Slot(loc, conf.Number, func(c *config) *conf.Opt[int] { return &c.minDepth }),
			Doc: "The number of components that the path of a DELETE must have at least."},
		{Name: "dav_access", Syntax: "users:permissions ...", In: conf.HTTPServerLocation, Args: conf.Take123, Default: "user:rw", Set: conf.Slot(loc, conf.Access, func(c *config) *conf.Opt[uint32] { return &c.access }),
			Doc: "The permissions of files and folders that are made."},
	}},
	Steps: []engine.Step{{Phase: engine.Content, Active: func(s *conf.Scope) bool { return loc.Of(s).methods.V&^1 != 0 }, Run: serve}},
}

// allows reports whether the method is to be carried out.
func (c *config) allows(m http1.Method) bool {
	for i, have := range methods {
		if have == m && c.methods.V&(1<<i) != 0 {
			return true
		}
	}
	return false
}

func serve(r *engine.Request) engine.Status {
	c := loc.Of(r.Scope)
	if !c.allows(r.Method) {
		return engine.Declined
	}
	switch r.Method {
	case http1.MethodPut:
		return put(r, c)
	case http1.MethodDelete:
		return remove(r, c)
	case http1.MethodMkcol:
		return mkcol(r, c)
	}
	return transfer(r, c)
}

// isCollection reports whether the URI ends as that of a folder does.
func isCollection(r *engine.Request) bool { return len(r.URI) > 0 && r.URI[len(r.URI)-1] == '/' }

func put(r *engine.Request, c *config) engine.Status {
	switch {
	case isCollection(r):
		r.Logf(nlog.Error, "cannot PUT to a collection")
		return 409
	case r.In.Has(http1.HContentRange):
		r.Logf(nlog.Error, "PUT with range is unsupported")
		return 501
	}
	if st := r.ReadBodyToFile(); st != engine.OK {
		return st
	}
	if r.Body.File == nil {
		r.Logf(nlog.Error, "PUT request body must be in a file")
		return 500
	}
	name, _ := r.FileName(0)
	if name == nil {
		return 500
	}
	path := string(name)
	st := engine.Status(201)
	var info syscall.Stat_t
	if syscall.Stat(path, &info) == nil {
		st = 204
		if info.Mode&syscall.S_IFMT == syscall.S_IFDIR {
			r.LogErr(nlog.Error, syscall.EISDIR, "\"%s\" could not be created", path)
			return 409
		}
	}
	m := move{r: r, from: r.Body.File.Name(), to: path, access: c.access.V, dirAccess: c.access.V, path: c.fullPath.V, time: -1}
	if v := r.In.Get(http1.HDate); v != nil {
		if t, ok := http1.ParseTime(v); ok {
			m.time = t
		}
	}
	ok := false
	r.Body.KeepFile = true // it gets another name, or is deleted here
	r.W.Loop.Offload(func() { ok = m.run() })
	if !ok {
		return 500
	}
	if st == 201 {
		location(r)
		r.Out.ContentLength = 0
	}
	r.Out.Status = st
	return r.SendHeadOnly()
}

// location says where the new file or folder is.
func location(r *engine.Request) {
	to := r.URI
	if n := http1.CountEscape(to, http1.EscapeURI); n > 0 {
		to = http1.AppendEscape(r.Alloc(len(to) + 2*n)[:0], to, http1.EscapeURI)
	}
	r.Expose(to)
}

// hasBody refuses bodies of methods that have none.
func hasBody(r *engine.Request, what string) bool {
	if r.ContentLength > 0 || r.ChunkedBody {
		r.Logf(nlog.Error, "%s unsupported", what)
		return true
	}
	return false
}

func mkcol(r *engine.Request, c *config) engine.Status {
	switch {
	case hasBody(r, "MKCOL with body is"):
		return 415
	case !isCollection(r):
		r.Logf(nlog.Error, "MKCOL can create a collection only")
		return 409
	}
	name, _ := r.FileName(0)
	if name == nil {
		return 500
	}
	path := string(name[:len(name)-1])
	if err := syscall.Mkdir(path, dirAccess(c.access.V)); err != nil {
		return fail(r, err, 409, "mkdir()", path)
	}
	location(r)
	return 201
}

func remove(r *engine.Request, c *config) engine.Status {
	if hasBody(r, "DELETE with body is") {
		return 415
	}
	if d := depthOf(r.URI, c.minDepth.V); d >= 0 {
		r.Logf(nlog.Error, "insufficient URI depth:%d to DELETE", d)
		return 409
	}
	name, _ := r.FileName(0)
	if name == nil {
		return 500
	}
	path := string(name)
	var info syscall.Stat_t
	if err := syscall.Lstat(path, &info); err != nil {
		st := engine.Status(404)
		if err == syscall.ENOTDIR {
			st = 409
		}
		return fail(r, err, st, "lstat()", path)
	}
	dir := info.Mode&syscall.S_IFMT == syscall.S_IFDIR
	if dir {
		if !isCollection(r) {
			r.LogErr(nlog.Error, syscall.EISDIR, "DELETE \"%s\" failed", path)
			return 409
		}
		if depth(r, infinity) != infinity {
			r.Logf(nlog.Error, "\"Depth\" header must be infinity")
			return 400
		}
		path = path[:len(path)-1]
	} else if d := depth(r, 0); d != 0 && d != infinity {
		r.Logf(nlog.Error, "\"Depth\" header must be 0 or infinity")
		return 400
	}
	st := engine.OK
	r.W.Loop.Offload(func() { st = deletePath(r, path, dir) })
	if st == engine.OK {
		return 204
	}
	return st
}

// depthOf is -1 when the path has at least that many components, else how many it has.
func depthOf(uri []byte, least int) int {
	if least == 0 {
		return -1
	}
	d := 0
	for i, c := range uri {
		if c == '/' {
			if d++; d >= least && i+1 < len(uri) {
				return -1
			}
		}
	}
	return d
}

// Values of the Depth header.
const (
	infinity = -1
	noDepth  = -2
)

func depth(r *engine.Request, byDefault int) int {
	if !r.In.Has(http1.HDepth) {
		return byDefault
	}
	switch v := r.In.Get(http1.HDepth); string(v) {
	case "0":
		return 0
	case "1":
		return 1
	case "infinity":
		return infinity
	default:
		r.Logf(nlog.Error, "client sent invalid \"Depth\" header: \"%s\"", v)
		return noDepth
	}
}

// transfer is COPY and MOVE.
func transfer(r *engine.Request, c *config) engine.Status {
	if hasBody(r, "COPY and MOVE with body are") {
		return 415
	}
	if !r.In.Has(http1.HDestination) {
		r.Logf(nlog.Error, "client sent no \"Destination\" header")
		return 400
	}
	dest := r.In.Get(http1.HDestination)
	uri, st := destination(r, dest)
	if st != engine.OK {
		return st
	}
	switch d := depth(r, infinity); {
	case d == infinity:
	case r.Method == http1.MethodMove:
		r.Logf(nlog.Error, "\"Depth\" header must be infinity")
		return 400
	case d != 0:
		r.Logf(nlog.Error, "\"Depth\" header must be 0 or infinity")
		return 400
	}
	overwrite, ok := mayOverwrite(r)
	if !ok {
		return 400
	}
	from, _ := r.FileName(0)
	own := r.URI
	r.URI = uri
	to, _ := r.FileName(0)
	r.URI = own
	if from == nil || to == nil {
		return 500
	}
	t := &transferral{r: r, dest: dest, from: mergeSlashes(from), to: mergeSlashes(to), overwrite: overwrite, dirAccess: c.access.V}
	if t.to, t.slash = strings.CutSuffix(t.to, "/"); !t.distinct() {
		return 403
	}
	r.W.Loop.Offload(func() { st = t.run() })
	return st
}

// destination gives the path in the Destination header.
func destination(r *engine.Request, dest []byte) ([]byte, engine.Status) {
	invalid := func() ([]byte, engine.Status) {
		r.Logf(nlog.Error, "client sent invalid \"Destination\" header: \"%s\"", dest)
		return nil, 400
	}
	p := dest
	if len(p) == 0 || p[0] != '/' {
		host := r.In.Server
		if len(host) == 0 {
			r.Logf(nlog.Error, "client sent no \"Host\" header")
			return nil, 400
		}
		scheme := []byte("http://")
		if r.Conn.TLS != nil {
			scheme = []byte("https://")
		}
		rest, ok := bytes.CutPrefix(p, scheme)
		if !ok {
			return invalid()
		}
		if rest, ok = bytes.CutPrefix(rest, host); !ok {
			r.Logf(nlog.Error, "\"Destination\" URI \"%s\" is handled by different repository than the source URI", dest)
			return nil, 400
		}
		i := bytes.IndexByte(rest, '/')
		if i < 0 {
			return invalid()
		}
		p = rest[i:]
	}
	_, path, _, ok := http1.ParseUnsafeURI(r.Alloc(len(p))[:0], p)
	if !ok {
		r.Logf(nlog.Error, "unsafe URI \"%s\" was detected", p)
		return invalid()
	}
	if isCollection(r) != (p[len(p)-1] == '/') {
		r.Logf(nlog.Error, "both URI \"%s\" and \"Destination\" URI \"%s\" should be either collections or non-collections", r.URI, dest)
		return nil, 409
	}
	if n, whole := r.AliasLen(); !whole && len(path) < n {
		return invalid()
	}
	return path, engine.OK
}

func mayOverwrite(r *engine.Request) (yes, ok bool) {
	if !r.In.Has(http1.HOverwrite) {
		return true, true
	}
	switch v := r.In.Get(http1.HOverwrite); string(v) {
	case "T", "t":
		return true, true
	case "F", "f":
		return false, true
	default:
		r.Logf(nlog.Error, "client sent invalid \"Overwrite\" header: \"%s\"", v)
		return false, false
	}
}

func mergeSlashes(path []byte) string {
	var b []byte
	for i, c := range path {
		if c != '/' || i == 0 || path[i-1] != '/' {
			b = append(b, c)
		}
	}
	return string(b)
}

// dirAccess lets those enter a folder who may read files.
func dirAccess(access uint32) uint32 { return access | access&0o444>>2 }

// fail logs a failure and gives its status; missing is that of something that is not there.
func fail(r *engine.Request, err error, missing engine.Status, what, path string) engine.Status {
	no, _ := err.(syscall.Errno)
	level, st := nlog.Error, missing
	switch no {
	case syscall.ENOENT, syscall.ENOTDIR, syscall.ENAMETOOLONG:
	case syscall.EACCES, syscall.EPERM:
		st = 403
	case syscall.EEXIST:
		st = 405
	case syscall.ENOSPC:
		level, st = nlog.Crit, 507
	default:
		level, st = nlog.Crit, 500
	}
	r.LogErr(level, err, "%s \"%s\" failed", what, path)
	return st
}

// errno is the system's number of a failure of package os.
func errno(err error) error {
	switch e := err.(type) {
	case *os.PathError:
		return e.Err
	case *os.LinkError:
		return e.Err
	case *os.SyscallError:
		return e.Err
	}
	return err
}
