package http1

import "moongate/internal/base/ascii"

// Versions as nginx counts them: major*1000 + minor.
const (
	Version09 = 9
	Version10 = 1000
	Version11 = 1001
	Version20 = 2000
	Version30 = 3000
)

// Limits are the directives that shape parsing. HeaderBuffer and Large* do not
// say how the caller keeps its bytes; the parser only fails where nginx, with
// buffers of these sizes, would.
type Limits struct {
	HeaderBuffer int // client_header_buffer_size
	LargeCount   int // large_client_header_buffers, number
	LargeSize    int // large_client_header_buffers, size
	MaxHeaders   int // max_headers; 0 means no limit

	IgnoreInvalid bool // ignore_invalid_headers
	Underscores   bool // underscores_in_headers
	AllowConnect  bool // allow_connect
	Preface       bool // look for the HTTP/2 preface (first request of a plain connection with http2 on)
}

// DefaultLimits are nginx's defaults.
var DefaultLimits = Limits{
	HeaderBuffer: 1024, LargeCount: 4, LargeSize: 8192, MaxHeaders: 1000, IgnoreInvalid: true,
}

// MaxHead returns how many bytes of a request head the parser accepts at most;
// a buffer that large never has to grow.
func (l *Limits) MaxHead() int { return l.HeaderBuffer + l.LargeCount*l.LargeSize }

// ConnectionType is what the Connection header asks for.
type ConnectionType uint8

const (
	ConnectionDefault ConnectionType = iota
	ConnectionClose
	ConnectionKeepAlive
)

// Message is the head of a request. The first group is filled by the parser
// (or by an HTTP/2 driver), the second by Check, the third by DecodeURI. All
// slices point into the parsed buffer unless a field says otherwise.
type Message struct {
	Method      Method
	MethodName  []byte
	RequestLine []byte // without the line end; on a failure as much as there is
	Unparsed    []byte // URI as sent, without scheme and host
	Scheme      []byte // absolute form only
	LineHost    []byte // host and port of the absolute form or of CONNECT
	Protocol    []byte // "HTTP/1.1"; empty for HTTP/0.9
	Version     int
	Headers
	// Ignored are the lines ignore_invalid_headers dropped; nginx logs each as
	// `client sent invalid header line: "..."`.
	Ignored []Header
	// HeadLen counts the bytes of the request line and header, as $request_length.
	HeadLen int

	EmptyPath bool // absolute form with arguments and no path: "http://host?a"
	Complex   bool // the path has "//", "/." or "#": it must be normalised
	Quoted    bool // the path has "%"
	Plus      bool // the path has "+"

	Server        []byte // host in lower case without port; from the line, else from Host
	Port          int    // port given with it, 0 without one
	ContentLength int64  // -1 without the header
	Chunked       bool
	Connection    ConnectionType
	KeepAlive     bool  // the client wants the connection kept, by version and Connection
	KeepAliveTime int64 // seconds of the Keep-Alive header, 0 without it, -1 if it makes no sense

	URI   []byte // decoded and normalised
	Args  []byte
	Exten []byte // extension of the last path component

	faulty     []byte // the offending part of a header line
	faultyByte byte
	argsAt     int32 // places within Unparsed; 0 means absent
	extAt      int32
	server     []byte // memory for Server in lower case
}

// reset prepares for the next request and keeps memory. It names every field
// (a test holds it to that): assigning a fresh Message would copy the index
// of the headers twice, a quarter of the time of a small request.
func (m *Message) reset() {
	m.Headers.Reset()
	m.Method, m.Version, m.HeadLen = 0, 0, 0
	m.EmptyPath, m.Complex, m.Quoted, m.Plus = false, false, false, false
	m.MethodName, m.RequestLine, m.Unparsed, m.Protocol = nil, nil, nil, nil
	m.Scheme, m.LineHost = nil, nil
	m.Ignored = m.Ignored[:0]

	m.Server, m.Port, m.ContentLength = nil, 0, 0
	m.Chunked, m.Connection, m.KeepAlive, m.KeepAliveTime = false, 0, false, 0

	m.URI, m.Args, m.Exten = nil, nil, nil
	m.faulty, m.faultyByte, m.argsAt, m.extAt = nil, 0, 0, 0
}

// ValidUnparsed reports whether Unparsed may be sent on as it is
// (nginx's valid_unparsed_uri).
func (m *Message) ValidUnparsed() bool { return !m.EmptyPath }

// ExpectsContinue reports whether the client waits for "100 Continue" before
// it sends the body.
func (m *Message) ExpectsContinue() bool {
	return m.Version >= Version11 && ascii.EqualFold(m.Get(HExpect), "100-continue")
}
