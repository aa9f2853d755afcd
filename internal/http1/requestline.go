package http1

// States of the request line, read byte by byte. They follow nginx's
// ngx_http_parse_request_line so that every oddity ends as it does there.
const (
	rStart = iota
	rMethod
	rSpacesBeforeURI
	rScheme
	rSchemeSlash
	rSchemeSlashSlash
	rSpacesBeforeHost
	rHostStart
	rHost
	rHostEnd
	rHostLiteral
	rPortStart
	rPort
	rAfterSlash
	rCheckURI
	rURI
	rHTTP09
	rH
	rHT
	rHTT
	rHTTP
	rFirstMajor
	rMajor
	rFirstMinor
	rMinor
	rSpacesAfterDigit
	rAlmostDone
)

// slowLine reads the request line from i on. It returns the place after the
// last byte looked at.
func (p *RequestParser) slowLine(buf []byte, i int) (int, State) {
	for ; i < len(buf); i++ {
		var st State
		switch c := buf[i]; {
		case p.state < rSpacesBeforeURI:
			st = p.stepMethod(buf, i, c)
		case p.state < rAfterSlash:
			st = p.stepTarget(i, c)
		case p.state < rHTTP09:
			st = p.stepURI(i, c)
		default:
			st = p.stepProtocol(i, c)
		}
		if st == Done {
			return i + 1, p.finishLine(i)
		}
		if st != More {
			return i + 1, st
		}
	}
	return i, More
}

// finishLine is called at the LF.
func (p *RequestParser) finishLine(i int) State {
	if p.at.end < 0 {
		p.at.end = i
	}
	p.state = rStart
	if p.Version == Version09 && p.Method != MethodGet {
		return ErrMethod09
	}
	return Done
}

func (p *RequestParser) stepMethod(buf []byte, i int, c byte) State {
	if p.state == rStart {
		p.at.start = i
		if c == '\r' || c == '\n' {
			return More
		}
		p.state = rMethod
	} else if c == ' ' {
		p.at.methodEnd = i
		p.Method = LookupMethod(buf[p.at.start:i])
		p.state = rSpacesBeforeURI
		if p.Method == MethodConnect {
			p.state = rSpacesBeforeHost
		}
		return More
	}
	if c-'A' > 'Z'-'A' && c != '_' && c != '-' {
		return ErrMethod
	}
	return More
}

// stepTarget reads up to the path: scheme, host and port of an absolute form,
// or the authority of CONNECT.
func (p *RequestParser) stepTarget(i int, c byte) State {
	letter := (c|0x20)-'a' <= 'z'-'a'
	digit := c-'0' <= 9
	switch p.state {
	case rSpacesBeforeURI:
		switch {
		case c == '/':
			p.at.uriStart = i
			p.state = rAfterSlash
		case letter:
			p.at.schemeStart = i
			p.state = rScheme
		case c != ' ':
			return ErrRequest
		}
	case rScheme:
		switch {
		case letter || digit || c == '+' || c == '-' || c == '.':
		case c == ':':
			p.at.schemeEnd = i
			p.state = rSchemeSlash
		default:
			return ErrRequest
		}
	case rSchemeSlash, rSchemeSlashSlash:
		if c != '/' {
			return ErrRequest
		}
		p.state++
		if p.state == rSpacesBeforeHost {
			p.state = rHostStart
		}
	default:
		return p.stepHost(i, c, letter, digit)
	}
	return More
}

func (p *RequestParser) stepHost(i int, c byte, letter, digit bool) State {
	switch p.state {
	case rSpacesBeforeHost, rHostStart:
		if c == ' ' && p.state == rSpacesBeforeHost {
			return More
		}
		p.at.hostStart = i
		if c == '[' {
			p.state = rHostLiteral
			return More
		}
		p.state = rHost
		fallthrough
	case rHost:
		if letter || digit || c == '.' || c == '-' {
			return More
		}
		fallthrough
	case rHostEnd:
		if c == ':' {
			p.state = rPortStart
			return More
		}
		return p.endHost(i, c)
	case rHostLiteral:
		switch {
		case letter || digit:
		case c == ']':
			p.state = rHostEnd
		default:
			// unreserved and sub-delims of RFC 3986, and the colon
			switch c {
			case ':', '-', '.', '_', '~', '!', '$', '&', '\'', '(', ')', '*', '+', ',', ';', '=':
			default:
				return ErrRequest
			}
		}
	case rPortStart, rPort:
		first := p.state == rPortStart
		p.state = rPort
		if digit {
			return More
		}
		if p.Method == MethodConnect {
			if first || c != ' ' {
				return ErrRequest
			}
			p.at.hostEnd = i
			p.state = rHTTP09
			return More
		}
		return p.endHost(i, c)
	}
	return More
}

// endHost looks at the byte after host and port.
func (p *RequestParser) endHost(i int, c byte) State {
	p.at.hostEnd = i
	if p.Method == MethodConnect { // the port is missing
		return ErrRequest
	}
	switch c {
	case '/':
		p.at.uriStart = i
		p.state = rAfterSlash
	case '?':
		p.at.uriStart, p.at.args = i, i+1
		p.EmptyPath = true
		p.state = rURI
	case ' ':
		// The path is "/": the scheme's slash serves for it.
		p.at.uriStart, p.at.uriEnd = p.at.schemeEnd+1, p.at.schemeEnd+2
		p.state = rHTTP09
	default:
		return ErrRequest
	}
	return More
}

// stepURI reads the path and arguments.
func (p *RequestParser) stepURI(i int, c byte) State {
	class := uriClass[c]
	switch class {
	case uriSpace:
		p.at.uriEnd = i
		p.state = rHTTP09
		return More
	case uriCR:
		p.at.uriEnd = i
		p.Version = Version09
		p.state = rAlmostDone
		return More
	case uriLF:
		p.at.uriEnd = i
		p.Version = Version09
		return Done
	case uriFatal:
		return ErrRequest
	case uriFragment:
		p.Complex = true
		p.state = rURI
		return More
	}
	if p.state == rURI {
		return More
	}
	slash := p.state == rAfterSlash
	switch class {
	case uriPlain:
		p.state = rCheckURI
	case uriSlash:
		p.state = rAfterSlash
		p.at.ext = -1
		if slash {
			p.Complex = true
			p.state = rURI
		}
	case uriDot:
		if slash {
			p.Complex = true
			p.state = rURI
		} else {
			p.at.ext = i + 1
		}
	case uriPercent:
		p.Quoted = true
		p.state = rURI
	case uriQuery:
		p.at.args = i + 1
		p.state = rURI
	case uriPlus: // keeps the state, so "/+." counts as "/."
		p.Plus = true
	}
	return More
}

// stepProtocol reads "HTTP/x.y" and the line end.
func (p *RequestParser) stepProtocol(i int, c byte) State {
	digit := c-'0' <= 9
	switch p.state {
	case rHTTP09:
		switch c {
		case ' ':
		case '\r':
			p.Version = Version09
			p.state = rAlmostDone
		case '\n':
			p.Version = Version09
			return Done
		case 'H':
			p.at.protocol = i
			p.state = rH
		default:
			return ErrRequest
		}
	case rH, rHT, rHTT, rHTTP:
		if c != "TTP/"[p.state-rH] {
			return ErrRequest
		}
		if c == '/' && p.Method == MethodConnect { // the URI is "/"
			p.at.uriStart, p.at.uriEnd = i, i+1
		}
		p.state++
	case rFirstMajor, rMajor:
		switch {
		case c == '.' && p.state == rMajor:
			p.state = rFirstMinor
		case !digit || c == '0' && p.state == rFirstMajor:
			return ErrRequest
		case p.state == rMajor || c > '1':
			return ErrVersion // two digits are at least 10
		default:
			p.Version = Version10
			p.state = rMajor
		}
	case rFirstMinor:
		if !digit {
			return ErrRequest
		}
		p.Version += int(c - '0')
		p.state = rMinor
	default:
		return p.stepLineEnd(i, c, digit)
	}
	return More
}

func (p *RequestParser) stepLineEnd(i int, c byte, digit bool) State {
	switch {
	case p.state == rAlmostDone:
		p.at.end = i - 1
		if c != '\n' {
			return ErrRequest
		}
		return Done
	case c == '\r':
		p.state = rAlmostDone
	case c == '\n':
		return Done
	case c == ' ':
		p.state = rSpacesAfterDigit
	case p.state == rMinor && digit:
		minor := p.Version - Version10
		if minor > 99 {
			return ErrRequest
		}
		p.Version = Version10 + minor*10 + int(c-'0')
	default:
		return ErrRequest
	}
	return More
}
