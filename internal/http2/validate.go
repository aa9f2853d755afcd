package http2

// Faults say what is remarkable about a field.
type Faults uint8

// The bits of Faults.
const (
	// BadName: RFC 9113 8.2.1 forbids the name; the message is malformed.
	BadName Faults = 1 << iota
	// OddName: bytes other than letters, digits, hyphens and underscores, which nginx calls invalid.
	OddName
	// Underscore: the name has one.
	Underscore
	// BadValue: NUL, CR or LF; the message is malformed.
	BadValue
	// Sensitive: the sender wants the field never to be indexed (RFC 7541 7.1.3).
	Sensitive
)

var nameFaults = func() (t [256]Faults) {
	for i := range t {
		switch c := byte(i); {
		case c-'a' <= 'z'-'a', c-'0' <= 9, c == '-':
		case c == '_':
			t[i] = Underscore
		case c <= ' ', c == 0x7f, c == ':', c-'A' <= 'Z'-'A':
			t[i] = BadName
		default:
			t[i] = OddName
		}
	}
	return t
}()

// checkName finds the faults of a name; a colon may begin it.
func checkName(name []byte) (f Faults) {
	if name[0] == ':' {
		if name = name[1:]; len(name) == 0 {
			return BadName
		}
	}
	for _, c := range name {
		f |= nameFaults[c]
	}
	return f
}

// ValidValue reports whether a field value has none of the bytes that must not be in one.
func ValidValue(v []byte) bool {
	for _, c := range v {
		if c == 0 || c == '\n' || c == '\r' {
			return false
		}
	}
	return true
}

// ConnectionSpecific reports whether RFC 9113 8.2.2 forbids a field by its name, which is in lower case. TE is allowed
// with the value "trailers" only, which is the caller's to see.
func ConnectionSpecific(name []byte) bool {
	switch string(name) {
	case "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade":
		return true
	}
	return false
}
