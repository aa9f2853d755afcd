package setvar

import (
	"bytes"
	crand "crypto/rand"
	"encoding/binary"

	"moongate/internal/engine"
)

// arrayMark begins the value of a variable that holds an array. Nobody outside can know it, so that no text is taken for
// an array.
var arrayMark = func() []byte {
	b := make([]byte, 16)
	crand.Read(b)
	return b
}()

// Array makes the value of a variable of several; r may be nil.
func Array(r *engine.Request, items [][]byte) []byte {
	size := len(arrayMark) + binary.MaxVarintLen64*(1+len(items))
	for _, it := range items {
		size += len(it)
	}
	b := append(alloc(r, size)[:0], arrayMark...)
	b = binary.AppendUvarint(b, uint64(len(items)))
	for _, it := range items {
		b = append(binary.AppendUvarint(b, uint64(len(it))), it...)
	}
	return b
}

// Items gives what Array was made of; ok is false when value is no array.
func Items(value []byte) (items [][]byte, ok bool) {
	rest, ok := bytes.CutPrefix(value, arrayMark)
	if !ok {
		return nil, false
	}
	n, k := binary.Uvarint(rest)
	rest = rest[k:]
	items = make([][]byte, n)
	for i := range items {
		size, k := binary.Uvarint(rest)
		items[i] = rest[k : k+int(size)]
		rest = rest[k+int(size):]
	}
	return items, true
}
