// Package ascii holds the byte level operations every layer shares: case
// folding limited to ASCII letters, decimal and hexadecimal digits, searching
// without regard to case. Nothing here allocates unless it is told to append,
// and nothing knows about HTTP, configuration or Unicode.
package ascii

import "math"

// lower maps A-Z to a-z and every other byte to itself; hexValue holds the
// value of a hexadecimal digit plus one, 0 for other bytes.
var lower, hexValue = tables()

func tables() (lower, hex [256]byte) {
	for i := range lower {
		c := byte(i)
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		lower[i] = c
		switch {
		case '0' <= c && c <= '9':
			hex[i] = c - '0' + 1
		case 'a' <= c && c <= 'f':
			hex[i] = c - 'a' + 11
		}
	}
	return lower, hex
}

// Lower returns c in lower case; bytes that are no ASCII letter stay.
func Lower(c byte) byte { return lower[c] }

// IsDigit reports whether c is a decimal digit.
func IsDigit(c byte) bool { return c-'0' <= 9 }

// IsAlpha reports whether c is an ASCII letter.
func IsAlpha(c byte) bool { return (c|0x20)-'a' <= 'z'-'a' }

// Hex returns the value of a hexadecimal digit of either case.
func Hex(c byte) (v byte, ok bool) {
	v = hexValue[c]
	return v - 1, v != 0
}

// Bytes is what the functions below read: text in either form.
type Bytes interface{ ~string | ~[]byte }

// EqualFold compares without regard to ASCII case.
func EqualFold[A, B Bytes](a A, b B) bool {
	if len(a) != len(b) {
		return false
	}
	for i := 0; i < len(a); i++ {
		if lower[a[i]] != lower[b[i]] {
			return false
		}
	}
	return true
}

// HasPrefixFold reports whether s begins with prefix, without regard to case.
func HasPrefixFold[A, B Bytes](s A, prefix B) bool {
	if len(s) < len(prefix) {
		return false
	}
	for i := 0; i < len(prefix); i++ {
		if lower[s[i]] != lower[prefix[i]] {
			return false
		}
	}
	return true
}

// IndexFold returns the place of the first occurrence of sub in s without
// regard to case, or -1.
func IndexFold[A, B Bytes](s A, sub B) int {
	if len(sub) == 0 {
		return 0
	}
	first := lower[sub[0]]
	for i := 0; i+len(sub) <= len(s); i++ {
		if lower[s[i]] != first {
			continue
		}
		j := 1
		for j < len(sub) && lower[s[i+j]] == lower[sub[j]] {
			j++
		}
		if j == len(sub) {
			return i
		}
	}
	return -1
}

// ContainsFold reports whether sub occurs in s without regard to case.
func ContainsFold[A, B Bytes](s A, sub B) bool { return IndexFold(s, sub) >= 0 }

// AppendLower appends s in lower case to dst.
func AppendLower[S Bytes](dst []byte, s S) []byte {
	for i := 0; i < len(s); i++ {
		dst = append(dst, lower[s[i]])
	}
	return dst
}

// LowerInPlace folds b itself.
func LowerInPlace(b []byte) {
	for i, c := range b {
		b[i] = lower[c]
	}
}

// ParseInt reads a decimal number without sign that fills s and fits 63 bits.
func ParseInt[S Bytes](s S) (n int64, ok bool) {
	if len(s) == 0 {
		return 0, false
	}
	for i := 0; i < len(s); i++ {
		d := int64(s[i]) - '0'
		if d < 0 || d > 9 || n > (math.MaxInt64-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	return n, true
}

const (
	lowerHex = "0123456789abcdef"
	upperHex = "0123456789ABCDEF"
)

// AppendHex appends n in lower case hexadecimal without leading zeros.
func AppendHex(dst []byte, n uint64) []byte {
	shift := 60
	for shift > 0 && n>>shift == 0 {
		shift -= 4
	}
	for ; shift >= 0; shift -= 4 {
		dst = append(dst, lowerHex[n>>shift&15])
	}
	return dst
}

// AppendHexByte appends the two upper case hexadecimal digits of c.
func AppendHexByte(dst []byte, c byte) []byte {
	return append(dst, upperHex[c>>4], upperHex[c&15])
}

// AppendPadded appends n in decimal with at least width digits, zeros in front.
func AppendPadded(dst []byte, n uint64, width int) []byte {
	var tmp [20]byte
	i := len(tmp)
	for n > 0 || i == len(tmp) {
		i--
		tmp[i] = byte('0' + n%10)
		n /= 10
	}
	for len(tmp)-i < width && i > 0 {
		i--
		tmp[i] = '0'
	}
	return append(dst, tmp[i:]...)
}
