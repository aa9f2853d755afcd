package http1

import (
	"encoding/base64"

	"moongate/internal/base/ascii"
)

// BasicAuth reads the credentials of an Authorization header with the Basic scheme (RFC 7617), decoding into dst. ok is
// false for other schemes and, as nginx has it, when the user's name is empty or no colon follows it.
func BasicAuth(dst, value []byte) (user, password []byte, ok bool) {
	const scheme = "Basic "
	if !ascii.HasPrefixFold(value, scheme) {
		return nil, nil, false
	}
	value = skipSpaces(value[len(scheme):])
	value = upTo(value, '=')
	for _, c := range value {
		if c == '\r' || c == '\n' { // the decoder would pass over them
			return nil, nil, false
		}
	}
	dst = append(dst[:0], make([]byte, base64.RawStdEncoding.DecodedLen(len(value)))...)
	n, err := base64.RawStdEncoding.Decode(dst, value)
	if err != nil {
		return nil, nil, false
	}
	dst = dst[:n]
	user = upTo(dst, ':')
	if len(user) == 0 || len(user) == len(dst) {
		return nil, nil, false
	}
	return user, dst[len(user)+1:], true
}
