package nlog

import (
	"errors"
	"os"
	"strconv"
	"syscall"
)

// AppendErr appends err as nginx does: " (2: No such file or directory)" when
// a system error number is at its bottom, else its text in parentheses.
func AppendErr(dst []byte, err error) []byte {
	no, ok := errnoOf(err)
	dst = append(dst, " ("...)
	if !ok {
		dst = append(dst, err.Error()...)
		return append(dst, ')')
	}
	dst = strconv.AppendInt(dst, int64(no), 10)
	dst = append(dst, ": "...)
	dst = append(dst, Strerror(no)...)
	return append(dst, ')')
}

// ErrText is AppendErr as a string, without the leading space.
func ErrText(err error) string { return string(AppendErr(nil, err)[1:]) }

// Strerror returns the C library's text of an error number. The Go tables hold
// the same texts with the first letter lowered.
func Strerror(no syscall.Errno) string {
	s := no.Error()
	if c := s[0]; 'a' <= c && c <= 'z' {
		if t, ok := capitalised[no]; ok {
			return t
		}
		return string(c-'a'+'A') + s[1:]
	}
	return s
}

// capitalised keeps the frequent texts from being built each time.
var capitalised = func() map[syscall.Errno]string {
	m := map[syscall.Errno]string{}
	for no := syscall.Errno(1); no < 134; no++ {
		if s := no.Error(); 'a' <= s[0] && s[0] <= 'z' {
			m[no] = string(s[0]-'a'+'A') + s[1:]
		}
	}
	return m
}()

func errnoOf(err error) (syscall.Errno, bool) {
	// The usual shapes first: errors.As allocates.
	switch e := err.(type) {
	case syscall.Errno:
		return e, true
	case *os.PathError:
		if no, ok := e.Err.(syscall.Errno); ok {
			return no, true
		}
	case *os.SyscallError:
		if no, ok := e.Err.(syscall.Errno); ok {
			return no, true
		}
	}
	var no syscall.Errno
	ok := errors.As(err, &no)
	return no, ok
}
