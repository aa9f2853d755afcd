package grpc

import (
	"compress/gzip"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"io"
	"strconv"
)

// FrameHead is the size of what stands before each message: a flag and the length.
const FrameHead = 5

// Flags of a frame: of gRPC and Connect, of grpc-web, of Connect.
const (
	Compressed = 1
	Trailers   = 0x80
	EndStream  = 2
)

// AppendFrame appends a message with its head.
func AppendFrame(dst []byte, flags byte, msg []byte) []byte {
	dst = append(dst, flags, 0, 0, 0, 0)
	binary.BigEndian.PutUint32(dst[len(dst)-4:], uint32(len(msg)))
	return append(dst, msg...)
}

// PutHead writes the head of a message of n bytes to the first five of dst.
func PutHead(dst []byte, flags byte, n int) {
	dst[0] = flags
	binary.BigEndian.PutUint32(dst[1:], uint32(n))
}

// Head reads a frame's head.
func Head(b []byte) (flags byte, n uint32) { return b[0], binary.BigEndian.Uint32(b[1:]) }

// Next takes the first frame off b, which may hold several; ok is false when it is not complete.
func Next(b []byte) (flags byte, msg, rest []byte, ok bool) {
	if len(b) < FrameHead {
		return 0, nil, b, false
	}
	flags, n := Head(b)
	if uint64(n) > uint64(len(b)-FrameHead) {
		return 0, nil, b, false
	}
	return flags, b[FrameHead : FrameHead+int(n) : FrameHead+int(n)], b[FrameHead+int(n):], true
}

// TooLarge is the status for a message of n bytes that is longer than is allowed.
func TooLarge(n, limit int64) *Status {
	return &Status{Code: ResourceExhausted, Message: "received message larger than max (" + strconv.FormatInt(n, 10) + " vs. " + strconv.FormatInt(limit, 10) + ")"}
}

// Gzip compresses a message and appends it to dst.
func Gzip(dst, msg []byte) []byte {
	s := sliceWriter{dst}
	z, _ := gzip.NewWriterLevel(&s, gzip.BestSpeed)
	z.Write(msg)
	z.Close()
	return s.b
}

type sliceWriter struct{ b []byte }

func (s *sliceWriter) Write(p []byte) (int, error) {
	s.b = append(s.b, p...)
	return len(p), nil
}

// Gunzip decompresses a message of at most limit bytes; the error is a *Status.
func Gunzip(msg []byte, limit int64) ([]byte, error) {
	var in reader = reader{b: msg}
	z, err := gzip.NewReader(&in)
	if err != nil {
		return nil, &Status{Code: Internal, Message: "grpc: failed to decompress the received message: " + err.Error()}
	}
	out, err := io.ReadAll(io.LimitReader(z, limit+1))
	if int64(len(out)) > limit {
		return nil, &Status{Code: ResourceExhausted, Message: "received message after decompression larger than max " + strconv.FormatInt(limit, 10)}
	}
	if err != nil {
		return nil, &Status{Code: Internal, Message: "grpc: failed to decompress the received message: " + err.Error()}
	}
	return out, nil
}

type reader struct{ b []byte }

func (r *reader) Read(p []byte) (int, error) {
	if len(r.b) == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.b)
	r.b = r.b[n:]
	return n, nil
}

func (r *reader) ReadByte() (byte, error) {
	if len(r.b) == 0 {
		return 0, io.EOF
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c, nil
}

// AppendBinary appends the value of a "-bin" header: base64 without padding.
func AppendBinary(dst, v []byte) []byte { return base64.RawStdEncoding.AppendEncode(dst, v) }

// Binary decodes the value of a "-bin" header, padded or not.
func Binary(v []byte) ([]byte, error) {
	for len(v) > 0 && v[len(v)-1] == '=' {
		v = v[:len(v)-1]
	}
	return base64.RawStdEncoding.AppendDecode(nil, v)
}

// ErrText is what TextDecoder gives for bytes that are no base64.
var ErrText = errors.New("invalid base64 in a grpc-web-text body")

// TextDecoder decodes grpc-web-text: base64 in pieces, each of which may be padded.
type TextDecoder struct {
	rest [4]byte
	n    int
}

// Append decodes what is complete of src and appends it to dst.
func (d *TextDecoder) Append(dst, src []byte) ([]byte, error) {
	for _, c := range src {
		if c == '\r' || c == '\n' {
			continue
		}
		d.rest[d.n] = c
		if d.n++; d.n < 4 {
			continue
		}
		d.n = 0
		var out [3]byte
		n, err := base64.StdEncoding.Decode(out[:], d.rest[:])
		if err != nil {
			return dst, ErrText
		}
		dst = append(dst, out[:n]...)
	}
	return dst, nil
}

// Complete says that no half group is left.
func (d *TextDecoder) Complete() bool { return d.n == 0 }

// AppendText encodes a piece of grpc-web-text, padded.
func AppendText(dst, src []byte) []byte { return base64.StdEncoding.AppendEncode(dst, src) }

// Reserved says that a header is gRPC's, Connect's or HTTP's own and no metadata of the call. name is in lower case.
func Reserved(name string) bool {
	switch name {
	case "content-type", "te", "content-length", "connection", "host", "user-agent", "transfer-encoding", "upgrade", "accept-encoding", "content-encoding",
		"keep-alive", "proxy-connection", "http2-settings", "expect", "trailer",
		"connect-protocol-version", "connect-timeout-ms", "connect-content-encoding", "connect-accept-encoding":
		return true
	}
	return len(name) > 4 && name[:5] == "grpc-" || name == "" || name[0] == ':'
}

// Sendable says that metadata can be sent by gRPC: HTTP allows more in names and values. name is in lower case.
func Sendable(name string, value []byte) bool {
	for i := range len(name) {
		if b := name[i]; !(b >= 'a' && b <= 'z' || b >= '0' && b <= '9' || b == '-' || b == '_' || b == '.') {
			return false
		}
	}
	for _, b := range value {
		if b < ' ' || b > '~' {
			return false
		}
	}
	return name != ""
}
