package tlsio

import (
	"crypto"
	"crypto/tls"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Defaults of the parameters of ssl_certificate_cache.
const (
	CacheInactive = 10 * time.Second
	CacheValid    = 60 * time.Second
)

// PairCache has certificates, and secret keys, whose names were made of variables. All workers use it.
type PairCache struct {
	Max             int
	Inactive, Valid time.Duration

	mu  sync.Mutex
	all map[string]*cached // by a letter for the kind and the name
}

// cached is a tls.Certificate without its key, or a key.
type cached struct {
	cert          tls.Certificate
	key           crypto.PrivateKey
	checked, used time.Time
	file          Stamp
}

// Stamp tells whether a file is still the same: a copy that keeps the time, as by cp -p, is another one.
type Stamp struct {
	inode, size    uint64
	written, moved syscall.Timespec
}

// StampOf looks at a file by its whole name; the zero Stamp is that of none.
func StampOf(name string) Stamp {
	var st syscall.Stat_t
	if syscall.Stat(name, &st) != nil {
		return Stamp{}
	}
	return stampOf(&st)
}

// StampOfFile looks at a file that is open.
func StampOfFile(f *os.File) Stamp {
	var st syscall.Stat_t
	if syscall.Fstat(int(f.Fd()), &st) != nil {
		return Stamp{}
	}
	return stampOf(&st)
}

func stampOf(st *syscall.Stat_t) Stamp {
	return Stamp{st.Ino, uint64(st.Size), st.Mtim, st.Ctim}
}

// Load loads a certificate and its key, by way of the cache when there is one: pc may be nil. It blocks.
func (pc *PairCache) Load(f Files, cert, key string, passwords [][]byte, now time.Time) (*tls.Certificate, error) {
	if pc == nil {
		pair, err := LoadPair(f, cert, key, passwords)
		return &pair, err
	}
	pair, err := pc.pair(f, cert, key, passwords, now, false)
	if err != nil { // one of the two may have changed before the other
		pair, err = pc.pair(f, cert, key, passwords, now, true)
	}
	return pair, err
}

func (pc *PairCache) pair(f Files, cert, key string, passwords [][]byte, now time.Time, fresh bool) (*tls.Certificate, error) {
	c, err := pc.get(f, 'c', cert, nil, now, fresh)
	if err != nil {
		return nil, err
	}
	k, err := pc.get(f, 'k', key, passwords, now, fresh)
	if err != nil {
		return nil, err
	}
	pair := c.cert
	return &pair, SetKey(f, &pair, key, k.key)
}

// get gives what is cached or loads it; fresh: it loads it in any case. What had a password is not kept.
func (pc *PairCache) get(f Files, kind byte, name string, passwords [][]byte, now time.Time, fresh bool) (*cached, error) {
	id := string(kind) + name
	file := Stamp{}
	e := pc.find(id, now)
	if e != nil && !fresh && now.Sub(e.checked) <= pc.Valid {
		return e, nil
	}
	if !strings.HasPrefix(name, "data:") {
		file = StampOf(f.Full(name))
	}
	if e != nil && !fresh && file != (Stamp{}) && file.inode == e.file.inode && file.written == e.file.written { // nginx looks at no more
		pc.keep(id, &cached{e.cert, e.key, now, now, file})
		return e, nil
	}
	n := &cached{checked: now, used: now, file: file}
	var err error
	secret := false
	if kind == 'c' {
		n.cert, err = LoadCertificate(f, name)
	} else {
		n.key, secret, err = LoadKey(f, name, passwords)
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

func (pc *PairCache) find(id string, now time.Time) *cached {
	pc.mu.Lock()
	defer pc.mu.Unlock()
	e := pc.all[id]
	if e == nil {
		return nil
	}
	if now.Sub(e.used) > pc.Inactive {
		delete(pc.all, id)
		return nil
	}
	e.used = now
	return e
}

func (pc *PairCache) drop(id string) {
	pc.mu.Lock()
	defer pc.mu.Unlock()
	delete(pc.all, id)
}

// keep adds or replaces something; what was used longest ago makes room.
func (pc *PairCache) keep(id string, e *cached) {
	pc.mu.Lock()
	defer pc.mu.Unlock()
	if pc.all == nil {
		pc.all = map[string]*cached{}
	}
	if pc.all[id] == nil && len(pc.all) >= pc.Max {
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
