package nlog

import (
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// File is a log file, open for appending and shared by all who name it in one
// configuration. Its descriptor keeps its number when the file is reopened
// (dup3 swaps what the number means in one step), so writers need no lock.
type File struct {
	name  string // absolute; "" is stderr
	fd    int    // -1 until opened
	full  atomic.Int64
	flush []func()
}

// NewStderr returns the file that stands for descriptor 2.
func NewStderr() *File { return &File{fd: 2} }

// OpenFile opens one file outside of any configuration.
func OpenFile(name string) (*File, error) {
	fd, err := OpenAppend(name)
	if err != nil {
		return nil, err
	}
	return &File{name: name, fd: fd}, nil
}

// Name returns the absolute name, "" for stderr.
func (f *File) Name() string { return f.name }

// FD returns the descriptor, -1 before the file is opened. It stays valid, with
// the same number, until the file's Files are closed.
func (f *File) FD() int { return f.fd }

func (f *File) isStderr() bool { return f.fd == 2 }

// Write appends p with one system call. When the disk is full, lines of the
// following second are dropped: writing to a full file system can be slow.
func (f *File) Write(p []byte) (int, error) {
	full := f.full.Load()
	if full != 0 && full == time.Now().Unix() {
		return 0, syscall.ENOSPC
	}
	for {
		n, err := syscall.Write(f.fd, p)
		switch err {
		case nil:
			return n, nil
		case syscall.EINTR:
			continue
		case syscall.ENOSPC:
			f.full.Store(time.Now().Unix())
		}
		return 0, err
	}
}

// OnReopen has flush called before the file is reopened or closed, for writers
// that buffer. To be called while the configuration is read.
func (f *File) OnReopen(flush func()) { f.flush = append(f.flush, flush) }

// Close gives the descriptor back. Nobody may write any more.
func (f *File) Close() error {
	for _, flush := range f.flush {
		flush()
	}
	if f.fd <= 2 {
		return nil
	}
	fd := f.fd
	f.fd = -1
	return syscall.Close(fd)
}

// OpenAppend opens a log file. The error is a syscall.Errno.
func OpenAppend(name string) (int, error) {
	for {
		fd, err := syscall.Open(name, syscall.O_WRONLY|syscall.O_APPEND|syscall.O_CREAT|syscall.O_CLOEXEC, 0o644)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return -1, err
		}
		return fd, nil
	}
}

// Files are the log files of one configuration. They are named while it is
// read and opened together once it has proved right, as nginx does.
type Files struct {
	mu   sync.Mutex
	list []*File
}

type filesKey struct{}

// FilesIn returns the files of the configuration whose shared values these are
// (conf.Config.Values).
func FilesIn(values map[any]any) *Files {
	if f, ok := values[filesKey{}].(*Files); ok {
		return f
	}
	f := &Files{}
	values[filesKey{}] = f
	return f
}

// Add names a file by its absolute path ("" is stderr); the same name gives
// the same File.
func (s *Files) Add(name string) *File {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.list {
		if f.name == name {
			return f
		}
	}
	f := &File{name: name, fd: -1}
	if name == "" {
		f.fd = 2
	}
	s.list = append(s.list, f)
	return f
}

// List returns the files.
func (s *Files) List() []*File {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.list)
}

// Open opens every file with open (nil: OpenAppend). At the first failure it
// closes what it opened and returns an *os.PathError whose Op is "open".
func (s *Files) Open(open func(name string) (fd int, err error)) error {
	if open == nil {
		open = OpenAppend
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, f := range s.list {
		if f.fd != -1 {
			continue
		}
		fd, err := open(f.name)
		if err != nil {
			for _, g := range s.list[:i] {
				g.Close()
			}
			return &os.PathError{Op: "open", Path: f.name, Err: err}
		}
		f.fd = fd
	}
	return nil
}

// Close closes every file, once nobody writes to them any more.
func (s *Files) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.list {
		if f.fd > 2 {
			f.Close()
		}
	}
}

// Reopen opens every file anew by its name (USR1). uid, unless -1, is the
// account a file must belong to afterwards: the one the data plane runs as,
// which has to be able to open it as well. Failures are logged and leave the
// file as it was.
func (s *Files) Reopen(uid int, log *Logger) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.list {
		if f.name == "" || f.fd == -1 {
			continue
		}
		for _, flush := range f.flush {
			flush()
		}
		fd, err := OpenAppend(f.name)
		if err != nil {
			log.Logf(Emerg, nil, err, "open() \"%s\" failed", f.name)
			continue
		}
		if uid == -1 || chownLog(f.name, uid, log) {
			if err := syscall.Dup3(fd, f.fd, syscall.O_CLOEXEC); err != nil {
				log.Logf(Emerg, nil, err, "dup3() \"%s\" failed", f.name)
			}
		}
		syscall.Close(fd)
	}
}

func chownLog(name string, uid int, log *Logger) bool {
	var st syscall.Stat_t
	if err := syscall.Stat(name, &st); err != nil {
		log.Logf(Emerg, nil, err, "stat() \"%s\" failed", name)
		return false
	}
	if int(st.Uid) != uid {
		if err := syscall.Chown(name, uid, -1); err != nil {
			log.Logf(Emerg, nil, err, "chown(\"%s\", %d) failed", name, uid)
			return false
		}
	}
	const rw = syscall.S_IRUSR | syscall.S_IWUSR
	if st.Mode&rw != rw {
		if err := syscall.Chmod(name, st.Mode&0o7777|rw); err != nil {
			log.Logf(Emerg, nil, err, "chmod() \"%s\" failed", name)
			return false
		}
	}
	return true
}

// RedirectStderr makes descriptor 2 the file, so that what libraries and the
// runtime print ends in the log, and a daemon lets go of its terminal.
func (f *File) RedirectStderr() error {
	if f.fd == 2 {
		return nil
	}
	return syscall.Dup3(f.fd, 2, 0)
}

// FirstFile returns the first file l writes to, nil if there is none.
func (l *Logger) FirstFile() *File {
	for _, t := range l.Targets() {
		if t.File != nil {
			return t.File
		}
	}
	return nil
}
