package plane

import (
	"os"
	"sync"
	"syscall"
)

// Paths are the directories a configuration wants to exist: temporary files,
// caches. Modules name them while it is read; the process makes them while it
// is root and gives them to the account it serves under.
type Paths struct {
	mu   sync.Mutex
	list []string
}

type pathsKey struct{}

// PathsIn returns the directories of the configuration whose shared values
// these are (conf.Config.Values).
func PathsIn(values map[any]any) *Paths {
	if p, ok := values[pathsKey{}].(*Paths); ok {
		return p
	}
	p := &Paths{}
	values[pathsKey{}] = p
	return p
}

// Add names a directory by its absolute path.
func (p *Paths) Add(path string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, have := range p.list {
		if have == path {
			return
		}
	}
	p.list = append(p.list, path)
}

// Make makes those that are missing, each inside an existing directory, and
// has them belong to uid and open to it (uid -1: to whom they belong).
func (p *Paths) Make(uid int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, path := range p.list {
		if err := syscall.Mkdir(path, 0o700); err != nil && err != syscall.EEXIST {
			return &os.PathError{Op: "mkdir", Path: path, Err: err}
		}
		if uid == -1 {
			continue
		}
		if err := own(path, uid); err != nil {
			return err
		}
	}
	return nil
}

func own(path string, uid int) error {
	var st syscall.Stat_t
	if err := syscall.Stat(path, &st); err != nil {
		return &os.PathError{Op: "stat", Path: path, Err: err}
	}
	if int(st.Uid) != uid {
		if err := syscall.Chown(path, uid, -1); err != nil {
			return &os.PathError{Op: "chown", Path: path, Err: err}
		}
	}
	if st.Mode&0o700 != 0o700 {
		if err := syscall.Chmod(path, st.Mode&0o7777|0o700); err != nil {
			return &os.PathError{Op: "chmod", Path: path, Err: err}
		}
	}
	return nil
}
