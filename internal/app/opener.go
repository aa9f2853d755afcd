package app

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// opener is the worker's side of files that only the supervisor may open: certificates are looked at again long after
// the privileges were dropped, and their keys often belong to root.
type opener struct {
	mu     sync.Mutex // one question at a time
	answer chan order
	gone   chan struct{} // closed with the channel
}

func newOpener() *opener { return &opener{answer: make(chan order, 1), gone: make(chan struct{})} }

// open has the supervisor open a file that the configuration was read from. It blocks.
func (w *worker) open(name string) (*os.File, error) {
	o := w.opener
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := w.say(&message{Op: opOpen, Name: name}); err != nil {
		return nil, err
	}
	select {
	case <-o.gone:
		return nil, os.ErrClosed
	case a := <-o.answer:
		if len(a.fds) == 0 {
			return nil, &os.PathError{Op: "open", Path: name, Err: syscall.Errno(a.m.Errno)}
		}
		return os.NewFile(uintptr(a.fds[0]), name), nil
	}
}

// lend answers an opener: with a descriptor of a file that the configuration in use was read from, and that nobody but
// this account, or root, can have exchanged for another one.
func (s *supervisor) lend(name string) {
	o := outgoing{m: &message{Op: opOpened}}
	var no syscall.Errno
	if fd, err := s.openConfigured(name); err == nil {
		o.fds, o.done = []int{fd}, func() { syscall.Close(fd) }
	} else if !errors.As(err, &no) {
		no = syscall.EACCES
	}
	o.m.Errno = int(no)
	s.child.out <- o
}

func (s *supervisor) openConfigured(name string) (int, error) {
	if _, ok := s.gen.disk.Files[name]; !ok {
		return -1, syscall.EACCES
	}
	if err := ours(name); err != nil {
		return -1, err
	}
	return syscall.Open(name, syscall.O_RDONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
}

// ours has an error where somebody besides this account and root can change what a name stands for. Of a sticky folder the
// entries are their owners'.
func ours(name string) error {
	real, err := filepath.EvalSymlinks(name)
	if err != nil {
		return err
	}
	for _, path := range [...]string{name, real} {
		for {
			var st syscall.Stat_t
			if syscall.Lstat(path, &st) != nil || st.Uid != 0 && int(st.Uid) != os.Geteuid() {
				return syscall.EACCES
			}
			link := st.Mode&syscall.S_IFMT == syscall.S_IFLNK
			sticky := st.Mode&syscall.S_IFMT == syscall.S_IFDIR && st.Mode&syscall.S_ISVTX != 0
			if st.Mode&0o022 != 0 && !link && !sticky {
				return syscall.EACCES
			}
			if path == "/" || path == "." {
				break
			}
			path = filepath.Dir(path)
		}
	}
	return nil
}
