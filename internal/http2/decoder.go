package http2

import "bytes"

// Field is a field of a message, or a pseudo header.
type Field struct {
	Name, Value []byte
	Static      uint8 // first place of the name in the static table, 0 when it is not there
	Faults      Faults
}

// Pseudo reports whether the name begins with a colon.
func (f *Field) Pseudo() bool { return f.Name[0] == ':' }

// Limits bound what a Block takes.
type Limits struct {
	String int // of a name or value as it is encoded
	Total  int // names and values together
	Count  int // fields that are kept; the others are counted
}

// Block is where a header block's fields go.
type Block struct {
	List    []Field
	Dropped int // fields beyond Limits.Count
	Size    int // of all names and values
	mem     []byte
}

// keepBlock is how much memory a Block keeps from one use to the next.
const keepBlock = 8 << 10

// Reset forgets the fields.
func (b *Block) Reset() {
	if cap(b.mem) > keepBlock {
		b.mem = nil
	}
	if cap(b.List) > keepBlock/64 {
		b.List = nil
	}
	b.List, b.mem, b.Dropped, b.Size = b.List[:0], b.mem[:0], 0, 0
}

// room makes sure that n bytes can be appended to mem. What was there keeps its place.
func (b *Block) room(n int) {
	if cap(b.mem)-len(b.mem) < n {
		b.mem = make([]byte, 0, max(1024, 2*cap(b.mem), n))
	}
}

// Keep copies p into the Block's memory.
func (b *Block) Keep(p []byte) []byte {
	b.room(len(p))
	at := len(b.mem)
	b.mem = append(b.mem, p...)
	return b.mem[at:len(b.mem):len(b.mem)]
}

// Memory gives n bytes of the Block's memory.
func (b *Block) Memory(n int) []byte {
	b.room(n)
	at := len(b.mem)
	b.mem = b.mem[:at+n]
	return b.mem[at : at+n : at+n]
}

// Decoder reads header blocks.
type Decoder struct {
	t     table
	limit int   // of the table, as we announced
	junk  Block // takes what nobody wants but the table
}

// Init makes the decoder ready; size is what we announce (or do not: DefaultTableSize) as SETTINGS_HEADER_TABLE_SIZE.
func (d *Decoder) Init(size int) {
	d.limit = min(size, maxTable)
	d.t.init(d.limit)
}

var (
	errIndexLong  = &Error{CompressionError, "sent header block with too long header index value"}
	errUpdateLong = &Error{CompressionError, "sent header block with too long size update value"}
	errLengthLong = &Error{CompressionError, "sent header field with too long length value"}
	errBlockShort = &Error{CompressionError, "sent header block with incorrect length"}
	errIntShort   = &Error{FrameSizeError, "sent header block with incorrect length"} // nginx's code
	errFieldShort = &Error{CompressionError, "sent header field with incorrect length"}
	errHuffman    = &Error{CompressionError, "sent invalid encoded header field"}
	errNoName     = &Error{ProtocolError, "sent zero header name length"}
	errUpdateLate = &Error{CompressionError, "sent header block with a table size update after a field"}
	errString     = &Error{EnhanceYourCalm, "sent too large header field"}
	errTotal      = &Error{EnhanceYourCalm, "sent too large header"}
)

// Decode reads a complete header block. With b nil the block only changes the table. The Block is appended to: its owner
// has Reset it. An error is a *Error and makes the connection unusable.
func (d *Decoder) Decode(b *Block, p []byte, l *Limits) error {
	size, fields := 0, false
	for len(p) > 0 {
		var f Field
		var err error
		add := false
		switch c := p[0]; {
		case c >= 0x80:
			var i uint32
			if i, p, err = integer(p, 0x7f, errIndexLong); err != nil {
				return err
			}
			if f, err = d.indexed(i, b); err != nil {
				return err
			}
		case c >= 0x40:
			add = true
			f, p, err = d.literal(p, 0x3f, b, l)
		case c >= 0x20:
			if fields {
				return errUpdateLate
			}
			var n uint32
			if n, p, err = integer(p, 0x1f, errUpdateLong); err != nil {
				return err
			}
			if int(n) > d.limit {
				return errorf(CompressionError, "sent invalid table size update: %d", n)
			}
			d.t.resize(int(n))
			continue
		default:
			f, p, err = d.literal(p, 0x0f, b, l)
			if c >= 0x10 {
				f.Faults |= Sensitive
			}
		}
		if err != nil {
			return err
		}
		fields = true
		if size += len(f.Name) + len(f.Value); size > l.Total {
			return errTotal
		}
		if add {
			d.t.add(&f)
		}
		if b == nil {
			continue
		}
		b.Size += len(f.Name) + len(f.Value)
		if len(b.List) < l.Count {
			b.List = append(b.List, f)
		} else {
			b.Dropped++
		}
	}
	return nil
}

// indexed is the field at a place of the tables; of the dynamic one its bytes are copied, as it may be gone soon.
func (d *Decoder) indexed(i uint32, b *Block) (Field, error) {
	if i-1 < staticLen {
		return staticTable[i], nil
	}
	n := d.t.next - (i - staticLen)
	if i == 0 || i-staticLen > uint32(d.t.len()) {
		return Field{}, errorf(CompressionError, "sent invalid hpack table index %d", i)
	}
	e := d.t.at(n)
	name, value := d.t.bytes(e)
	f := Field{Name: name, Value: value, Static: e.static, Faults: e.flags}
	if b != nil {
		if len(value) >= largeValue {
			if f.Value = b.find(value); f.Value != nil {
				value = nil
			}
		}
		b.room(len(name) + len(value))
		if f.Static != 0 {
			f.Name = staticTable[f.Static].Name
		} else {
			f.Name = b.Keep(name)
		}
		if value != nil {
			f.Value = b.Keep(value)
		}
	}
	return f, nil
}

// largeValue is the length from which a value of the table is kept once for a Block, however often one byte names it.
const largeValue = 256

// find gives the copy of a large value that the Block has already.
func (b *Block) find(value []byte) []byte {
	for i := range b.List {
		if v := b.List[i].Value; len(v) == len(value) && bytes.Equal(v, value) {
			return v
		}
	}
	return nil
}

// Weight is about how many bytes of memory the fields take, with what is made of them.
func (b *Block) Weight() int { return b.Size + len(b.List)*fieldWeight }

const fieldWeight = 128

// literal reads a field whose value, and perhaps name, is spelt out.
func (d *Decoder) literal(p []byte, mask byte, b *Block, l *Limits) (f Field, rest []byte, err error) {
	i, p, err := integer(p, mask, errIndexLong)
	if err != nil {
		return f, p, err
	}
	if b == nil { // the bytes are needed for the table all the same
		b = &d.junk
		b.Reset()
	}
	if i > 0 {
		if f, err = d.indexed(i, b); err != nil {
			return f, p, err
		}
		f.Faults &^= BadValue | Sensitive
	} else {
		if f.Name, p, err = text(p, b, l); err != nil {
			return f, p, err
		}
		if len(f.Name) == 0 {
			return f, p, errNoName
		}
		f.Static = staticPlace(f.Name)
		if f.Static == 0 {
			f.Faults = checkName(f.Name)
		}
	}
	if f.Value, p, err = text(p, b, l); err != nil {
		return f, p, err
	}
	if !ValidValue(f.Value) {
		f.Faults |= BadValue
	}
	return f, p, nil
}

// text reads a string into the Block's memory.
func text(p []byte, b *Block, l *Limits) (s, rest []byte, err error) {
	if len(p) == 0 {
		return nil, p, errBlockShort
	}
	coded := p[0] >= 0x80
	n, p, err := integer(p, 0x7f, errLengthLong)
	if err != nil {
		return nil, p, err
	}
	if int(n) > l.String {
		return nil, p, errString
	}
	if int(n) > len(p) {
		return nil, p, errFieldShort
	}
	src := p[:n]
	if !coded {
		return b.Keep(src), p[n:], nil
	}
	b.room(maxDecoded(len(src)))
	at := len(b.mem)
	mem, ok := appendDecoded(b.mem, src)
	if !ok {
		return nil, p, errHuffman
	}
	b.mem = mem
	return mem[at:len(mem):len(mem)], p[n:], nil
}

// maxInteger is the number of bytes that an integer may have, as in nginx.
const maxInteger = 4

// integer reads an integer whose prefix has the bits of mask (RFC 7541 5.1).
func integer(p []byte, mask byte, long *Error) (uint32, []byte, error) {
	v := uint32(p[0] & mask)
	if v != uint32(mask) {
		return v, p[1:], nil
	}
	for i := 1; i < maxInteger; i++ {
		if i >= len(p) {
			return 0, p, errIntShort
		}
		c := p[i]
		v += uint32(c&0x7f) << (7 * (i - 1))
		if c < 0x80 {
			return v, p[i+1:], nil
		}
	}
	return 0, p, long
}
