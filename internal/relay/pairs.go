package relay

import (
	"crypto/tls"
	"os"
	"strings"
	"sync"
	"time"

	"moongate/internal/tlsio"
)

// Defaults of the parameters of ssl_certificate_cache.
const (
	defaultInactive = 10 * time.Second
	defaultValid    = 60 * time.Second
)

// pairCache has certificates whose names were made of variables. All workers use it.
type pairCache struct {
	max             int
	inactive, valid time.Duration

	mu  sync.Mutex
	all map[string]*cachedPair
}

type cachedPair struct {
	pair          *tls.Certificate
	checked, used time.Time
	changed       [2]time.Time // of the files
}

// loadPair loads a certificate and its key, by way of the cache when there is one. It blocks.
func (l *SSL) loadPair(cert, key string, now time.Time) (*tls.Certificate, error) {
	pc := l.Cache.V
	if pc == nil {
		return l.readPair(cert, key)
	}
	id := cert + "\x00" + key
	if p := pc.find(id, now); p != nil {
		if now.Sub(p.checked) < pc.valid {
			return p.pair, nil
		}
		if l.changed(cert, key) == p.changed {
			pc.keep(id, &cachedPair{p.pair, now, now, p.changed})
			return p.pair, nil
		}
	}
	changed := l.changed(cert, key)
	pair, err := l.readPair(cert, key)
	if err != nil {
		return nil, err
	}
	pc.keep(id, &cachedPair{pair, now, now, changed})
	return pair, nil
}

func (l *SSL) readPair(cert, key string) (*tls.Certificate, error) {
	pair, err := tlsio.LoadPair(l.full, cert, key, l.Passwords.V)
	return &pair, err
}

func (l *SSL) changed(names ...string) (at [2]time.Time) {
	for i, n := range names {
		if strings.HasPrefix(n, "data:") {
			continue
		}
		if fi, err := os.Stat(l.full(n)); err == nil {
			at[i] = fi.ModTime()
		}
	}
	return at
}

func (pc *pairCache) find(id string, now time.Time) *cachedPair {
	pc.mu.Lock()
	defer pc.mu.Unlock()
	p := pc.all[id]
	if p == nil {
		return nil
	}
	if now.Sub(p.used) > pc.inactive {
		delete(pc.all, id)
		return nil
	}
	p.used = now
	return p
}

// keep adds or replaces a pair; the one that was used longest ago makes room.
func (pc *pairCache) keep(id string, p *cachedPair) {
	pc.mu.Lock()
	defer pc.mu.Unlock()
	if pc.all == nil {
		pc.all = map[string]*cachedPair{}
	}
	if pc.all[id] == nil && len(pc.all) >= pc.max {
		oldest := ""
		for k, q := range pc.all {
			if oldest == "" || q.used.Before(pc.all[oldest].used) {
				oldest = k
			}
		}
		delete(pc.all, oldest)
	}
	pc.all[id] = p
}
