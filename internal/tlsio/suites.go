package tlsio

import (
	"crypto/tls"
	"fmt"
	"math"
	"strings"
)

// Protocols are the words of ssl_protocols; the versions that crypto/tls speaks begin at firstTLS.
var Protocols = []string{"SSLv2", "SSLv3", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"}

const firstTLS = 2

var versions = []uint16{tls.VersionTLS10, tls.VersionTLS11, tls.VersionTLS12, tls.VersionTLS13}

// Versions gives the lowest and the highest version of a set of Protocols; without any, TLS 1.2 and 1.3.
func Versions(set uint32) (low, high uint16) {
	low = math.MaxUint16
	for i, v := range versions {
		if set&(1<<(i+firstTLS)) != 0 {
			low, high = min(low, v), max(high, v)
		}
	}
	if high == 0 {
		return tls.VersionTLS12, tls.VersionTLS13
	}
	return low, high
}

// VersionName is a version's name as OpenSSL writes it.
func VersionName(v uint16) string {
	for i, x := range versions {
		if x == v {
			return Protocols[i+firstTLS]
		}
	}
	return ""
}

// groups are words of OpenSSL's cipher lists that stand for several suites: with one of them the list is the one of
// crypto/tls, which has no weak suites.
var groups = map[string]bool{"HIGH": true, "DEFAULT": true, "ALL": true, "COMPLEMENTOFDEFAULT": true, "MEDIUM": true, "TLSv1.2": true, "TLSv1": true,
	"SSLv3": true, "ECDHE": true, "EECDH": true, "kECDHE": true, "kEECDH": true, "AESGCM": true, "AES": true, "AES128": true, "AES256": true, "CHACHA20": true, "aRSA": true,
	"aECDSA": true, "ECDSA": true, "RSA": true, "kRSA": true, "DHE": true, "EDH": true, "PROFILE=SYSTEM": true, "SHA": true, "SHA1": true, "SHA256": true, "SHA384": true}

// Suites finds suites by a list of OpenSSL's names. Nil stands for the defaults of crypto/tls; ok is false when nothing
// of the list makes sense.
func Suites(list string) (ids []uint16, ok bool) {
	for _, name := range strings.FieldsFunc(list, func(r rune) bool { return r == ':' || r == ',' || r == ' ' }) {
		name, _, _ = strings.Cut(name, "@") // the level of security, or an order
		id, known := byName[name]
		first, _, _ := strings.Cut(name, "+")
		switch {
		case known:
			ids = append(ids, id)
			ok = true
		case groups[first]:
			return nil, true
		case strings.HasPrefix(name, "DHE-") || strings.HasPrefix(name, "TLS_") || strings.HasSuffix(name, "-CCM") || strings.HasSuffix(name, "-SHA384") || strings.HasPrefix(name, "AES"):
			ok = true // OpenSSL has it, crypto/tls has not, or has it always
			if ids == nil {
				ids = []uint16{}
			}
		}
	}
	return ids, ok
}

// SuiteName is a suite's name as OpenSSL writes it.
func SuiteName(id uint16) string {
	for name, x := range byName {
		if x == id {
			return name
		}
	}
	return tls.CipherSuiteName(id)
}

// Describe says what a handshake has agreed on, as the lines of nginx's debug log do.
func Describe(st *tls.ConnectionState) []string {
	since := "TLSv1.2"
	switch name := SuiteName(st.CipherSuite); {
	case strings.HasPrefix(name, "TLS_"):
		since = "TLSv1.3"
	case strings.HasSuffix(name, "-SHA"):
		since = "TLSv1"
	}
	lines := []string{"SSL_do_handshake: 1", fmt.Sprintf("SSL: %s, cipher: \"%s %s\"", VersionName(st.Version), SuiteName(st.CipherSuite), since)}
	if st.DidResume {
		lines = append(lines, "SSL reused session")
	}
	return lines
}

var byName = map[string]uint16{
	"ECDHE-ECDSA-AES128-GCM-SHA256": tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
	"ECDHE-ECDSA-AES256-GCM-SHA384": tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
	"ECDHE-ECDSA-CHACHA20-POLY1305": tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
	"ECDHE-RSA-AES128-GCM-SHA256":   tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	"ECDHE-RSA-AES256-GCM-SHA384":   tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	"ECDHE-RSA-CHACHA20-POLY1305":   tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
	"ECDHE-ECDSA-AES128-SHA256":     tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256,
	"ECDHE-ECDSA-AES128-SHA":        tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA,
	"ECDHE-ECDSA-AES256-SHA":        tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA,
	"ECDHE-RSA-AES128-SHA256":       tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256,
	"ECDHE-RSA-AES128-SHA":          tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA,
	"ECDHE-RSA-AES256-SHA":          tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA,
	"AES128-GCM-SHA256":             tls.TLS_RSA_WITH_AES_128_GCM_SHA256,
	"AES256-GCM-SHA384":             tls.TLS_RSA_WITH_AES_256_GCM_SHA384,
	"AES128-SHA256":                 tls.TLS_RSA_WITH_AES_128_CBC_SHA256,
	"AES128-SHA":                    tls.TLS_RSA_WITH_AES_128_CBC_SHA,
	"AES256-SHA":                    tls.TLS_RSA_WITH_AES_256_CBC_SHA,
	"ECDHE-RSA-DES-CBC3-SHA":        tls.TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA,
	"DES-CBC3-SHA":                  tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA,
}
