package http1

import "moongate/internal/base/ascii"

// Check applies the rules that concern the whole head, in nginx's order, and
// fills the second group of fields. It returns Done or the failure. An HTTP/2
// or HTTP/3 driver fills Version, Method, the Headers by Add and, for ":authority",
// LineHost, then calls it too.
//
// Against request smuggling (RFC 9112 6.1, 6.3, 11.2): Content-Length and
// Transfer-Encoding may occur once, never together, the first only as a plain
// number, the second only as "chunked" and not in HTTP/1.0.
func (m *Message) Check(l *Limits) State {
	m.ContentLength = -1
	m.Server, m.Port = nil, 0
	if m.LineHost != nil {
		host, port, ok := m.validHost(m.LineHost)
		if !ok {
			return ErrHostInLine
		}
		m.Server, m.Port = host, port
	}
	if m.Version < Version10 {
		m.KeepAlive = false
		return Done
	}
	st := m.checkHost()
	if st == Done {
		m.checkConnection()
		st = m.checkBody()
	}
	if st == Done {
		st = m.checkMethod(l)
	}
	return st
}

// checkHost also reports repeated headers: whichever comes first in the
// message counts.
func (m *Message) checkHost() State {
	at := m.Index(HHost)
	if m.dup != 0 && (at < 0 || m.dup-1 < at) {
		return m.duplicate()
	}
	if at >= 0 {
		host, port, ok := m.validHost(m.List[at].Value)
		if !ok {
			return ErrHost
		}
		if len(m.Server) == 0 {
			m.Server, m.Port = host, port
		}
	}
	if m.dup != 0 {
		return m.duplicate()
	}
	if m.Version >= Version20 && m.Has(HProxyConnection) {
		return ErrProxyConnection
	}
	if at < 0 && m.Version > Version10 {
		return ErrNoHost
	}
	return Done
}

// validHost is ValidateHost with the memory of the message. A second host is
// not kept beside the first.
func (m *Message) validHost(host []byte) (name []byte, port int, ok bool) {
	if len(m.Server) > 0 {
		return ValidateHost(nil, host)
	}
	if cap(m.server) < len(host) {
		m.server = make([]byte, 0, 2*len(host))
	}
	return ValidateHost(m.server[:0], host)
}

func (m *Message) duplicate() State {
	if m.List[m.dup-1].ID == HHost {
		return ErrDuplicateHost
	}
	return ErrDuplicateHeader
}

// checkConnection finds out what the client wants of the connection: a line
// that contains "close" or else "keep-alive" anywhere, the last one counts.
func (m *Message) checkConnection() {
	m.Connection, m.KeepAliveTime = ConnectionDefault, 0
	for i := m.Index(HConnection); i >= 0; i = m.Next(i) {
		value := m.List[i].Value
		if ascii.ContainsFold(value, "close") {
			m.Connection = ConnectionClose
		} else if ascii.ContainsFold(value, "keep-alive") {
			m.Connection = ConnectionKeepAlive
		}
	}
	switch m.Connection {
	case ConnectionDefault:
		m.KeepAlive = m.Version > Version10
	case ConnectionClose:
		m.KeepAlive = false
	case ConnectionKeepAlive:
		m.KeepAlive = true
		if m.Has(HKeepAlive) {
			seconds, ok := ascii.ParseInt(m.Get(HKeepAlive))
			if !ok {
				seconds = -1
			}
			m.KeepAliveTime = seconds
		}
	}
}

func (m *Message) checkBody() State {
	m.Chunked = false
	if m.Has(HContentLength) {
		n, ok := ascii.ParseInt(m.Get(HContentLength))
		if !ok {
			return ErrContentLength
		}
		m.ContentLength = n
	}
	if !m.Has(HTransferEncoding) {
		return Done
	}
	switch {
	case m.Version < Version11:
		return ErrCodingIn10
	case !ascii.EqualFold(m.Get(HTransferEncoding), "chunked"):
		return ErrTransferCoding
	case m.Has(HContentLength):
		return ErrLengthAndCoding
	}
	m.Chunked = true
	return Done
}

func (m *Message) checkMethod(l *Limits) State {
	switch m.Method {
	case MethodConnect:
		if m.Version != Version11 || !l.AllowConnect {
			return ErrConnect
		}
		if m.ContentLength > 0 || m.Chunked {
			return ErrConnectBody
		}
	case MethodTrace:
		return ErrTrace
	}
	return Done
}

// hostClass sorts the bytes of a host.
const (
	hostBad     = iota
	hostPlain   // unreserved, sub-delims and '%' of RFC 3986
	hostUpper   // A-Z
	hostDot     //
	hostColon   //
	hostPercent // not within brackets
)

var hostClass = classifyHost()

func classifyHost() (class [256]uint8) {
	for i := range class {
		switch c := byte(i); {
		case c-'A' <= 'Z'-'A':
			class[i] = hostUpper
		case c-'a' <= 'z'-'a', c-'0' <= 9:
			class[i] = hostPlain
		}
	}
	for _, c := range []byte("-_~!$&'()*+,;=") {
		class[c] = hostPlain
	}
	class['.'], class[':'], class['%'] = hostDot, hostColon, hostPercent
	return class
}

// ValidateHost checks a host, as nginx's ngx_http_validate_host, takes a port
// and one trailing dot off and folds it to lower case. The name returned is a
// part of host when that is in lower case already, else it is appended to dst
// (which may be nil) and returned without what dst held.
func ValidateHost(dst, host []byte) (name []byte, port int, ok bool) {
	if len(host) > 0 && host[0] == '[' {
		return validateLiteral(dst, host)
	}
	end, dot, upper := len(host), -2, false
	for i, c := range host {
		switch hostClass[c] {
		case hostPlain, hostPercent:
		case hostUpper:
			upper = true
		case hostDot:
			if dot == i-1 {
				return nil, 0, false
			}
			dot = i
		case hostColon:
			if port, ok = parsePort(host[i+1:]); !ok {
				return nil, 0, false
			}
			end = i
		default:
			return nil, 0, false
		}
		if end == i {
			break
		}
	}
	if dot == end-1 {
		end--
	}
	if end <= 0 {
		return nil, 0, false
	}
	return foldHost(dst, host[:end], upper), port, true
}

// validateLiteral checks "[...]" with an optional port (RFC 3986 IP-literal).
func validateLiteral(dst, host []byte) (name []byte, port int, ok bool) {
	dot, upper := -2, false
	for i := 1; i < len(host); i++ {
		c := host[i]
		switch hostClass[c] {
		case hostPlain, hostColon:
		case hostUpper:
			upper = true
		case hostDot:
			if dot == i-1 {
				return nil, 0, false
			}
			dot = i
		default:
			if c != ']' {
				return nil, 0, false
			}
			rest := host[i+1:]
			if len(rest) > 0 {
				if rest[0] != ':' {
					return nil, 0, false
				}
				if port, ok = parsePort(rest[1:]); !ok {
					return nil, 0, false
				}
			}
			return foldHost(dst, host[:i+1], upper), port, true
		}
	}
	return nil, 0, false
}

// parsePort reads what follows the colon; nothing at all is port 0.
func parsePort(b []byte) (port int, ok bool) {
	for _, c := range b {
		d := int(c) - '0'
		if d < 0 || d > 9 {
			return 0, false
		}
		if port = port*10 + d; port > 65535 {
			return 0, false
		}
	}
	return port, true
}

func foldHost(dst, name []byte, upper bool) []byte {
	if !upper {
		return name[:len(name):len(name)]
	}
	had := len(dst)
	return ascii.AppendLower(dst, name)[had:]
}
