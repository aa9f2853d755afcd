package engine

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"syscall"

	"moongate/internal/base/nlog"
	"moongate/internal/conf"
)

// aliasWhole as the length of an alias says that the alias is the whole file name: its location is an expression.
const aliasWhole = -1

// FileName gives the file name that the URI stands for, root or alias applied. A zero byte stands behind it, and there
// is room for extra bytes more; root is the length of what is not from the URI. The bytes live as long as the request.
// nil: an alias has no meaning here, which was logged; the status is 500.
func (r *Request) FileName(extra int) (name []byte, root int) {
	core := r.Core()
	uri := r.URI
	if core.Alias {
		switch {
		case !r.ValidLocation && core.aliasLen != 0:
			r.Logf(nlog.Alert, "\"alias\" cannot be used in location \"%s\" where URI was rewritten", r.Loc.Name)
			return nil, 0
		case core.aliasLen != aliasWhole:
			uri = uri[min(core.aliasLen, len(uri)):]
		case !r.aliasWithURI:
			uri = nil
		}
	}
	base := r.root()
	n := len(base) + len(uri)
	name = r.Alloc(n + extra + 1)
	copy(name[copy(name, base):], uri)
	name[n] = 0
	return name[:n], len(base)
}

// root is the value of root or alias.
func (r *Request) root() []byte {
	t := r.Core().Root.V
	if t.IsLiteral() {
		return t.lit
	}
	v := t.Eval(r)
	if len(v) > 0 && v[0] == '/' {
		return v
	}
	return bytesOf(r.H.Config.FullName(string(v)))
}

// MapPath appends the file name that the URI stands for to dst; nil when there is none.
func (r *Request) MapPath(dst []byte) []byte {
	name, _ := r.FileName(0)
	if name == nil {
		return nil
	}
	return append(dst, name...)
}

// DocumentRoot appends $document_root.
func (r *Request) DocumentRoot(dst []byte) []byte { return append(dst, r.root()...) }

// AliasLen is how much of the URI the alias in force replaces; whole says that it is the whole file name, and without
// an alias both are zero.
func (r *Request) AliasLen() (n int, whole bool) {
	c := r.Core()
	switch {
	case !c.Alias:
		return 0, false
	case c.aliasLen == aliasWhole:
		return 0, true
	}
	return c.aliasLen, false
}

// TakeURI makes uri the URI, without a search for its location, as try_files does. withAlias adds it to an alias that is
// the whole file name.
func (r *Request) TakeURI(uri []byte, withAlias bool) {
	r.URI = uri
	r.aliasWithURI = r.aliasWithURI || withAlias
}

// CreateTemp makes a temporary file in a configured folder, creating the levels below it as needed.
func (r *Request) CreateTemp(d conf.Directory) (*os.File, error) {
	for range 16 {
		name := fmt.Sprintf("%010d", rand.Uint64N(1e10))
		path := d.Path
		end := len(name)
		for _, n := range d.Levels {
			path += "/" + name[end-n:end]
			end -= n
		}
		file := path + "/" + name
		f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if err == nil {
			return f, nil
		}
		if errors.Is(err, syscall.EEXIST) {
			continue
		}
		if errors.Is(err, syscall.ENOENT) {
			if err := os.MkdirAll(path, 0o700); err == nil {
				continue
			}
		}
		r.Logf(nlog.Crit, "open() \"%s\" failed %s", file, nlog.ErrText(err))
		return nil, err
	}
	return nil, os.ErrExist
}
