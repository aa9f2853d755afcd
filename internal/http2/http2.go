// Package http2 is the codec of HTTP/2 (RFC 9113) and HPACK (RFC 7541), for both sides. It does no I/O and keeps no
// streams: the drivers of connections do.
//
// Frames. ParseHeader reads the nine bytes before a payload; a driver checks the length against what it allows, waits
// for the payload and hands both to the function for the type (DataPayload, HeadersPayload, ...), whose results are views
// of the payload. Everything is written by functions that append: AppendData, AppendHeaders, AppendSettings, ...
//
// Fields. A Decoder turns a header block (the payloads of HEADERS and its CONTINUATIONs in one piece) into a Block: a
// list of fields whose bytes lie in the Block's own memory or, for well-known fields, in memory that never changes; nobody
// may write to them. A Block is reused: Reset forgets the fields and keeps the memory. Each field says whether name and
// value are valid and whether its name is one of the static table. An Encoder writes fields; it finds out by itself what is
// worth an entry in the peer's table. A connection has one Decoder and one Encoder, and all blocks pass through them in
// the order of the wire.
//
// Errors are of type *Error, with the code for the peer and a text without subject ("sent ..."), which the caller
// completes to "client sent ..." or "upstream sent ..." as nginx does.
package http2

import "fmt"

// Preface is what a client sends first (RFC 9113 3.4).
const Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// Sizes.
const (
	HeaderSize       = 9         // of a frame's header
	DefaultFrameSize = 16 << 10  // the payload every peer takes
	MaxFrameSize     = 1<<24 - 1 // what SETTINGS_MAX_FRAME_SIZE can ask for
	DefaultWindow    = 65535
	MaxWindow        = 1<<31 - 1
	DefaultTableSize = 4096
	MaxStreamID      = 1<<31 - 1
)

// ErrCode is an error code of RST_STREAM and GOAWAY (RFC 9113 7).
type ErrCode uint32

// The error codes.
const (
	NoError ErrCode = iota
	ProtocolError
	InternalError
	FlowControlError
	SettingsTimeout
	StreamClosed
	FrameSizeError
	RefusedStream
	Cancel
	CompressionError
	ConnectError
	EnhanceYourCalm
	InadequateSecurity
	HTTP11Required
)

var codeNames = [...]string{"NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT", "STREAM_CLOSED",
	"FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR", "CONNECT_ERROR", "ENHANCE_YOUR_CALM", "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED"}

func (c ErrCode) String() string {
	if int(c) < len(codeNames) {
		return codeNames[c]
	}
	return fmt.Sprintf("error %d", uint32(c))
}

// Error is a fault of the peer that ends the connection.
type Error struct {
	Code ErrCode
	Text string // "sent ..."
}

func (e *Error) Error() string { return e.Text }

func errorf(code ErrCode, format string, args ...any) *Error {
	return &Error{code, fmt.Sprintf(format, args...)}
}

// Window is how many bytes of DATA one side may still send. A change of settings can make it negative (RFC 9113 6.9.2).
type Window int64

// Add enlarges the window; false means that it would grow beyond what the protocol allows, and leaves it.
func (w *Window) Add(n int64) bool {
	if int64(*w)+n > MaxWindow {
		return false
	}
	*w += Window(n)
	return true
}

// Take uses n bytes; false means that there are not as many, and leaves it.
func (w *Window) Take(n int64) bool {
	if n > int64(*w) {
		return false
	}
	*w -= Window(n)
	return true
}

// Free is how many bytes may be sent, 0 for a negative window.
func (w Window) Free() int64 { return max(int64(w), 0) }
