package filecache

import (
	"bytes"
	"crypto/md5"
	"encoding/binary"
	"os"
	"syscall"

	"moongate/internal/base/ascii"
	"moongate/internal/http1"
)

// Meta is what a file's header says of the response. Times are seconds since the epoch.
type Meta struct {
	Valid        int64 // until when it is fresh; 0: not known
	UpdatingFor  int64 // how many seconds longer it may be used while it is updated
	ErrorFor     int64 // ... and when the server fails
	LastModified int64 // -1: none
	Date         int64
	ETag, Vary   []byte
	BodyStart    int
}

// The layout of a header; numbers have the order of the machine's bytes.
const (
	version = 5

	atVersion   = 0
	atValid     = 8
	atUpdating  = 16
	atError     = 24
	atModified  = 32
	atDate      = 40
	atCRC       = 48
	atMsec      = 52
	atKeyEnd    = 54 // where header and key end
	atBody      = 56
	atETagLen   = 58
	atETag      = 59
	atVaryLen   = 187
	atVary      = 188
	atVariant   = 316
	headerSize  = 336
	maxETag     = 128
	keyPrefix   = "\nKEY: "
	MaxVary     = 128
	maxPosition = 1<<16 - 1
)

// HeadStart is where the response's head begins in the file of a key.
func HeadStart(key []byte) int { return headerSize + len(keyPrefix) + len(key) + 1 }

// HeadStart is where the response's head begins in the file.
func (u *Use) HeadStart() int { return HeadStart(u.text) }

// Fits reports whether a head of n bytes can be kept.
func (u *Use) Fits(n int) bool { return u.HeadStart()+n <= min(maxPosition, u.room) }

// AppendHeader appends the header of the file that is to be made, for a head of n bytes; it chooses the variant. False:
// there is no room in the index. now is in seconds.
func (u *Use) AppendHeader(dst []byte, n int, now int64) ([]byte, bool) {
	u.BodyStart = u.HeadStart() + n
	if !u.mainKey(now) {
		return dst, false
	}
	from := len(dst)
	dst = append(dst, make([]byte, headerSize)...)
	u.fill(dst[from:])
	dst = append(append(dst, keyPrefix...), u.text...)
	return append(dst, '\n'), true
}

func (u *Use) fill(h []byte) {
	le := binary.NativeEndian
	le.PutUint64(h[atVersion:], version)
	le.PutUint64(h[atValid:], uint64(u.Valid))
	le.PutUint64(h[atUpdating:], uint64(u.UpdatingFor))
	le.PutUint64(h[atError:], uint64(u.ErrorFor))
	le.PutUint64(h[atModified:], uint64(u.LastModified))
	le.PutUint64(h[atDate:], uint64(u.Date))
	le.PutUint32(h[atCRC:], u.crc)
	le.PutUint16(h[atKeyEnd:], uint16(u.HeadStart()))
	le.PutUint16(h[atBody:], uint16(u.BodyStart))
	if len(u.ETag) <= maxETag {
		h[atETagLen] = byte(len(u.ETag))
		copy(h[atETag:], u.ETag)
	}
	if n := min(len(u.Vary), MaxVary); n > 0 {
		h[atVaryLen] = byte(n)
		copy(h[atVary:atVary+MaxVary], u.Vary)
		copy(h[atVariant:], u.variant[:])
	}
}

// Checked is what Check finds.
type Checked uint8

// The findings.
const (
	Good   Checked = iota
	Bad            // not to be used: Problem says why
	Reopen         // another variant: Find again
)

// Problem is why a file is not to be used, in the words of nginx, where %s is its name; Minor ones are not worth more than
// a line of information.
type Problem struct {
	Text  string
	Minor bool
}

// Check looks at the beginning of the file, Start bytes or less; uniq, size and sectors are what stat tells of it (sectors only
// of a cache that is Cold). What it finds goes to Meta, as slices of in. fields are the request's.
func (u *Use) Check(in []byte, uniq uint64, size, sectors int64, fields []http1.Header) (Checked, Problem) {
	bad := func(text string) (Checked, Problem) { return Bad, Problem{Text: text} }
	le := binary.NativeEndian
	head := u.HeadStart()
	switch {
	case len(in) < head:
		return bad("cache file \"%s\" is too small")
	case le.Uint64(in[atVersion:]) != version:
		return Bad, Problem{"cache file \"%s\" version mismatch", true}
	case le.Uint32(in[atCRC:]) != u.crc || int(le.Uint16(in[atKeyEnd:])) != head, !bytes.Equal(in[headerSize+len(keyPrefix):head-1], u.text):
		return bad("cache file \"%s\" has md5 collision")
	}
	body, etag, vary := int(le.Uint16(in[atBody:])), int(in[atETagLen]), int(in[atVaryLen])
	switch {
	case body > len(in) || body < head:
		return bad("cache file \"%s\" has too long header")
	case vary > MaxVary || etag > maxETag:
		return bad("cache file \"%s\" has incorrect vary length")
	}
	if vary > 0 {
		u.variant = u.variantOf(in[atVary:atVary+vary], fields)
		if !bytes.Equal(u.variant[:], in[atVariant:atVariant+keySize]) {
			if !u.reopen() {
				return bad("cache file \"%s\" has incorrect vary hash")
			}
			return Reopen, Problem{}
		}
	}
	u.Meta = Meta{
		Valid: int64(le.Uint64(in[atValid:])), UpdatingFor: int64(le.Uint64(in[atUpdating:])), ErrorFor: int64(le.Uint64(in[atError:])),
		LastModified: int64(le.Uint64(in[atModified:])), Date: int64(le.Uint64(in[atDate:])),
		ETag: in[atETag : atETag+etag], Vary: in[atVary : atVary+vary], BodyStart: body,
	}
	u.uniq, u.length, u.blocks = uniq, size, u.cache.blocks(sectors)
	return Good, Problem{}
}

// Later adds seconds to a time without overflow.
func Later(t, seconds int64) int64 {
	if seconds > 1<<62-t {
		return 1 << 62
	}
	return t + seconds
}

// UpdateHeader writes Meta to the file that Opened was told of, unless that has been replaced. call says what failed with
// err.
func (u *Use) UpdateHeader() (call string, err error) {
	name := string(u.Name(nil))
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		if os.IsNotExist(err) {
			return "", nil
		}
		return "open() \"" + name + "\"", err
	}
	defer f.Close()
	var st syscall.Stat_t
	if err := syscall.Fstat(int(f.Fd()), &st); err != nil {
		return "fstat() \"" + name + "\"", err
	}
	if st.Ino != u.uniq || st.Size != u.length {
		return "", nil
	}
	h := make([]byte, headerSize)
	if _, err := f.ReadAt(h, 0); err != nil {
		return "pread() \"" + name + "\"", err
	}
	le := binary.NativeEndian
	if le.Uint64(h) != version || int64(le.Uint64(h[atModified:])) != u.LastModified || le.Uint32(h[atCRC:]) != u.crc ||
		int(le.Uint16(h[atKeyEnd:])) != u.HeadStart() || int(le.Uint16(h[atBody:])) != u.BodyStart {
		return "", nil
	}
	clear(h)
	u.fill(h)
	if _, err := f.WriteAt(h, 0); err != nil {
		return "pwrite() \"" + name + "\"", err
	}
	return "", nil
}

// variantOf is the key of what the request's fields, of those that vary names, select.
func (u *Use) variantOf(vary []byte, fields []http1.Header) Key {
	var room [512]byte
	b := append(room[:0], u.main[:]...)
	for {
		var name []byte
		name, vary = word(vary)
		if len(name) == 0 {
			return md5.Sum(b)
		}
		at := len(b)
		b = ascii.AppendLower(b, name)
		name = b[at:]
		b = append(b, ':')
		b = appendValues(b, name, fields)
		b = append(b, '\r', '\n')
	}
}

// appendValues appends the values of a field; of those that are lists without spaces the same list is the same value.
func appendValues(b, name []byte, fields []http1.Header) []byte {
	list := string(name) == "accept-charset" || string(name) == "accept-encoding" || string(name) == "accept-language"
	more := false
	n := len(name)
	at := len(b) - n - 1 // b may move: name is a part of it
	for i := range fields {
		h := &fields[i]
		if len(h.Name) != n || !ascii.EqualFold(h.Name, b[at:at+n]) {
			continue
		}
		for v := h.Value; ; {
			w := v
			if list {
				if w, v = word(v); len(w) == 0 {
					break
				}
			}
			if more {
				b = append(b, ',')
			}
			b = append(b, w...)
			more = true
			if !list {
				break
			}
		}
	}
	return b
}

// word cuts the first word off a list.
func word(v []byte) (w, rest []byte) {
	for len(v) > 0 && (v[0] == ' ' || v[0] == ',') {
		v = v[1:]
	}
	n := 0
	for n < len(v) && v[n] != ' ' && v[n] != ',' {
		n++
	}
	return v[:n], v[n:]
}
