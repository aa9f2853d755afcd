package openfile

// Cache remembers open files and what was found under names. It belongs to one worker.
//
// Entries expire by the rules of nginx's open_file_cache: each release of a file drops up to two entries that were not
// used for the time of inactive, an entry too many drops the one that was not used for the longest time.
type Cache struct {
	max      int
	inactive int64
	byName   map[string]*Entry
	queue    Entry // the head of a ring: next is the entry used last
	closed   bool
}

// Entry is a name in a cache. Who got it from Open gives it back with Release.
type Entry struct {
	name       string
	info       Info
	mode       Mode
	uses       int
	users      int
	created    int64
	accessed   int64
	gone       bool // not in the cache any more: closed by the last user
	next, prev *Entry
}

// Terms are the conditions of one use of a cache.
type Terms struct {
	Mode
	Valid   int64  // seconds after which an entry is looked at again
	MinUses int    // uses without which a file is not kept open
	Errors  bool   // remember errors, too
	Uniq    uint64 // not 0: an entry of another file is looked at again
}

// NewCache makes a cache of up to max entries; inactive is in seconds.
func NewCache(max int, inactive int64) *Cache {
	c := &Cache{max: max, inactive: inactive, byName: map[string]*Entry{}}
	c.queue.next, c.queue.prev = &c.queue, &c.queue
	return c
}

// Len is the number of entries.
func (c *Cache) Len() int { return len(c.byName) }

// FD is the open descriptor, -1 for a folder or an error. It is the cache's, to be used until Release.
func (e *Entry) FD() int { return e.info.FD }

// Open looks a name up, and at the file system where that is not enough; now is in seconds. It reports whether all went
// well, as the function Open does. An entry comes with regular files only.
func (c *Cache) Open(name []byte, t *Terms, now int64, i *Info) (*Entry, bool) {
	e := c.byName[string(name)]
	if e == nil {
		if !Open(name, t.Mode, i) && !t.Errors {
			return nil, false
		}
		return c.keep(c.create(name, now), t, now, i)
	}
	e.uses++
	e.unlink()
	if e.info.FD < 0 && e.info.Err == 0 && !e.info.IsDir() { // not used often enough to be kept open
		if !Open(name, t.Mode, i) && !t.Errors {
			c.forget(e)
			return nil, false
		}
		return c.keep(e, t, now, i)
	}
	if now-e.created < t.Valid && (t.Uniq == 0 || t.Uniq == e.info.Uniq) && t.Links == e.mode.Links && t.From == e.mode.From {
		*i = e.info
		switch {
		case i.Err != 0 && t.Links != LinksAny:
			i.Failed = "openat()"
		case i.Err != 0:
			i.Failed = "open()"
		case !i.IsDir():
			e.users++
		}
		return c.found(e, now, i)
	}
	return c.retest(e, name, t, now, i)
}

// retest looks at the file of an entry whose time is over.
func (c *Cache) retest(e *Entry, name []byte, t *Terms, now int64, i *Info) (*Entry, bool) {
	ok, same := false, false
	if e.info.FD >= 0 {
		if ok = Stat(name, t.Mode, i); ok && i.Uniq == e.info.Uniq && !i.IsDir() {
			same = true
			i.FD = e.info.FD
		} else if ok {
			ok = Open(name, t.Mode, i)
		}
	} else {
		m := t.Mode
		m.Dir = e.info.IsDir()
		ok = Open(name, m, i)
	}
	switch {
	case !ok && !t.Errors:
		c.forget(e)
		return nil, false
	case same || e.info.FD < 0:
		return c.keep(e, t, now, i)
	case e.users == 0:
		Close(e.info.FD)
		return c.keep(e, t, now, i)
	}
	delete(c.byName, e.name)
	e.gone = true
	return c.keep(c.create(name, now), t, now, i)
}

func (c *Cache) create(name []byte, now int64) *Entry {
	if len(c.byName) >= c.max {
		c.expire(0, now)
	}
	e := &Entry{name: string(name), uses: 1}
	e.info.FD = -1
	if !c.closed {
		c.byName[e.name] = e
	} else {
		e.gone = true
	}
	return e
}

// keep stores what was found.
func (c *Cache) keep(e *Entry, t *Terms, now int64, i *Info) (*Entry, bool) {
	e.mode, e.info, e.created = t.Mode, *i, now
	if i.Err == 0 && !i.IsDir() {
		e.users++
	}
	return c.found(e, now, i)
}

func (c *Cache) found(e *Entry, now int64, i *Info) (*Entry, bool) {
	e.accessed = now
	if !e.gone {
		c.first(e)
	}
	switch {
	case i.Err != 0:
		return nil, false
	case i.IsDir():
		return nil, true
	}
	return e, true
}

// forget drops an entry whose file cannot be opened any more.
func (c *Cache) forget(e *Entry) {
	delete(c.byName, e.name)
	e.gone = true
	if e.users == 0 {
		e.close()
	}
}

func (e *Entry) close() {
	if e.info.FD >= 0 {
		Close(e.info.FD)
		e.info.FD = -1
	}
}

// Release ends a use of a file.
func (c *Cache) Release(e *Entry, minUses int, now int64) {
	e.users--
	if !e.gone {
		e.accessed = now
		e.unlink()
		c.first(e)
		if e.uses < minUses && e.users == 0 {
			e.close()
		}
	} else if e.users == 0 {
		e.close()
	}
	c.expire(1, now)
}

// expire drops entries from the end of the queue: from n 0 one that is used or not and then two more, from n 1 two that
// were inactive for too long.
func (c *Cache) expire(n int, now int64) {
	for ; n < 3; n++ {
		e := c.queue.prev
		if e == &c.queue || n > 0 && now-e.accessed <= c.inactive {
			return
		}
		e.unlink()
		c.forget(e)
	}
}

// Trim drops all entries that were inactive for too long.
func (c *Cache) Trim(now int64) {
	for e := c.queue.prev; e != &c.queue && now-e.accessed > c.inactive; e = c.queue.prev {
		e.unlink()
		c.forget(e)
	}
}

// Shut drops all entries. Files in use are closed by their last Release; what is opened from now on is not kept.
func (c *Cache) Shut() {
	c.closed = true
	for e := c.queue.prev; e != &c.queue; e = c.queue.prev {
		e.unlink()
		c.forget(e)
	}
}

func (c *Cache) first(e *Entry) {
	e.prev, e.next = &c.queue, c.queue.next
	e.next.prev = e
	c.queue.next = e
}

func (e *Entry) unlink() {
	if e.next != nil {
		e.next.prev, e.prev.next = e.prev, e.next
		e.next, e.prev = nil, nil
	}
}
