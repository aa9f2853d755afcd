package http2

import "math/bits"

// codeLengths are the lengths of the Huffman codes of RFC 7541 appendix B, in bits. The code is canonical: the lengths say
// all. The last one is EOS.
var codeLengths = [257]uint8{
	13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
	6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
	13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
	15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
	20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
	22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
	26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
	20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
	30,
}

const (
	eos     = 256
	maxCode = 30 // bits
	// firstBits is the width of the table that finds the common symbols, all of at most 8 bits, with one look.
	firstBits = 8
)

// huffman is what is made of codeLengths.
type huffman struct {
	code [257]uint32
	// first finds a symbol by the next 8 bits: length<<8 | symbol, 0 when the code is longer.
	first [1 << firstBits]uint16
	// Of the codes of n bits: the first one, aligned to the left of 32 bits; its place in symbols.
	start  [maxCode + 2]uint32
	place  [maxCode + 2]uint16
	symbol [257]uint16
}

var huff = makeHuffman()

func makeHuffman() (h huffman) {
	code, at := uint32(0), 0
	for n := 1; n <= maxCode; n++ {
		code <<= 1
		h.start[n], h.place[n] = code<<(32-n), uint16(at)
		for sym, l := range codeLengths {
			if int(l) != n {
				continue
			}
			h.code[sym], h.symbol[at] = code, uint16(sym)
			if n <= firstBits {
				for i := range 1 << (firstBits - n) {
					h.first[code<<(firstBits-n)|uint32(i)] = uint16(n)<<8 | uint16(sym)
				}
			}
			code++
			at++
		}
	}
	h.start[maxCode+1] = 1<<32 - 1
	return h
}

// long finds a symbol by its code of more than 8 bits at the left of w.
func (h *huffman) long(w uint32) (sym uint16, n int) {
	n = firstBits + 1
	for n < maxCode && h.start[n+1] <= w {
		n++
	}
	return h.symbol[int(h.place[n])+int((w-h.start[n])>>(32-n))], n
}

// AppendHuffman appends src in the Huffman code.
func AppendHuffman(dst, src []byte) []byte {
	var acc uint64
	n := uint(0)
	for _, c := range src {
		l := uint(codeLengths[c])
		acc = acc<<l | uint64(huff.code[c])
		if n += l; n >= 32 {
			n -= 32
			w := uint32(acc >> n)
			dst = append(dst, byte(w>>24), byte(w>>16), byte(w>>8), byte(w))
		}
	}
	for n >= 8 {
		n -= 8
		dst = append(dst, byte(acc>>n))
	}
	if n > 0 { // padded with the beginning of EOS: ones
		dst = append(dst, byte(acc<<(8-n))|byte(0xff>>n))
	}
	return dst
}

// HuffmanLen is the size of src in the Huffman code.
func HuffmanLen(src []byte) int {
	n := 0
	for _, c := range src {
		n += int(codeLengths[c])
	}
	return (n + 7) / 8
}

// maxDecoded is the most bytes that n bytes in the Huffman code can be.
func maxDecoded(n int) int { return n*8/5 + 1 }

// appendDecoded appends what src is in the Huffman code; dst has room for maxDecoded bytes. false: it is no such thing.
func appendDecoded(dst, src []byte) ([]byte, bool) {
	var acc uint64 // the next bits, at the left
	n := 0         // as many
	at := len(dst)
	out := dst[:cap(dst)]
	for {
		for n <= 56 && len(src) > 0 {
			acc |= uint64(src[0]) << (56 - n)
			src = src[1:]
			n += 8
		}
		if n < firstBits {
			break
		}
		e := huff.first[acc>>(64-firstBits)]
		for e != 0 && n >= firstBits {
			out[at] = byte(e)
			at++
			acc <<= e >> 8
			n -= int(e >> 8)
			e = huff.first[acc>>(64-firstBits)]
		}
		if n < firstBits {
			continue
		}
		if e == 0 {
			sym, l := huff.long(uint32(acc >> 32))
			if l > n {
				if len(src) == 0 {
					break
				}
				continue
			}
			if sym == eos {
				return dst, false
			}
			out[at] = byte(sym)
			at++
			acc <<= l
			n -= l
		}
	}
	// What is left: a symbol of fewer than 8 bits, then padding of ones; a whole byte of it is one too many, but nginx takes
	// that, and so there are clients that send it.
	for n > 0 {
		e := huff.first[acc>>(64-firstBits)]
		if l := int(e >> 8); e != 0 && l <= n {
			out[at] = byte(e)
			at++
			acc <<= l
			n -= l
			continue
		}
		break
	}
	if n > 8 || n > 0 && bits.LeadingZeros64(^acc) < n {
		return dst, false
	}
	return out[:at], true
}
