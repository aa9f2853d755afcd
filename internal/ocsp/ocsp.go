// Package ocsp asks responders about certificates (RFC 6960) and judges what they say. It blocks, and knows neither
// loops nor handshakes.
package ocsp

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/ocsp"
)

// Status is what a responder says of a certificate.
type Status int

// The values.
const (
	Good    Status = ocsp.Good
	Revoked Status = ocsp.Revoked
	Unknown Status = ocsp.Unknown
)

// Answer is a judged response. Next is zero when the responder does not say when it knows more.
type Answer struct {
	Status     Status
	This, Next time.Time
}

// skew is how far clocks may be apart.
const skew = 5 * time.Minute

// Fresh reports whether an answer is of the present.
func (a *Answer) Fresh(now time.Time) bool {
	return !now.Add(skew).Before(a.This) && (a.Next.IsZero() || !now.Add(-skew).After(a.Next))
}

// Words of OpenSSL for what responders say.
var (
	refusals = map[ocsp.ResponseStatus]string{1: "malformedrequest", 2: "internalerror", 3: "trylater", 5: "sigrequired", 6: "unauthorized"}
	names    = map[Status]string{Good: "good", Revoked: "revoked", Unknown: "unknown"}
)

// String is OpenSSL's word.
func (s Status) String() string { return names[s] }

// Errors of Judge, in the words of what fails in OpenSSL.
var (
	ErrFormat    = errors.New("d2i_OCSP_RESPONSE() failed")
	ErrSignature = errors.New("OCSP_basic_verify() failed")
	ErrNotFound  = errors.New("certificate status not found in the OCSP response")
	ErrTime      = errors.New("OCSP_check_validity() failed")
)

// Refused is a response that says nothing but why.
type Refused int

func (r Refused) Error() string {
	return fmt.Sprintf("OCSP response not successful (%d: %s)", int(r), refusals[ocsp.ResponseStatus(r)])
}

// Judge reads a response about a certificate. Strict wants it signed by the certificate's issuer, or by whom the issuer
// has entitled to; else the signature must only be that of a certificate in the response, where there is one.
func Judge(resp []byte, leaf, issuer *x509.Certificate, strict bool) (*Answer, error) {
	r, err := ocsp.ParseResponseForCert(resp, leaf, nil)
	if err != nil {
		return nil, why(resp, err)
	}
	switch {
	case r.Certificate == nil, r.Certificate.Equal(issuer):
		if r.CheckSignatureFrom(issuer) != nil {
			return nil, ErrSignature
		}
	case strict && (r.Certificate.CheckSignatureFrom(issuer) != nil || !entitled(r.Certificate)):
		return nil, ErrSignature
	}
	return &Answer{Status: Status(r.Status), This: r.ThisUpdate, Next: r.NextUpdate}, nil
}

func entitled(c *x509.Certificate) bool {
	for _, u := range c.ExtKeyUsage {
		if u == x509.ExtKeyUsageOCSPSigning {
			return true
		}
	}
	return false
}

// why finds out what is wrong with a response that was not understood.
func why(resp []byte, err error) error {
	var refused ocsp.ResponseError
	if errors.As(err, &refused) {
		return Refused(refused.Status)
	}
	if len(resp) < 4 || resp[0] != 0x30 {
		return ErrFormat
	}
	switch text := err.Error(); {
	case strings.Contains(text, "no response matching"):
		return ErrNotFound
	case strings.Contains(text, "signature"):
		return ErrSignature
	}
	return ErrFormat
}

// Request makes the request about a certificate.
func Request(leaf, issuer *x509.Certificate) ([]byte, error) {
	return ocsp.CreateRequest(leaf, issuer, nil)
}

// Responder is where to ask: only HTTP without TLS, as in nginx.
type Responder struct {
	Host, Port, Path string
}

// ParseURL reads a responder's URL.
func ParseURL(url string) (r Responder, err error) {
	rest, ok := strings.CutPrefix(url, "http://")
	if !ok {
		return r, errors.New("invalid URL prefix in OCSP responder \"" + url + "\"")
	}
	host, path, _ := strings.Cut(rest, "/")
	r.Path = "/" + path
	if r.Host, r.Port, err = net.SplitHostPort(host); err != nil {
		r.Host, r.Port, err = strings.Trim(host, "[]"), "80", nil
	}
	if r.Host == "" {
		return r, errors.New("no host in OCSP responder \"" + url + "\"")
	}
	return r, nil
}

// Authority is host and port as in the text of a URL.
func (r Responder) Authority() string {
	if r.Port == "80" {
		return r.Host
	}
	return net.JoinHostPort(r.Host, r.Port)
}

// maxResponse is more than any responder has to say.
const maxResponse = 64 << 10

// Ask sends a request to a responder at an address and gives the response.
func (r Responder) Ask(at netip.Addr, request []byte, timeout time.Duration) ([]byte, error) {
	c, err := net.DialTimeout("tcp", net.JoinHostPort(at.String(), r.Port), timeout)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(timeout))
	path := r.Path
	if !strings.HasSuffix(path, "/") {
		path += "/"
	}
	escape := strings.NewReplacer("+", "%2B", "/", "%2F", "=", "%3D")
	if _, err = io.WriteString(c, "GET "+path+escape.Replace(base64.StdEncoding.EncodeToString(request))+" HTTP/1.0\r\nHost: "+r.Authority()+"\r\n\r\n"); err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(c, maxResponse))
	if err != nil {
		return nil, err
	}
	return body(text)
}

// body takes the head off an HTTP response.
func body(text []byte) ([]byte, error) {
	sep := []byte("\r\n\r\n")
	i := bytes.Index(text, sep)
	if j := bytes.Index(text, []byte("\n\n")); j >= 0 && (i < 0 || j < i) {
		i, sep = j, sep[:2]
	}
	if i < 0 {
		return nil, errors.New("OCSP responder prematurely closed connection")
	}
	line, _, _ := bytes.Cut(text, []byte("\n"))
	fields := strings.Fields(string(line))
	if len(fields) < 2 || !strings.HasPrefix(fields[0], "HTTP/") {
		return nil, errors.New("OCSP responder sent invalid response")
	}
	if code, err := strconv.Atoi(fields[1]); err != nil || code != 200 {
		return nil, errors.New("OCSP responder sent response with status " + fields[1])
	}
	return text[i+len(sep):], nil
}
