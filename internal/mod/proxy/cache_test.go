package proxy_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"moongate/internal/engine/enginetest"
	"moongate/internal/modules"
	"moongate/internal/testkit"
)

// origin counts what it is asked for; what a path answers is its function's, or its own name.
type origin struct {
	*httptest.Server
	asked atomic.Int64
	mu    sync.Mutex
	paths map[string]http.HandlerFunc
}

func newOrigin(t *testing.T) *origin {
	o := &origin{paths: map[string]http.HandlerFunc{}}
	o.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.asked.Add(1)
		o.mu.Lock()
		f := o.paths[r.URL.Path]
		o.mu.Unlock()
		if f == nil {
			fmt.Fprint(w, "this is "+r.URL.RequestURI())
			return
		}
		f(w, r)
	}))
	t.Cleanup(o.Close)
	return o
}

func (o *origin) on(path string, f http.HandlerFunc) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.paths[path] = f
}

func (o *origin) text(conf string) string {
	return strings.ReplaceAll(conf, "UP", strings.TrimPrefix(o.URL, "http://"))
}

const cacheConf = `
	events { }
	http {
		proxy_cache_path cache levels=1:2 keys_zone=one:1m;
		server { listen 127.0.0.1:8080;
			proxy_cache one; proxy_cache_valid 200 1h; proxy_cache_valid 502 1h;
			add_header X-Cache $upstream_cache_status always;
			location / { proxy_pass http://UP; }
			location /locked { proxy_pass http://UP; proxy_cache_lock on; proxy_cache_lock_timeout 1m; proxy_cache_lock_age 1m; }
			location /impatient { proxy_pass http://UP; proxy_cache_lock on; proxy_cache_lock_timeout 1ms; }
		}
	}`

func cached(r string) string { return enginetest.Header(r, "X-Cache") }

// files lists the files below the cache's folder.
func files(t *testing.T, dir string) (names []string) {
	filepath.Walk(filepath.Join(dir, "cache"), func(name string, fi os.FileInfo, err error) error {
		if err == nil && fi.Mode().IsRegular() {
			names = append(names, name)
		}
		return nil
	})
	return names
}

func expectCached(t *testing.T, s *enginetest.Server, uri, status, body string) {
	t.Helper()
	if r := s.Get(uri); cached(r) != status || enginetest.Body(r) != body {
		t.Errorf("%s: want %s, got %.300q", uri, status, r)
	}
}

// TestCacheSurvives has a reload, and then another process, find what was kept.
func TestCacheSurvives(t *testing.T) {
	o := newOrigin(t)
	dir := t.TempDir()
	s := enginetest.StartIn(t, dir, modules.Set(), o.text(cacheConf))
	expectCached(t, s, "/a", "MISS", "this is /a")
	expectCached(t, s, "/a", "HIT", "this is /a")
	if err := s.Reload(o.text(cacheConf)); err != nil {
		t.Fatal(err)
	}
	expectCached(t, s, "/a", "HIT", "this is /a")
	if err := s.Reload(o.text(strings.ReplaceAll(cacheConf, "levels=1:2", ""))); err == nil || !strings.Contains(err.Error(), `cache "one" had previously different levels`) {
		t.Errorf("other levels: %v", err)
	}
	again := enginetest.StartIn(t, dir, modules.Set(), o.text(cacheConf))
	expectCached(t, again, "/a", "HIT", "this is /a")
	if n := o.asked.Load(); n != 1 {
		t.Errorf("the server was asked %d times", n)
	}
}

// TestCacheWorkers has several workers fetch the same at the same time: one asks the server, the others wait for it.
func TestCacheWorkers(t *testing.T) {
	o := newOrigin(t)
	const clients = 12
	asked, answer := make(chan bool, clients), make(chan bool)
	o.on("/locked", func(w http.ResponseWriter, r *http.Request) {
		asked <- true
		<-answer
		io.WriteString(w, "once")
	})
	s := enginetest.Start(t, modules.Set(), "worker_processes 4;"+o.text(cacheConf))
	var all sync.WaitGroup
	var hits, misses atomic.Int64
	for range clients {
		all.Go(func() {
			r := s.Get("/locked")
			switch cached(r) {
			case "HIT":
				hits.Add(1)
			case "MISS":
				misses.Add(1)
			}
			if enginetest.Body(r) != "once" {
				t.Errorf("%q", r)
			}
		})
	}
	<-asked
	close(answer)
	all.Wait()
	if hits.Load() != clients-1 || misses.Load() != 1 || len(asked) != 0 {
		t.Errorf("%d hits, %d misses, asked %d times more", hits.Load(), misses.Load(), len(asked))
	}
}

// TestCacheImpatient shows that who has waited long enough asks the server, and that the first one's response is the kept one.
func TestCacheImpatient(t *testing.T) {
	o := newOrigin(t)
	var n atomic.Int64
	first, answer := make(chan bool), make(chan bool)
	o.on("/impatient", func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1) == 1 {
			close(first)
			<-answer
			io.WriteString(w, "first")
			return
		}
		io.WriteString(w, "second")
	})
	s := enginetest.Start(t, modules.Set(), o.text(cacheConf))
	done := make(chan string)
	go func() { done <- s.Get("/impatient") }()
	<-first
	expectCached(t, s, "/impatient", "MISS", "second")
	close(answer)
	if r := <-done; enginetest.Body(r) != "first" {
		t.Errorf("%q", r)
	}
	expectCached(t, s, "/impatient", "HIT", "first")
}

// TestCacheWithoutClient shows that a response is kept though the client that has asked for it leaves.
func TestCacheWithoutClient(t *testing.T) {
	o := newOrigin(t)
	big := pattern(4 << 20)
	asked, answer := make(chan bool), make(chan bool)
	o.on("/big", func(w http.ResponseWriter, r *http.Request) {
		close(asked)
		<-answer
		w.Header().Set("Content-Length", fmt.Sprint(len(big)))
		w.Write(big)
	})
	s := enginetest.Start(t, modules.Set(), o.text(cacheConf))
	c := s.Dial()
	io.WriteString(c, "GET /big HTTP/1.1\r\nHost: a\r\n\r\n")
	<-asked
	c.Close()
	close(answer)
	testkit.Eventually(t, "the response is kept", func() bool { return len(files(t, s.Dir)) == 1 })
	expectCached(t, s, "/big", "HIT", string(big))
	if n := o.asked.Load(); n != 1 {
		t.Errorf("the server was asked %d times", n)
	}
}

// TestCacheIncomplete shows that half a response is not kept.
func TestCacheIncomplete(t *testing.T) {
	o := newOrigin(t)
	o.on("/half", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100000")
		w.Write(bytes.Repeat([]byte("x"), 50000))
		panic(http.ErrAbortHandler)
	})
	s := enginetest.Start(t, modules.Set(), o.text(cacheConf))
	for range 2 {
		if r := s.Get("/half"); cached(r) != "MISS" {
			t.Errorf("%.200q", r)
		}
	}
	left, _ := filepath.Glob(s.Dir + "/proxy_temp/*/*/*")
	if kept := files(t, s.Dir); len(kept)+len(left) != 0 {
		t.Errorf("kept %v, left %v", kept, left)
	}
}

// TestCacheDamaged has files that cannot be used: the server is asked, and a line is in the log.
func TestCacheDamaged(t *testing.T) {
	o := newOrigin(t)
	s := enginetest.Start(t, modules.Set(), o.text(cacheConf))
	expectCached(t, s, "/a", "MISS", "this is /a")
	name := files(t, s.Dir)[0]
	good, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	damage := map[string]func() error{
		"is too small":               func() error { return os.WriteFile(name, good[:20], 0o600) },
		"has not the whole response": func() error { return os.WriteFile(name, good[:len(good)-3], 0o600) },
		"contains invalid header": func() error {
			return os.WriteFile(name, bytes.Replace(good, []byte("HTTP/1.1"), []byte("XTTP/1.1"), 1), 0o600)
		},
		"has md5 collision": func() error {
			return os.WriteFile(name, bytes.Replace(good, []byte("/a\nHTTP"), []byte("/b\nHTTP"), 1), 0o600)
		},
		"version mismatch":      func() error { return os.WriteFile(name, append([]byte{9}, good[1:]...), 0o600) },
		"is not a regular file": func() error { os.Remove(name); return os.Mkdir(name, 0o700) },
	}
	for text, do := range damage {
		if err := do(); err != nil {
			t.Fatal(err)
		}
		before := len(s.ErrorLog())
		expectCached(t, s, "/a", "MISS", "this is /a")
		if log := s.ErrorLog()[before:]; text != "version mismatch" && !strings.Contains(log, text) {
			t.Errorf("%s: log %q", text, log)
		}
		if fi, err := os.Stat(name); err == nil && fi.IsDir() {
			os.Remove(name)
			expectCached(t, s, "/a", "MISS", "this is /a")
		}
		expectCached(t, s, "/a", "HIT", "this is /a")
	}
	os.Remove(name)
	expectCached(t, s, "/a", "MISS", "this is /a")
	expectCached(t, s, "/a", "HIT", "this is /a")
}

// TestCacheCannotWrite has nowhere to put responses: the clients do not notice.
func TestCacheCannotWrite(t *testing.T) {
	o := newOrigin(t)
	s := enginetest.Start(t, modules.Set(), o.text(strings.Replace(cacheConf, "keys_zone", "use_temp_path=off keys_zone", 1)))
	cache := filepath.Join(s.Dir, "cache")
	os.RemoveAll(cache)
	if err := os.WriteFile(cache, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if r := s.Get("/a"); cached(r) != "MISS" || enginetest.Body(r) != "this is /a" {
			t.Errorf("%q", r)
		}
	}
	if log := s.ErrorLog(); !strings.Contains(log, "[crit]") || !strings.Contains(log, "failed (20: Not a directory)") {
		t.Errorf("log %q", log)
	}
	os.Remove(cache)
	os.Mkdir(cache, 0o700)
	expectCached(t, s, "/a", "MISS", "this is /a")
	expectCached(t, s, "/a", "HIT", "this is /a")
}

// TestCacheFull has a zone with room for few keys.
func TestCacheFull(t *testing.T) {
	o := newOrigin(t)
	s := enginetest.Start(t, modules.Set(), o.text(strings.Replace(cacheConf, "one:1m", "one:9k", 1)))
	for i := range 100 {
		uri := fmt.Sprint("/", i)
		expectCached(t, s, uri, "MISS", "this is "+uri)
		expectCached(t, s, uri, "HIT", "this is "+uri)
	}
	if n := len(files(t, s.Dir)); n > 50 {
		t.Errorf("%d files", n)
	}
	if log := s.ErrorLog(); log != "" {
		t.Errorf("log %q", log)
	}
}

// TestCacheVariants has clients that want different encodings, and fields that are none of the server's business.
func TestCacheVariants(t *testing.T) {
	o := newOrigin(t)
	o.on("/v", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Vary", "Accept-Language")
		fmt.Fprintf(w, "%s %s", r.Header.Get("Accept-Language"), r.Header.Get("Range"))
	})
	s := enginetest.Start(t, modules.Set(), o.text(cacheConf))
	for i, want := range []string{"MISS", "HIT"} {
		for _, lang := range []string{"de", "en", "de,en"} {
			if r := s.Get("/v", "Accept-Language: "+lang, "Range: bytes=50-60"); i == 1 && cached(r) != want || strings.HasPrefix(r, "HTTP/1.1 5") {
				t.Errorf("%s: %q", lang, r)
			}
			if r := s.Get("/v", "Accept-Language: "+lang); cached(r) != "HIT" || enginetest.Body(r) != lang+" " {
				t.Errorf("%s: %q", lang, r)
			}
		}
	}
	if n := o.asked.Load(); n != 3 {
		t.Errorf("the server was asked %d times", n)
	}
}

// TestCacheRemembersErrors asks a server that is not there once.
func TestCacheRemembersErrors(t *testing.T) {
	o := newOrigin(t)
	s := enginetest.Start(t, modules.Set(), strings.ReplaceAll(cacheConf, "UP", "127.0.0.1:1"))
	for _, want := range []string{"MISS", "HIT"} {
		if r := s.Get("/x"); enginetest.Status(r)[:3] != "502" || cached(r) != want {
			t.Errorf("%q", r)
		}
	}
	if n := strings.Count(s.ErrorLog(), "connect() failed"); n != 1 || o.asked.Load() != 0 {
		t.Errorf("%d tries", n)
	}
}
