package ssl

import (
	"crypto/sha1"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"strconv"
	"strings"
	"time"

	"moongate/internal/engine"
	"moongate/internal/http1"
	"moongate/internal/tlsio"
)

// of makes a variable of what a TLS connection knows; it has no value on a plain one.
func of(name, doc string, f func(s *engine.TLSState) string) engine.Var {
	return engine.Var{Name: name, Doc: doc, Get: func(r *engine.Request, _ *engine.Var) ([]byte, bool) {
		s := r.Conn.TLS
		if s == nil {
			return nil, false
		}
		v := f(s)
		return []byte(v), v != ""
	}}
}

// ofClient makes a variable of the client's certificate; it is empty without one.
func ofClient(name, doc string, f func(c *x509.Certificate) string) engine.Var {
	return of(name, doc, func(s *engine.TLSState) string {
		if len(s.PeerCertificates) == 0 {
			return ""
		}
		return f(s.PeerCertificates[0])
	})
}

var vars = []engine.Var{
	of("ssl_protocol", "The version of TLS: `TLSv1.3`.", func(s *engine.TLSState) string { return tlsio.VersionName(s.Version) }),
	of("ssl_cipher", "The cipher suite, as OpenSSL names it.", func(s *engine.TLSState) string { return tlsio.SuiteName(s.CipherSuite) }),
	of("ssl_ciphers", "The cipher suites that the client offered.", func(s *engine.TLSState) string { return list(s.Hello.Suites, suiteName) }),
	of("ssl_curve", "The curve of the key agreement.", func(s *engine.TLSState) string { return curveName(s.CurveID) }),
	of("ssl_curves", "The curves that the client offered.", func(s *engine.TLSState) string { return list(s.Hello.Curves, curveName) }),
	of("ssl_sigalgs", "The signature algorithms that the client offered.", func(s *engine.TLSState) string { return list(s.Hello.Signatures, signatureName) }),
	of("ssl_sigalg", "Empty: crypto/tls does not tell which signature the server has made.", func(*engine.TLSState) string { return "" }),
	of("ssl_client_sigalg", "Empty: crypto/tls does not tell which signature the client has made.", func(*engine.TLSState) string { return "" }),
	of("ssl_session_id", "The number of the session, in hexadecimal digits.", func(s *engine.TLSState) string { return hex.EncodeToString(s.SessionID) }),
	of("ssl_session_reused", "`r` for a resumed session, else `.`.", func(s *engine.TLSState) string {
		if s.DidResume {
			return "r"
		}
		return "."
	}),
	of("ssl_early_data", "Empty: early data is not taken.", func(*engine.TLSState) string { return "" }),
	of("ssl_server_name", "The name that the client asked for (SNI).", func(s *engine.TLSState) string { return s.ServerName }),
	of("ssl_alpn_protocol", "The protocol agreed on by ALPN.", func(s *engine.TLSState) string { return s.NegotiatedProtocol }),
	of("ssl_client_verify", "`SUCCESS`, `FAILED:` and the reason, or `NONE` without a certificate.", func(s *engine.TLSState) string {
		switch {
		case len(s.PeerCertificates) == 0:
			return "NONE"
		case s.VerifyCode != 0:
			return "FAILED:" + s.VerifyText
		case s.StatusText != "":
			return "FAILED:" + s.StatusText
		}
		return "SUCCESS"
	}),
	ofClient("ssl_client_cert", "The client's certificate in PEM, each line but the first behind a tab.", func(c *x509.Certificate) string {
		return strings.ReplaceAll(strings.TrimSuffix(pemOf(c), "\n"), "\n", "\n\t")
	}),
	ofClient("ssl_client_raw_cert", "The client's certificate in PEM.", pemOf),
	ofClient("ssl_client_escaped_cert", "The client's certificate in PEM, escaped as a part of a URI.", func(c *x509.Certificate) string {
		return string(http1.AppendEscape(nil, []byte(pemOf(c)), http1.EscapeComponent))
	}),
	ofClient("ssl_client_s_dn", "The subject of the client's certificate (RFC 2253).", func(c *x509.Certificate) string { return name(c.RawSubject) }),
	ofClient("ssl_client_i_dn", "The issuer of the client's certificate (RFC 2253).", func(c *x509.Certificate) string { return name(c.RawIssuer) }),
	ofClient("ssl_client_s_dn_legacy", "The subject of the client's certificate with slashes.", func(c *x509.Certificate) string { return oneLine(c.RawSubject) }),
	ofClient("ssl_client_i_dn_legacy", "The issuer of the client's certificate with slashes.", func(c *x509.Certificate) string { return oneLine(c.RawIssuer) }),
	ofClient("ssl_client_serial", "The serial number of the client's certificate.", func(c *x509.Certificate) string {
		return strings.ToUpper(hex.EncodeToString(c.SerialNumber.Bytes()))
	}),
	ofClient("ssl_client_fingerprint", "The SHA1 fingerprint of the client's certificate.", func(c *x509.Certificate) string {
		sum := sha1.Sum(c.Raw)
		return hex.EncodeToString(sum[:])
	}),
	ofClient("ssl_client_v_start", "From when the client's certificate is valid.", func(c *x509.Certificate) string { return date(c.NotBefore) }),
	ofClient("ssl_client_v_end", "Until when the client's certificate is valid.", func(c *x509.Certificate) string { return date(c.NotAfter) }),
	ofClient("ssl_client_v_remain", "The days until the client's certificate expires.", func(c *x509.Certificate) string {
		return strconv.Itoa(int(max(time.Until(c.NotAfter), 0) / (24 * time.Hour)))
	}),
}

func list[V any](all []V, name func(V) string) string {
	var out []string
	for _, v := range all {
		out = append(out, name(v))
	}
	return strings.Join(out, ":")
}

// suiteName names a suite that a client offers; of unknown ones there is only the number, as in nginx.
func suiteName(id uint16) string {
	if n := tlsio.SuiteName(id); !strings.HasPrefix(n, "0x") {
		return n
	}
	return fmt.Sprintf("0x%04x", id)
}

var signatureNames = map[tls.SignatureScheme]string{tls.PKCS1WithSHA1: "rsa_pkcs1_sha1", tls.PKCS1WithSHA256: "rsa_pkcs1_sha256", tls.PKCS1WithSHA384: "rsa_pkcs1_sha384", tls.PKCS1WithSHA512: "rsa_pkcs1_sha512",
	tls.PSSWithSHA256: "rsa_pss_rsae_sha256", tls.PSSWithSHA384: "rsa_pss_rsae_sha384", tls.PSSWithSHA512: "rsa_pss_rsae_sha512", 0x0809: "rsa_pss_pss_sha256", 0x080a: "rsa_pss_pss_sha384", 0x080b: "rsa_pss_pss_sha512",
	tls.ECDSAWithSHA1: "ecdsa_sha1", tls.ECDSAWithP256AndSHA256: "ecdsa_secp256r1_sha256", tls.ECDSAWithP384AndSHA384: "ecdsa_secp384r1_sha384", tls.ECDSAWithP521AndSHA512: "ecdsa_secp521r1_sha512",
	tls.Ed25519: "ed25519", 0x0808: "ed448"}

func signatureName(id tls.SignatureScheme) string {
	if n := signatureNames[id]; n != "" {
		return n
	}
	return fmt.Sprintf("0x%04x", uint16(id))
}

var curveNames = map[tls.CurveID]string{tls.X25519: "X25519", tls.CurveP256: "prime256v1", tls.CurveP384: "secp384r1", tls.CurveP521: "secp521r1",
	tls.X25519MLKEM768: "X25519MLKEM768", 30: "X448", 256: "ffdhe2048", 257: "ffdhe3072", 258: "ffdhe4096", 259: "ffdhe6144", 260: "ffdhe8192"}

func curveName(id tls.CurveID) string {
	switch n := curveNames[id]; {
	case n != "":
		return n
	case id == 0:
		return ""
	}
	return fmt.Sprintf("0x%04x", uint16(id))
}

func pemOf(c *x509.Certificate) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
}

func date(t time.Time) string { return t.UTC().Format("Jan _2 15:04:05 2006 GMT") }

// short are OpenSSL's names of the parts of names.
var short = map[string]string{"2.5.4.3": "CN", "2.5.4.4": "SN", "2.5.4.5": "serialNumber", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "ST", "2.5.4.9": "street", "2.5.4.10": "O",
	"2.5.4.11": "OU", "2.5.4.12": "title", "2.5.4.13": "description", "2.5.4.17": "postalCode", "2.5.4.42": "GN", "2.5.4.43": "initials", "2.5.4.44": "generationQualifier",
	"2.5.4.46": "dnQualifier", "2.5.4.65": "pseudonym", "2.5.4.97": "organizationIdentifier", "1.2.840.113549.1.9.1": "emailAddress",
	"0.9.2342.19200300.100.1.25": "DC", "0.9.2342.19200300.100.1.1": "UID", "2.5.4.15": "businessCategory"}

func shortName(id asn1.ObjectIdentifier) string {
	if n := short[id.String()]; n != "" {
		return n
	}
	return id.String()
}

// name writes a distinguished name as RFC 2253 says, like OpenSSL's XN_FLAG_RFC2253: the last part first.
func name(der []byte) string {
	var seq pkix.RDNSequence
	if _, err := asn1.Unmarshal(der, &seq); err != nil {
		return ""
	}
	var b strings.Builder
	for i := len(seq) - 1; i >= 0; i-- {
		for j, a := range seq[i] {
			switch {
			case j > 0:
				b.WriteByte('+')
			case i < len(seq)-1:
				b.WriteByte(',')
			}
			b.WriteString(shortName(a.Type))
			b.WriteByte('=')
			escape(&b, fmt.Sprint(a.Value))
		}
	}
	return b.String()
}

func escape(b *strings.Builder, v string) {
	for i := range len(v) {
		switch c := v[i]; {
		case c < 0x20 || c >= 0x7f:
			fmt.Fprintf(b, "\\%02X", c)
		case strings.IndexByte(`,+"\<>;`, c) >= 0, i == 0 && (c == '#' || c == ' '), i == len(v)-1 && c == ' ':
			b.WriteByte('\\')
			b.WriteByte(c)
		default:
			b.WriteByte(c)
		}
	}
}

// oneLine writes a distinguished name as OpenSSL's X509_NAME_oneline: slashes, the first part first.
func oneLine(der []byte) string {
	var seq pkix.RDNSequence
	if _, err := asn1.Unmarshal(der, &seq); err != nil {
		return ""
	}
	var b strings.Builder
	for _, set := range seq {
		for _, a := range set {
			b.WriteByte('/')
			b.WriteString(shortName(a.Type))
			b.WriteByte('=')
			for v, i := fmt.Sprint(a.Value), 0; i < len(v); i++ {
				if c := v[i]; c < 0x20 || c >= 0x7f {
					fmt.Fprintf(&b, "\\x%02X", c)
				} else {
					b.WriteByte(c)
				}
			}
		}
	}
	return b.String()
}
