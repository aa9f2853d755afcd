package luajit

/*
#include <stdlib.h>
#include "crypto.h"
*/
import "C"

import (
	"crypto"
	"crypto/rsa"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"unsafe"
)

// Kinds of objects that Lua may hold: those of libcrypto, or, where that is not installed, blocks of memory that only
// ObjectDER understands.
const (
	ObjectChain = C.MG_CHAIN // certificates: STACK_OF(X509)
	ObjectKey   = C.MG_KEY   // EVP_PKEY
	ObjectStore = C.MG_STORE // X509_STORE
	ObjectCert  = C.MG_CERT  // X509
)

// OpenCrypto makes the names of libcrypto visible to ffi.C; it reports whether the library is there.
func OpenCrypto() bool { return C.mg_crypto_open() != 0 }

// NewObject makes an object of DER texts; 0 when they are not understood. FreeObject ends it.
func NewObject(kind int, ders ...[]byte) uintptr {
	var b []byte
	for _, d := range ders {
		b = append(binary.NativeEndian.AppendUint32(b, uint32(len(d))), d...)
	}
	if len(b) == 0 {
		return 0
	}
	return uintptr(C.mg_crypto_make(C.int(kind), (*C.uint8_t)(unsafe.Pointer(&b[0])), C.size_t(len(b))))
}

// FreeObject ends an object of NewObject.
func FreeObject(kind int, p uintptr) { C.mg_crypto_free(C.int(kind), cptr(p)) }

// ObjectDER gives the DER texts of an object that Lua has handed over; ok is false when it is none.
func ObjectDER(kind int, p uintptr) (ders [][]byte, ok bool) {
	if p == 0 {
		return nil, false
	}
	var n C.size_t
	q := C.mg_crypto_der(C.int(kind), cptr(p), &n)
	if q == nil {
		return nil, false
	}
	b := C.GoBytes(unsafe.Pointer(q), C.int(n))
	C.free(unsafe.Pointer(q))
	for len(b) >= 4 {
		size := int(binary.NativeEndian.Uint32(b))
		ders = append(ders, b[4:4+size])
		b = b[4+size:]
	}
	return ders, true
}

// cptr is the address of something that C owns.
func cptr(p uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&p)) }

// signer is a secret key whose signatures libcrypto makes.
type signer struct {
	public crypto.PublicKey
	key    uintptr
	isRSA  bool
	size   int
}

// NewSigner makes libcrypto sign with a key, given as DER, for whose algorithm it is faster than Go; nil where there is
// no libcrypto. size is the most a signature takes.
func NewSigner(public crypto.PublicKey, der []byte, isRSA bool, size int) crypto.Signer {
	if !OpenCrypto() {
		return nil
	}
	key := NewObject(ObjectKey, der)
	if key == 0 {
		return nil
	}
	s := &signer{public: public, key: key, isRSA: isRSA, size: size}
	runtime.AddCleanup(s, func(key uintptr) { FreeObject(ObjectKey, key) }, key)
	return s
}

// Public implements crypto.Signer.
func (s *signer) Public() crypto.PublicKey { return s.public }

var errSign = errors.New("EVP_PKEY_sign() failed")

// The names of digests as libcrypto knows them.
var (
	cSHA1, cSHA256, cSHA384, cSHA512 = C.CString("SHA1"), C.CString("SHA256"), C.CString("SHA384"), C.CString("SHA512")
	cMD5SHA1                         = C.CString("MD5-SHA1")
)

func digestName(h crypto.Hash) *C.char {
	switch h {
	case crypto.SHA1:
		return cSHA1
	case crypto.SHA256:
		return cSHA256
	case crypto.SHA384:
		return cSHA384
	case crypto.SHA512:
		return cSHA512
	case crypto.MD5SHA1:
		return cMD5SHA1
	}
	return nil
}

// Sign implements crypto.Signer. PSS has salts as long as the digest, which is what TLS wants.
func (s *signer) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	pad := 0
	if s.isRSA {
		pad = 1
		if _, pss := opts.(*rsa.PSSOptions); pss {
			pad = 6
		}
	}
	md := digestName(opts.HashFunc())
	if md == nil && s.isRSA || len(digest) == 0 {
		return nil, errSign
	}
	sig := make([]byte, s.size)
	n := C.mg_crypto_sign(cptr(s.key), C.int(pad), md, (*C.uint8_t)(unsafe.Pointer(&digest[0])), C.size_t(len(digest)),
		(*C.uint8_t)(unsafe.Pointer(&sig[0])), C.size_t(len(sig)))
	runtime.KeepAlive(s)
	if n == 0 {
		return nil, errSign
	}
	return sig[:n], nil
}
