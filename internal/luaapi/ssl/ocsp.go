package ssl

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/ocsp"

	"moongate/internal/lua"
	"moongate/internal/luahost"
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
func pair(der []byte, needIssuer bool) (leaf, issuer *x509.Certificate, problem string) {
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
	leaf, issuer, problem := pair(c.Str(1), true)
	if problem != "" {
		return c.ReturnNilErr(problem)
	}
	if string(leaf.RawIssuer) != string(issuer.RawSubject) || leaf.CheckSignatureFrom(issuer) != nil && !issuer.BasicConstraintsValid {
		return c.ReturnNilErr("issuer certificate not next to leaf")
	}
	if len(leaf.OCSPServer) == 0 {
		return c.ReturnNil()
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

func createRequest(c *lua.Call) lua.Outcome {
	leaf, issuer, problem := pair(c.Str(1), true)
	if problem != "" {
		return c.ReturnNilErr(problem)
	}
	b, err := ocsp.CreateRequest(leaf, issuer, nil)
	if err != nil {
		return c.ReturnNilErr("OCSP_cert_to_id() failed")
	}
	if most := c.IntOr(2, textBuffer); len(b) > most {
		return c.ReturnNilErr(fmt.Sprintf("output buffer too small: %d > %d", len(b), most))
	}
	return c.ReturnStr(b)
}

// clockSkew is how far clocks may be apart.
const clockSkew = 5 * time.Minute

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

// Words of OpenSSL for what a responder says.
var (
	responseWords = map[ocsp.ResponseStatus]string{1: "malformedrequest", 2: "internalerror", 3: "trylater", 5: "sigrequired", 6: "unauthorized"}
	statusWords   = map[int]string{ocsp.Revoked: "revoked", ocsp.Unknown: "unknown"}
)

func checkResponse(resp, chain []byte, now time.Time) (next time.Time, problem string) {
	any, err := ocsp.ParseResponse(resp, nil)
	var refused ocsp.ResponseError
	switch {
	case errors.As(err, &refused):
		return next, fmt.Sprintf("OCSP response not successful (%d: %s)", int(refused.Status), responseWords[refused.Status])
	case err != nil && any == nil && !looksLikeResponse(resp):
		return next, "d2i_OCSP_RESPONSE() failed"
	}
	leaf, issuer, problem := pair(chain, true)
	if problem != "" {
		return next, problem
	}
	r, err := ocsp.ParseResponseForCert(resp, leaf, nil)
	if err != nil {
		if _, err := ocsp.ParseResponse(resp, issuer); err != nil && any == nil {
			return next, "OCSP_basic_verify() failed"
		}
		return next, "certificate status not found in the OCSP response"
	}
	if _, err := ocsp.ParseResponseForCert(resp, leaf, issuer); err != nil {
		return next, "OCSP_basic_verify() failed"
	}
	switch {
	case r.Status != ocsp.Good:
		return next, fmt.Sprintf("certificate status %q in the OCSP response", statusWords[r.Status])
	case now.Add(clockSkew).Before(r.ThisUpdate), !r.NextUpdate.IsZero() && now.Add(-clockSkew).After(r.NextUpdate):
		return next, "OCSP_check_validity() failed"
	}
	return r.NextUpdate, ""
}

// looksLikeResponse reports whether the bytes are a sequence of DER, whatever is in it.
func looksLikeResponse(b []byte) bool { return len(b) > 4 && b[0] == 0x30 && b[1] >= 0x80 }

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
