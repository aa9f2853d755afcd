package relay

import (
	"bytes"
	"math"
	"syscall"

	"moongate/internal/base/ascii"
	"moongate/internal/base/nlog"
	"moongate/internal/engine"
	"moongate/internal/filecache"
	"moongate/internal/http1"
	"moongate/internal/netio"
	"moongate/internal/openfile"
)

// Cacher is implemented by protocols whose responses can be kept (CacheRows).
type Cacher interface {
	// CacheKey appends what tells the response apart where the configuration does not say it.
	CacheKey(x *Exchange, dst []byte) []byte
}

// cacheStatus is what has become of a request's look into the cache.
type cacheStatus uint8

const (
	noStatus cacheStatus = iota
	statusMiss
	statusBypass
	statusExpired
	statusStale
	statusUpdating
	statusRevalidated
	statusHit
)

var cacheWords = [...]string{"", "MISS", "BYPASS", "EXPIRED", "STALE", "UPDATING", "REVALIDATED", "HIT"}

// caching is what an exchange has to do with a cache. Its memory is kept for the next exchange.
type caching struct {
	use    filecache.Use
	status cacheStatus
	// keeps says that the response is to be kept, as far as that is known.
	keeps      bool
	hit        bool // the response comes from the file
	beside     bool // another request fetches what is not fresh; the entry stays this one's until it has ended
	noCache    bool // the response's head says so
	expired    bool
	staleUsing bool // the response may be used while it is updated
	staleError bool // ... or when the server fails
	waiting    bool
	waitUntil  int64
	gaveUp     bool // waiting took too long
	left       bool // the client has gone; the response is fetched for others

	vary   []byte       // of the file that was found
	file   *engine.File // the one found
	size   int64
	buf    []byte // its beginning, from the worker's buffers
	head   []byte // the response's head there
	start  int64  // where its body begins
	parser http1.ResponseParser
}

// notCached says that the server is to be asked.
const notCached engine.Status = -1000

// Keeps reports whether the response is to be kept, as far as that is known.
func (x *Exchange) Keeps() bool { return x.cache != nil && x.cache.keeps }

// CacheStatus is the word for what has become of the newest exchange's look into its cache; "" when it has none.
func CacheStatus(r *engine.Request) string {
	if x := Of(r); x != nil && x.cache != nil {
		return cacheWords[x.cache.status]
	}
	return ""
}

// CacheKey is the key of the newest exchange's response.
func CacheKey(r *engine.Request) []byte {
	if x := Of(r); x != nil && x.cache != nil {
		return x.cache.use.KeyText()
	}
	return nil
}

// revalidates reports whether the server is to be asked whether the file is still good.
func (x *Exchange) revalidates() bool {
	return x != nil && x.cache != nil && x.Conf.Caching.Revalidate.V && x.cache.status == statusExpired
}

// CachedModified is the Last-Modified to ask the server with, ok false for none; CachedETag the tag.
func CachedModified(r *engine.Request) (t int64, ok bool) {
	if x := Of(r); x.revalidates() && x.cache.use.LastModified != -1 {
		return x.cache.use.LastModified, true
	}
	return 0, false
}

// CachedETag is the entity tag to ask the server with.
func CachedETag(r *engine.Request) []byte {
	if x := Of(r); x.revalidates() {
		return x.cache.use.ETag
	}
	return nil
}

// fromCache answers from the cache, or says that it is the server's turn.
func (x *Exchange) fromCache() engine.Status {
	r, c := x.R, &x.Conf.Caching
	if r.Method&c.methods() == 0 {
		return notCached
	}
	cache, st := x.chooseCache()
	if cache == nil {
		return st
	}
	if r.Method == http1.MethodHead && c.ConvertHead.V {
		x.Method = methodGet
	}
	key := x.cacheKey()
	if n := filecache.HeadStart(key) + 256; int64(n) > x.Conf.BufferSize.V {
		r.Logf(nlog.Error, "%sbuffer_size %d is not enough for cache key, it should be increased to at least %d", c.tag.prefix, x.Conf.BufferSize.V, (n+1023)/1024*1024)
		return notCached
	}
	k := x.spareCache
	if k == nil {
		k = &caching{}
		x.spareCache = k
	}
	x.cache = k
	k.use.Begin(cache, key, c.MinUses.V, int(2*x.Conf.BufferSize.V))
	k.keeps = true
	for _, p := range c.Bypass {
		if p.Any(r) {
			k.status = statusBypass
			return notCached
		}
	}
	k.status = statusMiss
	return x.lookUp()
}

// chooseCache gives the cache of the location; nil: there is none, and the status says what follows.
func (x *Exchange) chooseCache() (*filecache.Cache, engine.Status) {
	r, choice := x.R, &x.Conf.Caching.Cache.V
	if choice.zone != nil {
		return choice.zone.Data.(*declaredCache).Cache, 0
	}
	name := choice.value.Eval(r)
	if len(name) == 0 || string(name) == "off" {
		return nil, notCached
	}
	cache := cachesOf(r.H.Config.Values).find(x.Conf.Caching.tag, name)
	if cache == nil {
		r.Logf(nlog.Error, "cache \"%s\" not found", name)
		return nil, 500
	}
	return cache, 0
}

func (x *Exchange) cacheKey() []byte {
	if t := x.Conf.Caching.Key.V; t != nil {
		return x.R.Copy(t.Eval(x.R))
	}
	x.head = x.P.(Cacher).CacheKey(x, x.head[:0])
	return x.R.Copy(x.head)
}

// lookUp looks into the cache, and waits for another request that fetches the same.
func (x *Exchange) lookUp() engine.Status {
	r, k, c := x.R, x.cache, &x.Conf.Caching
	for {
		v := k.use.Find(x.w.Loop.Wall() / 1e9)
		if v == filecache.Look {
			switch x.openKept() {
			case keptGood:
				if st, ok := x.useKept(); ok {
					return st
				}
				return x.askServer()
			case keptOther:
				continue
			case keptBad:
				return x.askServer()
			default:
				v = k.use.Missing()
			}
		}
		switch v {
		case filecache.Failed:
			k.status = statusHit
			return engine.Status(k.use.Fail)
		case filecache.Full:
			x.R.Logger.Logf(nlog.Alert, nil, nil, "could not allocate node in cache keys zone \"%s\"", k.use.Cache().Name)
			k.keeps = false
		case filecache.Scarce:
			k.keeps = false
		case filecache.Absent:
			if !c.Lock.V {
				break
			}
			if _, ok := k.use.Lock(x.w.Loop.Now(), int64(c.LockAge.V)); ok {
				break
			}
			if c.LockTimeout.V == 0 || k.gaveUp {
				k.keeps = false
				break
			}
			if !x.awaitFill() {
				r.KeepAlive = false
				return engine.StatusClientClosed
			}
			continue
		}
		return x.askServer()
	}
}

// askServer is the end of a look without a result.
func (x *Exchange) askServer() engine.Status {
	if x.cache.keeps && !x.rangeKept() {
		x.cache.keeps = false
	}
	return notCached
}

// rangeKept reports whether the whole is fetched though the client wants a part of it.
func (x *Exchange) rangeKept() bool {
	most := x.Conf.Caching.MaxRangeOffset.V
	v := x.R.In.Get(http1.HRange)
	switch {
	case most == math.MaxInt64 || !x.R.In.Has(http1.HRange):
		return true
	case most == 0:
		return false
	case len(v) < 7 || !ascii.HasPrefixFold(v, "bytes="):
		return true
	}
	v = bytes.TrimLeft(v[len("bytes="):], " ")
	if len(v) > 0 && v[0] == '-' {
		return false
	}
	n := 0
	for n < len(v) && ascii.IsDigit(v[n]) {
		n++
	}
	offset, ok := ascii.ParseInt(v[:n])
	return n == 0 || ok && offset < most
}

// fillWait is a wait for the request that fills an entry. It is made anew for each: who wakes it may be late.
type fillWait struct {
	filecache.Waiter
	parked bool
}

// awaitFill parks until the request that fills the entry is done, or should be. False: the client is gone.
func (x *Exchange) awaitFill() bool {
	k, loop := x.cache, x.w.Loop
	if k.waitUntil == 0 {
		k.waitUntil = loop.Now() + int64(x.Conf.Caching.LockTimeout.V)
	}
	task := loop.Current()
	w := &fillWait{}
	w.Wake = func() {
		loop.Post(func() {
			if w.parked {
				w.parked = false
				loop.Ready(task)
			}
		})
	}
	w.parked = true
	until, ok := k.use.Wait(&w.Waiter, loop.Now())
	if !ok {
		return true
	}
	if r := x.R; !x.heedless() {
		x.task, k.waiting, x.watching = task, true, true
		r.Conn.Watch(x)
		x.gone = r.Stream.Gone()
	}
	var err error
	if !x.gone {
		err = loop.Park(min(until, k.waitUntil))
	}
	w.parked, k.waiting = false, false
	k.use.Unwait(&w.Waiter)
	if x.watching {
		x.R.Conn.Unwatch(x)
		x.watching = false
	}
	switch {
	case x.gone || err == netio.ErrKilled:
		return false
	case loop.Now() >= k.waitUntil:
		x.R.Logf(nlog.Info, "cache lock timeout")
		k.gaveUp = true
	}
	return true
}

// kept is what openKept finds.
type keptFile uint8

const (
	keptGood keptFile = iota
	keptNone
	keptOther // the file of another variant is to be looked for
	keptBad
)

// openKept opens the file and reads what stands at its beginning.
func (x *Exchange) openKept() keptFile {
	r, k := x.R, x.cache
	name := k.use.Name(r.Alloc(k.use.Cache().NameLen() + 1)[:0])
	var info openfile.Info
	f := r.OpenKept(name, k.use.Uniq(), &info)
	switch info.Err {
	case 0:
	case syscall.ENOENT, syscall.ENOTDIR:
		return keptNone
	default:
		r.LogErr(nlog.Crit, info.Err, "open() \"%s\" failed", name)
		return keptBad
	}
	if f == nil {
		r.Logf(nlog.Crit, "\"%s\" is not a regular file", name)
		return keptBad
	}
	x.closeKept()
	k.file, k.size = f, info.Size
	n := int(min(int64(k.use.Start()), info.Size))
	if cap(k.buf) < n {
		if k.buf != nil {
			x.w.FreeBuffer(k.buf)
		}
		k.buf = x.w.Buffer(n)
	}
	got, err := f.ReadAt(k.buf[:n], 0)
	if err != nil {
		r.LogErr(nlog.Crit, err, "pread() \"%s\" failed", name)
		x.closeKept()
		return keptBad
	}
	k.buf = k.buf[:got]
	sectors := int64(0)
	if k.use.Cache().Cold() {
		var st syscall.Stat_t
		if syscall.Fstat(f.FD, &st) == nil {
			sectors = st.Blocks
		}
	}
	found, problem := k.use.Check(k.buf, info.Uniq, info.Size, sectors, r.In.List)
	if found == filecache.Good {
		k.head, k.start = k.buf[k.use.HeadStart():k.use.BodyStart], int64(k.use.BodyStart)
		if problem.Text = x.parseKept(); problem.Text == "" {
			return keptGood
		}
	}
	x.closeKept()
	if found == filecache.Reopen {
		return keptOther
	}
	level := nlog.Crit
	if problem.Minor {
		level = nlog.Info
	}
	r.Logf(level, problem.Text, name)
	return keptBad
}

// parseKept reads the head in the file. A text is what is wrong with it.
func (x *Exchange) parseKept() string {
	k := x.cache
	p := &k.parser
	p.Reset()
	n, st := p.Parse(k.head, 0)
	if st == http1.ResponseDone {
		st = p.Check()
	}
	if st != http1.ResponseDone || n != len(k.head) {
		return "cache file \"%s\" contains invalid header"
	}
	// One without any body may be the answer to HEAD: a key for both methods is up to the configuration.
	if n := k.size - k.start; p.ContentLength >= 0 && !p.Chunked && n != 0 && n != p.ContentLength {
		return "cache file \"%s\" has not the whole response"
	}
	return ""
}

func (x *Exchange) closeKept() {
	if k := x.cache; k.file != nil {
		k.file.Unref()
		k.file = nil
	}
}

// useKept answers with the file that was found, if it may be used. ok is false when the server is to be asked.
func (x *Exchange) useKept() (st engine.Status, ok bool) {
	r, k, c := x.R, x.cache, &x.Conf.Caching
	now := x.w.Loop.Wall() / 1e9
	age := k.use.Opened(now)
	if age == filecache.Fresh {
		k.status = statusHit
		return x.sendKept(), true
	}
	u := &k.use
	k.staleUsing = filecache.Later(u.Valid, u.UpdatingFor) >= now
	k.staleError = filecache.Later(u.Valid, u.ErrorFor) >= now
	if (c.UseStale.V&onUpdating != 0 || k.staleUsing) && !r.Beside {
		switch {
		case age == filecache.Updating:
			k.status = statusUpdating
			return x.sendKept(), true
		case c.Background.V:
			k.status, k.beside = statusStale, true
			st := x.sendKept()
			r.Background(r.URI, r.Args, engine.SubOptions{Clone: true, KeepBody: true, ShareVars: true, Ended: func(*engine.Request) { k.use.Free() }})
			return st, true
		}
	}
	k.vary = u.Vary
	u.Valid, u.UpdatingFor, u.ErrorFor, u.Vary = 0, 0, 0, nil
	k.status = statusExpired
	return 0, false
}

// sendKept answers with the file.
func (x *Exchange) sendKept() engine.Status {
	r, k := x.R, x.cache
	k.hit = true
	x.Resp = &k.parser.Response
	x.Trailers = x.Trailers[:0]
	x.readFreshness()
	if x.Resp.Has(http1.HXAccelRedirect) && x.Conf.Ignore.V&ignoreRedirect == 0 {
		return x.redirect(x.Resp.Get(http1.HXAccelRedirect))
	}
	x.copyHead()
	if st := r.SendHead(); st != engine.OK || r.HeadOnly {
		return st
	}
	x.body = true
	c := engine.Chunk{Last: true}
	if n := k.size - k.start; n > 0 {
		c.File, c.Off, c.Len = k.file, k.start, n
	}
	if r.Output(&c) != nil {
		return engine.Error
	}
	return engine.OK
}

// staleAnswers answers with the file that is not fresh any more for a failure, where that is allowed.
func (x *Exchange) staleAnswers(why uint32, anyway bool) (engine.Status, bool) {
	k := x.cache
	if k == nil || k.status != statusExpired || k.file == nil || x.Conf.Caching.UseStale.V&why == 0 && !(anyway && k.staleError) {
		return 0, false
	}
	k.status = statusStale
	return x.sendKept(), true
}

// keptAnswers answers with the file in place of the server's response: of an error that it may stand for, or of one that
// says that nothing has changed.
func (x *Exchange) keptAnswers() (engine.Status, bool) {
	k := x.cache
	if k == nil {
		return 0, false
	}
	if why := statusBit(x.Resp.Status); why != 0 {
		if st, ok := x.staleAnswers(why, false); ok {
			x.keepUnread()
			return st, true
		}
	}
	x.readFreshness()
	if x.Resp.Status != 304 || k.status != statusExpired || k.file == nil || !x.Conf.Caching.Revalidate.V {
		return 0, false
	}
	x.keepUnread()
	u := &k.use
	now := x.w.Loop.Wall() / 1e9
	valid, updating, onErrorFor := u.Valid, u.UpdatingFor, u.ErrorFor
	u.Valid, u.UpdatingFor, u.ErrorFor = 0, 0, 0
	k.status = statusRevalidated
	st := x.sendKept()
	if valid == 0 {
		valid, updating, onErrorFor = u.Valid, u.UpdatingFor, u.ErrorFor
	}
	if valid == 0 {
		if n := x.Conf.Caching.validFor(x.Resp.Status); n != 0 {
			valid = filecache.Later(now, n)
		}
	}
	if valid != 0 {
		u.Valid, u.UpdatingFor, u.ErrorFor, u.Date, u.BodyStart = valid, updating, onErrorFor, now, int(k.start)
		u.SetVary(k.vary, x.R.In.List)
		if call, err := u.UpdateHeader(); err != nil {
			x.R.LogErr(nlog.Crit, err, "%s failed", call)
		}
	}
	return st, true
}

// keepUnread keeps the connection of a response whose body is not wanted, if it has none.
func (x *Exchange) keepUnread() {
	if x.KeepConn {
		x.keep()
	}
}

// rememberError lets a status stand in the index in place of a response.
func (x *Exchange) rememberError(st engine.Status) {
	k := x.cache
	if k == nil || !k.keeps || k.hit || !k.use.Active() {
		return
	}
	if k.use.Valid == 0 {
		n := x.Conf.Caching.validFor(int(st))
		if n == 0 {
			return
		}
		k.use.Valid = filecache.Later(x.w.Loop.Wall()/1e9, n)
	}
	k.use.Fail = int(st)
}

// endCache lets the cache go; whoever waits for the response has to fetch it itself when it was not kept.
func (x *Exchange) endCache() {
	k := x.cache
	if k == nil {
		return
	}
	x.closeKept()
	if !k.beside {
		k.use.Free()
	}
}

// reset makes the memory ready for another exchange.
func (k *caching) reset(w *engine.Worker) {
	if k.buf != nil {
		w.FreeBuffer(k.buf)
	}
	p := k.parser
	p.Reset()
	*k = caching{parser: p}
}
