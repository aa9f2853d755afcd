package http1

// State is the outcome of a parsing step: go on, finished, or what the client
// did wrong. Every failure knows the status nginx answers (Status) and the
// words it logs at info level (Message.AppendError).
type State uint8

const (
	// More asks for further bytes.
	More State = iota
	// Done says that the step is complete.
	Done
	// Preface says that the connection begins with the HTTP/2 preface; no
	// byte was consumed.
	Preface

	// Failures of the request line.
	ErrMethod       // a method with bytes outside A-Z, '_' and '-'
	ErrRequest      // anything else wrong with the request line or its URI
	ErrVersion      // HTTP/2.0 or above
	ErrMethod09     // HTTP/0.9 knows GET only
	ErrURITooLong   // the request line does not fit large_client_header_buffers
	ErrHostInLine   // an invalid host in the absolute form
	firstHeaderFail // no state

	// Failures of the header.
	ErrHeader          // a header line that cannot be read
	ErrHeaderTooLong   // a header line does not fit large_client_header_buffers
	ErrRequestTooLarge // the buffers are used up before the first header line
	ErrTooManyHeaders  // max_headers
	ErrDuplicateHeader // a second line of a name that must be unique
	ErrDuplicateHost   // the same for Host
	ErrHost            // an invalid Host value
	ErrNoHost          // HTTP/1.1 without Host
	ErrContentLength   // not a number
	ErrLengthAndCoding // Content-Length beside Transfer-Encoding
	ErrTransferCoding  // a Transfer-Encoding other than chunked
	ErrCodingIn10      // Transfer-Encoding in HTTP/1.0
	ErrConnect         // CONNECT where it is not allowed
	ErrConnectBody     // CONNECT with a body
	ErrTrace           // TRACE
	ErrProxyConnection // Proxy-Connection in HTTP/2
	numStates          // no state
)

// Failed reports whether the state is an error of the client.
func (s State) Failed() bool { return s > Preface }

// Status returns the status nginx ends the request with: 494 is answered as
// 400 but can be told apart by error_page. It is 0 unless the state is a failure.
func (s State) Status() int {
	switch s {
	case More, Done, Preface:
		return 0
	case ErrVersion:
		return 505
	case ErrURITooLong:
		return 414
	case ErrHeaderTooLong, ErrRequestTooLarge, ErrTooManyHeaders:
		return 494
	case ErrTransferCoding:
		return 501
	case ErrConnect, ErrTrace:
		return 405
	}
	return 400
}

// Lingers reports whether nginx closes lingeringly after this failure, because
// the client is probably still sending.
func (s State) Lingers() bool {
	return s == ErrHeaderTooLong || s == ErrRequestTooLarge || s == ErrTooManyHeaders
}

// Action returns what nginx was doing, the words that follow " while " in its
// log line. A failure of a complete head is logged under the second.
func (s State) Action() string {
	if s < firstHeaderFail {
		return "reading client request line"
	}
	return "reading client request headers"
}

// stateText holds the fixed part of the log line.
var stateText = [numStates]string{
	ErrMethod:          "client sent invalid method",
	ErrRequest:         "client sent invalid request",
	ErrVersion:         "client sent invalid version",
	ErrMethod09:        "client sent invalid method in HTTP/0.9 request",
	ErrURITooLong:      "client sent too long URI",
	ErrHostInLine:      "client sent invalid host in request line",
	ErrHeader:          "client sent invalid header line: ",
	ErrHeaderTooLong:   "client sent too long header line: ",
	ErrRequestTooLarge: "client sent too large request",
	ErrTooManyHeaders:  "client sent too many header lines",
	ErrDuplicateHeader: "client sent duplicate header line: ",
	ErrDuplicateHost:   "client sent duplicate host header: ",
	ErrHost:            "client sent invalid host header",
	ErrNoHost:          "client sent HTTP/1.1 request without \"Host\" header",
	ErrContentLength:   "client sent invalid \"Content-Length\" header",
	ErrLengthAndCoding: "client sent \"Content-Length\" and \"Transfer-Encoding\" headers at the same time",
	ErrTransferCoding:  "client sent unknown \"Transfer-Encoding\": ",
	ErrCodingIn10:      "client sent HTTP/1.0 request with \"Transfer-Encoding\" header",
	ErrConnect:         "client sent CONNECT method",
	ErrConnectBody:     "client sent CONNECT request with body",
	ErrTrace:           "client sent TRACE method",
	ErrProxyConnection: "client sent \"Proxy-Connection\" header",
}

// InHeader reports whether it is a failure of the header: the request line was fine.
func (s State) InHeader() bool { return s > firstHeaderFail }

// String returns the fixed part of nginx's log line.
func (s State) String() string {
	switch {
	case s == More:
		return "more"
	case s == Done:
		return "done"
	case s == Preface:
		return "HTTP/2 preface"
	case s < numStates:
		return stateText[s]
	}
	return "invalid state"
}

// AppendError appends nginx's log line for a failure of this message, without
// the " while ..." that its logger adds (see Action).
func (m *Message) AppendError(dst []byte, s State) []byte {
	dst = append(dst, s.String()...)
	switch s {
	case ErrHeader:
		dst = append(dst, '"')
		dst = append(dst, m.faulty...)
		dst = append(dst, '\\', 'x', lowerHex[m.faultyByte>>4], lowerHex[m.faultyByte&15])
		dst = append(dst, `..."`...)
	case ErrHeaderTooLong:
		dst = append(dst, '"')
		dst = append(dst, m.faulty...)
		dst = append(dst, `..."`...)
	case ErrDuplicateHeader, ErrDuplicateHost:
		again := &m.List[m.dup-1]
		before := &m.List[m.Index(again.ID)]
		dst = appendLine(dst, again)
		dst = append(dst, ", previous value: "...)
		dst = appendLine(dst, before)
	case ErrTransferCoding:
		dst = append(dst, '"')
		dst = append(dst, m.Get(HTransferEncoding)...)
		dst = append(dst, '"')
	}
	return dst
}

// appendLine appends "Name: value" in quotes.
func appendLine(dst []byte, h *Header) []byte {
	dst = append(dst, '"')
	dst = append(dst, h.Name...)
	dst = append(dst, ": "...)
	dst = append(dst, h.Value...)
	return append(dst, '"')
}

const lowerHex = "0123456789abcdef"
