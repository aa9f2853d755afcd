package logmod

import (
	"container/list"
	"syscall"
	"time"

	"moongate/internal/base/nlog"
)

// nameCache is an open_log_file_cache directive.
type nameCache struct {
	max      int
	inactive time.Duration
	valid    time.Duration
	minUses  int
}

// openNames are a worker's files of a nameCache, the one used last at the front.
type openNames struct {
	byName map[string]*list.Element
	used   list.List
}

// openName is one of them.
type openName struct {
	name     string
	fd       int // -1: not used often enough to be kept open
	dev, ino uint64
	uses     int
	checked  int64 // when the file was last seen under its name
	last     int64
}

// open gives a descriptor for a name; once tells the caller to close it after use. now is in nanoseconds.
func (s *perWorker) open(c *nameCache, name []byte, now int64) (fd int, once bool, err error) {
	o := s.names[c]
	if o == nil {
		o = &openNames{byName: map[string]*list.Element{}}
		s.names[c] = o
	}
	o.expire(c, now)
	el := o.byName[string(name)]
	if el == nil {
		if len(o.byName) >= c.max {
			o.drop(o.used.Back())
		}
		n := &openName{name: string(name), fd: -1}
		el = o.used.PushFront(n)
		o.byName[n.name] = el
	}
	n := el.Value.(*openName)
	o.used.MoveToFront(el)
	n.uses++
	n.last = now
	if n.fd >= 0 && now-n.checked >= int64(c.valid) && !n.same(now) {
		syscall.Close(n.fd)
		n.fd = -1
	}
	if n.fd >= 0 {
		return n.fd, false, nil
	}
	if fd, err = nlog.OpenAppend(n.name); err != nil {
		o.drop(el)
		return -1, false, err
	}
	if n.uses < c.minUses {
		return fd, true, nil
	}
	var st syscall.Stat_t
	syscall.Fstat(fd, &st)
	n.fd, n.dev, n.ino, n.checked = fd, st.Dev, st.Ino, now
	return fd, false, nil
}

// same reports whether the name still means the open file.
func (n *openName) same(now int64) bool {
	var st syscall.Stat_t
	if syscall.Stat(n.name, &st) != nil || st.Dev != n.dev || st.Ino != n.ino {
		return false
	}
	n.checked = now
	return true
}

// expire drops what was not used for long.
func (o *openNames) expire(c *nameCache, now int64) {
	for el := o.used.Back(); el != nil && now-el.Value.(*openName).last > int64(c.inactive); el = o.used.Back() {
		o.drop(el)
	}
}

func (o *openNames) drop(el *list.Element) {
	n := el.Value.(*openName)
	if n.fd >= 0 {
		syscall.Close(n.fd)
	}
	delete(o.byName, n.name)
	o.used.Remove(el)
}

func (o *openNames) close() {
	for el := o.used.Front(); el != nil; el = o.used.Front() {
		o.drop(el)
	}
}
