package setvar

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"

	"moongate/internal/engine"
)

func encodeBase64(r *engine.Request, src []byte) []byte {
	return base64.StdEncoding.AppendEncode(alloc(r, base64.StdEncoding.EncodedLen(len(src)))[:0], src)
}

func encodeBase64URL(r *engine.Request, src []byte) []byte {
	return base64.RawURLEncoding.AppendEncode(alloc(r, base64.RawURLEncoding.EncodedLen(len(src)))[:0], src)
}

func decodeBase64(r *engine.Request, args [][]byte) ([]byte, engine.Status) {
	return fromBase64(r, args[0], base64.RawStdEncoding, "set_decode_base64: invalid value")
}

func decodeBase64URL(r *engine.Request, args [][]byte) ([]byte, engine.Status) {
	return fromBase64(r, args[0], base64.RawURLEncoding, "set_decode_base64url: invalid value")
}

// fromBase64 decodes up to the first "=", as nginx does; line breaks, which Go skips, are none of the alphabet.
func fromBase64(r *engine.Request, src []byte, enc *base64.Encoding, complaint string) ([]byte, engine.Status) {
	if i := bytes.IndexByte(src, '='); i >= 0 {
		src = src[:i]
	}
	out := alloc(r, enc.DecodedLen(len(src)))
	n, err := enc.Decode(out, src)
	if err != nil || bytes.ContainsAny(src, "\r\n") {
		complain(r, "%s", complaint)
		return nil, 500
	}
	return out[:n], engine.OK
}

func encodeHex(r *engine.Request, src []byte) []byte {
	return hex.AppendEncode(alloc(r, 2*len(src))[:0], src)
}

func decodeHex(r *engine.Request, args [][]byte) ([]byte, engine.Status) {
	out := alloc(r, len(args[0])/2)
	if _, err := hex.Decode(out, args[0]); err != nil {
		complain(r, "set_decode_hex: invalid value")
		return nil, 500
	}
	return out, engine.OK
}

func sha1Hex(r *engine.Request, src []byte) []byte {
	sum := sha1.Sum(src)
	return hex.AppendEncode(alloc(r, 2*len(sum))[:0], sum[:])
}

func md5Hex(r *engine.Request, src []byte) []byte {
	sum := md5.Sum(src)
	return hex.AppendEncode(alloc(r, 2*len(sum))[:0], sum[:])
}

func hmacSHA1(r *engine.Request, args [][]byte) ([]byte, engine.Status) {
	h := hmac.New(sha1.New, args[0])
	h.Write(args[1])
	return h.Sum(alloc(r, sha1.Size)[:0]), engine.OK
}

func hmacSHA256(r *engine.Request, args [][]byte) ([]byte, engine.Status) {
	h := hmac.New(sha256.New, args[0])
	h.Write(args[1])
	return h.Sum(alloc(r, sha256.Size)[:0]), engine.OK
}

func alphabet(r *engine.Request) (c *Conf, digits string) {
	if r == nil {
		return &Conf{}, Alphabet
	}
	c = Level.Of(r.Scope)
	if c.Alphabet.IsSet {
		return c, c.Alphabet.V
	}
	return c, Alphabet
}

func encodeBase32(r *engine.Request, args [][]byte) ([]byte, engine.Status) {
	c, digits := alphabet(r)
	src := args[0]
	out := alloc(r, (len(src)+4)/5*8)[:0]
	var acc uint32
	bits := 0
	for _, b := range src {
		acc, bits = acc<<8|uint32(b), bits+8
		for bits >= 5 {
			bits -= 5
			out = append(out, digits[acc>>bits&31])
		}
	}
	if bits > 0 {
		out = append(out, digits[acc<<(5-bits)&31])
	}
	if !c.Padding.IsSet || c.Padding.V {
		for len(out)%8 != 0 {
			out = append(out, '=')
		}
	}
	return out, engine.OK
}

// decodeBase32 takes bytes out of the alphabet for its first; a length that no encoding has gives nothing.
func decodeBase32(r *engine.Request, args [][]byte) ([]byte, engine.Status) {
	_, digits := alphabet(r)
	src := args[0]
	if i := bytes.IndexByte(src, '='); i >= 0 {
		src = src[:i]
	}
	switch len(src) % 8 {
	case 1, 3, 6:
		return nil, engine.OK
	}
	out := alloc(r, len(src)*5/8)[:0]
	var acc uint32
	bits := 0
	for _, b := range src {
		acc, bits = acc<<5|uint32(max(0, strings.IndexByte(digits, b))), bits+5
		if bits >= 8 {
			bits -= 8
			out = append(out, byte(acc>>bits))
		}
	}
	return out, engine.OK
}
