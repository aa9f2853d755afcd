package ssl

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"slices"
	"sync"
	"time"

	"moongate/internal/base/nlog"
	"moongate/internal/engine"
	"moongate/internal/ocsp"
)

// How long a response is sent before another one is asked for, and how soon after a failure.
const (
	stapleLife  = time.Hour
	stapleRetry = 5 * time.Minute
)

// stapler has the OCSP responses that go along with a server's certificates. Workers share it.
type stapler struct {
	c     *config
	fixed []byte // of ssl_stapling_file
	trust []*x509.Certificate

	mu sync.Mutex
	m  map[*tls.Certificate]*staple
}

// staple is the response for one certificate.
type staple struct {
	issuer    *x509.Certificate
	responder ocsp.Responder
	off       bool // there is nobody to ask
	asking    bool
	with      *tls.Certificate // the certificate with the response; nil: there is none
	next      time.Time        // when to ask again
	until     time.Time        // how long the response is good
}

// attach gives the certificate with its response, if there is one, and has a new one fetched when it is time.
// As in nginx there is none for certificates whose names have variables; fixed are the others.
func (s *stapler) attach(h *engine.Handshake, cert *tls.Certificate, fixed []*tls.Certificate) *tls.Certificate {
	if !slices.Contains(fixed, cert) {
		return cert
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.m[cert]
	if p == nil {
		for old := range s.m { // of files that have changed
			if !slices.Contains(fixed, old) {
				delete(s.m, old)
			}
		}
		p = &staple{}
		s.m[cert] = p
		s.prepare(h, cert, p)
	}
	now := time.Now()
	if !p.off && !p.asking && !now.Before(p.next) {
		p.asking = true
		w, hs := h.Worker, *h
		w.Hold(h.HTTP)
		w.Loop.Go(func() {
			s.fetch(&hs, cert, p)
			w.Release(hs.HTTP)
		})
	}
	if p.with != nil && (p.until.IsZero() || now.Before(p.until)) {
		return p.with
	}
	return cert
}

// prepare finds the issuer and whom to ask.
func (s *stapler) prepare(h *engine.Handshake, cert *tls.Certificate, p *staple) {
	if s.fixed != nil {
		with := *cert
		with.OCSPStaple = s.fixed
		p.with, p.off = &with, true
		return
	}
	p.off = true
	p.issuer = issuerOf(cert, s.trust)
	if p.issuer == nil {
		h.Logf(nlog.Warn, "\"ssl_stapling\" ignored, issuer certificate not found for certificate")
		return
	}
	var err error
	if p.responder, err = responderOf(s.c.staplingResponder.V, cert.Leaf); err != nil {
		h.Logf(nlog.Warn, "\"ssl_stapling\" ignored, %s", err)
		return
	}
	p.off = false
}

func issuerOf(cert *tls.Certificate, trust []*x509.Certificate) *x509.Certificate {
	var all []*x509.Certificate
	for _, der := range cert.Certificate[1:] {
		if c, err := x509.ParseCertificate(der); err == nil {
			all = append(all, c)
		}
	}
	for _, c := range append(all, trust...) {
		if bytes.Equal(c.RawSubject, cert.Leaf.RawIssuer) && cert.Leaf.CheckSignatureFrom(c) == nil {
			return c
		}
	}
	return nil
}

// fetch asks for a response, on a task of its own.
func (s *stapler) fetch(h *engine.Handshake, cert *tls.Certificate, p *staple) {
	a, resp, err := ask(h.Worker.Loop, h.Server.Loc.Core, p.responder, cert.Leaf, p.issuer, s.c.staplingVerify.V)
	log := h.Server.Loc.Core.Logger()
	switch {
	case err != nil:
		log.Logf(nlog.Error, nil, nil, "%s while requesting certificate status, responder: %s", err, p.responder.Host)
	case a.Status != ocsp.Good:
		log.Logf(nlog.Error, nil, nil, "certificate status \"%s\" in the OCSP response while requesting certificate status, responder: %s", a.Status, p.responder.Host)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p.asking = false
	now := time.Now()
	if err != nil || a.Status != ocsp.Good {
		p.next = now.Add(stapleRetry)
		return
	}
	with := *cert
	with.OCSPStaple = resp
	p.with, p.until = &with, a.Next
	p.next = now.Add(stapleLife)
	if !a.Next.IsZero() && a.Next.Before(p.next) {
		p.next = a.Next
	}
}
