package tlsio

import "encoding/binary"

// Numbers of RFC 8446.
const (
	recordHandshake = 22
	recordHead      = 5
	messageHead     = 4
	clientHello     = 1
	serverHello     = 2
	helloEnd        = recordHead + messageHead + 2 + 32 // of the random number of a hello that begins a connection
)

// ClientHello is the client's first message (RFC 8446, 4.1.2). Its slices lie in the bytes that were read.
type ClientHello struct {
	Version    uint16
	Random     []byte
	SessionID  []byte
	Suites     []uint16
	Extensions []Extension
}

// Extension is one of a hello.
type Extension struct {
	Type uint16
	Data []byte
}

// Extension finds one by its type.
func (h *ClientHello) Extension(t uint16) ([]byte, bool) {
	for _, e := range h.Extensions {
		if e.Type == t {
			return e.Data, true
		}
	}
	return nil, false
}

// parseHello reads the message from the records that carry it; nil when it is none or not complete.
func parseHello(b []byte) *ClientHello {
	if len(b) < recordHead {
		return nil
	}
	msg := b[recordHead:]
	if n := int(binary.BigEndian.Uint16(b[3:])); n < len(msg) || len(msg) < messageHead || size(msg) > len(msg) {
		msg = joinRecords(b)
	}
	if len(msg) < messageHead || msg[0] != clientHello || size(msg) > len(msg) {
		return nil
	}
	r := reader{b: msg[messageHead:size(msg)]}
	h := &ClientHello{Version: r.uint16(), Random: r.bytes(32)}
	h.SessionID = r.bytes(r.uint8())
	suites := reader{b: r.bytes(int(r.uint16()))}
	r.bytes(r.uint8()) // compression
	for len(suites.b) > 0 {
		h.Suites = append(h.Suites, suites.uint16())
	}
	if r.bad || suites.bad {
		return nil
	}
	if len(r.b) == 0 {
		return h
	}
	extensions := reader{b: r.bytes(int(r.uint16()))}
	for len(extensions.b) > 0 {
		e := Extension{Type: extensions.uint16()}
		e.Data = extensions.bytes(int(extensions.uint16()))
		h.Extensions = append(h.Extensions, e)
	}
	if r.bad || extensions.bad {
		return nil
	}
	return h
}

// reader takes numbers and bytes off its front; bad says that there were too few.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) bytes(n int) []byte {
	if n > len(r.b) {
		r.b, r.bad = nil, true
		return nil
	}
	p := r.b[:n:n]
	r.b = r.b[n:]
	return p
}

func (r *reader) uint8() int {
	if p := r.bytes(1); p != nil {
		return int(p[0])
	}
	return 0
}

func (r *reader) uint16() uint16 {
	if p := r.bytes(2); p != nil {
		return binary.BigEndian.Uint16(p)
	}
	return 0
}

// size is that of a message with its head.
func size(msg []byte) int {
	return messageHead + int(msg[1])<<16 + int(msg[2])<<8 + int(msg[3])
}

// joinRecords puts together what records of the handshake carry.
func joinRecords(b []byte) []byte {
	var msg []byte
	for len(b) >= recordHead && b[0] == recordHandshake {
		n := int(binary.BigEndian.Uint16(b[3:]))
		b = b[recordHead:]
		n = min(n, len(b))
		msg = append(msg, b[:n]...)
		b = b[n:]
	}
	return msg
}

// Grease reports whether a number stands for nothing but itself (RFC 8701).
func Grease(v uint16) bool { return v&0x0f0f == 0x0a0a && v>>8 == v&0xff }
