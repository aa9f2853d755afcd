package http1

import "moongate/internal/base/ascii"

// URIFlags tell what the normaliser met.
type URIFlags uint8

const (
	URIQuoted URIFlags = 1 << iota // "%" in the path
	URIPlus                        // "+" in the path, quoted or not
)

// DecodeURI fills URI, Args and Exten from Unparsed. A path that needs no
// decoding is a slice of the buffer; otherwise it is appended to scratch, whose
// extended form is returned. The state is Done or ErrRequest. To answer the
// first of several failures that nginx would, call it before Check.
func (m *Message) DecodeURI(scratch []byte, mergeSlashes bool) ([]byte, State) {
	raw := m.Unparsed
	if !m.Complex && !m.Quoted && !m.EmptyPath {
		end := len(raw)
		m.Args = nil
		if m.argsAt > 0 {
			end = int(m.argsAt) - 1
			m.Args = raw[m.argsAt:]
		}
		m.URI = raw[:end:end]
		m.Exten = nil
		if m.extAt > 0 {
			m.Exten = raw[m.extAt:end:end]
		}
		return scratch, Done
	}
	had := len(scratch)
	if m.EmptyPath {
		scratch = append(scratch, '/')
	}
	u := normalizer{raw: raw, out: scratch, base: had, ext: -1, merge: mergeSlashes}
	if !u.run() {
		m.URI = nil
		return scratch, ErrRequest
	}
	m.URI, m.Args, m.Exten = u.path(), u.args, u.exten()
	m.Quoted = m.Quoted || u.flags&URIQuoted != 0
	m.Plus = m.Plus || u.flags&URIPlus != 0
	return u.out, Done
}

// normalizer decodes and normalises a URI as nginx's
// ngx_http_parse_complex_uri: escapes are decoded, "." and ".." resolved,
// slashes merged if asked, "#..." dropped, arguments split off undecoded. run
// is false for a broken escape, "%00" and for a path that leaves the root; the
// client then gets 400.
type normalizer struct {
	raw, out, args []byte
	base           int // where the path begins in out
	ext            int // where its extension begins, -1 without one
	merge          bool
	flags          URIFlags
}

func (u *normalizer) path() []byte { return u.out[u.base:len(u.out):len(u.out)] }

func (u *normalizer) exten() []byte {
	if u.ext < 0 {
		return nil
	}
	return u.out[u.ext:len(u.out):len(u.out)]
}

// Where in a path component the normaliser is.
const (
	inName  = iota
	inSlash // after a slash
	inDot   // after "/."
	inDots  // after "/.."
)

func (u *normalizer) run() bool {
	state := inName
	for i := 0; i < len(u.raw); i++ {
		c := u.raw[i]
		literal := false // a decoded byte that has lost its meaning
		switch c {
		case '%':
			u.flags |= URIQuoted
			v, ok := unhex(u.raw[i+1:])
			if !ok || v == 0 {
				return false
			}
			i += 2
			c = v
			literal = c == '%' || c == '#' || c == '?'
		case '?':
			u.splitArgs(u.raw[i+1:])
			return u.finish(state)
		case '#':
			return u.finish(state)
		}
		if c == '+' {
			u.flags |= URIPlus
		}
		if literal {
			u.out = append(u.out, c)
			state = inName
			continue
		}
		var ok bool
		if state, ok = u.step(state, c); !ok {
			return false
		}
	}
	return u.finish(state)
}

// unhex reads the two digits of an escape.
func unhex(b []byte) (byte, bool) {
	if len(b) < 2 {
		return 0, false
	}
	high, ok1 := ascii.Hex(b[0])
	low, ok2 := ascii.Hex(b[1])
	return high<<4 | low, ok1 && ok2
}

// step takes one decoded byte.
func (u *normalizer) step(state int, c byte) (int, bool) {
	switch c {
	case '/':
		switch state {
		case inName:
			u.ext = -1
			u.out = append(u.out, c)
		case inSlash:
			if !u.merge {
				u.out = append(u.out, c)
			}
		case inDot:
			u.out = u.out[:len(u.out)-1]
		case inDots:
			if !u.parent() {
				return state, false
			}
		}
		return inSlash, true
	case '.':
		switch state {
		case inName:
			u.out = append(u.out, c)
			u.ext = len(u.out)
			return inName, true
		case inSlash:
			u.out = append(u.out, c)
			return inDot, true
		case inDot:
			u.out = append(u.out, c)
			return inDots, true
		}
	}
	u.out = append(u.out, c)
	return inName, true
}

// finish resolves dots at the end of the path.
func (u *normalizer) finish(state int) bool {
	switch state {
	case inDot:
		u.out = u.out[:len(u.out)-1]
	case inDots:
		return u.parent()
	}
	return true
}

// parent takes "/.." and the component before it off the path; the slash
// before that stays.
func (u *normalizer) parent() bool {
	for i := len(u.out) - 4; i >= u.base; i-- {
		if u.out[i] == '/' {
			u.out = u.out[:i+1]
			return true
		}
	}
	return false
}

// splitArgs takes the arguments up to a fragment.
func (u *normalizer) splitArgs(b []byte) {
	for i, c := range b {
		if c == '#' {
			b = b[:i]
			break
		}
	}
	u.args = b
}

// ParseUnsafeURI checks a URI that is to be served without coming from a
// request line (X-Accel-Redirect, ngx.exec, subrequests), as nginx's
// ngx_http_parse_unsafe_uri. The path is decoded into dst when it has escapes;
// path is then a slice of out, else of uri. It must not be empty, contain NUL
// or a ".." component; ok is false then and nginx logs
// `unsafe URI "..." was detected`.
func ParseUnsafeURI(dst, uri []byte) (out, path, args []byte, ok bool) {
	if len(uri) == 0 || uri[0] == '?' {
		return dst, nil, nil, false
	}
	path = uri
	quoted := false
	for i, c := range uri {
		if c == '?' {
			path, args = uri[:i:i], uri[i+1:]
			break
		}
		quoted = quoted || c == '%'
	}
	if climbs(path) {
		return dst, nil, nil, false
	}
	if !quoted {
		return dst, path, args, true
	}
	had := len(dst)
	dst, _ = AppendUnescape(dst, path, UnescapeAll)
	path = dst[had:len(dst):len(dst)]
	if climbs(path) {
		return dst[:had], nil, nil, false
	}
	return dst, path, args, true
}

// climbs reports whether a path has NUL or a ".." component.
func climbs(path []byte) bool {
	start := 0
	for i := 0; i <= len(path); i++ {
		if i < len(path) && path[i] == 0 {
			return true
		}
		if i == len(path) || path[i] == '/' {
			if i-start == 2 && path[start] == '.' && path[start+1] == '.' {
				return true
			}
			start = i + 1
		}
	}
	return false
}
