package tlsio

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
)

// Commanded is what OpenSSL's configuration commands say beyond a tls.Config.
type Commanded struct {
	Certificate, PrivateKey string
	// Tickets is whether clients keep their sessions, nil when no command says so.
	Tickets *bool
}

// Commands carries out OpenSSL's configuration commands (SSL_CONF_cmd) as far as crypto/tls can: versions, suites,
// curves, certificates, tickets. Others that OpenSSL has are passed over.
func Commands(cfg *tls.Config, list [][2]string) (out Commanded, err error) {
	for _, c := range list {
		name, value := c[0], c[1]
		ok := true
		switch strings.ToLower(name) {
		case "minprotocol":
			cfg.MinVersion, ok = versionOf(value, tls.VersionTLS10)
		case "maxprotocol":
			cfg.MaxVersion, ok = versionOf(value, tls.VersionTLS13)
		case "protocol":
			ok = protocolCommand(cfg, value)
		case "cipherstring":
			cfg.CipherSuites, ok = Suites(value)
		case "ciphersuites":
			ok = suitesCommand(cfg, value)
		case "curves", "groups":
			cfg.CurvePreferences, ok = Curves(value)
		case "certificate":
			out.Certificate = value
		case "privatekey":
			out.PrivateKey = value
		case "options":
			for o := range strings.SplitSeq(value, ",") {
				if o = strings.TrimSpace(o); strings.EqualFold(strings.TrimLeft(o, "-+"), "SessionTicket") {
					on := !strings.HasPrefix(o, "-")
					out.Tickets = &on
				}
			}
		default:
			ok = passed[strings.ToLower(name)]
		}
		if !ok {
			return out, fmt.Errorf("SSL_CONF_cmd(\"%s\", \"%s\") failed", name, value)
		}
	}
	return out, nil
}

// passed are commands that crypto/tls has no use for.
var passed = map[string]bool{"dhparameters": true, "ecdhparameters": true, "signaturealgorithms": true, "clientsignaturealgorithms": true, "serverinfofile": true,
	"chaincafile": true, "chaincapath": true, "verifycafile": true, "verifycapath": true, "requestcafile": true, "clientcafile": true, "requestcapath": true,
	"verifymode": true, "recordpadding": true, "numtickets": true}

func versionOf(name string, none uint16) (uint16, bool) {
	if strings.EqualFold(name, "None") {
		return none, true
	}
	for i, p := range Protocols[firstTLS:] {
		if strings.EqualFold(p, name) {
			return versions[i], true
		}
	}
	return 0, false
}

// protocolCommand is a list like "-ALL,TLSv1.2", which begins with all.
func protocolCommand(cfg *tls.Config, list string) bool {
	set := ^uint32(0)
	for p := range strings.SplitSeq(list, ",") {
		p = strings.TrimSpace(p)
		name := strings.TrimLeft(p, "-+")
		bits := ^uint32(0)
		if !strings.EqualFold(name, "ALL") {
			i := slices.IndexFunc(Protocols, func(s string) bool { return strings.EqualFold(s, name) })
			if i < 0 {
				return false
			}
			bits = 1 << i
		}
		if strings.HasPrefix(p, "-") {
			set &^= bits
		} else {
			set |= bits
		}
	}
	cfg.MinVersion, cfg.MaxVersion = Versions(set)
	return true
}

// suitesCommand is for the suites of TLS 1.3: crypto/tls has three and always offers them all, or none.
func suitesCommand(cfg *tls.Config, list string) bool {
	some := false
	for name := range strings.SplitSeq(list, ":") {
		if !strings.HasPrefix(name, "TLS_") {
			return false
		}
		some = some || name == "TLS_AES_128_GCM_SHA256" || name == "TLS_AES_256_GCM_SHA384" || name == "TLS_CHACHA20_POLY1305_SHA256"
	}
	if !some {
		cfg.MaxVersion = tls.VersionTLS12
	}
	return true
}

var curveIDs = map[string]tls.CurveID{"X25519MLKEM768": tls.X25519MLKEM768, "X25519": tls.X25519, "prime256v1": tls.CurveP256, "P-256": tls.CurveP256, "secp256r1": tls.CurveP256,
	"secp384r1": tls.CurveP384, "P-384": tls.CurveP384, "secp521r1": tls.CurveP521, "P-521": tls.CurveP521}

// unknownCurves are those that OpenSSL has and crypto/tls has not: passed over.
var unknownCurves = map[string]bool{"X448": true, "ffdhe2048": true, "ffdhe3072": true, "ffdhe4096": true, "secp256k1": true, "brainpoolP256r1": true, "brainpoolP384r1": true,
	"brainpoolP512r1": true, "secp224r1": true, "SecP256r1MLKEM768": true, "SecP384r1MLKEM1024": true}

// Curves reads a list of curves, separated by colons; ok is false for a name that OpenSSL does not have either.
func Curves(list string) (ids []tls.CurveID, ok bool) {
	for name := range strings.SplitSeq(list, ":") {
		id, known := curveIDs[name]
		switch {
		case known:
			ids = append(ids, id)
		case !unknownCurves[name]:
			return nil, false
		}
	}
	return ids, true
}
