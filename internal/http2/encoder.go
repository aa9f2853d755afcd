package http2

import (
	"encoding/binary"
	"math/bits"

	"moongate/internal/base/ascii"
)

// Mode says what may become of a field in the peer's table.
type Mode uint8

// The modes.
const (
	// Indexed: the encoder decides. A field that comes a second time gets an entry.
	Indexed Mode = iota
	// Plain: not worth an entry (a length).
	Plain
	// Never: no entry, and intermediaries shall not make one either (a password).
	Never
)

// Encoder writes header blocks. It holds no memory until the first field that it may index.
type Encoder struct {
	t      table
	ix     *encoderIndex
	lowest int // what the table was shrunk to since the last block, -1: it was not
	scratch
}

type scratch struct{ name []byte }

// encoderIndex finds entries by what they hold; a slot says where to look, not that it is there.
type encoderIndex struct {
	slots [256]uint32 // numbers of entries, by hash of name and value, or of the name
	seen  [128]uint32 // hashes of fields that came once
}

// encoderTable is the largest table that we use, whatever the peer offers.
const encoderTable = 4096

// Init makes the encoder ready.
func (e *Encoder) Init() {
	e.t.init(DefaultTableSize)
	e.lowest = -1
}

// SetTableSize takes the peer's SETTINGS_HEADER_TABLE_SIZE.
func (e *Encoder) SetTableSize(n uint32) {
	size := int(min(n, encoderTable))
	if size == e.t.max {
		return
	}
	if e.lowest < 0 || size < e.lowest {
		e.lowest = size
	}
	e.t.resize(size)
}

// Begin is called at the beginning of each block: it tells the peer what its settings made of the table's size.
func (e *Encoder) Begin(dst []byte) []byte {
	if e.lowest < 0 {
		return dst
	}
	if e.lowest < e.t.max {
		dst = appendInteger(dst, 0x20, 0x1f, uint32(e.lowest))
	}
	dst = appendInteger(dst, 0x20, 0x1f, uint32(e.t.max))
	e.lowest = -1
	return dst
}

// AppendStatus appends ":status".
func (e *Encoder) AppendStatus(dst []byte, status int) []byte {
	switch status {
	case 200:
		return append(dst, 0x80|8)
	case 204:
		return append(dst, 0x80|9)
	case 206:
		return append(dst, 0x80|10)
	case 304:
		return append(dst, 0x80|11)
	case 400:
		return append(dst, 0x80|12)
	case 404:
		return append(dst, 0x80|13)
	case 500:
		return append(dst, 0x80|14)
	}
	var v [3]byte
	v[0], v[1], v[2] = byte('0'+status/100%10), byte('0'+status/10%10), byte('0'+status%10)
	return e.Append(dst, PStatus, nil, v[:], Indexed)
}

// Append appends a field whose name is at a place of the static table, or, with static 0, is name in any case.
func (e *Encoder) Append(dst []byte, static uint8, name, value []byte, mode Mode) []byte {
	if static == 0 {
		e.scratch.name = ascii.AppendLower(e.scratch.name[:0], name)
		name = e.scratch.name
		static = staticPlace(name)
	}
	if static != 0 {
		if i := staticMatch(static, value); i != 0 {
			return append(dst, 0x80|i)
		}
		name = staticTable[static].Name
	}
	if mode != Indexed || len(name)+len(value)+overhead > e.t.max/2 {
		lead := byte(0)
		if mode == Never {
			lead = 0x10
		}
		if static != 0 {
			dst = appendInteger(dst, lead, 0x0f, uint32(static))
		} else {
			dst = appendText(append(dst, lead), name)
		}
		return appendText(dst, value)
	}
	return e.appendIndexed(dst, static, name, value)
}

func (e *Encoder) appendIndexed(dst []byte, static uint8, name, value []byte) []byte {
	if e.ix == nil {
		e.ix = &encoderIndex{}
	}
	nameHash := hash(uint64(static), name[:0])
	if static == 0 {
		nameHash = hash(0, name)
	}
	h := hash(nameHash, value)
	slot := &e.ix.slots[h>>56]
	if n := *slot; n-e.t.first < e.t.next-e.t.first { // still there
		en := e.t.at(n)
		if en.static == static {
			if nm, v := e.t.bytes(en); string(v) == string(value) && (static != 0 || string(nm) == string(name)) {
				return appendInteger(dst, 0x80, 0x7f, staticLen+e.t.next-n)
			}
		}
	}
	ref := uint32(static)
	nameSlot := &e.ix.slots[nameHash>>56]
	if ref == 0 {
		if n := *nameSlot; n-e.t.first < e.t.next-e.t.first {
			if nm, _ := e.t.bytes(e.t.at(n)); string(nm) == string(name) {
				ref = staticLen + e.t.next - n
			}
		}
	}
	seen := &e.ix.seen[h>>40&127]
	again := *seen == uint32(h)|1
	*seen = uint32(h) | 1
	switch {
	case again && ref != 0:
		dst = appendInteger(dst, 0x40, 0x3f, ref)
	case again:
		dst = appendText(append(dst, 0x40), name)
	case ref != 0:
		dst = appendInteger(dst, 0, 0x0f, ref)
	default:
		dst = appendText(append(dst, 0), name)
	}
	if again {
		if n := e.t.add(&Field{Name: name, Value: value, Static: static}); n != 0 {
			*slot = n
			if static == 0 {
				*nameSlot = n
			}
		}
	}
	return appendText(dst, value)
}

// appendText appends a string, in the Huffman code where that is shorter.
func appendText(dst, s []byte) []byte {
	if n := HuffmanLen(s); n < len(s) {
		return AppendHuffman(appendInteger(dst, 0x80, 0x7f, uint32(n)), s)
	}
	return append(appendInteger(dst, 0, 0x7f, uint32(len(s))), s...)
}

func appendInteger(dst []byte, lead, mask byte, v uint32) []byte {
	if v < uint32(mask) {
		return append(dst, lead|byte(v))
	}
	dst = append(dst, lead|mask)
	for v -= uint32(mask); v >= 0x80; v >>= 7 {
		dst = append(dst, byte(v)|0x80)
	}
	return append(dst, byte(v))
}

const hashFactor = 0x9e3779b97f4a7c15

// hash mixes p into h; the upper bits are the good ones.
func hash(h uint64, p []byte) uint64 {
	h = (h ^ uint64(len(p))) * hashFactor
	for len(p) >= 8 {
		h = (bits.RotateLeft64(h, 29) ^ binary.LittleEndian.Uint64(p)) * hashFactor
		p = p[8:]
	}
	if len(p) > 0 {
		var w uint64
		for i, c := range p {
			w |= uint64(c) << (8 * i)
		}
		h = (bits.RotateLeft64(h, 29) ^ w) * hashFactor
	}
	return h ^ h>>32
}
