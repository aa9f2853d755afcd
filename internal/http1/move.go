package http1

import "unsafe"

// Moved gives what b is in to, a copy of from; b itself when it is no part of from.
func Moved(b, from, to []byte) []byte {
	at := uintptr(unsafe.Pointer(unsafe.SliceData(b))) - uintptr(unsafe.Pointer(unsafe.SliceData(from)))
	if b == nil || at >= uintptr(len(from)) || at+uintptr(len(b)) > uintptr(len(to)) {
		return b
	}
	return to[at:][:len(b):len(b)]
}

// MoveList does so for a list of header lines.
func MoveList(list []Header, from, to []byte) {
	for i := range list {
		h := &list[i]
		h.Name, h.Value = Moved(h.Name, from, to), Moved(h.Value, from, to)
	}
}

// Move has the message refer to the copy to of the memory it was parsed from.
func (m *Message) Move(from, to []byte) {
	for _, p := range [...]*[]byte{&m.MethodName, &m.RequestLine, &m.Unparsed, &m.Scheme, &m.LineHost, &m.Protocol, &m.Server, &m.URI, &m.Args, &m.Exten, &m.faulty} {
		*p = Moved(*p, from, to)
	}
	MoveList(m.List, from, to)
	MoveList(m.Ignored, from, to)
}

// Move has the response refer to the copy to of the memory it was parsed from.
func (r *Response) Move(from, to []byte) {
	for _, p := range [...]*[]byte{&r.StatusText, &r.Reason, &r.faulty} {
		*p = Moved(*p, from, to)
	}
	MoveList(r.List, from, to)
}
