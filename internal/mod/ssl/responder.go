package ssl

import (
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	"moongate/internal/base/nlog"
	"moongate/internal/base/units"
	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/netio"
	"moongate/internal/ocsp"
	"moongate/internal/resolve"
)

// askTimeout is how long a responder may take.
const askTimeout = 60 * time.Second

// ask asks a responder about a certificate; it parks. core is the server's, for its resolver.
func ask(l *netio.Loop, core *engine.LocConf, r ocsp.Responder, leaf, issuer *x509.Certificate, strict bool) (*ocsp.Answer, []byte, error) {
	at, err := addressOf(l, core, r)
	if err != nil {
		return nil, nil, err
	}
	var answer *ocsp.Answer
	var resp []byte
	l.Offload(func() {
		var req []byte
		if req, err = ocsp.Request(leaf, issuer); err != nil {
			return
		}
		if resp, err = r.Ask(at, req, askTimeout); err == nil {
			answer, err = ocsp.Judge(resp, leaf, issuer, strict)
		}
	})
	if err == nil && !answer.Fresh(time.Now()) {
		err = ocsp.ErrTime
	}
	return answer, resp, err
}

func addressOf(l *netio.Loop, core *engine.LocConf, r ocsp.Responder) (netip.Addr, error) {
	if at, err := netip.ParseAddr(r.Host); err == nil {
		return at, nil
	}
	cfg := core.Resolver.V
	if cfg == nil {
		return netip.Addr{}, fmt.Errorf("no resolver defined to resolve %s", r.Host)
	}
	addrs, err := resolve.For(l, cfg).Lookup(r.Host, l.Now()+int64(core.ResolverTimeout.V))
	if err != nil {
		return netip.Addr{}, fmt.Errorf("%s could not be resolved (%w)", r.Host, err)
	}
	return addrs[0], nil
}

// responderOf is whom to ask about a certificate: the one that the configuration names, or the certificate's own.
func responderOf(configured string, c *x509.Certificate) (ocsp.Responder, error) {
	url := configured
	if url == "" {
		if len(c.OCSPServer) == 0 {
			return ocsp.Responder{}, fmt.Errorf("no OCSP responder URL in certificate")
		}
		url = c.OCSPServer[0]
	}
	return ocsp.ParseURL(url)
}

// answers are what responders have said of clients' certificates (ssl_ocsp_cache); workers share it.
type answers struct {
	mu  sync.Mutex
	max int
	m   map[[32]byte]*ocsp.Answer
}

// answerCost is what an answer takes of the size of a cache.
const answerCost = 256

var answerCaches struct {
	sync.Mutex
	m map[string]*answers
}

var ocspCache = conf.NewType("off | shared:name:size", conf.Take1, func(c *conf.Cmd) (*answers, error) {
	a := c.Args[0]
	if a == "off" {
		return nil, nil
	}
	rest, ok := strings.CutPrefix(a, "shared:")
	name, size, _ := strings.Cut(rest, ":")
	n, ok2 := units.Size(size)
	if !ok || !ok2 || name == "" {
		return nil, c.Errorf("invalid OCSP cache \"%s\"", a)
	}
	if n < minCache {
		return nil, c.Errorf("OCSP cache \"%s\" is too small", a)
	}
	answerCaches.Lock()
	defer answerCaches.Unlock()
	k := answerCaches.m[rest]
	if k == nil {
		if answerCaches.m == nil {
			answerCaches.m = map[string]*answers{}
		}
		k = &answers{max: int(n / answerCost), m: map[[32]byte]*ocsp.Answer{}}
		answerCaches.m[rest] = k
	}
	return k, nil
})

// key tells certificates apart, and whom they were issued by.
func answerKey(leaf, issuer *x509.Certificate) [32]byte {
	h := sha256.New()
	h.Write(issuer.Raw)
	h.Write(leaf.Raw)
	return [32]byte(h.Sum(nil))
}

func (k *answers) get(id [32]byte, now time.Time) *ocsp.Answer {
	if k == nil {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	a := k.m[id]
	if a != nil && now.After(a.Next) {
		delete(k.m, id)
		return nil
	}
	return a
}

// put keeps an answer as long as it is valid; one that does not say how long is not kept.
func (k *answers) put(id [32]byte, a *ocsp.Answer) {
	if k == nil || a.Next.IsZero() {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for old := range k.m {
		if len(k.m) < k.max {
			break
		}
		delete(k.m, old)
	}
	k.m[id] = a
}

// How much of a client's chain is asked about (ssl_ocsp).
const (
	ocspOff = iota
	ocspAll
	ocspLeaf
)

// statusFailed is what requests see when there is no answer.
const statusFailed = "certificate status request failed"

// clientStatus asks about the certificates of a client whose chain is good; it parks. It returns what is wrong with
// them.
func (c *config) clientStatus(h *engine.Handshake) string {
	st := h.State
	chain := h.TLS.Verifier.Chain(st.PeerCertificates)
	for i := 0; i+1 < len(chain); i++ {
		if i > 0 && c.ocsp.V == ocspLeaf {
			break
		}
		if bad := c.statusOf(h, chain[i], chain[i+1]); bad != "" {
			return bad
		}
	}
	return ""
}

func (c *config) statusOf(h *engine.Handshake, leaf, issuer *x509.Certificate) string {
	id := answerKey(leaf, issuer)
	a := c.ocspCache.V.get(id, time.Now())
	if a == nil {
		r, err := responderOf(c.ocspResponder.V, leaf)
		if err == nil {
			a, _, err = ask(h.Worker.Loop, h.Server.Loc.Core, r, leaf, issuer, true)
		}
		if err != nil {
			h.Logf(nlog.Error, "%s while requesting certificate status", err)
			return statusFailed
		}
		c.ocspCache.V.put(id, a)
	}
	switch a.Status {
	case ocsp.Good:
		return ""
	case ocsp.Revoked:
		return "certificate revoked"
	}
	return statusFailed
}
