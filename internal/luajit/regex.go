package luajit

/*
#include <stdlib.h>
#include "regex_conf.h"

#cgo noescape mg_rx_match
#cgo nocallback mg_rx_match
*/
import "C"

import (
	"errors"
	"runtime"
	"unsafe"
)

// RegexNoMatch is what Match returns when the subject does not match.
const RegexNoMatch = -1

// RegexName is a named group of a pattern.
type RegexName struct {
	Name  string
	Group int
}

// Regex is a pattern of the configuration, compiled by PCRE2 to machine code. It is immutable: any number of goroutines
// may match with it at once. Its C memory goes when the value is collected.
type Regex struct {
	rx      *C.mg_rx
	pattern string
	ncap    int
	names   []RegexName
	lit     *literalRegex // nil, or the same pattern for matching without a call into C
}

// CompileRegex compiles pattern as nginx does: no UTF-8 mode, no multi-line mode. The error is nginx's text, such as
//
//	pcre2_compile() failed: missing closing parenthesis in "(a"
func CompileRegex(pattern string, caseless bool) (*Regex, error) {
	cpat := C.CString(pattern)
	defer C.free(unsafe.Pointer(cpat))
	fold := C.int(0)
	if caseless {
		fold = 1
	}
	var msg [1024]C.char
	rx := C.mg_rx_compile(cpat, C.size_t(len(pattern)), fold, &msg[0], C.size_t(len(msg)))
	if rx == nil {
		return nil, errors.New(C.GoString(&msg[0]))
	}
	r := &Regex{rx: rx, pattern: pattern, ncap: int(C.mg_rx_captures(rx))}
	runtime.AddCleanup(r, func(rx *C.mg_rx) { C.mg_rx_free(rx) }, rx)
	for i := 0; ; i++ {
		var group C.int
		name := C.mg_rx_name(rx, C.int(i), &group)
		if name == nil {
			break
		}
		r.names = append(r.names, RegexName{C.GoString(name), int(group)})
	}
	r.lit = parseLiteralRegex(pattern, caseless)
	return r, nil
}

// String returns the pattern.
func (r *Regex) String() string { return r.pattern }

// NumCaptures returns the number of groups, group 0 not counted.
func (r *Regex) NumCaptures() int { return r.ncap }

// Names returns the named groups sorted by name. The slice is the Regex's own.
func (r *Regex) Names() []RegexName { return r.names }

// Match looks for the pattern in subject. It returns the number n of groups that are set (1 or more: group 0 is the
// whole match, and a group below n may be unset), RegexNoMatch, or a smaller number: PCRE2's error, which nginx logs as
// `pcre2_match() failed: N on "SUBJECT" using "PATTERN"`. ov gets start and end of group 0, 1, ... as far as it
// reaches and the pattern has groups, -1 for an unset group; without a match it is unspecified. Match does not allocate.
func (r *Regex) Match(subject []byte, ov []int32) int {
	if r.lit != nil {
		return r.lit.match(subject, ov)
	}
	return r.matchC(subject, ov)
}

// MatchString is Match for a string.
func (r *Regex) MatchString(subject string, ov []int32) int {
	return r.Match(unsafe.Slice(unsafe.StringData(subject), len(subject)), ov)
}

func (r *Regex) matchC(subject []byte, ov []int32) int {
	n := C.mg_rx_match(r.rx, (*C.char)(unsafe.Pointer(unsafe.SliceData(subject))), C.size_t(len(subject)),
		(*C.int32_t)(unsafe.Pointer(unsafe.SliceData(ov))), C.int(len(ov)))
	runtime.KeepAlive(r)
	return int(n)
}
