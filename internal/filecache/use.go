package filecache

import (
	"crypto/md5"
	"hash/crc32"
	"math"
	"os"
	"syscall"

	"moongate/internal/http1"
)

// Use is what one request does with a cache. It pins an entry between Find and Commit or Free. The zero value is ready for
// Begin; a Use belongs to one worker.
type Use struct {
	Meta
	// Fail is the status that is kept in place of a response, or that Free is to keep.
	Fail int
	// MinUses is how often a key must have been asked for before a file is made.
	MinUses int

	cache   *Cache
	e       *entry
	text    []byte // of the key
	key     Key    // of the entry: main, or that of a variant
	main    Key
	variant Key
	crc     uint32
	uniq    uint64
	length  int64
	blocks  int64
	until   int64
	room    int // for header and head of a file that is not known
	start   int // what to read of the file to have both

	exists     bool
	rare       bool // not asked for often enough to make a file
	updating   bool // this request fills the entry
	updated    bool // ... or has done so
	secondary  bool // key is that of a variant
	changeBody bool // what the index knows of the file is another's
}

// Verdict is what the index knows of a key.
type Verdict uint8

// The verdicts.
const (
	Look   Verdict = iota // there is a file, or may be
	Absent                // there is none; see Lock
	Scarce                // there is none, and the key was not asked for often enough to make one
	Failed                // Fail has a status in its place
	Full                  // no room in the index
)

// Begin starts a use: text is the key, which must live as long as the use; room is how many bytes header and head may have.
func (u *Use) Begin(c *Cache, text []byte, minUses, room int) {
	*u = Use{cache: c, text: text, MinUses: minUses, room: room, start: room}
	u.key = md5.Sum(text)
	u.main, u.crc = u.key, crc32.ChecksumIEEE(text)
}

// Active reports whether Begin was called, and Commit or Free not yet.
func (u *Use) Active() bool { return u.cache != nil && !u.updated }

// Cache is that of Begin.
func (u *Use) Cache() *Cache { return u.cache }

// KeyText is the key.
func (u *Use) KeyText() []byte { return u.text }

// Updating reports whether it is this request that fills the entry.
func (u *Use) Updating() bool { return u.updating }

// Name appends the name of the file.
func (u *Use) Name(dst []byte) []byte { return u.cache.AppendName(dst, &u.key) }

// Start is how much of the file is to be read to have its header and the response's head.
func (u *Use) Start() int { return u.start }

// Uniq is the file's number, 0 when it is not known.
func (u *Use) Uniq() uint64 { return u.uniq }

// Find looks the key up, and pins the entry. now is in seconds.
func (u *Use) Find(now int64) Verdict {
	x := u.cache.index
	u.updated = false
	x.Lock()
	fresh := false
	e := u.e
	if e == nil {
		if e = x.find(&u.key); e != nil {
			if e.uses < math.MaxUint16 {
				e.uses++
			}
			e.pins++
		}
	}
	if e == nil {
		if e = u.addEntry(x); e == nil {
			x.Unlock()
			return Full
		}
		e.uses++
		e.pins++
		fresh = e.uses == 1
	}
	if e.fail != 0 && e.valid < now {
		e.fail, e.valid = 0, 0
		fresh = !e.exists
	}
	v := Look
	switch {
	case fresh:
		u.rare = u.MinUses > 1
		if !x.cold.Load() {
			v = Absent
		}
	case e.fail != 0:
		v = Failed
	case e.exists || int(e.uses) >= u.MinUses:
		u.rare = false
		if e.body != 0 && !u.changeBody {
			u.start = int(e.body)
		}
		if !e.exists {
			v = Absent
		}
	default:
		v = Scarce
	}
	e.expire = now + int64(u.cache.Inactive/1e9)
	x.touch(e)
	u.e, u.uniq, u.Fail, u.exists = e, e.uniq, int(e.fail), e.exists
	x.Unlock()
	if v == Absent && u.rare {
		return Scarce
	}
	return v
}

// addEntry makes an entry, or finds the one that another worker makes at the same time, for which others may have to go. It is called with the lock and may let it go meanwhile.
func (u *Use) addEntry(x *index) *entry {
	for tries := 0; ; tries++ {
		if e := x.add(&u.key); e != nil {
			return e
		}
		x.full()
		if tries == 3 { // others have taken the room that was made
			return nil
		}
		x.Unlock()
		u.cache.forceOut()
		x.Lock()
		if e := x.find(&u.key); e != nil { // somebody else has added the key meanwhile
			return e
		}
	}
}

// Missing is the verdict when a file that was looked for is not there, or not to be used.
func (u *Use) Missing() Verdict {
	if u.rare {
		return Scarce
	}
	return Absent
}

// Lock makes this request the one that fills the entry, for age nanoseconds; now is monotonic nanoseconds. False: another
// one does that, until the time given.
func (u *Use) Lock(now, age int64) (until int64, ok bool) {
	x, e := u.cache.index, u.e
	x.Lock()
	defer x.Unlock()
	if e.updating && e.until > now {
		return e.until, false
	}
	e.updating, e.until = true, now+age
	u.updating, u.until = true, e.until
	return 0, true
}

// Waiter waits for the request that fills an entry.
type Waiter struct {
	// Wake is called, once and from anywhere, when that is done.
	Wake func()
}

// Wait makes w wait, until Wake is called or Unwait; until is when that ends in any case. False: there is nothing to
// wait for.
func (u *Use) Wait(w *Waiter, now int64) (until int64, ok bool) {
	x, e := u.cache.index, u.e
	x.Lock()
	defer x.Unlock()
	if !e.updating || e.until <= now {
		return 0, false
	}
	if x.waiting == nil {
		x.waiting = map[uint32][]*Waiter{}
	}
	x.waiting[e.self] = append(x.waiting[e.self], w)
	return e.until, true
}

// Unwait ends Wait; Wake may be under way.
func (u *Use) Unwait(w *Waiter) {
	x := u.cache.index
	x.Lock()
	defer x.Unlock()
	list := x.waiting[u.e.self]
	for i, o := range list {
		if o == w {
			list[i] = list[len(list)-1]
			list = list[:len(list)-1]
			break
		}
	}
	if len(list) == 0 {
		delete(x.waiting, u.e.self)
	} else {
		x.waiting[u.e.self] = list
	}
}

// release takes those who wait for an entry out; the caller wakes them without the lock.
func (x *index) release(e *entry) []*Waiter {
	e.updating = false
	list := x.waiting[e.self]
	if list != nil {
		delete(x.waiting, e.self)
	}
	return list
}

func wake(list []*Waiter) {
	for _, w := range list {
		w.Wake()
	}
}

// Age is how a file is to be taken.
type Age uint8

// The ages.
const (
	Fresh    Age = iota
	Stale        // this request is to fill it anew
	Updating     // another one does that
)

// Opened tells what is known of the open file, once Check has found it good. now is in seconds.
func (u *Use) Opened(now int64) Age {
	x, e := u.cache.index, u.e
	if x.cold.Load() {
		x.Lock()
		if !e.exists {
			e.uses, e.body, e.exists, e.uniq, e.blocks = max(e.uses, 1), uint32(u.BodyStart), true, u.uniq, u.blocks
			x.blocks += u.blocks
		}
		x.Unlock()
	}
	if u.Valid >= now {
		return Fresh
	}
	x.Lock()
	defer x.Unlock()
	if e.updating {
		return Updating
	}
	e.updating, u.updating, u.until = true, true, e.until
	return Stale
}

// mainKey goes back to the entry of the key itself when the response to be kept is not the variant that was looked for.
func (u *Use) mainKey(now int64) bool {
	if !u.secondary || len(u.Vary) > 0 && u.variant == u.key {
		return true
	}
	x := u.cache.index
	x.Lock()
	u.e.pins--
	list := x.release(u.e)
	x.Unlock()
	wake(list)
	u.e, u.updating = nil, false
	u.changeBody, u.secondary = true, false
	u.key = u.main
	return u.Find(now) != Full
}

// reopen goes on to the entry of the variant that the request's fields make. False: it has been there.
func (u *Use) reopen() bool {
	if u.secondary {
		return false
	}
	x := u.cache.index
	x.Lock()
	u.e.pins--
	x.Unlock()
	u.e = nil
	u.secondary = true
	u.start = u.room
	u.key = u.variant
	return true
}

// Commit makes a complete file, with header and head at its beginning, the entry's, and lets the entry go. call says what
// failed with err.
func (u *Use) Commit(f *os.File) (call string, err error) {
	if u.updated {
		return "", nil
	}
	u.updated, u.updating = true, false
	var uniq uint64
	var blocks int64
	call, err = Move(f, string(u.Name(nil)), 0o600, 0o700)
	if err == nil {
		var st syscall.Stat_t
		if err = syscall.Fstat(int(f.Fd()), &st); err != nil {
			call = "fstat() \"" + f.Name() + "\""
		} else {
			uniq, blocks = st.Ino, u.cache.blocks(st.Blocks)
		}
	}
	x, e := u.cache.index, u.e
	x.Lock()
	e.pins--
	if err == nil {
		e.fail, e.uniq, e.body = 0, uniq, uint32(u.BodyStart)
		x.blocks += blocks
		if e.exists {
			x.blocks -= e.blocks
		}
		e.exists, e.blocks = true, blocks
	}
	list := x.release(e)
	if !e.exists && e.pins == 0 && u.MinUses <= 1 {
		x.remove(e)
	}
	x.Unlock()
	wake(list)
	u.e = nil
	return call, err
}

// Free lets the entry go; Fail, when it is set, is kept in place of a response until Valid.
func (u *Use) Free() {
	if u.updated || u.e == nil {
		u.updated = true
		return
	}
	x, e := u.cache.index, u.e
	var list []*Waiter
	x.Lock()
	e.pins--
	if u.updating && e.until == u.until {
		list = x.release(e)
	}
	switch {
	case u.Fail != 0:
		e.fail = uint16(u.Fail)
		if u.Valid != 0 {
			e.valid = u.Valid
		}
	case !e.exists && e.pins == 0 && u.MinUses <= 1:
		x.remove(e)
	}
	x.Unlock()
	wake(list)
	u.e, u.updated, u.updating = nil, true, false
}

// SetVary sets the fields that the response depends on, and finds the variant of the request's fields.
func (u *Use) SetVary(vary []byte, fields []http1.Header) {
	u.Vary = vary
	if len(vary) > 0 {
		u.variant = u.variantOf(vary, fields)
	}
}
