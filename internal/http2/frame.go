package http2

import "encoding/binary"

// Type is the type of a frame.
type Type uint8

// The frame types.
const (
	Data Type = iota
	Headers
	Priority
	RSTStream
	Settings
	PushPromise
	Ping
	GoAway
	WindowUpdate
	Continuation
	NumTypes
)

var typeNames = [...]string{"DATA", "HEADERS", "PRIORITY", "RST_STREAM", "SETTINGS", "PUSH_PROMISE", "PING", "GOAWAY", "WINDOW_UPDATE", "CONTINUATION"}

func (t Type) String() string {
	if t < NumTypes {
		return typeNames[t]
	}
	return "unknown"
}

// Flags of frames; what one means depends on the type.
type Flags uint8

// The flags.
const (
	Ack         Flags = 0x1 // SETTINGS, PING
	EndStream   Flags = 0x1 // DATA, HEADERS
	EndHeaders  Flags = 0x4 // HEADERS, CONTINUATION, PUSH_PROMISE
	Padded      Flags = 0x8
	HasPriority Flags = 0x20
)

// FrameHeader is what stands before the payload of a frame.
type FrameHeader struct {
	Length uint32
	Stream uint32
	Type   Type
	Flags  Flags
}

// Has reports whether all of f are set.
func (h FrameHeader) Has(f Flags) bool { return h.Flags&f == f }

// ParseHeader reads a frame header from the first HeaderSize bytes of p.
func ParseHeader(p []byte) FrameHeader {
	_ = p[8]
	w := binary.BigEndian.Uint32(p)
	return FrameHeader{Length: w >> 8, Type: Type(w), Flags: Flags(p[4]), Stream: binary.BigEndian.Uint32(p[5:]) & MaxStreamID}
}

// PutHeader writes a frame header into the first HeaderSize bytes of p.
func PutHeader(p []byte, length int, t Type, f Flags, stream uint32) {
	_ = p[8]
	binary.BigEndian.PutUint32(p, uint32(length)<<8|uint32(t))
	p[4] = byte(f)
	binary.BigEndian.PutUint32(p[5:], stream)
}

// AppendHeader appends a frame header.
func AppendHeader(dst []byte, length int, t Type, f Flags, stream uint32) []byte {
	return append(dst, byte(length>>16), byte(length>>8), byte(length), byte(t), byte(f),
		byte(stream>>24), byte(stream>>16), byte(stream>>8), byte(stream))
}

// AppendData appends a DATA frame; p is no longer than the peer's frame size.
func AppendData(dst []byte, stream uint32, p []byte, f Flags) []byte {
	return append(AppendHeader(dst, len(p), Data, f, stream), p...)
}

// AppendHeaders appends a header block as HEADERS and as many CONTINUATIONs as the peer's frame size asks for. f may have
// EndStream.
func AppendHeaders(dst []byte, stream uint32, block []byte, f Flags, frameSize int) []byte {
	t := Headers
	for len(block) > frameSize {
		dst = append(AppendHeader(dst, frameSize, t, f, stream), block[:frameSize]...)
		block = block[frameSize:]
		t, f = Continuation, 0
	}
	return append(AppendHeader(dst, len(block), t, f|EndHeaders, stream), block...)
}

// CloseHeaders completes the HEADERS frame whose header was left blank at place at of dst and whose block follows it to the
// end of dst: the way to encode a block where it goes. A block longer than the frame size becomes several frames.
func CloseHeaders(dst []byte, at int, stream uint32, f Flags, frameSize int) []byte {
	n := len(dst) - at - HeaderSize
	if n <= frameSize {
		PutHeader(dst[at:], n, Headers, f|EndHeaders, stream)
		return dst
	}
	block := append([]byte(nil), dst[at+HeaderSize:]...)
	return AppendHeaders(dst[:at], stream, block, f, frameSize)
}

// AppendRSTStream appends RST_STREAM.
func AppendRSTStream(dst []byte, stream uint32, code ErrCode) []byte {
	return binary.BigEndian.AppendUint32(AppendHeader(dst, 4, RSTStream, 0, stream), uint32(code))
}

// AppendPing appends PING, or with Ack its answer.
func AppendPing(dst []byte, data [8]byte, f Flags) []byte {
	return append(AppendHeader(dst, 8, Ping, f, 0), data[:]...)
}

// AppendGoAway appends GOAWAY; last is the highest stream that was or may be served.
func AppendGoAway(dst []byte, last uint32, code ErrCode, debug string) []byte {
	dst = AppendHeader(dst, 8+len(debug), GoAway, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, last)
	dst = binary.BigEndian.AppendUint32(dst, uint32(code))
	return append(dst, debug...)
}

// AppendWindowUpdate appends WINDOW_UPDATE for a stream, or the connection when stream is 0. n is at least 1.
func AppendWindowUpdate(dst []byte, stream uint32, n int64) []byte {
	return binary.BigEndian.AppendUint32(AppendHeader(dst, 4, WindowUpdate, 0, stream), uint32(n))
}

// AppendPriority appends PRIORITY.
func AppendPriority(dst []byte, stream uint32, p Dependency) []byte {
	dep := p.Stream
	if p.Exclusive {
		dep |= 1 << 31
	}
	return append(binary.BigEndian.AppendUint32(AppendHeader(dst, 5, Priority, 0, stream), dep), byte(p.Weight-1))
}

// Dependency is what PRIORITY says. Weight is 1 to 256.
type Dependency struct {
	Stream    uint32
	Exclusive bool
	Weight    int
}

func dependency(p []byte) Dependency {
	w := binary.BigEndian.Uint32(p)
	return Dependency{Stream: w & MaxStreamID, Exclusive: w>>31 != 0, Weight: int(p[4]) + 1}
}

// unpad takes padding off a payload.
func unpad(h FrameHeader, p []byte) ([]byte, error) {
	if !h.Has(Padded) {
		return p, nil
	}
	if len(p) == 0 {
		return nil, errorf(FrameSizeError, "sent padded %s frame with incorrect length: 0", h.Type)
	}
	pad := int(p[0])
	if pad >= len(p) {
		return nil, errorf(ProtocolError, "sent padded %s frame with incorrect length: %d, padding: %d", h.Type, len(p), pad)
	}
	return p[1 : len(p)-pad], nil
}

// needStream is for frames that belong to a stream.
func needStream(h FrameHeader) error {
	if h.Stream == 0 {
		return errorf(ProtocolError, "sent %s frame with incorrect identifier", h.Type)
	}
	return nil
}

func needConn(h FrameHeader) error {
	if h.Stream != 0 {
		return errorf(ProtocolError, "sent %s frame with incorrect identifier", h.Type)
	}
	return nil
}

func badLength(h FrameHeader) error {
	return errorf(FrameSizeError, "sent %s frame with incorrect length %d", h.Type, h.Length)
}

// DataPayload gives the bytes of DATA. For flow control all of the payload counts, padding included.
func DataPayload(h FrameHeader, p []byte) ([]byte, error) {
	data, err := unpad(h, p)
	if err != nil {
		return nil, err
	}
	return data, needStream(h)
}

// HeadersPayload gives the block's fragment of HEADERS, and the dependency when h has HasPriority.
func HeadersPayload(h FrameHeader, p []byte) (block []byte, dep Dependency, err error) {
	size := 0
	if h.Has(Padded) {
		size++
	}
	if h.Has(HasPriority) {
		size += 5
	}
	switch {
	case len(p) < size:
		return nil, dep, badLength(h)
	case len(p) == size:
		return nil, dep, errorf(FrameSizeError, "sent HEADERS frame with empty header block")
	}
	if h.Has(Padded) {
		pad := int(p[0])
		if pad > len(p)-size {
			return nil, dep, errorf(ProtocolError, "sent padded HEADERS frame with incorrect length: %d, padding: %d", len(p)-size, pad)
		}
		p = p[1 : len(p)-pad]
	}
	if h.Has(HasPriority) {
		dep = dependency(p)
		p = p[5:]
		if dep.Stream == h.Stream {
			return nil, dep, errorf(ProtocolError, "sent HEADERS frame for stream %d with incorrect dependency", h.Stream)
		}
	}
	return p, dep, needStream(h)
}

// PriorityPayload reads PRIORITY.
func PriorityPayload(h FrameHeader, p []byte) (dep Dependency, err error) {
	if len(p) != 5 {
		return dep, badLength(h)
	}
	if err := needStream(h); err != nil {
		return dep, err
	}
	dep = dependency(p)
	if dep.Stream == h.Stream {
		return dep, errorf(ProtocolError, "sent PRIORITY frame for stream %d with incorrect dependency", h.Stream)
	}
	return dep, nil
}

// RSTStreamPayload reads RST_STREAM.
func RSTStreamPayload(h FrameHeader, p []byte) (ErrCode, error) {
	if len(p) != 4 {
		return 0, badLength(h)
	}
	return ErrCode(binary.BigEndian.Uint32(p)), needStream(h)
}

// PingPayload reads PING.
func PingPayload(h FrameHeader, p []byte) (data [8]byte, err error) {
	if len(p) != 8 {
		return data, badLength(h)
	}
	copy(data[:], p)
	return data, needConn(h)
}

// GoAwayPayload reads GOAWAY.
func GoAwayPayload(h FrameHeader, p []byte) (last uint32, code ErrCode, debug []byte, err error) {
	if len(p) < 8 {
		return 0, 0, nil, badLength(h)
	}
	return binary.BigEndian.Uint32(p) & MaxStreamID, ErrCode(binary.BigEndian.Uint32(p[4:])), p[8:], needConn(h)
}

// WindowUpdatePayload reads WINDOW_UPDATE. An increment of 0 is the caller's to refuse: the fault of a stream or of the
// connection.
func WindowUpdatePayload(h FrameHeader, p []byte) (int64, error) {
	if len(p) != 4 {
		return 0, badLength(h)
	}
	return int64(binary.BigEndian.Uint32(p) & MaxWindow), nil
}
