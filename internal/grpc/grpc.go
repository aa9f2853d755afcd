// Package grpc has what is the same on all sides of a gRPC call and needs no connection: frames of messages, status codes
// and their spellings in HTTP, grpc-web and the Connect protocol, deadlines, and metadata.
//
// Nothing here waits or keeps state beyond what the caller holds; bytes given back are views of the caller's, unless said
// otherwise.
package grpc

import (
	"strconv"
	"time"
)

// Code is a gRPC status code.
type Code uint32

// The status codes.
const (
	OK Code = iota
	Canceled
	Unknown
	InvalidArgument
	DeadlineExceeded
	NotFound
	AlreadyExists
	PermissionDenied
	ResourceExhausted
	FailedPrecondition
	Aborted
	OutOfRange
	Unimplemented
	Internal
	Unavailable
	DataLoss
	Unauthenticated
)

var codes = [...]struct {
	name, connect string
	http          int
}{
	OK:                 {"OK", "", 200},
	Canceled:           {"CANCELLED", "canceled", 499},
	Unknown:            {"UNKNOWN", "unknown", 500},
	InvalidArgument:    {"INVALID_ARGUMENT", "invalid_argument", 400},
	DeadlineExceeded:   {"DEADLINE_EXCEEDED", "deadline_exceeded", 504},
	NotFound:           {"NOT_FOUND", "not_found", 404},
	AlreadyExists:      {"ALREADY_EXISTS", "already_exists", 409},
	PermissionDenied:   {"PERMISSION_DENIED", "permission_denied", 403},
	ResourceExhausted:  {"RESOURCE_EXHAUSTED", "resource_exhausted", 429},
	FailedPrecondition: {"FAILED_PRECONDITION", "failed_precondition", 400},
	Aborted:            {"ABORTED", "aborted", 409},
	OutOfRange:         {"OUT_OF_RANGE", "out_of_range", 400},
	Unimplemented:      {"UNIMPLEMENTED", "unimplemented", 501},
	Internal:           {"INTERNAL", "internal", 500},
	Unavailable:        {"UNAVAILABLE", "unavailable", 503},
	DataLoss:           {"DATA_LOSS", "data_loss", 500},
	Unauthenticated:    {"UNAUTHENTICATED", "unauthenticated", 401},
}

// String is the code's name in capitals; an unknown code is its number.
func (c Code) String() string {
	if int(c) < len(codes) {
		return codes[c].name
	}
	return strconv.Itoa(int(c))
}

// Connect is the code's name in the Connect protocol.
func (c Code) Connect() string {
	if int(c) < len(codes) && c != OK {
		return codes[c].connect
	}
	return "unknown"
}

// HTTP is the HTTP status that goes with a code where JSON is spoken.
func (c Code) HTTP() int {
	if int(c) < len(codes) {
		return codes[c].http
	}
	return 500
}

// ParseCode reads a code by its name or number.
func ParseCode(s string) (Code, bool) {
	if n, err := strconv.ParseUint(s, 10, 32); err == nil {
		return Code(n), true
	}
	for c := range codes {
		if codes[c].name == s {
			return Code(c), true
		}
	}
	return Unknown, false
}

// FromHTTP is the code that a response without grpc-status stands for, by the specification's table.
func FromHTTP(status int) Code {
	switch status {
	case 400:
		return Internal
	case 401:
		return Unauthenticated
	case 403:
		return PermissionDenied
	case 404:
		return Unimplemented
	case 429, 502, 503, 504:
		return Unavailable
	}
	return Unknown
}

// FromReset is the code that the error code of an HTTP/2 RST_STREAM stands for, by the specification's table.
func FromReset(h2 uint32) Code {
	switch h2 {
	case 7: // REFUSED_STREAM
		return Unavailable
	case 8: // CANCEL
		return Canceled
	case 11: // ENHANCE_YOUR_CALM
		return ResourceExhausted
	case 12: // INADEQUATE_SECURITY
		return PermissionDenied
	}
	if h2 > 13 { // the table has no more; grpc-go says the same of what is not known
		return Unknown
	}
	return Internal
}

// Status is how a call ended. Details is the encoded google.rpc.Status of grpc-status-details-bin, nil when there is none.
type Status struct {
	Code    Code
	Message string
	Details []byte
}

func (s *Status) Error() string {
	if s.Message == "" {
		return s.Code.String()
	}
	return s.Code.String() + ": " + s.Message
}

// AppendMessage appends a grpc-message: percent-encoded, but for printable ASCII.
func AppendMessage(dst []byte, s string) []byte {
	const hex = "0123456789ABCDEF"
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '%' {
			dst = append(dst, '%', hex[c>>4], hex[c&15])
		} else {
			dst = append(dst, c)
		}
	}
	return dst
}

// Message decodes a grpc-message; what is not properly encoded stays as it is.
func Message(b []byte) string {
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		if b[i] == '%' && i+2 < len(b) {
			if n, err := strconv.ParseUint(string(b[i+1:i+3]), 16, 8); err == nil {
				out = append(out, byte(n))
				i += 2
				continue
			}
		}
		out = append(out, b[i])
	}
	return string(out)
}

// MaxTimeout is the longest time a grpc-timeout can say and we count: longer ones are no deadline in practice.
const MaxTimeout = 1 << 62 * time.Nanosecond

// ParseTimeout reads a grpc-timeout: at most eight digits and a unit.
func ParseTimeout(b []byte) (time.Duration, bool) {
	if len(b) < 2 || len(b) > 9 {
		return 0, false
	}
	n := int64(0)
	for _, c := range b[:len(b)-1] {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	unit := time.Duration(0)
	switch b[len(b)-1] {
	case 'H':
		unit = time.Hour
	case 'M':
		unit = time.Minute
	case 'S':
		unit = time.Second
	case 'm':
		unit = time.Millisecond
	case 'u':
		unit = time.Microsecond
	case 'n':
		unit = time.Nanosecond
	default:
		return 0, false
	}
	if n > int64(MaxTimeout/unit) {
		return MaxTimeout, true
	}
	return time.Duration(n) * unit, true
}

// AppendTimeout appends a grpc-timeout, in the finest unit whose number has eight digits, rounded up.
func AppendTimeout(dst []byte, d time.Duration) []byte {
	if d <= 0 {
		return append(dst, "0n"...)
	}
	for _, u := range [...]struct {
		unit time.Duration
		name byte
	}{{time.Nanosecond, 'n'}, {time.Microsecond, 'u'}, {time.Millisecond, 'm'}, {time.Second, 'S'}, {time.Minute, 'M'}, {time.Hour, 'H'}} {
		if n := (d-1)/u.unit + 1; n < 1e8 {
			return append(strconv.AppendInt(dst, int64(n), 10), u.name)
		}
	}
	return append(dst, "99999999H"...)
}
