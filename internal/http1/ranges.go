package http1

import (
	"math"

	"moongate/internal/base/ascii"
)

// Range is a part of a body: the bytes from Start up to, not including, End.
type Range struct{ Start, End int64 }

// RangeResult says what to answer to a Range header.
type RangeResult uint8

const (
	RangeNone   RangeResult = iota // ignore the header, send the whole
	RangeOK                        // 206 with the ranges
	RangeFailed                    // 416
)

// UnlimitedRanges is max_ranges without the directive. Then alone many small
// ranges, whose part headers would outweigh the body, are ignored.
const UnlimitedRanges = math.MaxInt32

// ParseRange reads a Range header for a body of the given length, appending to
// dst, as nginx's ngx_http_range_parse: other units than bytes, more than
// maxRanges ranges and ranges that overlap to more than the body are ignored.
// maxRanges 0 ignores all.
func ParseRange(dst []Range, value []byte, length int64, maxRanges int) ([]Range, RangeResult) {
	had := len(dst)
	if maxRanges == 0 || len(value) < len("bytes=0") || !ascii.HasPrefixFold(value, "bytes=") {
		return dst, RangeNone
	}
	p := rangeReader{rest: value[len("bytes="):]}
	var size int64
	for {
		r, ok := p.next(length)
		if !ok {
			return dst[:had], RangeFailed
		}
		switch {
		case r.Start < r.End:
			if size > math.MaxInt64-(r.End-r.Start) {
				return dst[:had], RangeFailed
			}
			size += r.End - r.Start
			if len(dst)-had == maxRanges {
				return dst[:had], RangeNone
			}
			dst = append(dst, r)
		case r.Start == 0:
			return dst[:had], RangeNone
		}
		if p.peek() != ',' {
			break
		}
		p.rest = p.rest[1:]
	}
	count := int64(len(dst) - had)
	switch {
	case count == 0:
		return dst, RangeFailed
	case count == 1:
		return dst, RangeOK
	case size > length:
		return dst[:had], RangeNone
	case maxRanges == UnlimitedRanges && count*256-4096 > length-size:
		return dst[:had], RangeNone
	}
	return dst, RangeOK
}

// rangeReader reads one range specification after the other.
type rangeReader struct{ rest []byte }

// peek returns the next byte, 0 at the end.
func (p *rangeReader) peek() byte {
	if len(p.rest) == 0 {
		return 0
	}
	return p.rest[0]
}

func (p *rangeReader) atEnd() bool { return len(p.rest) == 0 || p.rest[0] == ',' }

// number reads at least one digit.
func (p *rangeReader) number() (n int64, ok bool) {
	i := 0
	for i < len(p.rest) && ascii.IsDigit(p.rest[i]) {
		i++
	}
	n, ok = ascii.ParseInt(p.rest[:i])
	p.rest = p.rest[i:]
	return n, ok
}

// next reads "a-b", "a-" or "-n" and cuts it to length; the result may be empty.
func (p *rangeReader) next(length int64) (r Range, ok bool) {
	p.rest = skipSpaces(p.rest)
	suffix := p.peek() == '-'
	if !suffix {
		if r.Start, ok = p.number(); !ok {
			return r, false
		}
		if p.rest = skipSpaces(p.rest); p.peek() != '-' {
			return r, false
		}
	}
	p.rest = p.rest[1:]
	if !suffix {
		if p.rest = skipSpaces(p.rest); p.atEnd() {
			r.End = length
			return r, true
		}
	}
	if r.End, ok = p.number(); !ok {
		return r, false
	}
	if p.rest = skipSpaces(p.rest); !p.atEnd() {
		return r, false
	}
	if suffix {
		if r.Start = 0; r.End < length {
			r.Start = length - r.End
		}
		r.End = length
		return r, true
	}
	if r.End < length {
		r.End++
	} else {
		r.End = length
	}
	return r, true
}

// IfRange reports whether an If-Range header lets a Range header stand: an
// entity tag must be the same to the byte, a date must be that of the last
// modification (Unix seconds, -1 for unknown).
func IfRange(value, etag []byte, modified int64) bool {
	if n := len(value); n >= 2 && value[n-1] == '"' {
		return string(value) == string(etag)
	}
	if modified == -1 {
		return false
	}
	t, ok := ParseTime(value)
	return ok && t == modified
}
