package engine

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"moongate/internal/base/nlog"
	"moongate/internal/conf"
)

// MapPath appends the file name the URI stands for (root or alias applied) to dst.
func (r *Request) MapPath(dst []byte) []byte {
	core := r.Core()
	uri := r.URI
	root := core.Root.V
	at := len(dst)
	dst = root.Append(dst, r)
	if len(dst) > at && dst[at] != '/' && !root.IsLiteral() {
		full := r.H.Config.FullName(string(dst[at:]))
		dst = append(dst[:at], full...)
	}
	if core.Alias {
		l := r.Loc
		if l.Regex != nil {
			return dst // the whole name is in the alias
		}
		if len(l.Name) <= len(uri) {
			return append(dst, uri[len(l.Name):]...)
		}
		return dst
	}
	return append(dst, uri...)
}

// DocumentRoot appends $document_root.
func (r *Request) DocumentRoot(dst []byte) []byte {
	core := r.Core()
	at := len(dst)
	dst = core.Root.V.Append(dst, r)
	if len(dst) > at && dst[at] != '/' && !core.Root.V.IsLiteral() {
		full := r.H.Config.FullName(string(dst[at:]))
		dst = append(dst[:at], full...)
	}
	return dst
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

// Under reports whether name lies in the folder dir.
func Under(dir, name string) bool {
	rel, err := filepath.Rel(dir, name)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
}
