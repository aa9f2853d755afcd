package http1

import "moongate/internal/base/ascii"

// ChunkState is the outcome of Chunked.Next.
type ChunkState uint8

const (
	ChunkMore ChunkState = iota // all bytes were taken, more are needed
	ChunkData                   // a piece of the body; call again with the rest
	ChunkDone                   // the body is complete
	// ChunkInvalid means a malformed body; nginx logs "client sent invalid
	// chunked body" and answers 400.
	ChunkInvalid
	// ChunkTooLarge means that an extension or the trailers exceed the limits.
	ChunkTooLarge
)

// Limits of what a chunked body may carry beside its data, unless set otherwise.
const (
	DefaultMaxChunkExtension = 4096
	DefaultMaxTrailer        = 32 << 10
)

// Chunked decodes the chunked transfer coding (RFC 9112 7.1). It is strict: a
// size is one to sixteen hexadecimal digits fitting 63 bits, every line ends in CR LF,
// nothing is skipped. The zero value is ready.
type Chunked struct {
	// MaxExtension bounds the bytes after the size of one chunk, MaxTrailer
	// those of the trailer section; 0 means the default.
	MaxExtension int
	MaxTrailer   int
	// KeepTrailers collects the trailer fields in Trailers; otherwise they are
	// only passed over.
	KeepTrailers bool
	// Trailers is valid after ChunkDone and until Reset; its bytes belong to
	// the decoder. Invalid names are left out.
	Trailers Headers

	state   uint8
	size    int64 // bytes of the current chunk still to come
	extra   int   // bytes of the extension or trailer seen
	trailer []byte
}

// States of Chunked.
const (
	cStart = iota
	cSize
	cExtension
	cExtensionLF
	cData
	cAfterData
	cAfterDataLF
	cLastExtension
	cLastExtensionLF
	cTrailer
	cTrailerLF
	cTrailerLine
	cTrailerLineLF
	cDone
	cFailed
)

// Reset prepares for the next body and keeps memory and limits.
func (d *Chunked) Reset() {
	d.Trailers.Reset()
	d.state, d.size, d.extra = cStart, 0, 0
	d.trailer = d.trailer[:0]
}

// Next takes bytes from buf: n of them, the last of which are the piece of the
// body in data, a slice of buf. With ChunkData there may be more in buf[n:];
// with ChunkDone what follows the body begins there.
func (d *Chunked) Next(buf []byte) (data []byte, n int, st ChunkState) {
	switch d.state {
	case cDone:
		return nil, 0, ChunkDone
	case cFailed:
		return nil, 0, ChunkInvalid
	}
	for n < len(buf) {
		if d.state == cData {
			size := len(buf) - n
			if int64(size) >= d.size {
				size = int(d.size)
				d.state = cAfterData
			}
			d.size -= int64(size)
			return buf[n : n+size : n+size], n + size, ChunkData
		}
		st = d.step(buf[n])
		n++
		if st != ChunkMore {
			return nil, n, st
		}
	}
	return nil, n, ChunkMore
}

// fail makes every further call fail, too.
func (d *Chunked) fail(st ChunkState) ChunkState {
	d.state = cFailed
	return st
}

// want moves to the next state if c is the byte expected.
func (d *Chunked) want(c, expected byte, next uint8) ChunkState {
	if c != expected {
		return d.fail(ChunkInvalid)
	}
	d.state = next
	return ChunkMore
}

// step takes one byte outside the data.
func (d *Chunked) step(c byte) ChunkState {
	switch d.state {
	case cStart, cSize:
		return d.stepSize(c)
	case cExtension, cLastExtension:
		return d.stepExtension(c)
	case cExtensionLF:
		return d.want(c, '\n', cData)
	case cAfterData:
		return d.want(c, '\r', cAfterDataLF)
	case cAfterDataLF:
		return d.want(c, '\n', cStart)
	case cLastExtensionLF:
		return d.want(c, '\n', cTrailer)
	}
	return d.stepTrailer(c)
}

// maxChunk leaves room for what follows a chunk, so that sums of sizes do not overflow.
const maxChunk = 1<<63 - 1 - 1<<8

func (d *Chunked) stepSize(c byte) ChunkState {
	if v, ok := ascii.Hex(c); ok {
		if d.state == cStart {
			d.size, d.extra = 0, 0
			d.state = cSize
		}
		// Sixteen digits hold any size; more are zeros meant to waste time.
		if d.extra++; d.extra > 16 || d.size > maxChunk>>4 {
			return d.fail(ChunkInvalid)
		}
		d.size = d.size<<4 | int64(v)
		return ChunkMore
	}
	if d.state == cStart {
		return d.fail(ChunkInvalid)
	}
	d.extra = 0
	last := d.size == 0
	switch {
	case c == '\r' && last:
		d.state = cLastExtensionLF
	case c == '\r':
		d.state = cExtensionLF
	case c != ';' && c != ' ' && c != '\t':
		return d.fail(ChunkInvalid)
	case last:
		d.state = cLastExtension
	default:
		d.state = cExtension
	}
	return ChunkMore
}

func (d *Chunked) stepExtension(c byte) ChunkState {
	switch c {
	case '\r':
		d.extra = 0
		d.state++
	case '\n':
		return d.fail(ChunkInvalid)
	default:
		if d.extra++; d.extra > limit(d.MaxExtension, DefaultMaxChunkExtension) {
			return d.fail(ChunkTooLarge)
		}
	}
	return ChunkMore
}

func limit(set, standard int) int {
	if set == 0 {
		return standard
	}
	return set
}

func (d *Chunked) stepTrailer(c byte) ChunkState {
	if d.extra++; d.extra > limit(d.MaxTrailer, DefaultMaxTrailer) {
		return d.fail(ChunkTooLarge)
	}
	if d.KeepTrailers {
		d.trailer = append(d.trailer, c)
	}
	switch d.state {
	case cTrailer, cTrailerLine:
		switch {
		case c == '\n':
			return d.fail(ChunkInvalid)
		case c != '\r':
			d.state = cTrailerLine
		case d.state == cTrailer:
			d.state = cTrailerLF
		default:
			d.state = cTrailerLineLF
		}
	case cTrailerLineLF:
		return d.want(c, '\n', cTrailer)
	case cTrailerLF:
		if c != '\n' {
			return d.fail(ChunkInvalid)
		}
		if d.KeepTrailers && !d.parseTrailers() {
			return d.fail(ChunkInvalid)
		}
		d.state = cDone
		return ChunkDone
	}
	return ChunkMore
}

// parseTrailers turns the collected bytes into Trailers.
func (d *Chunked) parseTrailers() bool {
	var s lineScanner
	for at := 0; ; {
		next, result := s.line(d.trailer, at, true, false)
		switch result {
		case lineEnd:
			return next == len(d.trailer)
		case lineOK:
			if !s.invalid {
				d.Trailers.push(d.trailer, &s)
			}
		default:
			return false
		}
		at = next
	}
}

// Left is how much of the chunk that has begun is still to come.
func (d *Chunked) Left() int64 {
	if d.state == cSize || d.state == cExtension || d.state == cExtensionLF || d.state == cData {
		return d.size
	}
	return 0
}

// ChunkEnd follows the data of a chunk.
const ChunkEnd = "\r\n"

// LastChunk ends a body without trailers.
const LastChunk = "0\r\n\r\n"

// MaxChunkHeader is the most AppendChunkHeader appends.
const MaxChunkHeader = 18

// AppendChunkHeader appends the line that precedes size bytes of data; size
// must not be 0, which would end the body.
func AppendChunkHeader(dst []byte, size int64) []byte {
	return append(ascii.AppendHex(dst, uint64(size)), '\r', '\n')
}

// AppendLastChunk appends the end of a body with trailer fields.
func AppendLastChunk(dst []byte, trailers []Header) []byte {
	dst = append(dst, '0', '\r', '\n')
	for i := range trailers {
		dst = AppendHeader(dst, trailers[i].Name, trailers[i].Value)
	}
	return append(dst, '\r', '\n')
}
