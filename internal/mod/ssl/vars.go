package ssl

import (
	"crypto/sha1"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
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
		return serial(c.SerialNumber)
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

// serial writes a number as OpenSSL's i2a_ASN1_INTEGER does.
func serial(n *big.Int) string {
	switch n.Sign() {
	case 0:
		return "00"
	case -1:
		return fmt.Sprintf("-%X", n.Bytes())
	}
	return fmt.Sprintf("%X", n.Bytes())
}

func pemOf(c *x509.Certificate) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
}

func date(t time.Time) string { return t.UTC().Format("Jan _2 15:04:05 2006 GMT") }

// short are OpenSSL's names of the parts of names.
var short = map[string]string{"2.5.4.3": "CN", "2.5.4.4": "SN", "2.5.4.5": "serialNumber", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "ST", "2.5.4.9": "street", "2.5.4.10": "O",
	"2.5.4.11": "OU", "2.5.4.12": "title", "2.5.4.13": "description", "2.5.4.17": "postalCode", "2.5.4.42": "GN", "2.5.4.43": "initials", "2.5.4.44": "generationQualifier",
	"2.5.4.46": "dnQualifier", "2.5.4.65": "pseudonym", "2.5.4.97": "organizationIdentifier", "1.2.840.113549.1.9.1": "emailAddress",
	"0.9.2342.19200300.100.1.25": "DC", "0.9.2342.19200300.100.1.1": "UID", "0.9.2342.19200300.100.1.3": "mail", "0.9.2342.19200300.100.1.9": "host",
	"2.5.4.14": "searchGuide", "2.5.4.15": "businessCategory", "2.5.4.16": "postalAddress", "2.5.4.18": "postOfficeBox", "2.5.4.19": "physicalDeliveryOfficeName",
	"2.5.4.20": "telephoneNumber", "2.5.4.23": "facsimileTelephoneNumber", "2.5.4.31": "member", "2.5.4.32": "owner", "2.5.4.34": "seeAlso", "2.5.4.41": "name",
	"2.5.4.45": "x500UniqueIdentifier", "2.5.4.51": "houseIdentifier", "2.5.4.72": "role", "1.2.840.113549.1.9.2": "unstructuredName", "1.2.840.113549.1.9.7": "challengePassword",
	"1.2.840.113549.1.9.8": "unstructuredAddress", "1.3.6.1.4.1.311.60.2.1.1": "jurisdictionL", "1.3.6.1.4.1.311.60.2.1.2": "jurisdictionST", "1.3.6.1.4.1.311.60.2.1.3": "jurisdictionC"}

func shortName(id asn1.ObjectIdentifier) string {
	if n := short[id.String()]; n != "" {
		return n
	}
	return id.String()
}

// part is a part of a distinguished name; its value may be of any type.
type part struct {
	Type  asn1.ObjectIdentifier
	Value asn1.RawValue
}

// parts reads a distinguished name: sets of parts.
func parts(der []byte) (all [][]part) {
	var sets []asn1.RawValue
	if _, err := asn1.Unmarshal(der, &sets); err != nil {
		return nil
	}
	for _, set := range sets {
		var one []part
		for rest := set.Bytes; len(rest) > 0; {
			var p part
			var err error
			if rest, err = asn1.Unmarshal(rest, &p); err != nil {
				return nil
			}
			one = append(one, p)
		}
		all = append(all, one)
	}
	return all
}

// name writes a distinguished name as RFC 2253 says, like OpenSSL's XN_FLAG_RFC2253: the last part first.
func name(der []byte) string {
	var b strings.Builder
	seq := parts(der)
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
			if text, ok := textOf(a.Value); ok && short[a.Type.String()] != "" {
				escape(&b, text)
			} else {
				fmt.Fprintf(&b, "#%X", a.Value.FullBytes)
			}
		}
	}
	return b.String()
}

// Kinds of strings of ASN.1 that asn1 has no names for.
const (
	tagVisible   = 26
	tagUniversal = 28
)

// textOf is a string of ASN.1 in UTF-8; false for other values.
func textOf(v asn1.RawValue) (string, bool) {
	if v.Class != asn1.ClassUniversal || v.IsCompound {
		return "", false
	}
	size := 1
	switch v.Tag {
	case asn1.TagUTF8String:
		return string(v.Bytes), true
	case asn1.TagPrintableString, asn1.TagIA5String, asn1.TagNumericString, asn1.TagT61String, tagVisible, asn1.TagUTCTime, asn1.TagGeneralizedTime:
	case asn1.TagBMPString:
		size = 2
	case tagUniversal:
		size = 4
	default:
		return "", false
	}
	var b strings.Builder
	for p := v.Bytes; len(p) >= size; p = p[size:] {
		c := rune(0)
		for _, x := range p[:size] {
			c = c<<8 | rune(x)
		}
		b.WriteRune(c)
	}
	return b.String(), true
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
	var b strings.Builder
	for _, set := range parts(der) {
		for _, a := range set {
			b.WriteByte('/')
			b.WriteString(shortName(a.Type))
			b.WriteByte('=')
			for _, c := range a.Value.Bytes {
				switch {
				case c < 0x20 || c >= 0x7f:
					fmt.Fprintf(&b, "\\x%02X", c)
				case c == '/' || c == '+': // so that no value looks like several parts
					b.WriteByte('\\')
					fallthrough
				default:
					b.WriteByte(c)
				}
			}
		}
	}
	return b.String()
}
