package filecache

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"moongate/internal/base/ascii"
	"moongate/internal/base/nlog"
)

// Keeper runs a cache's manager and loader, until Stop.
type Keeper struct {
	stop chan struct{}
	done chan struct{}
}

// Keep starts the manager, and, after a while, the loader of a cache that is cold; it waits so that a process which starts
// has the disk for its clients.
func (c *Cache) Keep(loadAfter time.Duration) *Keeper {
	k := &Keeper{stop: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(k.done)
		manage, load := time.NewTimer(0), time.NewTimer(loadAfter)
		defer manage.Stop()
		defer load.Stop()
		for {
			select {
			case <-k.stop:
				return
			case <-manage.C:
				manage.Reset(c.Manage(k.stop))
			case <-load.C:
				if c.Load(k.stop); c.Cold() { // the keeper of the configuration before was at it
					load.Reset(time.Second)
				}
			}
		}
	}()
	return k
}

// Stop ends both and waits for that.
func (k *Keeper) Stop() {
	close(k.stop)
	<-k.done
}

func stopped(stop <-chan struct{}) bool {
	select {
	case <-stop:
		return true
	default:
		return false
	}
}

func (c *Cache) log(level nlog.Level, err error, format string, args ...any) {
	if c.Log != nil {
		c.Log().Logf(level, nil, err, format, args...)
	}
}

// turn bounds a turn of the manager or the loader.
type turn struct {
	pace  *Pace
	files int
	began time.Time
}

// over counts a file; it reports whether the turn has ended.
func (t *turn) over() bool {
	t.files++
	return t.files >= t.pace.Files || time.Since(t.began) >= t.pace.Threshold
}

// Manage does one turn of the manager's work and tells when the next one is due.
func (c *Cache) Manage(stop <-chan struct{}) time.Duration {
	t := turn{pace: &c.Manager, began: time.Now()}
	next, more := c.expireOld(&t, stop)
	if more {
		return c.Manager.Sleep
	}
	for !stopped(stop) && c.crowded() {
		if wait := c.forceOut(); wait > 0 {
			return wait
		}
		if t.over() {
			return c.Manager.Sleep
		}
	}
	return next
}

// crowded reports whether something has to go before its time.
func (c *Cache) crowded() bool {
	x := c.index
	x.Lock()
	crowded := x.n > 0 && (x.blocks >= c.max || x.n >= x.watermark)
	n := x.n
	x.Unlock()
	return crowded || n > 0 && c.MinFree > 0 && c.free() <= c.MinFree
}

// expireOld deletes what was not used for the time of inactive. It gives the time until more will be due; more says
// that the turn was over before all was done.
func (c *Cache) expireOld(t *turn, stop <-chan struct{}) (next time.Duration, more bool) {
	const most = 10 * time.Second
	x := c.index
	x.Lock()
	defer x.Unlock()
	for {
		if stopped(stop) {
			return time.Second, false
		}
		if x.oldest == 0 {
			return most, false
		}
		e := x.at(x.oldest)
		now := time.Now().Unix()
		if d := time.Duration(e.expire-now) * time.Second; d > 0 {
			return min(d, most), false
		}
		switch {
		case e.deleting:
			return time.Second, false
		case e.pins == 0:
			c.delete(e)
		default:
			c.postpone(e, now)
		}
		if t.over() {
			return 0, true
		}
	}
}

// postpone keeps an entry that somebody holds: a response that takes that long.
func (c *Cache) postpone(e *entry, now int64) {
	e.expire = now + int64(c.Inactive/time.Second)
	c.index.touch(e)
}

// forceOut deletes the entry that was not used for the longest time, of those at the end of the list that nobody holds. It
// gives how long to wait before that makes sense again.
func (c *Cache) forceOut() time.Duration {
	x := c.index
	x.Lock()
	defer x.Unlock()
	if x.oldest == 0 {
		return 10 * time.Second
	}
	last := x.newest
	for i, n := x.oldest, 0; i != 0 && n < 20; n++ {
		e := x.at(i)
		if e.pins == 0 {
			c.delete(e)
			return 0
		}
		if i = e.newer; e.self == last {
			break
		}
		if !e.deleting { // else somebody else does that
			c.postpone(e, time.Now().Unix())
		}
	}
	return time.Second
}

// delete deletes an entry that nobody holds, and its file. It is called with the lock, and lets it go for the file.
func (c *Cache) delete(e *entry) {
	x := c.index
	if e.exists {
		x.blocks -= e.blocks
		e.exists, e.blocks, e.body, e.uniq = false, 0, 0, 0
		e.pins++
		e.deleting = true
		key := e.key
		x.Unlock()
		name := string(c.AppendName(nil, &key))
		if err := syscall.Unlink(name); err != nil {
			c.log(nlog.Crit, err, "unlink() \"%s\" failed", name)
		}
		x.Lock()
		e.pins--
		e.deleting = false
	}
	if e.pins == 0 && !e.exists {
		x.remove(e)
	}
}

// Load makes the index know the files that are there. It does nothing when that has been done.
func (c *Cache) Load(stop <-chan struct{}) {
	x := c.index
	if !x.cold.Load() || !x.loading.CompareAndSwap(false, true) {
		return
	}
	defer x.loading.Store(false)
	t := turn{pace: &c.Loader, began: time.Now()}
	if !c.loadDir(c.Path, len(c.Levels), &t, stop) {
		return
	}
	x.cold.Store(false)
	c.log(nlog.Notice, nil, "http file cache: %s %.3fM, bsize: %d", c.Path, float64(c.Blocks()*c.block)/(1<<20), c.block)
}

// loadDir looks into a folder with so many levels of others below it. False: it was stopped.
func (c *Cache) loadDir(dir string, levels int, t *turn, stop <-chan struct{}) bool {
	d, err := os.Open(dir)
	if err != nil {
		if !os.IsNotExist(err) {
			c.log(nlog.Crit, err, "opendir() \"%s\" failed", dir)
		}
		return true
	}
	defer d.Close()
	for {
		names, _ := d.Readdirnames(100)
		if len(names) == 0 {
			return true
		}
		for _, n := range names {
			full := dir + "/" + n
			switch {
			case levels > 0 && len(n) <= 2:
				if !c.loadDir(full, levels-1, t, stop) {
					return false
				}
				continue
			case levels == 0:
				c.loadFile(full)
			default:
				continue // nothing of ours lies there
			}
			if t.over() {
				select {
				case <-stop:
					return false
				case <-time.After(t.pace.Sleep):
				}
				*t = turn{pace: t.pace, began: time.Now()}
			}
		}
		if stopped(stop) {
			return false
		}
	}
}

// forgotten is the age of an unfinished file that nobody can be writing any more.
const forgotten = 24 * time.Hour

// loadFile takes a file into the index, or deletes it: one that is too small to be read, and an unfinished one that the
// process which wrote it has left. Files with other names are not ours.
func (c *Cache) loadFile(name string) {
	base := filepath.Base(name)
	var st syscall.Stat_t
	if syscall.Lstat(name, &st) != nil || st.Mode&syscall.S_IFMT != syscall.S_IFREG {
		return
	}
	if temporary(base) {
		if time.Since(time.Unix(st.Mtim.Sec, 0)) > forgotten {
			os.Remove(name)
		}
		return
	}
	k, ok := keyOf(base)
	if !ok || name != string(c.AppendName(nil, &k)) {
		return
	}
	if st.Size < headerSize {
		c.log(nlog.Crit, nil, "cache file \"%s\" is too small", name)
		os.Remove(name)
		return
	}
	if !c.know(&k, &st) {
		os.Remove(name)
	}
}

// temporary reports whether a file with that name is an unfinished one: a key, a dot and digits.
func temporary(base string) bool {
	if len(base) < 2*keySize+2 || base[2*keySize] != '.' {
		return false
	}
	_, ok := keyOf(base[:2*keySize])
	for _, c := range []byte(base[2*keySize+1:]) {
		ok = ok && ascii.IsDigit(c)
	}
	return ok
}

// know adds a file to the index; false: that is full.
func (c *Cache) know(k *Key, st *syscall.Stat_t) bool {
	x := c.index
	now := time.Now().Unix()
	x.Lock()
	e := x.find(k)
	if e == nil {
		if e = x.add(k); e == nil {
			x.full()
			tell := x.told != now
			x.told = now
			x.Unlock()
			if tell {
				c.log(nlog.Alert, nil, "could not allocate node in cache keys zone \"%s\"", c.Name)
			}
			return false
		}
		e.uses, e.exists, e.blocks = 1, true, c.blocks(st.Blocks)
		x.blocks += e.blocks
	}
	e.expire = now + int64(c.Inactive/time.Second)
	x.touch(e)
	x.Unlock()
	return true
}

// Move gives a file its name, with these permissions, and makes the folders that are missing. call says what failed with
// err.
func Move(f *os.File, to string, mode, dirMode fs.FileMode) (call string, err error) {
	from := f.Name()
	if err := f.Chmod(mode); err != nil {
		return "chmod() \"" + from + "\"", err
	}
	err = os.Rename(from, to)
	if err != nil && os.IsNotExist(err) {
		if err := os.MkdirAll(filepath.Dir(to), dirMode); err != nil {
			return "mkdir() \"" + filepath.Dir(to) + "\"", err
		}
		err = os.Rename(from, to)
	}
	if errors.Is(err, syscall.EXDEV) {
		err = copyTo(f, to, mode)
	}
	if err != nil {
		return "rename() \"" + from + "\" to \"" + to + "\"", err
	}
	return "", nil
}

// copyTo is a rename to another file system.
func copyTo(from *os.File, to string, mode fs.FileMode) error {
	fi, err := from.Stat()
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(to), filepath.Base(to)+".")
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(f, io.NewSectionReader(from, 0, fi.Size()))
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		os.Chtimes(f.Name(), fi.ModTime(), fi.ModTime())
		err = os.Rename(f.Name(), to)
	}
	if err != nil {
		os.Remove(f.Name())
		return err
	}
	os.Remove(from.Name())
	return nil
}
