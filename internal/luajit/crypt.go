package luajit

/*
#cgo LDFLAGS: -Wl,-Bstatic -lcrypt -Wl,-Bdynamic

#include <crypt.h>
#include <errno.h>
#include <string.h>

// mg_crypt hashes a password by the system's crypt(3) into out. It returns the length, or -1 with errno.
static int mg_crypt(const char *key, const char *setting, char *out, size_t size)
{
	struct crypt_data d;

	memset(&d, 0, sizeof d);
	char *s = crypt_r(key, setting, &d);
	if (s == NULL || strlen(s) > size) {
		return -1;
	}
	size = strlen(s);
	memcpy(out, s, size);
	memset(&d, 0, sizeof d);
	return (int) size;
}
*/
import "C"

import (
	"syscall"
	"unsafe"
)

// Crypt hashes a password as crypt(3) does: setting is the method with its salt, or a whole hash made with them. It takes
// the methods that the C library's libcrypt knows (DES, MD5, bcrypt, SHA-2, yescrypt, ...), of which some are slow on
// purpose; any goroutine may call it. The error is a syscall.Errno.
func Crypt(password, setting []byte) ([]byte, error) {
	key := append(append(make([]byte, 0, len(password)+1), password...), 0)
	set := append(append(make([]byte, 0, len(setting)+1), setting...), 0)
	var out [512]byte
	n, err := C.mg_crypt((*C.char)(unsafe.Pointer(&key[0])), (*C.char)(unsafe.Pointer(&set[0])), (*C.char)(unsafe.Pointer(&out[0])), C.size_t(len(out)))
	clear(key)
	if n < 0 {
		if err == nil {
			err = syscall.EINVAL
		}
		return nil, err
	}
	return append([]byte(nil), out[:n]...), nil
}
