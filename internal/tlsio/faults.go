package tlsio

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
)

// What goes wrong with TLS is told in OpenSSL's words, which people know.

// ErrorText is an error of a handshake.
func ErrorText(err error) string {
	var rh tls.RecordHeaderError
	if errors.As(err, &rh) {
		return "error:0A00010B:SSL routines::wrong version number"
	}
	var w Words
	if errors.As(err, &w) {
		return string(w)
	}
	text := err.Error()
	if name, ok := strings.CutPrefix(text, "remote error: tls: "); ok {
		if a, ok := alerts[name]; ok {
			return fmt.Sprintf("error:%08X:SSL routines::%s:SSL alert number %d", 0x0A000000+1000+a.number, a.words, a.number)
		}
	}
	for _, k := range known {
		if strings.Contains(text, k.ours) {
			return k.theirs
		}
	}
	return text
}

// PeerFault reports whether an error is the peer's doing: an alert it has sent, something that is no TLS, or a message out of turn.
func PeerFault(err error) bool {
	var rh tls.RecordHeaderError
	var oe *net.OpError
	return errors.As(err, &rh) || errors.As(err, &oe) && oe.Op == "remote error" || strings.Contains(err.Error(), "unexpected handshake message")
}

// Words is an error whose text ErrorText leaves as it is.
type Words string

func (w Words) Error() string { return string(w) }

var known = []struct{ ours, theirs string }{
	{"no certificates configured", "error:0A0000EA:SSL routines::callback failed"},
	{"no cipher suite supported by both", "error:0A0000C1:SSL routines::no shared cipher"},
	{"does not implement crypto.Signer", "error:0A0000C1:SSL routines::no shared cipher"},
	{"unsupported certificate: private key", "error:0A0000C1:SSL routines::no shared cipher"},
	{"client offered only unsupported versions", "error:0A000102:SSL routines::unsupported protocol"},
	{"client requested unsupported application protocols", "error:0A0000EB:SSL routines::no application protocol"},
	{"local error: tls: error decoding message", "error:0A00009F:SSL routines::length mismatch"},
	{"unexpected handshake message", "error:0A0000F4:SSL routines::unexpected message"},
	{"unexpected message", "error:0A0000F4:SSL routines::unexpected message"},
}

// alerts are those of RFC 8446, 6.2, by crypto/tls's names for them.
var alerts = map[string]struct {
	number int
	words  string
}{
	"unexpected message":              {10, "sslv3 alert unexpected message"},
	"bad record MAC":                  {20, "sslv3 alert bad record mac"},
	"decryption failed":               {21, "tlsv1 alert decryption failed"},
	"record overflow":                 {22, "tlsv1 alert record overflow"},
	"decompression failure":           {30, "sslv3 alert decompression failure"},
	"handshake failure":               {40, "sslv3 alert handshake failure"},
	"bad certificate":                 {42, "sslv3 alert bad certificate"},
	"unsupported certificate":         {43, "sslv3 alert unsupported certificate"},
	"revoked certificate":             {44, "sslv3 alert certificate revoked"},
	"expired certificate":             {45, "sslv3 alert certificate expired"},
	"unknown certificate":             {46, "sslv3 alert certificate unknown"},
	"illegal parameter":               {47, "sslv3 alert illegal parameter"},
	"unknown certificate authority":   {48, "tlsv1 alert unknown ca"},
	"access denied":                   {49, "tlsv1 alert access denied"},
	"error decoding message":          {50, "tlsv1 alert decode error"},
	"error decrypting message":        {51, "tlsv1 alert decrypt error"},
	"export restriction":              {60, "tlsv1 alert export restriction"},
	"protocol version not supported":  {70, "tlsv1 alert protocol version"},
	"insufficient security level":     {71, "tlsv1 alert insufficient security"},
	"internal error":                  {80, "tlsv1 alert internal error"},
	"inappropriate fallback":          {86, "tlsv1 alert inappropriate fallback"},
	"user canceled":                   {90, "tlsv1 alert user cancelled"},
	"no renegotiation":                {100, "tlsv1 alert no renegotiation"},
	"missing extension":               {109, "tlsv13 alert missing extension"},
	"unsupported extension":           {110, "tlsv1 unsupported extension"},
	"certificate unobtainable":        {111, "tlsv1 certificate unobtainable"},
	"unrecognized name":               {112, "tlsv1 unrecognized name"},
	"bad certificate status response": {113, "tlsv1 bad certificate status response"},
	"bad certificate hash value":      {114, "tlsv1 bad certificate hash value"},
	"unknown PSK identity":            {115, "tlsv1 alert unknown psk identity"},
	"certificate required":            {116, "tlsv13 alert certificate required"},
	"no application protocol":         {120, "tlsv1 alert no application protocol"},
}
