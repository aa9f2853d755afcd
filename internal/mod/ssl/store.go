package ssl

import (
	"crypto"
	"crypto/rsa"
	"crypto/tls"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"moongate/internal/base/nlog"
	"moongate/internal/engine"
	"moongate/internal/tlsio"
)

// store has the certificates of a server: those of files, read when the configuration is and, where asked for, again
// when the files change; and those whose names depend on the handshake. All workers use it.
type store struct {
	c     *config
	files tlsio.Files // once the configuration serves
	fixed []fixedPair
	vars  []varPair
	list  atomic.Pointer[[]*tls.Certificate] // of fixed, those with elliptic keys first

	mu   sync.Mutex   // of fixed; never held by who has the baton of a worker
	next atomic.Int64 // when the files are looked at again, Unix nanoseconds
}

type fixedPair struct {
	cert, key string
	pair      *tls.Certificate
	stamps    [2]tlsio.Stamp
	bad       [2]tlsio.Stamp // of what could not be used
}

type varPair struct{ cert, key fileName }

// newStore loads the certificates while the configuration is read, with f; later they come from disk.
func (c *config) newStore(f tlsio.Files) (*store, error) {
	st := &store{c: c, files: tlsio.Files{Full: f.Full, Read: os.ReadFile}}
	for i, cert := range c.certificates {
		key := c.keys[i]
		if cert.vars != nil || key.vars != nil {
			st.vars = append(st.vars, varPair{cert, key})
			continue
		}
		p := fixedPair{cert: cert.text, key: key.text}
		if c.watch.V > 0 {
			p.stamps = st.stampsOf(&p, watched{}) // before they are read: what changes then is seen
		}
		var err error
		if p.pair, err = loadPair(f, cert.text, key.text, c.passwords.V); err != nil {
			return nil, emerg("%s", err)
		}
		st.fixed = append(st.fixed, p)
	}
	st.publish()
	return st, nil
}

func loadPair(f tlsio.Files, cert, key string, passwords [][]byte) (*tls.Certificate, error) {
	pair, err := tlsio.LoadPair(f, cert, key, passwords)
	if err != nil {
		return nil, err
	}
	pair.PrivateKey = tlsio.FastKey(pair.PrivateKey.(crypto.Signer))
	return &pair, nil
}

// publish makes the fixed certificates those that new handshakes use.
func (st *store) publish() {
	list := make([]*tls.Certificate, len(st.fixed))
	for i := range st.fixed {
		list[i] = st.fixed[i].pair
	}
	slices.SortStableFunc(list, func(a, b *tls.Certificate) int { return rank(a) - rank(b) })
	st.list.Store(&list)
}

func rank(c *tls.Certificate) int {
	if _, ok := c.Leaf.PublicKey.(*rsa.PublicKey); ok {
		return 1
	}
	return 0
}

// pick takes the first certificate that the client understands, whatever name it has asked for; of those with
// variables, the handshake's.
func (st *store) pick(h *engine.Handshake, info *tls.ClientHelloInfo) (*tls.Certificate, error) {
	list := *st.list.Load()
	if len(st.vars) > 0 {
		var err error
		if list, err = st.evaluated(h, list); err != nil {
			return nil, err
		}
	}
	return choose(list, info), nil
}

func choose(list []*tls.Certificate, info *tls.ClientHelloInfo) *tls.Certificate {
	if len(list) == 1 {
		return list[0]
	}
	nameless := *info
	nameless.ServerName = ""
	for _, c := range list {
		if nameless.SupportsCertificate(c) == nil {
			return c
		}
	}
	if len(list) == 0 {
		return nil
	}
	return list[0]
}

// evaluated adds the certificates whose names have variables.
func (st *store) evaluated(h *engine.Handshake, fixed []*tls.Certificate) ([]*tls.Certificate, error) {
	list := slices.Clone(fixed)
	for _, v := range st.vars {
		cert, key := v.cert.eval(h), v.key.eval(h)
		var pair *tls.Certificate
		var err error
		now := time.Now()
		h.Worker.Loop.Offload(func() { pair, err = st.c.pairs.V.Load(st.files, cert, key, st.c.passwords.V, now) })
		if err != nil {
			h.Logf(nlog.Error, "%s", err)
			return nil, tlsio.Words("error:0A000179:SSL routines::cert cb error")
		}
		list = append(list, pair)
	}
	slices.SortStableFunc(list, func(a, b *tls.Certificate) int { return rank(a) - rank(b) })
	return list, nil
}

func (n fileName) eval(h *engine.Handshake) string {
	if n.vars == nil {
		return n.text
	}
	return h.Eval(n.vars)
}

// refresh looks at the files when it is time to, and takes over what has changed. It parks.
func (st *store) refresh(h *engine.Handshake) {
	next, now := st.next.Load(), time.Now().UnixNano()
	if now < next || !st.next.CompareAndSwap(next, now+int64(st.c.watch.V)) {
		return
	}
	var failed []error
	w := watched{h.Worker.Plane.Params().Open}
	h.Worker.Loop.Offload(func() { failed = st.reread(w) })
	for _, err := range failed {
		h.Logf(nlog.Error, "%s, the certificate in use stays", err)
	}
}

// reread takes over the files that have changed; each fault is reported once.
func (st *store) reread(w watched) (failed []error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	files := tlsio.Files{Full: st.files.Full, Read: w.read}
	changed := false
	for i := range st.fixed {
		p := &st.fixed[i]
		now := st.stampsOf(p, w)
		if now == p.stamps || now == p.bad {
			continue
		}
		pair, err := loadPair(files, p.cert, p.key, st.c.passwords.V)
		if err != nil {
			p.bad = now
			failed = append(failed, err)
			continue
		}
		p.pair, p.stamps, p.bad = pair, now, [2]tlsio.Stamp{}
		changed = true
	}
	if changed {
		st.publish()
	}
	return failed
}

func (st *store) stampsOf(p *fixedPair, w watched) (out [2]tlsio.Stamp) {
	for i, name := range [...]string{p.cert, p.key} {
		if strings.HasPrefix(name, "data:") {
			continue
		}
		out[i] = w.stamp(st.files.Full(name))
	}
	return out
}

// watched are files as a worker process sees them: with open for those that it may not see itself, of which the keys of
// certificates often are.
type watched struct {
	open func(name string) (*os.File, error) // plane.Params.Open
}

func (w watched) read(name string) ([]byte, error) {
	text, err := os.ReadFile(name)
	if w.open == nil || !errors.Is(err, os.ErrPermission) {
		return text, err
	}
	f, err := w.open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

func (w watched) stamp(name string) tlsio.Stamp {
	if _, err := os.Stat(name); w.open != nil && errors.Is(err, os.ErrPermission) {
		f, err := w.open(name)
		if err != nil {
			return tlsio.Stamp{}
		}
		defer f.Close()
		return tlsio.StampOfFile(f)
	}
	return tlsio.StampOf(name)
}
