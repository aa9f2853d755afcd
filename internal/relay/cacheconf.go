package relay

import (
	"math"
	"strings"
	"time"

	"moongate/internal/base/nlog"
	"moongate/internal/base/units"
	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/filecache"
	"moongate/internal/http1"
	"moongate/internal/plane"
	"moongate/internal/zone"
)

// CacheConf is what a location says about keeping responses (proxy_cache and its family). It is a part of Conf.
type CacheConf struct {
	Cache          conf.Opt[CacheChoice]
	Key            conf.Opt[*engine.Template]
	Bypass, NoKeep []engine.Predicates
	Valid          []validity
	MinUses        conf.Opt[int]
	MaxRangeOffset conf.Opt[int64]
	UseStale       conf.Opt[uint32]
	Methods        conf.Opt[uint32]
	Lock           conf.Opt[bool]
	LockTimeout    conf.Opt[time.Duration]
	LockAge        conf.Opt[time.Duration]
	Revalidate     conf.Opt[bool]
	ConvertHead    conf.Opt[bool]
	Background     conf.Opt[bool]
	tag            cacheTag
}

// CacheChoice is the cache of a location: a zone, or a name that is made of variables.
type CacheChoice struct {
	zone  *zone.Zone
	value *engine.Template
}

// Caches reports whether responses are kept.
func (c *CacheConf) Caches() bool { return c.Cache.V.zone != nil || c.Cache.V.value != nil }

// cacheTag marks the zones of the caches of a family, by its prefix.
type cacheTag struct{ prefix string }

// validity is how long responses with a status, 0 for any, are fresh.
type validity struct {
	status  int
	seconds int64
}

// validFor is how many seconds a response with the status is fresh; 0: it is not kept.
func (c *CacheConf) validFor(status int) int64 {
	for _, v := range c.Valid {
		if v.status == 0 || v.status == status {
			return v.seconds
		}
	}
	return 0
}

// onUpdating is the bit of "use_stale" for a response that is being fetched.
const onUpdating uint32 = 1 << 16

var staleWords = conf.Bits("error", "timeout", "denied", "invalid_header", "non_idempotent", "http_500", "http_502", "http_503", "http_504", "http_403", "http_404", "http_429", "off", "updating")

var staleType = conf.NewType("error | timeout | invalid_header | updating | http_500 | http_502 | http_503 | http_504 | http_403 | http_404 | http_429 | off ...", conf.OneMore, func(c *conf.Cmd) (uint32, error) {
	v, err := staleWords.Parse(c)
	if v&onNoLive != 0 { // the word in that place
		v = v&^onNoLive | onUpdating
	}
	return v, err
})

// methodWords of "cache_methods", and the methods that they stand for.
var (
	methodWords = conf.Bits("GET", "HEAD", "POST")
	methodBits  = [...]http1.Method{http1.MethodGet, http1.MethodHead, http1.MethodPost}
)

// CacheRows makes the directives of keeping responses, for protocols that have them.
func CacheRows[T any](prefix string, l *conf.Level[T], of func(*T) *Conf) []conf.Directive {
	name := prefix + "cache"
	tag := cacheTag{prefix}
	cacheOf := func(f func(*CacheConf) *conf.Opt[bool]) conf.Setter {
		return conf.Slot(l, conf.Flag, func(t *T) *conf.Opt[bool] { return f(&of(t).Caching) })
	}
	msec := func(f func(*CacheConf) *conf.Opt[time.Duration]) conf.Setter {
		return conf.Slot(l, conf.Msec, func(t *T) *conf.Opt[time.Duration] { return f(&of(t).Caching) })
	}
	predicates := func(f func(*CacheConf) *[]engine.Predicates) conf.Setter {
		return conf.List(l, engine.ParsePredicates, func(t *T) *[]engine.Predicates { return f(&of(t).Caching) })
	}
	return []conf.Directive{
		{Name: name, In: anywhere, Args: conf.Take1, Syntax: "zone | off", Default: "off", Set: conf.Func(func(c *conf.Cmd) error { return readCache(c, of(l.Of(c.Scope)), prefix, tag) }),
			Doc: "Keeps responses in the cache with that zone, and answers with what is there. The name may have variables; an empty one is off."},
		{Name: name + "_path", In: conf.HTTP, Args: conf.TwoMore, Set: conf.Func(func(c *conf.Cmd) error { return readCachePath(c, tag) }),
			Syntax: "path [levels=levels] [use_temp_path=on|off] keys_zone=name:size [inactive=time] [max_size=size] [min_free=size] [manager_files=number] [manager_sleep=time] [manager_threshold=time] [loader_files=number] [loader_sleep=time] [loader_threshold=time]",
			Doc:    "Declares a cache: a folder of files and an index of them in a zone, which has room for 8 thousand keys in a megabyte. What was not asked for in the time of inactive (10m) goes, and the oldest when there is more than max_size or less room than min_free on the disk."},
		{Name: name + "_key", In: anywhere, Syntax: "string", Set: conf.Slot(l, engine.TemplateType(), func(t *T) *conf.Opt[*engine.Template] { return &of(t).Caching.Key }),
			Doc: "What tells responses apart. The default is the address that the request is passed on to."},
		{Name: name + "_bypass", In: anywhere, Args: conf.OneMore, Syntax: "string ...", Set: predicates(func(c *CacheConf) *[]engine.Predicates { return &c.Bypass }),
			Doc: "When one of the strings is neither empty nor 0 the server is asked, whatever the cache has."},
		{Name: prefix + "no_cache", In: anywhere, Args: conf.OneMore, Syntax: "string ...", Set: predicates(func(c *CacheConf) *[]engine.Predicates { return &c.NoKeep }),
			Doc: "When one of the strings is neither empty nor 0 the response is not kept."},
		{Name: name + "_valid", In: anywhere, Args: conf.OneMore, Syntax: "[code ...] time", Set: conf.Func(func(c *conf.Cmd) error { return readValid(c, &of(l.Of(c.Scope)).Caching.Valid) }),
			Doc: "How long responses are fresh that do not say it themselves, by status; without one 200, 301 and 302, and any is every other."},
		{Name: name + "_min_uses", In: anywhere, Default: "1", Set: conf.Slot(l, conf.Number, func(t *T) *conf.Opt[int] { return &of(t).Caching.MinUses }),
			Doc: "How often something must have been asked for before it is kept."},
		{Name: name + "_max_range_offset", In: anywhere, Syntax: "number", Set: conf.Slot(l, conf.Offset, func(t *T) *conf.Opt[int64] { return &of(t).Caching.MaxRangeOffset }),
			Doc: "Requests for a part that begins at that byte or behind it are passed on as they are, and what comes is not kept."},
		{Name: name + "_use_stale", In: anywhere, Default: "off", Set: conf.Slot(l, staleType, func(t *T) *conf.Opt[uint32] { return &of(t).Caching.UseStale }),
			Doc: "The failures and statuses of servers for which a response that is not fresh any more is sent, and with updating, that it is while another request fetches it."},
		{Name: name + "_methods", In: anywhere, Syntax: "GET | HEAD | POST ...", Default: "GET HEAD", Set: conf.Slot(l, methodWords, func(t *T) *conf.Opt[uint32] { return &of(t).Caching.Methods }),
			Doc: "The methods whose responses are kept. GET and HEAD always are."},
		{Name: name + "_lock", In: anywhere, Default: "off", Set: cacheOf(func(c *CacheConf) *conf.Opt[bool] { return &c.Lock }),
			Doc: "Lets one request at a time fetch what the cache does not have; others with the same key wait for it."},
		{Name: name + "_lock_timeout", In: anywhere, Default: "5s", Set: msec(func(c *CacheConf) *conf.Opt[time.Duration] { return &c.LockTimeout }),
			Doc: "How long they wait before they ask the server themselves; what they get is not kept."},
		{Name: name + "_lock_age", In: anywhere, Default: "5s", Set: msec(func(c *CacheConf) *conf.Opt[time.Duration] { return &c.LockAge }),
			Doc: "How long fetching may take before another request may fetch and keep it, too."},
		{Name: name + "_revalidate", In: anywhere, Default: "off", Set: cacheOf(func(c *CacheConf) *conf.Opt[bool] { return &c.Revalidate }),
			Doc: "Asks servers with If-Modified-Since and If-None-Match whether what is not fresh any more has changed."},
		{Name: name + "_convert_head", In: anywhere, Default: "on", Set: cacheOf(func(c *CacheConf) *conf.Opt[bool] { return &c.ConvertHead }),
			Doc: "Passes HEAD on as GET, so that the response can be kept. With off the key should have $request_method in it."},
		{Name: name + "_background_update", In: anywhere, Default: "off", Set: cacheOf(func(c *CacheConf) *conf.Opt[bool] { return &c.Background }),
			Doc: "Fetches what is not fresh any more beside the request, which gets what is there; where use_stale updating or the response allow that."},
	}
}

func readCache(c *conf.Cmd, t *Conf, prefix string, tag cacheTag) error {
	o := &t.Caching.Cache
	if o.IsSet {
		return c.Duplicate()
	}
	o.IsSet = true
	if c.Args[0] == "off" {
		return nil
	}
	if t.Store.V.on {
		return c.Bad("is incompatible with \"" + prefix + "store\"")
	}
	v, err := engine.CompileArg(c, c.Args[0])
	if err != nil {
		return err
	}
	if !v.IsLiteral() {
		o.V.value = v
		return nil
	}
	o.V.zone, err = zone.Add(c, c.Args[0], 0, tag)
	return err
}

func readValid(c *conf.Cmd, list *[]validity) error {
	n := len(c.Args) - 1
	d, ok := units.Time(c.Args[n], true)
	if !ok {
		return c.Errorf("invalid time value \"%s\"", c.Args[n])
	}
	if n == 0 {
		*list = append(*list, validity{200, d}, validity{301, d}, validity{302, d})
		return nil
	}
	for _, a := range c.Args[:n] {
		status := int64(0)
		if a != "any" {
			if status, ok = units.Number(a); !ok || status < 100 || status > 599 {
				return c.Errorf("invalid status \"%s\"", a)
			}
		}
		*list = append(*list, validity{int(status), d})
	}
	return nil
}

// minCacheZone is what nginx wants at least: two pages.
const minCacheZone = 2 * 4096

func readCachePath(c *conf.Cmd, tag cacheTag) error {
	cc := filecache.Config{Path: c.Config().FullName(strings.TrimSuffix(c.Args[0], "/")), Inactive: 10 * time.Minute, MaxSize: -1,
		Manager: filecache.Pace{Files: 100, Sleep: 50 * time.Millisecond, Threshold: 200 * time.Millisecond}}
	cc.Loader = cc.Manager
	for _, a := range c.Args[1:] {
		if err := cacheParam(c, &cc, a); err != nil {
			return err
		}
	}
	if cc.Name == "" || cc.Size == 0 {
		return c.Errorf("\"%s\" must have \"keys_zone\" parameter", c.Name)
	}
	s := cachesIn(c.Config().Values)
	for _, o := range s.list {
		if o.Path == cc.Path {
			return c.Errorf("the same path name \"%s\" used in %s:%d and", cc.Path, o.file, o.line)
		}
	}
	z, err := zone.Add(c, cc.Name, cc.Size, tag)
	if err != nil {
		return err
	}
	if z.Data != nil {
		return c.Errorf("duplicate zone \"%s\"", cc.Name)
	}
	cache := &declaredCache{Cache: filecache.New(cc), tag: tag, file: c.File, line: c.Line}
	z.Data = cache
	s.list = append(s.list, cache)
	plane.PathsIn(c.Config().Values).Add(cc.Path)
	return nil
}

func cacheParam(c *conf.Cmd, cc *filecache.Config, a string) error {
	key, v, _ := strings.Cut(a, "=")
	bad := func(what string) error { return c.Errorf("invalid %s value \"%s\"", what, a) }
	ok := true
	switch key {
	case "levels":
		if cc.Levels, ok = cacheLevels(v); !ok {
			return c.Errorf("invalid \"levels\" \"%s\"", a)
		}
	case "use_temp_path":
		if v != "on" && v != "off" {
			return c.Errorf("invalid use_temp_path value \"%s\", it must be \"on\" or \"off\"", a)
		}
		cc.OwnTemp = v == "off"
	case "keys_zone":
		var size string
		if cc.Name, size, ok = strings.Cut(v, ":"); ok {
			cc.Size, ok = units.Size(size)
		}
		switch {
		case !ok:
			return c.Errorf("invalid keys zone size \"%s\"", a)
		case cc.Size < minCacheZone:
			return c.Errorf("keys zone \"%s\" is too small", a)
		}
	case "inactive":
		cc.Inactive, ok = units.Sec(v)
	case "max_size":
		cc.MaxSize, ok = units.Offset(v)
	case "min_free":
		cc.MinFree, ok = units.Offset(v)
	case "loader_files":
		ok = cacheNumber(v, &cc.Loader.Files)
	case "manager_files":
		ok = cacheNumber(v, &cc.Manager.Files)
	case "loader_sleep":
		cc.Loader.Sleep, ok = units.Msec(v)
	case "manager_sleep":
		cc.Manager.Sleep, ok = units.Msec(v)
	case "loader_threshold":
		cc.Loader.Threshold, ok = units.Msec(v)
	case "manager_threshold":
		cc.Manager.Threshold, ok = units.Msec(v)
	default:
		return c.InvalidParameter(a)
	}
	if !ok {
		return bad(key)
	}
	return nil
}

func cacheNumber(v string, n *int) bool {
	x, ok := units.Number(v)
	*n = int(min(x, math.MaxInt32))
	return ok
}

// cacheLevels reads up to three lengths, 1 or 2 each, with colons between them.
func cacheLevels(v string) (levels []int, ok bool) {
	if v == "" {
		return nil, true
	}
	for _, f := range strings.Split(v, ":") {
		if f != "1" && f != "2" || len(levels) == 3 {
			return nil, false
		}
		levels = append(levels, int(f[0]-'0'))
	}
	return levels, true
}

// completeCache checks and completes the merged part of a Conf.
func (c *Conf) completeCache(prefix string, parent *Conf, s *conf.Scope) error {
	k, p := &c.Caching, &parent.Caching
	k.tag = cacheTag{prefix}
	switch {
	case !k.Cache.IsSet && c.Store.V.on && c.Store.V.at == s: // of cache and store the one that stands nearer applies
		k.Cache.IsSet = true
	case !k.Cache.IsSet:
		k.Cache.V = p.Cache.V
	}
	if k.Caches() {
		c.Store.V = Store{}
	}
	if z := k.Cache.V.zone; z != nil && z.Data == nil {
		return s.Errorf("\"%scache\" zone \"%s\" is unknown", prefix, z.Name)
	}
	if k.Valid == nil {
		k.Valid = p.Valid
	}
	if !k.MaxRangeOffset.IsSet {
		k.MaxRangeOffset.V = math.MaxInt64
	}
	if k.UseStale.V&onOff != 0 {
		k.UseStale.V = onOff
	}
	if k.UseStale.V&onError != 0 {
		k.UseStale.V |= onNoLive
	}
	return nil
}

// methods are those whose responses are kept.
func (c *CacheConf) methods() http1.Method {
	m := http1.MethodGet | http1.MethodHead
	for i, b := range methodBits {
		if c.Methods.V&(1<<i) != 0 {
			m |= b
		}
	}
	return m
}

// declaredCache is a cache with the place of its directive.
type declaredCache struct {
	*filecache.Cache
	tag  cacheTag
	file string
	line int
}

// cacheSet is all caches of a configuration.
type cacheSet struct{ list []*declaredCache }

type cachesKey struct{}

// cachesIn is for the time a configuration is read; one that serves is only looked at: see cachesOf.
func cachesIn(values map[any]any) *cacheSet {
	s := cachesOf(values)
	if s == nil {
		s = &cacheSet{}
		values[cachesKey{}] = s
	}
	return s
}

func cachesOf(values map[any]any) *cacheSet {
	s, _ := values[cachesKey{}].(*cacheSet)
	return s
}

// find gives the cache of a name, nil when there is none.
func (s *cacheSet) find(tag cacheTag, name []byte) *filecache.Cache {
	if s != nil {
		for _, c := range s.list {
			if c.tag == tag && c.Name == string(name) {
				return c.Cache
			}
		}
	}
	return nil
}

// CheckCaches reports a zone of a family's caches that was mentioned and never declared.
func CheckCaches(h *engine.HTTP, prefix string) error {
	return zone.Check(h.Config.Values, cacheTag{prefix}, prefix+"cache_path /a/folder keys_zone=%s:10m;")
}

// BeginCaches lets the caches of a new snapshot take over what those of the one before have.
func BeginCaches(p *engine.Plane, h *engine.HTTP) error {
	s := cachesOf(h.Config.Values)
	if s == nil {
		return nil
	}
	before := cachesOf(p.Before(h))
	for _, c := range s.list {
		c.Log = func() *nlog.Logger { return p.Params().Log }
		if err := c.Adopt(before.find(c.tag, []byte(c.Name))); err != nil {
			return err
		}
	}
	return nil
}

// loadAfter is when the loader begins to look for files, as with nginx.
const loadAfter = time.Minute

type cacheKeepers []*filecache.Keeper

var keepersSlot = engine.NewWorkerSlot()

// KeepCaches starts what looks after the caches of a snapshot, in place of what did for the one before.
func KeepCaches(w *engine.Worker, h *engine.HTTP) {
	if w.ID != 0 {
		return
	}
	go stopKeepers(w.Values[keepersSlot]) // they may be waiting for the disk
	var ks cacheKeepers
	if s := cachesOf(h.Config.Values); s != nil {
		for _, c := range s.list {
			ks = append(ks, c.Keep(loadAfter))
		}
	}
	w.Values[keepersSlot] = ks
}

// StopCaches ends that.
func StopCaches(w *engine.Worker) {
	stopKeepers(w.Values[keepersSlot])
	w.Values[keepersSlot] = nil
}

func stopKeepers(v any) {
	ks, _ := v.(cacheKeepers)
	for _, k := range ks {
		k.Stop()
	}
}
