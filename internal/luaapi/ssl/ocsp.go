package ssl

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

	"moongate/internal/lua"
	"moongate/internal/luahost"
	"moongate/internal/ocsp"
)

const ocspPrefix = prefix + "ocsp."

// textBuffer is the size of the buffer that results go through in OpenResty: longer ones are cut.
const textBuffer = 4096

var ocspFuncs = []*lua.Func{
	{Name: ocspPrefix + "get_ocsp_responder_from_der_chain", Sig: "chain:string, max?:any -> url, err", Doc: "The URL of the responder that the first certificate names; nil without one.", Run: responder},
	{Name: ocspPrefix + "create_ocsp_request", Sig: "chain:string, max?:any -> request, err", Doc: "The request that asks the responder about the first certificate of the chain.", Run: createRequest},
	{Name: ocspPrefix + "validate_ocsp_response", Sig: "response:string, chain:string, max?:any -> ok, next_update_or_err",
		Doc: "Whether the response says that the first certificate is good, signed by its issuer and of today.", Run: validateResponse},
	{Name: ocspPrefix + "set_ocsp_status_resp", Sig: "response:string -> ok, err", Doc: "Sends a response along with the certificate, if the client asks for it.", Run: with(1, setStaple)},
}

// pair reads a certificate and the one of its issuer.
func pair(der []byte) (leaf, issuer *x509.Certificate, problem string) {
	chain, err := x509.ParseCertificates(append([]byte{}, der...))
	if err != nil || len(chain) == 0 {
		return nil, nil, badDERCert
	}
	if len(chain) == 1 {
		return chain[0], nil, "no issuer certificate in chain"
	}
	return chain[0], chain[1], ""
}

func responder(c *lua.Call) lua.Outcome {
	leaf, issuer, problem := pair(c.Str(1))
	switch {
	case leaf != nil && len(leaf.OCSPServer) == 0:
		return c.ReturnNil()
	case problem != "":
		return c.ReturnNilErr(problem)
	case !issued(issuer, leaf):
		return c.ReturnNilErr("issuer certificate not next to leaf")
	}
	url := leaf.OCSPServer[0]
	if most := c.IntOr(2, textBuffer); len(url) > most {
		w := c.Push()
		w.String(url[:max(most, 0)])
		w.String("truncated")
		return c.Return()
	}
	return c.ReturnString(url)
}

// issued compares names and key numbers, as OpenSSL's X509_check_issued.
func issued(issuer, leaf *x509.Certificate) bool {
	if !strings.EqualFold(issuer.Subject.String(), leaf.Issuer.String()) {
		return false
	}
	return len(leaf.AuthorityKeyId) == 0 || len(issuer.SubjectKeyId) == 0 || bytes.Equal(leaf.AuthorityKeyId, issuer.SubjectKeyId)
}

func createRequest(c *lua.Call) lua.Outcome {
	leaf, issuer, problem := pair(c.Str(1))
	if problem != "" {
		return c.ReturnNilErr(problem)
	}
	b, err := ocsp.Request(leaf, issuer)
	if err != nil {
		return c.ReturnNilErr("OCSP_cert_to_id() failed")
	}
	if most := c.IntOr(2, textBuffer); len(b) > most {
		return c.ReturnNilErr(fmt.Sprintf("output buffer too small: %d > %d", len(b), most))
	}
	return c.ReturnStr(b)
}

func validateResponse(c *lua.Call) lua.Outcome {
	next, problem := checkResponse(append([]byte{}, c.Str(1)...), c.Str(2), time.Now())
	if problem != "" {
		if most := c.IntOr(3, textBuffer); len(problem) > most {
			problem = problem[:max(most, 0)]
		}
		return c.ReturnNilErr(problem)
	}
	w := c.Push()
	w.Bool(true)
	if next.IsZero() {
		w.Nil()
	} else {
		w.Num(float64(next.Unix()))
	}
	return c.Return()
}

// checkResponse judges a response about the first certificate of a chain; next is zero when there is no such time in it.
func checkResponse(resp, chain []byte, now time.Time) (next time.Time, problem string) {
	leaf, issuer, bad := pair(chain)
	if bad != "" {
		leaf, issuer = &x509.Certificate{SerialNumber: new(big.Int)}, &x509.Certificate{}
	}
	a, err := ocsp.Judge(resp, leaf, issuer, false) // OpenResty's OCSP_NOVERIFY
	var refused ocsp.Refused
	switch {
	case errors.As(err, &refused), err == ocsp.ErrFormat:
		return next, err.Error()
	case bad != "":
		return next, bad
	case err != nil:
		return next, err.Error()
	case a.Status != ocsp.Good:
		return next, fmt.Sprintf("certificate status \"%s\" in the OCSP response", a.Status)
	case !a.Fresh(now):
		return next, ocsp.ErrTime.Error()
	}
	return a.Next, ""
}

func setStaple(c *lua.Call, v view) lua.Outcome {
	if v.shake == nil {
		return c.ReturnNilErr(badContext)
	}
	if !asksForStaple(v.shake) {
		w := c.Push()
		w.Bool(true)
		w.String("no status req")
		return c.Return()
	}
	v.shake.H.Staple = append([]byte{}, c.Str(1)...)
	return c.ReturnBool(true)
}

func asksForStaple(s *luahost.Shake) bool {
	if s.H.Raw == nil {
		return false
	}
	_, ok := s.H.Raw.Extension(extStatus)
	return ok
}

// readable reports whether bytes are a session of get_serialized_session.
func readable(b []byte) bool {
	_, err := tls.ParseSessionState(b)
	return err == nil
}
