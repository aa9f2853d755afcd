package charset

import (
	"strconv"

	"moongate/internal/engine"
	"moongate/internal/http1"
)

var (
	slot       = engine.NewSlot()
	workerSlot = engine.NewWorkerSlot()
)

// state is a response that is recoded. It is the worker's, lent to the response.
type state struct {
	table *table
	dst   wanted
	part  [maxUTF8]byte // the beginning of a character that the last piece ended in
	n     int
	out   []byte
	w     *engine.Worker
	end   func()
	next  *state
}

func begin(r *engine.Request, t *table, dst wanted) {
	s, _ := r.W.Values[workerSlot].(*state)
	if s == nil {
		s = &state{w: r.W}
		s.end = s.release
	} else {
		r.W.Values[workerSlot] = s.next
		s.next = nil
	}
	r.Cleanup(s.end)
	s.table, s.dst, s.n = t, dst, 0
	r.SetCtx(slot, s)
	if t.bytes == nil && r.IsMain() {
		r.Out.ContentLength = -1
		r.DelHeaderOut(http1.HContentLength)
	}
	r.UseOwnBody()
}

// keptOut is the size up to which a state keeps its memory.
const keptOut = 64 << 10

func (s *state) release() {
	if cap(s.out) > keptOut {
		s.out = nil
	}
	s.table, s.dst = nil, wanted{}
	s.next, _ = s.w.Values[workerSlot].(*state)
	s.w.Values[workerSlot] = s
}

func recode(r *engine.Request, c *engine.Chunk) error {
	s, _ := r.Ctx(slot).(*state)
	if s == nil || len(c.Data) == 0 {
		return r.Next(c)
	}
	s.out = s.out[:0]
	same := 0 // bytes at the beginning that stay what they are
	switch t := s.table; {
	case t.bytes != nil:
		for same < len(c.Data) && t.bytes[c.Data[same]] == c.Data[same] {
			same++
		}
		if same < len(c.Data) {
			s.out = append(s.out, c.Data...)
			for i := same; i < len(s.out); i++ {
				s.out[i] = t.bytes[s.out[i]]
			}
		}
	case t.to != nil:
		for same < len(c.Data) && len(t.to[c.Data[same]]) == 1 && t.to[c.Data[same]][0] == c.Data[same] {
			same++
		}
		if same < len(c.Data) {
			s.out = append(s.out, c.Data[:same]...)
			for _, b := range c.Data[same:] {
				s.out = append(s.out, t.to[b]...)
			}
		}
	default:
		for s.n == 0 && same < len(c.Data) && c.Data[same] < 0x80 {
			same++
		}
		if same < len(c.Data) {
			s.out = append(s.out, c.Data[:same]...)
			s.fromUTF8(c.Data[same:])
		}
	}
	if same == len(c.Data) {
		return r.Next(c)
	}
	if len(s.out) == 0 && !c.Flush && !c.Last {
		return nil
	}
	c.Data = s.out
	return r.Next(c)
}

// fromUTF8 appends what UTF-8 becomes: what the character set lacks is written as a character reference of HTML, what is
// no UTF-8 as a question mark.
func (s *state) fromUTF8(p []byte) {
	for s.n > 0 && len(p) > 0 { // complete the character that was begun
		s.part[s.n] = p[0]
		s.n++
		p = p[1:]
		n, size := decode(s.part[:s.n])
		if n == incomplete {
			continue
		}
		s.put(n)
		rest := s.part
		from, to := size, s.n
		s.n = 0
		if from < to { // a byte that does not belong to it
			s.fromUTF8(rest[from:to])
		}
	}
	for len(p) > 0 {
		if p[0] < 0x80 {
			s.out = append(s.out, p[0])
			p = p[1:]
			continue
		}
		n, size := decode(p)
		if n == incomplete {
			s.n = copy(s.part[:], p)
			return
		}
		s.put(n)
		p = p[size:]
	}
}

func (s *state) put(n uint32) {
	if n > 0x10ffff {
		s.out = append(s.out, '?')
		return
	}
	if n < 0x10000 {
		if page := s.table.from[n>>8]; page != nil && page[n&0xff] != 0 {
			s.out = append(s.out, page[n&0xff])
			return
		}
	}
	s.out = append(strconv.AppendUint(append(s.out, "&#"...), uint64(n), 10), ';')
}

// maxUTF8 is the longest sequence.
const maxUTF8 = 4

// What decode gives for bytes that are no character.
const (
	invalid    = 0xffffffff
	incomplete = 0xfffffffe
)

// decode reads a character that begins with a byte from 0x80 on, and gives the number of bytes it took. As nginx does, it
// takes the byte that breaks a sequence for a part of it.
func decode(p []byte) (n uint32, size int) {
	var least uint32
	switch c := p[0]; {
	case c >= 0xf8 || c < 0xc2:
		return invalid, 1
	case c >= 0xf0:
		n, least, size = uint32(c&7), 0x10000, 4
	case c >= 0xe0:
		n, least, size = uint32(c&15), 0x800, 3
	default:
		n, least, size = uint32(c&31), 0x80, 2
	}
	if len(p) < size {
		return incomplete, 0
	}
	for i, c := range p[1:size] {
		if c < 0x80 {
			return invalid, i + 2
		}
		n = n<<6 | uint32(c&0x3f)
	}
	if n < least {
		return invalid, size
	}
	return n, size
}

// decodeAny is decode for any first byte.
func decodeAny(p []byte) (uint32, int) {
	switch {
	case len(p) == 0:
		return invalid, 0
	case p[0] < 0x80:
		return uint32(p[0]), 1
	}
	return decode(p)
}
