package dav

import (
	"io"
	"os"
	"strings"
	"syscall"
	"time"

	"moongate/internal/base/nlog"
	"moongate/internal/engine"
	"moongate/internal/http1"
)

// What is in this file runs without the worker's baton, while the request waits: of the request, it may only log.

// deletePath deletes a file, or a folder with all there is in it.
func deletePath(r *engine.Request, path string, dir bool) engine.Status {
	if !dir {
		if err := syscall.Unlink(path); err != nil {
			return fail(r, err, 404, "unlink()", path)
		}
		return engine.OK
	}
	if !walk(r, path, visitor{
		file: func(path string, _ os.FileInfo) {
			if err := syscall.Unlink(path); err != nil {
				fail(r, err, 0, "unlink()", path)
			}
		},
		after: func(path string, _ os.FileInfo) {
			if err := syscall.Rmdir(path); err != nil {
				fail(r, err, 0, "rmdir()", path)
			}
		},
		special: true,
	}) {
		return 500
	}
	if err := syscall.Rmdir(path); err != nil {
		return fail(r, err, 404, "rmdir()", path)
	}
	return engine.OK
}

// visitor is what is done in a folder: with files, and before and after the folders in it.
type visitor struct {
	file          func(path string, info os.FileInfo)
	before, after func(path string, info os.FileInfo)
	special       bool // symbolic links and the like count as files
}

// walk visits what is below a folder; false: it could not be read.
func walk(r *engine.Request, dir string, v visitor) bool {
	f, err := os.Open(dir)
	if err != nil {
		r.LogErr(nlog.Crit, errno(err), "opendir() \"%s\" failed", dir)
		return false
	}
	names, err := f.Readdirnames(-1)
	f.Close()
	if err != nil {
		r.LogErr(nlog.Crit, errno(err), "readdir() \"%s\" failed", dir)
		return false
	}
	for _, name := range names {
		path := dir + "/" + name
		info, err := os.Lstat(path)
		if err != nil {
			r.LogErr(nlog.Crit, errno(err), "lstat() \"%s\" failed", path)
			continue
		}
		switch {
		case info.IsDir():
			if v.before != nil {
				v.before(path, info)
			}
			if !walk(r, path, v) {
				return false
			}
			if v.after != nil {
				v.after(path, info)
			}
		case info.Mode().IsRegular() || v.special:
			v.file(path, info)
		}
	}
	return true
}

// move gives a file another name, on another file system too.
type move struct {
	r         *engine.Request
	from, to  string
	access    uint32 // 0: stays
	dirAccess uint32
	path      bool  // make missing folders
	time      int64 // -1: stays
	keep      bool  // do not delete from when it fails
}

func (m *move) run() bool {
	if m.access != 0 {
		if err := syscall.Chmod(m.from, m.access); err != nil {
			m.r.LogErr(nlog.Crit, err, "chmod() \"%s\" failed", m.from)
			return m.failed(nil)
		}
	}
	if m.time != -1 {
		if err := setTime(m.from, m.time); err != nil {
			m.r.LogErr(nlog.Crit, err, "utimes() \"%s\" failed", m.from)
			return m.failed(nil)
		}
	}
	err := syscall.Rename(m.from, m.to)
	if err == syscall.ENOENT && m.path {
		if err := makePath(m.to, dirAccess(m.dirAccess)); err != nil {
			m.r.LogErr(nlog.Crit, err, "mkdir() \"%s\" failed", m.to)
			return m.failed(nil)
		}
		err = syscall.Rename(m.from, m.to)
	}
	if err == syscall.EXDEV {
		return m.across()
	}
	if err != nil {
		return m.failed(err)
	}
	return true
}

func (m *move) failed(err error) bool {
	if !m.keep {
		if err := syscall.Unlink(m.from); err != nil {
			m.r.LogErr(nlog.Crit, err, "unlink() \"%s\" failed", m.from)
		}
	}
	if err != nil {
		m.r.LogErr(nlog.Crit, err, "rename() \"%s\" to \"%s\" failed", m.from, m.to)
	}
	return false
}

// across copies to another file system, under another name until it is complete.
func (m *move) across() bool {
	name := m.to + "." + time.Now().Format("150405.000000000")
	if !copyFile(m.r, m.from, name, m.access, m.time) {
		return m.failed(nil)
	}
	if err := syscall.Rename(name, m.to); err != nil {
		m.r.LogErr(nlog.Crit, err, "rename() \"%s\" to \"%s\" failed", name, m.to)
		if err := syscall.Unlink(name); err != nil {
			m.r.LogErr(nlog.Crit, err, "unlink() \"%s\" failed", name)
		}
		return m.failed(nil)
	}
	if err := syscall.Unlink(m.from); err != nil {
		m.r.LogErr(nlog.Crit, err, "unlink() \"%s\" failed", m.from)
		return false
	}
	return true
}

// makePath makes the folders above a file.
func makePath(file string, access uint32) error {
	for i := 1; i < len(file); i++ {
		if file[i] != '/' {
			continue
		}
		if err := syscall.Mkdir(file[:i], access); err != nil && err != syscall.EEXIST && err != syscall.EACCES {
			return err
		}
	}
	return nil
}

func setTime(path string, sec int64) error {
	return syscall.Utimes(path, []syscall.Timeval{syscall.NsecToTimeval(time.Now().UnixNano()), {Sec: sec}})
}

// copyFile copies a file with its permissions and time, or those given (0 and -1: its own).
func copyFile(r *engine.Request, from, to string, access uint32, sec int64) bool {
	src, err := os.Open(from)
	if err != nil {
		r.LogErr(nlog.Crit, errno(err), "open() \"%s\" failed", from)
		return false
	}
	defer src.Close()
	info, err := src.Stat()
	if err != nil {
		r.LogErr(nlog.Alert, errno(err), "fstat() \"%s\" failed", from)
		return false
	}
	if access == 0 {
		access = uint32(info.Mode().Perm())
	}
	if sec == -1 {
		sec = info.ModTime().Unix()
	}
	dst, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, os.FileMode(access))
	if err != nil {
		r.LogErr(nlog.Crit, errno(err), "open() \"%s\" failed", to)
		return false
	}
	_, err = io.Copy(dst, src)
	if e := dst.Close(); err == nil {
		err = e
	}
	if err != nil {
		r.LogErr(nlog.Alert, errno(err), "write() \"%s\" failed", to)
		return false
	}
	if err := setTime(to, sec); err != nil {
		r.LogErr(nlog.Alert, err, "utimes() \"%s\" failed", to)
		return false
	}
	return true
}

// transferral is a COPY or MOVE.
type transferral struct {
	r         *engine.Request
	dest      []byte // the header
	from, to  string // to has no slash at its end
	slash     bool   // the destination is a folder's
	overwrite bool
	dirAccess uint32
}

// distinct refuses places that are the same, or one within the other.
func (t *transferral) distinct() bool {
	from := strings.TrimSuffix(t.from, "/")
	if from == t.to {
		t.r.Logf(nlog.Error, "both URI \"%s\" and \"Destination\" URI \"%s\" point to the same location", t.r.URI, t.dest)
		return false
	}
	if t.slash && (strings.HasPrefix(t.to, from+"/") || strings.HasPrefix(t.from, t.to+"/")) {
		t.r.Logf(nlog.Error, "\"%s\" could not be %sed to collection \"%s\"", t.r.URI, t.r.MethodName, t.dest)
		return false
	}
	return true
}

func (t *transferral) run() engine.Status {
	r := t.r
	var info syscall.Stat_t
	dir := false
	switch err := syscall.Lstat(t.to, &info); {
	case err == syscall.ENOENT:
		t.overwrite = false
	case err != nil:
		return fail(r, err, 404, "lstat()", t.to)
	default:
		dir = info.Mode&syscall.S_IFMT == syscall.S_IFDIR
		if dir && !t.slash {
			r.Logf(nlog.Error, "\"%s\" could not be %sed to collection \"%s\"", r.URI, r.MethodName, t.dest)
			return 409
		}
		if !t.overwrite {
			r.LogErr(nlog.Error, syscall.EEXIST, "\"%s\" could not be created", t.to)
			return 412
		}
	}
	if err := syscall.Lstat(t.from, &info); err != nil {
		return fail(r, err, 404, "lstat()", t.from)
	}
	if info.Mode&syscall.S_IFMT != syscall.S_IFDIR {
		return t.file()
	}
	if !strings.HasSuffix(t.from, "/") {
		r.Logf(nlog.Error, "\"%s\" is collection", r.URI)
		return 400
	}
	if t.overwrite {
		if st := deletePath(r, t.to, dir); st != engine.OK {
			return st
		}
	}
	return t.folder(info.Mode & 0o777)
}

func (t *transferral) file() engine.Status {
	if t.r.Method == http1.MethodMove {
		m := move{r: t.r, from: t.from, to: t.to, dirAccess: t.dirAccess, path: true, time: -1, keep: true}
		if m.run() {
			return 204
		}
		return 500
	}
	if copyFile(t.r, t.from, t.to, 0, -1) {
		return 204
	}
	return 500
}

func (t *transferral) folder(access uint32) engine.Status {
	r := t.r
	from := strings.TrimSuffix(t.from, "/")
	if r.Method == http1.MethodMove && syscall.Rename(t.from, t.to) == nil {
		return 201
	}
	if err := syscall.Mkdir(t.to, access); err != nil {
		return fail(r, err, 404, "mkdir()", t.to)
	}
	there := func(path string) string { return t.to + path[len(from):] }
	if !walk(r, from, visitor{
		file: func(path string, info os.FileInfo) { copyFile(r, path, there(path), 0, -1) },
		before: func(path string, info os.FileInfo) {
			if err := syscall.Mkdir(there(path), dirAccess(uint32(info.Mode().Perm()))); err != nil {
				fail(r, err, 0, "mkdir()", there(path))
			}
		},
		after: func(path string, info os.FileInfo) {
			if err := setTime(there(path), info.ModTime().Unix()); err != nil {
				r.LogErr(nlog.Alert, err, "utimes() \"%s\" failed", there(path))
			}
		},
	}) {
		return 500
	}
	if r.Method == http1.MethodMove {
		if st := deletePath(r, from, true); st != engine.OK {
			return st
		}
	}
	return 201
}
