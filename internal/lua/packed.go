package lua

import (
	"encoding/binary"
	"fmt"
	"iter"
	"math"
	"strconv"

	"moongate/internal/luajit"
)

// Value is a value inside a Packed table.
type Value struct {
	Type Type
	num  float64
	b    []byte // bytes of a string, entries of a table
}

// Num is a number, 0 when the value is none; numeric strings count.
func (v Value) Num() float64 {
	if v.Type == Str {
		n, _ := parseNum(v.b)
		return n
	}
	return v.num
}

// Int is Num, truncated.
func (v Value) Int() int { return int(v.Num()) }

// Bool is the value as a condition.
func (v Value) Bool() bool { return v.Type != Nil && v.Type != None && (v.Type != Bool || v.num != 0) }

// IsNil says that the value is nil or missing.
func (v Value) IsNil() bool { return v.Type == Nil || v.Type == None }

// IsNull says that the value is ngx.null.
func (v Value) IsNull() bool { return v.Type == LightUserdata && v.num == 0 }

// Str is the bytes of a string, nil when it is none; valid as long as the call.
func (v Value) Str() []byte {
	if v.Type != Str {
		return nil
	}
	return v.b
}

// Text is the bytes of a string, or a number as Lua writes it; nil for anything else.
func (v Value) Text() []byte {
	if v.Type == Number {
		return AppendNumber(nil, v.num)
	}
	return v.Str()
}

// AppendNumber appends a number as Lua's tostring writes it (%.14g).
func AppendNumber(dst []byte, n float64) []byte {
	if i := int64(n); float64(i) == n && i > -1e14 && i < 1e14 {
		return strconv.AppendInt(dst, i, 10)
	}
	switch {
	case math.IsNaN(n):
		return append(dst, "nan"...)
	case math.IsInf(n, 1):
		return append(dst, "inf"...)
	case math.IsInf(n, -1):
		return append(dst, "-inf"...)
	}
	return fmt.Appendf(dst, "%.14g", n)
}

// String is a copy of a string.
func (v Value) String() string { return string(v.Str()) }

// Table is the table, empty when it is none.
func (v Value) Table() Packed {
	if v.Type != Table {
		return Packed{}
	}
	return Packed{b: v.b, n: int(v.num)}
}

// Packed is a Lua table read in one piece (Call.Pack).
type Packed struct {
	b []byte
	n int
}

// Len is what Lua's # operator gave.
func (p Packed) Len() int { return p.n }

// Pairs walks the table in the order of Lua's pairs.
func (p Packed) Pairs() iter.Seq2[Value, Value] {
	return func(yield func(k, v Value) bool) {
		b := p.b
		for len(b) > 0 && b[0] == luajit.TagKey {
			k, n := readValue(b[1:])
			b = b[1+n:]
			v, n := readValue(b)
			b = b[n:]
			if !yield(k, v) {
				return
			}
		}
	}
}

// Get is the field with a string key, of type None when it is missing.
func (p Packed) Get(key string) Value {
	for k, v := range p.Pairs() {
		if k.Type == Str && string(k.b) == key {
			return v
		}
	}
	return Value{Type: None}
}

// Index is the element with an integer key, of type None when it is missing.
func (p Packed) Index(i int) Value {
	for k, v := range p.Pairs() {
		if k.Type == Number && k.num == float64(i) {
			return v
		}
	}
	return Value{Type: None}
}

// readValue decodes the value at the front and tells its size.
func readValue(b []byte) (Value, int) {
	switch b[0] {
	case luajit.TagFalse:
		return Value{Type: Bool}, 1
	case luajit.TagTrue:
		return Value{Type: Bool, num: 1}, 1
	case luajit.TagNum:
		return Value{Type: Number, num: math.Float64frombits(binary.LittleEndian.Uint64(b[1:]))}, 9
	case luajit.TagLight:
		return Value{Type: LightUserdata, num: float64(binary.LittleEndian.Uint64(b[1:]))}, 9
	case luajit.TagStr:
		n := int(binary.LittleEndian.Uint32(b[1:]))
		return Value{Type: Str, b: b[5 : 5+n]}, 5 + n
	case luajit.TagOpaque:
		return Value{Type: Type(b[1])}, 2
	case luajit.TagTable: // its second number is the size of its entries here
		n := 9 + int(binary.LittleEndian.Uint32(b[5:]))
		return Value{Type: Table, num: float64(binary.LittleEndian.Uint32(b[1:])), b: b[9 : n-1]}, n
	}
	return Value{Type: Nil}, 1
}
