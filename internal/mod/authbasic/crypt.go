package authbasic

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/base64"

	"moongate/internal/base/nlog"
	"moongate/internal/engine"
	"moongate/internal/luajit"
)

// verdict is whether a password is the right one.
type verdict uint8

const (
	wrong verdict = iota
	right
	broken // the hash is none
)

// verify compares a password with what the file says of it.
func verify(r *engine.Request, password, hash []byte) verdict {
	if i := bytes.IndexByte(password, 0); i >= 0 { // C strings end there, for nginx
		password = password[:i]
	}
	var got []byte
	switch {
	case bytes.HasPrefix(hash, apr1Magic):
		got = appendAPR1(nil, password, hash)
	case bytes.HasPrefix(hash, []byte("{PLAIN}")):
		got, hash = password, hash[len("{PLAIN}"):]
	case bytes.HasPrefix(hash, []byte("{SSHA}")):
		got = appendSHA([]byte("{SSHA}"), password, saltOf(hash[len("{SSHA}"):]))
	case bytes.HasPrefix(hash, []byte("{SHA}")):
		got = appendSHA([]byte("{SHA}"), password, nil)
	default:
		var err error
		if got, err = crypt(r, password, hash); err != nil {
			r.LogErr(nlog.Crit, err, "crypt_r() failed")
			return broken
		}
	}
	if subtle.ConstantTimeCompare(got, hash) == 1 {
		return right
	}
	return wrong
}

// crypt asks the C library. Methods that take long on purpose run on a thread of their own, while the worker goes on.
func crypt(r *engine.Request, password, hash []byte) (got []byte, err error) {
	if len(hash) < 2 || hash[0] != '$' || bytes.HasPrefix(hash, []byte("$1$")) {
		return luajit.Crypt(password, hash)
	}
	password, hash = bytes.Clone(password), bytes.Clone(hash)
	r.W.Loop.Offload(func() { got, err = luajit.Crypt(password, hash) })
	clear(password)
	return got, err
}

// saltOf gives what stands behind the digest in a salted hash.
func saltOf(encoded []byte) []byte {
	b, err := base64.RawStdEncoding.DecodeString(string(bytes.TrimRight(encoded, "=")))
	if err != nil || len(b) < sha1.Size {
		return nil
	}
	return b[sha1.Size:]
}

func appendSHA(dst, password, salt []byte) []byte {
	h := sha1.New()
	h.Write(password)
	h.Write(salt)
	return base64.StdEncoding.AppendEncode(dst, append(h.Sum(nil), salt...))
}

var apr1Magic = []byte("$apr1$")

// appendAPR1 appends Apache's variant of the MD5 crypt(3) of Poul-Henning Kamp: setting begins with the magic and up to
// eight bytes of salt.
func appendAPR1(dst, password, setting []byte) []byte {
	salt := setting[len(apr1Magic):]
	salt = salt[:min(len(salt), 8)]
	if i := bytes.IndexByte(salt, '$'); i >= 0 {
		salt = salt[:i]
	}
	sum := md5.Sum(bytes.Join([][]byte{password, salt, password}, nil))
	b := bytes.Join([][]byte{password, apr1Magic, salt}, nil)
	for n := len(password); n > 0; n -= len(sum) {
		b = append(b, sum[:min(n, len(sum))]...)
	}
	for n := len(password); n > 0; n >>= 1 {
		if n&1 != 0 {
			b = append(b, 0)
		} else {
			b = append(b, password[0])
		}
	}
	sum = md5.Sum(b)
	for i := range 1000 { // the price of guessing
		b = b[:0]
		if i&1 != 0 {
			b = append(b, password...)
		} else {
			b = append(b, sum[:]...)
		}
		if i%3 != 0 {
			b = append(b, salt...)
		}
		if i%7 != 0 {
			b = append(b, password...)
		}
		if i&1 != 0 {
			b = append(b, sum[:]...)
		} else {
			b = append(b, password...)
		}
		sum = md5.Sum(b)
	}
	dst = append(append(append(dst, apr1Magic...), salt...), '$')
	for _, t := range [...][3]int{{0, 6, 12}, {1, 7, 13}, {2, 8, 14}, {3, 9, 15}, {4, 10, 5}} {
		dst = append64(dst, uint32(sum[t[0]])<<16|uint32(sum[t[1]])<<8|uint32(sum[t[2]]), 4)
	}
	return append64(dst, uint32(sum[11]), 2)
}

// append64 appends n digits of crypt(3)'s own base 64, the lowest first.
func append64(dst []byte, v uint32, n int) []byte {
	const digits = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	for range n {
		dst = append(dst, digits[v&63])
		v >>= 6
	}
	return dst
}
