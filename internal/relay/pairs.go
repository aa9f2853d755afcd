package relay

import (
	"crypto"
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

// pairCache has certificates, and secret keys, whose names were made of variables. All workers use it.
type pairCache struct {
	max             int
	inactive, valid time.Duration

	mu  sync.Mutex
	all map[string]*cached // by a letter for the kind and the name
}

// cached is a tls.Certificate without its key, or a key.
type cached struct {
	cert          tls.Certificate
	key           crypto.PrivateKey
	checked, used time.Time
	changed       time.Time // the file
}

// loadPair loads a certificate and its key, by way of the cache when there is one. It blocks.
func (l *SSL) loadPair(cert, key string, now time.Time) (*tls.Certificate, error) {
	if l.Cache.V == nil {
		pair, err := tlsio.LoadPair(l.full, cert, key, l.Passwords.V)
		return &pair, err
	}
	pair, err := l.cachedPair(cert, key, now, false)
	if err != nil { // one of the two may have changed before the other
		pair, err = l.cachedPair(cert, key, now, true)
	}
	return pair, err
}

func (l *SSL) cachedPair(cert, key string, now time.Time, fresh bool) (*tls.Certificate, error) {
	c, err := l.Cache.V.get(l, 'c', cert, now, fresh)
	if err != nil {
		return nil, err
	}
	k, err := l.Cache.V.get(l, 'k', key, now, fresh)
	if err != nil {
		return nil, err
	}
	pair := c.cert
	return &pair, tlsio.SetKey(l.full, &pair, key, k.key)
}

// get gives what is cached or loads it; fresh: it loads it in any case. What had a password is not kept.
func (pc *pairCache) get(l *SSL, kind byte, name string, now time.Time, fresh bool) (*cached, error) {
	id := string(kind) + name
	changed := time.Time{}
	e := pc.find(id, now)
	if e != nil && !fresh && now.Sub(e.checked) <= pc.valid {
		return e, nil
	}
	if !strings.HasPrefix(name, "data:") {
		if fi, err := os.Stat(l.full(name)); err == nil {
			changed = fi.ModTime()
		}
	}
	if e != nil && !fresh && !changed.IsZero() && changed.Equal(e.changed) {
		pc.keep(id, &cached{e.cert, e.key, now, now, changed})
		return e, nil
	}
	n := &cached{checked: now, used: now, changed: changed}
	var err error
	secret := false
	if kind == 'c' {
		n.cert, err = tlsio.LoadCertificate(l.full, name)
	} else {
		n.key, secret, err = tlsio.LoadKey(l.full, name, l.Passwords.V)
	}
	switch {
	case err != nil:
		return nil, err
	case secret:
		pc.drop(id)
	default:
		pc.keep(id, n)
	}
	return n, nil
}

func (pc *pairCache) find(id string, now time.Time) *cached {
	pc.mu.Lock()
	defer pc.mu.Unlock()
	e := pc.all[id]
	if e == nil {
		return nil
	}
	if now.Sub(e.used) > pc.inactive {
		delete(pc.all, id)
		return nil
	}
	e.used = now
	return e
}

func (pc *pairCache) drop(id string) {
	pc.mu.Lock()
	defer pc.mu.Unlock()
	delete(pc.all, id)
}

// keep adds or replaces something; what was used longest ago makes room.
func (pc *pairCache) keep(id string, e *cached) {
	pc.mu.Lock()
	defer pc.mu.Unlock()
	if pc.all == nil {
		pc.all = map[string]*cached{}
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
	pc.all[id] = e
}
