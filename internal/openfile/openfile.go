// Package openfile opens and examines files for serving: open, fstat, the checks of symbolic links that disable_symlinks
// asks for, and a cache of what was found (Cache, one for each worker).
//
// Names are bytes with a zero byte behind their end, so that the kernel gets them as they are: nothing is allocated. The
// package knows nothing of requests; what failed is told by the system call's name and error, for the caller to log.
package openfile

import (
	"syscall"
	"unsafe"
)

// Links says which symbolic links of a name are followed.
type Links uint8

// The values of disable_symlinks.
const (
	LinksAny   Links = iota // all are
	LinksOwner              // those that belong to the owner of what they point to
	LinksNone               // none
)

// Mode is how a name is opened or examined.
type Mode struct {
	Links Links
	From  int  // length of the part of the name, up to a slash, whose links are not looked at
	Dir   bool // the name is expected to be a folder: it is examined before it is opened
}

// Info is what is known about a file.
type Info struct {
	FD     int // of an open file; -1 for a folder and where nothing was opened
	Size   int64
	MTime  int64 // seconds since the epoch
	Uniq   uint64
	Mode   uint32 // type and permissions, as in stat(2)
	Err    syscall.Errno
	Failed string // "open()": what failed with Err
}

// IsDir reports whether it is a folder.
func (i *Info) IsDir() bool { return i.Mode&syscall.S_IFMT == syscall.S_IFDIR }

// IsRegular reports whether it is a plain file.
func (i *Info) IsRegular() bool { return i.Mode&syscall.S_IFMT == syscall.S_IFREG }

func (i *Info) set(st *syscall.Stat_t) {
	i.Size, i.MTime, i.Uniq, i.Mode = st.Size, int64(st.Mtim.Sec), st.Ino, st.Mode
}

func (i *Info) fail(e syscall.Errno, call string) bool {
	i.FD, i.Err, i.Failed = -1, e, call
	return false
}

// Flags of open(2). A file is opened without waiting, so that a FIFO does not hang the worker.
const (
	oPath   = 0x200000
	openR   = syscall.O_RDONLY | syscall.O_NONBLOCK | syscall.O_CLOEXEC
	search  = oPath | syscall.O_DIRECTORY | syscall.O_NONBLOCK | syscall.O_CLOEXEC
	atCwd   = -100
	noLinks = 0x100 // AT_SYMLINK_NOFOLLOW
)

var rootName = []byte("/\x00")
var selfName = []byte(".\x00")

// openat may wait for a disk: the scheduler is told.
func openat(at int, name []byte, flags int) (int, syscall.Errno) {
	for {
		fd, _, e := syscall.Syscall6(syscall.SYS_OPENAT, uintptr(at), uintptr(unsafe.Pointer(unsafe.SliceData(name))), uintptr(flags), 0, 0, 0)
		if e != syscall.EINTR {
			return int(fd), e
		}
	}
}

func statat(at int, name []byte, st *syscall.Stat_t, flags int) syscall.Errno {
	_, _, e := syscall.Syscall6(sysFstatat, uintptr(at), uintptr(unsafe.Pointer(unsafe.SliceData(name))), uintptr(unsafe.Pointer(st)), uintptr(flags), 0, 0)
	return e
}

func fstat(fd int, st *syscall.Stat_t) syscall.Errno {
	_, _, e := syscall.RawSyscall(syscall.SYS_FSTAT, uintptr(fd), uintptr(unsafe.Pointer(st)), 0)
	return e
}

// OpenRead opens a file for reading, and nothing else; a zero byte stands behind name.
func OpenRead(name []byte) (int, syscall.Errno) {
	return openat(atCwd, name, syscall.O_RDONLY|syscall.O_CLOEXEC)
}

// Close closes a descriptor.
func Close(fd int) { syscall.RawSyscall(syscall.SYS_CLOSE, uintptr(fd), 0, 0) }

// Stat examines a name without opening it. It reports whether that went well.
func Stat(name []byte, m Mode, i *Info) bool {
	var st syscall.Stat_t
	i.FD, i.Err = -1, 0
	if m.Links == LinksAny {
		if e := statat(atCwd, name, &st, 0); e != 0 {
			return i.fail(e, "stat()")
		}
		i.set(&st)
		return true
	}
	fd, e, call := walk(name, m)
	if e != 0 {
		return i.fail(e, call)
	}
	e = fstat(fd, &st)
	Close(fd)
	if e != 0 {
		return i.fail(e, "fstat()")
	}
	i.set(&st)
	return true
}

// Open opens a name for reading and examines it; folders are not left open. It reports whether that went well.
func Open(name []byte, m Mode, i *Info) bool {
	if m.Dir {
		if !Stat(name, m, i) || i.IsDir() {
			return i.Err == 0
		}
	}
	var st syscall.Stat_t
	i.FD, i.Err = -1, 0
	fd, e, call := 0, syscall.Errno(0), "open()"
	if m.Links == LinksAny {
		fd, e = openat(atCwd, name, openR)
	} else {
		fd, e, call = walk(name, m)
	}
	if e != 0 {
		return i.fail(e, call)
	}
	if e := fstat(fd, &st); e != 0 {
		Close(fd)
		return i.fail(e, "fstat()")
	}
	i.set(&st)
	if i.IsDir() {
		Close(fd)
	} else {
		i.FD = fd
	}
	return true
}

// walk opens a name component by component, so that no link is followed unseen.
func walk(name []byte, m Mode) (fd int, e syscall.Errno, call string) {
	p := 0
	at := atCwd
	switch {
	case m.From > 0:
		name[m.From] = 0
		at, e = openat(atCwd, name, search)
		name[m.From] = '/'
		if e != 0 {
			return -1, e, "open()"
		}
		p = m.From + 1
	case len(name) > 0 && name[0] == '/':
		if at, e = openat(atCwd, rootName, search); e != 0 {
			return -1, e, "openat()"
		}
		p = 1
	}
	for i := p; i < len(name); i++ {
		if name[i] != '/' {
			continue
		}
		if i == p {
			p++
			continue
		}
		name[i] = 0
		if m.Links == LinksOwner {
			fd, e = openOwned(at, name[p:], search)
		} else {
			fd, e = openat(at, name[p:], search|syscall.O_NOFOLLOW)
		}
		name[i] = '/'
		if at >= 0 {
			Close(at)
		}
		if e != 0 {
			return -1, e, "openat()"
		}
		at = fd
		p = i + 1
	}
	switch {
	case p >= len(name): // a slash at the end: a folder
		fd, e = openat(at, selfName, openR)
	case m.Links == LinksOwner:
		fd, e = openOwned(at, name[p:], openR)
	default:
		fd, e = openat(at, name[p:], openR|syscall.O_NOFOLLOW)
	}
	if at >= 0 {
		Close(at)
	}
	return fd, e, "openat()"
}

// openOwned opens what may be a link, if link and target have the same owner. The owners are compared even where the
// second look finds no link: it may have been one at the first.
func openOwned(at int, name []byte, flags int) (int, syscall.Errno) {
	fd, e := openat(at, name, flags)
	if e != 0 {
		return -1, e
	}
	var link, file syscall.Stat_t
	if e = statat(at, name, &link, noLinks); e == 0 {
		if e = fstat(fd, &file); e == 0 && link.Uid != file.Uid {
			e = syscall.ELOOP
		}
	}
	if e != 0 {
		Close(fd)
		return -1, e
	}
	return fd, 0
}
