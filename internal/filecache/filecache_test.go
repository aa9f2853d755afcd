package filecache

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"moongate/internal/base/nlog"
	"moongate/internal/http1"
)

// open makes a cache in a folder of the test; change may be nil.
func open(t *testing.T, change func(c *Config)) *Cache {
	t.Helper()
	c := Config{Name: "one", Path: t.TempDir(), Levels: []int{1, 2}, Size: 1 << 20, Inactive: 10 * time.Minute, MaxSize: -1,
		Manager: Pace{Files: 100, Sleep: time.Millisecond, Threshold: time.Second}, Loader: Pace{Files: 100, Sleep: time.Millisecond, Threshold: time.Second}}
	if change != nil {
		change(&c)
	}
	k := New(c)
	if err := k.Adopt(nil); err != nil {
		t.Fatal(err)
	}
	return k
}

const room = 4096

var now = time.Now().Unix()

// put keeps a response as a request does that finds nothing.
func put(t *testing.T, c *Cache, key, head, body string, change func(u *Use)) {
	t.Helper()
	var u Use
	u.Begin(c, []byte(key), 1, room)
	if v := u.Find(now); v == Full || v == Failed {
		t.Fatalf("%s: verdict %d", key, v)
	}
	fill(t, &u, head, body, change)
}

func fill(t *testing.T, u *Use, head, body string, change func(u *Use)) {
	t.Helper()
	u.Valid, u.Date, u.LastModified = now+60, now, -1
	if change != nil {
		change(u)
	}
	b, ok := u.AppendHeader(nil, len(head), now)
	if !ok {
		t.Fatal("no room")
	}
	f, err := os.CreateTemp(u.Cache().Path, "unfinished")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	f.Write(append(append(b, head...), body...))
	if call, err := u.Commit(f); err != nil {
		t.Fatal(call, err)
	}
}

// get looks for a response; head and body are "" when there is none that may be used, and why says why.
func get(c *Cache, key string, fields ...http1.Header) (head, body, why string, u *Use) {
	u = &Use{}
	u.Begin(c, []byte(key), 1, room)
	for {
		if v := u.Find(now); v != Look {
			return "", "", fmt.Sprint("verdict ", v), u
		}
		all, err := os.ReadFile(string(u.Name(nil)))
		if err != nil {
			return "", "", "no file", u
		}
		var st syscall.Stat_t
		syscall.Stat(string(u.Name(nil)), &st)
		found, p := u.Check(all[:min(len(all), u.Start())], st.Ino, st.Size, st.Blocks, fields)
		switch found {
		case Reopen:
			continue
		case Bad:
			return "", "", p.Text, u
		}
		switch u.Opened(now) {
		case Stale:
			why = "stale"
		case Updating:
			why = "updating"
		}
		return string(all[u.HeadStart():u.BodyStart]), string(all[u.BodyStart:]), why, u
	}
}

func TestKeepAndFind(t *testing.T) {
	c := open(t, nil)
	put(t, c, "http://a/1", "HEAD1\n", "body1", nil)
	put(t, c, "http://a/2", "HEAD2\n", "", func(u *Use) { u.ETag = []byte(`"tag"`); u.LastModified = 7 })
	head, body, why, u := get(c, "http://a/1")
	if head != "HEAD1\n" || body != "body1" || why != "" || u.LastModified != -1 || u.Valid != now+60 {
		t.Errorf("%q %q %q %+v", head, body, why, u.Meta)
	}
	u.Free()
	head, body, why, u = get(c, "http://a/2")
	if head != "HEAD2\n" || body != "" || why != "" || string(u.ETag) != `"tag"` || u.LastModified != 7 {
		t.Errorf("%q %q %q %+v", head, body, why, u.Meta)
	}
	u.Free()
	if _, _, why, u := get(c, "http://a/3"); why != "no file" {
		t.Error(why)
	} else {
		u.Free()
	}
	if c.Len() != 2 || c.Blocks() == 0 {
		t.Errorf("%d entries, %d blocks", c.Len(), c.Blocks())
	}
	name := string(u.Name(nil))
	if rest := strings.TrimPrefix(name, c.Path); len(rest) != len("/c/29/")+32 || rest[1] != name[len(name)-1] || rest[3:5] != name[len(name)-3:len(name)-1] {
		t.Errorf("name %s", name)
	}
	if all, _ := os.ReadFile(name); !strings.Contains(string(all), "\nKEY: http://a/2\nHEAD2") {
		t.Errorf("file %q", all)
	}
}

func TestStaleAndUpdated(t *testing.T) {
	c := open(t, nil)
	put(t, c, "k", "H", "old", func(u *Use) { u.Valid = now - 5; u.ETag = []byte("e") })
	_, _, why, first := get(c, "k")
	if why != "stale" || !first.Updating() {
		t.Fatal(why)
	}
	_, _, why, second := get(c, "k")
	if why != "updating" || second.Updating() {
		t.Fatal(why)
	}
	second.Free()
	first.Valid = now + 9
	if call, err := first.UpdateHeader(); err != nil {
		t.Fatal(call, err)
	}
	first.Free()
	_, body, why, u := get(c, "k")
	if body != "old" || why != "" || u.Valid != now+9 || string(u.ETag) != "e" {
		t.Errorf("%q %q %+v", body, why, u.Meta)
	}
	// A file that has been replaced meanwhile is left alone.
	put(t, c, "k", "H", "new", nil)
	u.Valid = now - 100
	if call, err := u.UpdateHeader(); err != nil {
		t.Fatal(call, err)
	}
	u.Free()
	_, body, why, u = get(c, "k")
	if body != "new" || why != "" {
		t.Errorf("%q %q", body, why)
	}
	u.Free()
}

func TestErrorsAreRemembered(t *testing.T) {
	c := open(t, nil)
	var u Use
	u.Begin(c, []byte("k"), 1, room)
	u.Find(now)
	u.Fail, u.Valid = 502, now+10
	u.Free()
	u.Begin(c, []byte("k"), 1, room)
	if v := u.Find(now + 5); v != Failed || u.Fail != 502 {
		t.Errorf("verdict %d, %d", v, u.Fail)
	}
	u.Free()
	u.Begin(c, []byte("k"), 1, room)
	if v := u.Find(now + 11); v == Failed || u.Fail != 0 {
		t.Errorf("later: verdict %d, %d", v, u.Fail)
	}
	u.Free()
}

func TestVariants(t *testing.T) {
	c := open(t, nil)
	accept := func(v string) http1.Header {
		return http1.Header{Name: []byte("ACCEPT-encoding"), Value: []byte(v)}
	}
	keep := func(v string) func(u *Use) {
		return func(u *Use) { u.SetVary([]byte("Accept-Encoding, X"), []http1.Header{accept(v)}) }
	}
	put(t, c, "k", "H", "gzip", keep("gzip, br"))
	if _, body, why, u := get(c, "k", accept("gzip ,  br")); body != "gzip" {
		t.Errorf("%q %q", body, why)
	} else {
		u.Free()
	}
	_, _, why, u := get(c, "k", accept("br"))
	if why != "no file" { // cold
		t.Fatal(why)
	}
	fill(t, u, "H", "br", keep("br"))
	for v, want := range map[string]string{"gzip,br": "gzip", "br": "br", "zstd": ""} {
		_, body, why, u := get(c, "k", accept(v))
		if body != want {
			t.Errorf("%s: %q %q", v, body, why)
		}
		u.Free()
	}
	// A response that does not vary any more takes the place of the first.
	_, _, _, u = get(c, "k", accept("zstd"))
	fill(t, u, "H", "all", nil)
	if _, body, _, u := get(c, "k", accept("zstd")); body != "all" {
		t.Errorf("%q", body)
	} else {
		u.Free()
	}
}

// TestKeysAreCompared gives a key the file of another, as if their MD5 were the same.
func TestKeysAreCompared(t *testing.T) {
	c := open(t, nil)
	put(t, c, "other", "H", "secret", nil)
	var a, b Use
	a.Begin(c, []byte("other"), 1, room)
	b.Begin(c, []byte("mine!"), 1, room)
	to := string(b.Name(nil))
	os.MkdirAll(filepath.Dir(to), 0o700)
	if err := os.Rename(string(a.Name(nil)), to); err != nil {
		t.Fatal(err)
	}
	_, body, why, u := get(c, "mine!")
	if body != "" || !strings.Contains(why, "md5 collision") {
		t.Errorf("%q %q", body, why)
	}
	u.Free()
}

// TestDamagedFiles has files with every byte of the header changed, and cut everywhere: none does harm.
func TestDamagedFiles(t *testing.T) {
	c := open(t, nil)
	put(t, c, "key", "HEAD", "body", func(u *Use) { u.SetVary([]byte("A"), nil) })
	var u Use
	u.Begin(c, []byte("key"), 1, room)
	name := string(u.Name(nil))
	good, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for i := range good {
		bad := append([]byte(nil), good...)
		bad[i] ^= 0xff
		os.WriteFile(name, bad, 0o600)
		head, _, _, u := get(c, "key")
		if i >= headerSize && i < u.HeadStart()-1 && i >= headerSize+len(keyPrefix) && head != "" {
			t.Errorf("another key at %d is taken", i)
		}
		u.Free()
	}
	for n := range len(good) {
		os.WriteFile(name, good[:n], 0o600)
		head, _, why, u := get(c, "key")
		if n < len(good)-len("body") && head != "" || n < u.HeadStart() && !strings.Contains(why, "too small") {
			t.Errorf("%d bytes: %q %q", n, head, why)
		}
		u.Free()
	}
}

func TestMinUses(t *testing.T) {
	c := open(t, nil)
	c.index.cold.Store(false)
	for i, want := range []Verdict{Scarce, Scarce, Absent, Absent} {
		var u Use
		u.Begin(c, []byte("k"), 3, room)
		if v := u.Find(now); v != want {
			t.Errorf("use %d: verdict %d, want %d", i+1, v, want)
		}
		u.Free()
	}
}

func TestLock(t *testing.T) {
	c := open(t, nil)
	begin := func() *Use {
		u := &Use{}
		u.Begin(c, []byte("k"), 1, room)
		u.Find(now)
		return u
	}
	a, b := begin(), begin()
	if _, ok := a.Lock(1000, 500); !ok {
		t.Fatal("the first has to wait")
	}
	if until, ok := b.Lock(1100, 500); ok || until != 1500 {
		t.Fatal(until, ok)
	}
	woken := 0
	w := &Waiter{Wake: func() { woken++ }}
	if until, ok := b.Wait(w, 1100); !ok || until != 1500 {
		t.Fatal(until, ok)
	}
	fill(t, a, "H", "body", nil)
	if woken != 1 {
		t.Error("woken", woken)
	}
	b.Unwait(w)
	if v := b.Find(now); v != Look {
		t.Error(v)
	}
	b.Free()
	// Whoever fills for too long loses the lock, and does not give up another's.
	a, b = begin(), begin()
	a.Lock(1000, 500)
	if _, ok := b.Lock(1501, 500); !ok {
		t.Fatal("the lock has no end")
	}
	a.Free()
	other := begin()
	if _, ok := other.Lock(1600, 500); ok {
		t.Error("the first has given up the lock of the second")
	}
	b.Free()
	other.Free()
}

func TestFullIndex(t *testing.T) {
	c := open(t, func(c *Config) { c.Size = minZone })
	limit := int(c.index.max)
	for i := range limit + 50 {
		put(t, c, fmt.Sprint("k", i), "H", "body", nil)
	}
	if n := c.Len(); n > limit {
		t.Errorf("%d entries of %d", n, limit)
	}
	if _, body, _, u := get(c, fmt.Sprint("k", limit+49)); body != "body" {
		t.Error("the newest is gone")
	} else {
		u.Free()
	}
	if files := count(t, c.Path); files > limit {
		t.Errorf("%d files", files)
	}
	c.Manage(nil)
	if n := c.Len(); n >= limit {
		t.Errorf("the manager leaves %d of %d", n, limit)
	}
	// With all entries held there is no room.
	var held []*Use
	for i := range limit + 1 {
		u := &Use{}
		u.Begin(c, []byte(fmt.Sprint("h", i)), 1, room)
		if v := u.Find(now); v == Full {
			break
		}
		held = append(held, u)
	}
	if len(held) > limit {
		t.Errorf("%d entries are held", len(held))
	}
	for _, u := range held {
		u.Free()
	}
}

const minZone = 16 << 10

func count(t *testing.T, dir string) int {
	n := 0
	filepath.Walk(dir, func(_ string, fi os.FileInfo, err error) error {
		if err == nil && fi.Mode().IsRegular() {
			n++
		}
		return nil
	})
	return n
}

func TestManager(t *testing.T) {
	c := open(t, func(c *Config) { c.MaxSize = 40 << 10; c.Manager.Files = 4 })
	for i := range 20 {
		put(t, c, fmt.Sprint("k", i), "H", strings.Repeat("x", 4000), nil)
	}
	for c.Manage(nil) == c.Manager.Sleep {
	}
	if files := count(t, c.Path); files == 0 || files > 10 || int64(files) != int64(c.Len()) {
		t.Errorf("%d files, %d entries", files, c.Len())
	}
	if _, body, _, u := get(c, "k19"); body == "" {
		t.Error("the newest is gone")
	} else {
		u.Free()
	}
	// What is old goes, what is held stays.
	_, _, _, u := get(c, "k19")
	c.index.Lock()
	for i := uint32(1); i <= c.index.used; i++ {
		c.index.at(i).expire = now - 100
	}
	c.index.Unlock()
	for c.Manage(nil) == c.Manager.Sleep {
	}
	if files := count(t, c.Path); files != 1 || c.Len() != 1 {
		t.Errorf("%d files, %d entries", files, c.Len())
	}
	u.Free()
}

func TestMinFree(t *testing.T) {
	c := open(t, func(c *Config) { c.MinFree = 1 << 60 })
	put(t, c, "k", "H", "body", nil)
	c.Manage(nil)
	if files := count(t, c.Path); files != 0 || c.Blocks() != 0 {
		t.Errorf("%d files, %d blocks", files, c.Blocks())
	}
}

// TestRestart loads what another process has left.
func TestRestart(t *testing.T) {
	before := open(t, nil)
	for i := range 300 {
		put(t, before, fmt.Sprint("k", i), "H", "body", nil)
	}
	var u Use
	u.Begin(before, []byte("k7"), 1, room)
	name := string(u.Name(nil))
	os.WriteFile(name, []byte("short"), 0o600)
	dir := filepath.Dir(name)
	old := filepath.Join(dir, filepath.Base(name)+".0000000012")
	fresh := filepath.Join(dir, filepath.Base(name)+".0000000013")
	foreign := filepath.Join(before.Path, "README")
	for _, f := range []string{old, fresh, foreign} {
		os.WriteFile(f, nil, 0o600)
	}
	long := time.Now().Add(-2 * forgotten)
	os.Chtimes(old, long, long)
	os.Chtimes(foreign, long, long)

	var lines []string
	c := open(t, func(c *Config) {
		c.Path = before.Path
		c.Loader.Files = 50
	})
	c.Log = testLog(&lines)
	put(t, c, "k8", "H", "newer", nil) // met before the loader comes
	if !c.Cold() {
		t.Error("not cold")
	}
	if _, body, _, u := get(c, "k9"); body != "body" {
		t.Error("a file that the index does not know is not found")
	} else {
		u.Free()
	}
	c.Load(nil)
	if c.Cold() || c.Len() != 299 || c.Blocks() != before.Blocks()-1 {
		t.Errorf("cold %v, %d entries, %d blocks of %d", c.Cold(), c.Len(), c.Blocks(), before.Blocks())
	}
	for f, want := range map[string]bool{name: false, old: false, fresh: true, foreign: true} {
		if _, err := os.Stat(f); (err == nil) != want {
			t.Errorf("%s: %v", f, err)
		}
	}
	if all := strings.Join(lines, ""); !strings.Contains(all, "cache file \""+name+"\" is too small") || !strings.Contains(all, "http file cache: "+c.Path+" ") {
		t.Errorf("log %q", all)
	}
	for i := range 300 {
		want := map[int]string{7: "", 8: "newer"}[i]
		if i != 7 && i != 8 {
			want = "body"
		}
		_, body, why, u := get(c, fmt.Sprint("k", i))
		if body != want {
			t.Errorf("k%d: %q %q", i, body, why)
		}
		u.Free()
	}
}

func testLog(lines *[]string) func() *nlog.Logger {
	l := &nlog.Logger{}
	l.Add(nlog.Target{Level: nlog.Info, Writer: func(_ nlog.Level, p []byte) { *lines = append(*lines, string(p)) }})
	return func() *nlog.Logger { return l }
}

func TestAdopt(t *testing.T) {
	c := open(t, nil)
	put(t, c, "k", "H", "body", nil)
	same := New(c.Config)
	if err := same.Adopt(c); err != nil || same.Len() != 1 {
		t.Error(err, same.Len())
	}
	for change, text := range map[string]string{"path": "cache \"one\" uses the \"/x\" cache path while previously it used the \"" + c.Path + "\" cache path",
		"levels": "cache \"one\" had previously different levels", "number": "cache \"one\" had previously different levels"} {
		n := c.Config
		switch change {
		case "path":
			n.Path = "/x"
		case "levels":
			n.Levels = []int{2, 2}
		case "number":
			n.Levels = nil
		}
		if err := New(n).Adopt(c); err == nil || err.Error() != text {
			t.Errorf("%s: %v", change, err)
		}
	}
	other := c.Config
	other.Size *= 2
	if larger := New(other); larger.Adopt(c) != nil || larger.Len() != 0 || !larger.Cold() {
		t.Error("a zone of another size is another index")
	}
}

// TestWorkers has several workers use one cache that is too small for what they want, beside its manager: what is found is
// always whole and the key's own.
func TestWorkers(t *testing.T) {
	c := open(t, func(c *Config) { c.Size, c.MaxSize, c.Inactive = minZone, 60<<10, time.Second })
	var hits, misses atomic.Int64
	var all, managing sync.WaitGroup
	stop := make(chan struct{})
	managing.Go(func() {
		for !stopped(stop) {
			c.Manage(stop)
		}
	})
	for w := range 4 {
		all.Go(func() {
			rnd := rand.New(rand.NewPCG(1, uint64(w)))
			for range 1500 {
				n := rnd.Uint64N(100)
				key := string(binary.AppendUvarint([]byte("key "), n))
				want := strings.Repeat(key, 100)
				head, body, why, u := get(c, key)
				switch {
				case head == "" && (strings.Contains(why, "collision") || strings.Contains(why, "small")):
					t.Errorf("%q: %s", key, why)
					u.Free()
				case head != "":
					hits.Add(1)
					if head != "H"+key || body != want {
						t.Errorf("%q: %q", key, head)
					}
					u.Free()
				default:
					misses.Add(1)
					if why == fmt.Sprint("verdict ", Full) {
						u.Free()
						continue
					}
					fill(t, u, "H"+key, want, nil)
				}
			}
		})
	}
	all.Wait()
	close(stop)
	managing.Wait()
	if hits.Load() == 0 || misses.Load() == 0 {
		t.Errorf("%d hits, %d misses", hits.Load(), misses.Load())
	}
	c.index.Lock()
	defer c.index.Unlock()
	blocks := int64(0)
	for i := c.index.newest; i != 0; {
		e := c.index.at(i)
		if e.pins != 0 || e.updating {
			t.Errorf("entry %x: %d pins, updating %v", e.key, e.pins, e.updating)
		}
		blocks += e.blocks
		i = e.older
	}
	if blocks != c.index.blocks {
		t.Errorf("%d blocks counted, %d there", c.index.blocks, blocks)
	}
}

func TestKeeper(t *testing.T) {
	c := open(t, nil)
	k := c.Keep(0)
	for c.Cold() {
		syscall.Nanosleep(&syscall.Timespec{Nsec: 1e6}, nil)
	}
	k.Stop()
}

func TestFindAllocatesNothing(t *testing.T) {
	c := open(t, nil)
	put(t, c, "k", "H", "body", nil)
	key, name := []byte("k"), make([]byte, 0, 512)
	var u Use
	if n := testing.AllocsPerRun(100, func() {
		u.Begin(c, key, 1, room)
		u.Find(now)
		name = u.Name(name[:0])
		u.Free()
	}); n != 0 {
		t.Error(n, "allocations")
	}
}

func FuzzCheck(f *testing.F) {
	c := New(Config{Name: "one", Path: "/nowhere", Size: minZone})
	if err := c.Adopt(nil); err != nil {
		f.Fatal(err)
	}
	var u Use
	u.Begin(c, []byte("key"), 1, room)
	u.SetVary([]byte("a,b"), nil)
	good, _ := u.AppendHeader(nil, 4, now)
	f.Add(append(good, "HEADbody"...))
	another := slices.Clone(good) // variant
	another[atVariant]++
	f.Add(another)
	f.Fuzz(func(t *testing.T, in []byte) {
		var u Use
		u.Begin(c, []byte("key"), 1, room)
		u.Find(now)
		defer u.Free()
		found, _ := u.Check(in, 1, int64(len(in)), 8, nil)
		if found == Reopen {
			u.Find(now)
			if found, _ = u.Check(in, 1, int64(len(in)), 8, nil); found == Reopen {
				t.Error("the variant's file leads to another one")
			}
		}
		if found == Good && (u.BodyStart > len(in) || u.BodyStart < u.HeadStart()) {
			t.Errorf("body at %d of %d", u.BodyStart, len(in))
		}
	})
}
