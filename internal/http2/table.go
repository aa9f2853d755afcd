package http2

// overhead is what an entry of a dynamic table counts beside its bytes (RFC 7541 4.1).
const overhead = 32

// maxTable is the largest table that fits the entries' fields.
const maxTable = 32 << 10

// table is a dynamic table: entries have numbers, from 1 on in the order of their insertion. It holds no memory until the
// first entry.
type table struct {
	ents        []entry // a ring, its size a power of two
	first, next uint32  // numbers of the oldest entry and of the one to be added
	mem         []byte  // the entries' bytes, oldest first
	size, max   int
}

type entry struct {
	off         uint32 // in mem
	name, value uint16 // lengths
	static      uint8
	flags       Faults
}

func (t *table) init(max int) { t.first, t.next, t.max = 1, 1, max }

func (t *table) len() int { return int(t.next - t.first) }

// at is the entry with a number.
func (t *table) at(n uint32) *entry { return &t.ents[n&uint32(len(t.ents)-1)] }

func (t *table) bytes(e *entry) (name, value []byte) {
	b := t.mem[e.off:]
	return b[:e.name:e.name], b[e.name : int(e.name)+int(e.value)]
}

// resize sets the largest size.
func (t *table) resize(max int) {
	t.max = max
	t.evict(max)
}

// evict drops the oldest entries until at most size is used.
func (t *table) evict(size int) {
	for t.size > size {
		e := t.at(t.first)
		t.size -= int(e.name) + int(e.value) + overhead
		t.first++
	}
}

// add makes an entry and gives its number; 0: it is larger than the table, which is empty now. Name and value are not
// those of an entry.
func (t *table) add(f *Field) uint32 {
	n := len(f.Name) + len(f.Value)
	if n+overhead > t.max {
		t.evict(0)
		return 0
	}
	t.evict(t.max - n - overhead)
	if t.len() == len(t.ents) {
		t.grow()
	}
	if len(t.mem)+n > cap(t.mem) {
		t.compact(n)
	}
	num := t.next
	*t.at(num) = entry{uint32(len(t.mem)), uint16(len(f.Name)), uint16(len(f.Value)), f.Static, f.Faults}
	t.mem = append(append(t.mem, f.Name...), f.Value...)
	t.next++
	t.size += n + overhead
	return num
}

func (t *table) grow() {
	old := *t
	t.ents = make([]entry, max(16, 2*len(old.ents)))
	for i := t.first; i != t.next; i++ {
		*t.at(i) = *old.at(i)
	}
}

// compact moves the live bytes to the front, of larger memory when they fill more than half of it.
func (t *table) compact(need int) {
	from := len(t.mem)
	if t.len() > 0 {
		from = int(t.at(t.first).off)
	}
	live := t.mem[from:]
	to := t.mem[:0]
	if size := 2 * (len(live) + need); size > cap(t.mem) {
		to = make([]byte, 0, max(512, size))
	}
	t.mem = append(to, live...)
	for i := t.first; i != t.next; i++ {
		t.at(i).off -= uint32(from)
	}
}
