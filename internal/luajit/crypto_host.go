package luajit

/*
#include <stdint.h>
#include <stddef.h>
*/
import "C"

import (
	"sync"
	"unsafe"
)

// TLSOp is one of the functions of OpenResty about TLS that libraries call by FFI.
type TLSOp int

// The operations, in the order of crypto_export.c.
const (
	CertDER TLSOp = iota + 1
	KeyDER
	PEMCert
	DERCert
	PEMKey
	DERKey
	ClearCerts
	SetDERCert
	SetDERKey
	SetCert
	SetKey
	VerifyClient
	ClientRandom
	ServerRandom
	MasterKey
	SSLPointer
	SharedCiphers
)

// TLSCall is a call of one: R is what the library took for the request, In and Password are its bytes, A, B and N its
// pointers and number.
type TLSCall struct {
	Op       TLSOp
	R        uintptr
	In       []byte
	Password string
	A, B     uintptr
	N        int
	// Room is how much the caller has for the result.
	Room int
}

// TLSHost answers such calls, with bytes or with the text of an error; nil until somebody does.
var TLSHost func(c *TLSCall) (out []byte, problem string)

// problems are error texts as C knows them: there are few.
var problems struct {
	sync.Mutex
	m map[string]*C.char
}

func problemText(s string) *C.char {
	problems.Lock()
	defer problems.Unlock()
	p := problems.m[s]
	if p == nil {
		if problems.m == nil {
			problems.m = map[string]*C.char{}
		}
		p = C.CString(s)
		problems.m[s] = p
	}
	return p
}

//export mg_go_tls
func mg_go_tls(op C.int, r C.uintptr_t, in unsafe.Pointer, n C.size_t, extra *C.char, a, b C.uintptr_t, num C.int, out unsafe.Pointer, room C.size_t, got *C.size_t) (problem *C.char) {
	defer func() {
		if recover() != nil {
			problem = problemText("failed")
		}
	}()
	if TLSHost == nil {
		return problemText("bad request")
	}
	c := TLSCall{Op: TLSOp(op), R: uintptr(r), In: unsafe.Slice((*byte)(in), int(n)), A: uintptr(a), B: uintptr(b), N: int(num), Room: int(room)}
	if extra != nil {
		c.Password = C.GoString(extra)
	}
	res, text := TLSHost(&c)
	if text != "" {
		return problemText(text)
	}
	*got = C.size_t(len(res))
	if room > 0 {
		*got = C.size_t(copy(unsafe.Slice((*byte)(out), int(room)), res))
	}
	return nil
}
