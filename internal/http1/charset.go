package http1

import (
	"bytes"

	"moongate/internal/base/ascii"
)

// CharsetParam gives the charset parameter of a Content-Type, without quotes.
func CharsetParam(v []byte) []byte {
	const name = "charset="
	for {
		i := bytes.IndexByte(v, ';')
		if i < 0 {
			return nil
		}
		v = bytes.TrimLeft(v[i+1:], " ")
		if !ascii.HasPrefixFold(v, name) {
			continue
		}
		v = v[len(name):]
		if len(v) > 0 && v[0] == '"' {
			v = v[1:]
		}
		if n := len(v) - 1; n >= 0 && v[n] == '"' {
			v = v[:n]
		}
		return v
	}
}
