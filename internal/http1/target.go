package http1

// Reset forgets the message and keeps its memory, for drivers that fill it themselves.
func (m *Message) Reset() { m.reset() }

// SetTarget takes a path with arguments that came outside a request line (":path" of HTTP/2 and HTTP/3), as nginx's
// ngx_http_parse_uri. The state is Done or ErrRequest.
func (m *Message) SetTarget(raw []byte) State {
	m.Unparsed, m.argsAt, m.extAt = raw, 0, 0
	if len(raw) == 0 || raw[0] != '/' {
		return ErrRequest
	}
	slash := true // the byte before was a slash
	for i := 1; i < len(raw); i++ {
		switch uriClass[raw[i]] {
		case uriPlain:
			slash = false
		case uriSlash:
			if slash {
				m.Complex = true
				return m.restOfTarget(i + 1)
			}
			m.extAt, slash = 0, true
		case uriDot:
			if slash {
				m.Complex = true
				return m.restOfTarget(i + 1)
			}
			m.extAt = int32(i + 1)
		case uriPercent:
			m.Quoted = true
			return m.restOfTarget(i + 1)
		case uriQuery:
			m.argsAt = int32(i + 1)
			return m.restOfTarget(i + 1)
		case uriFragment:
			m.Complex = true
			return m.restOfTarget(i + 1)
		case uriPlus:
			m.Plus = true
		default:
			return ErrRequest
		}
	}
	return Done
}

// restOfTarget looks for what must not be there, and for a fragment.
func (m *Message) restOfTarget(i int) State {
	for _, c := range m.Unparsed[i:] {
		switch uriClass[c] {
		case uriFragment:
			m.Complex = true
		case uriSpace, uriCR, uriLF, uriFatal:
			return ErrRequest
		}
	}
	return Done
}
