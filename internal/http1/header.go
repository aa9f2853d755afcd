package http1

import "moongate/internal/base/ascii"

// Header is one header line. Name and Value are slices of the buffer that was
// parsed (or of whatever an HTTP/2 driver gave to Add), the value without the
// spaces around it.
type Header struct {
	Name, Value []byte
	ID          HeaderID
	// Invalid marks a name with bytes nginx calls invalid; such a line is
	// kept only with ignore_invalid_headers off.
	Invalid bool

	nameOff, valueOff int32 // places in the buffer, to follow it when it moves
}

// Headers is a list of header lines with an index by HeaderID. The zero value
// is empty and ready. Entries of List may be read freely; use Add to append.
type Headers struct {
	List []Header

	first    [numHeaders]uint16        // place of the first line of a known name, plus one
	repeated [numHeaders/64 + 1]uint64 // known names that occur more than once
	dup      int                       // place of the first line that repeats a unique name, plus one
}

// maxIndexed is the number of header lines the index can tell apart. A list
// that long has failed max_headers before, unless that was set beyond reason.
const maxIndexed = 1<<16 - 2

// uniqueHeaders are the request headers that may occur once (RFC 9110 5.3);
// nginx answers 400 to a second one.
var uniqueHeaders = headerSet(HHost, HIfModifiedSince, HIfUnmodifiedSince, HIfMatch, HIfNoneMatch,
	HContentLength, HContentRange, HIfRange, HTransferEncoding, HExpect, HAuthorization, HProxyAuthorization)

func headerSet(ids ...HeaderID) (s [numHeaders/64 + 1]uint64) {
	for _, id := range ids {
		s[id>>6] |= 1 << (id & 63)
	}
	return s
}

// Reset empties the list and keeps its memory.
func (h *Headers) Reset() {
	if len(h.List) == 0 {
		return
	}
	h.List = h.List[:0]
	clear(h.first[:])
	clear(h.repeated[:])
	h.dup = 0
}

// Add appends a line. The slices are kept, not copied.
func (h *Headers) Add(name, value []byte) {
	e := h.grow()
	*e = Header{Name: name, Value: value, ID: LookupHeader(name)}
	if e.ID != HUnknown {
		h.index(e.ID)
	}
}

// grow appends an empty line.
func (h *Headers) grow() *Header {
	n := len(h.List)
	if n < cap(h.List) {
		h.List = h.List[:n+1]
	} else {
		h.List = append(h.List, Header{})
	}
	return &h.List[n]
}

// push appends the line that s has read in buf.
func (h *Headers) push(buf []byte, s *lineScanner) {
	s.fill(buf, h.grow())
	if s.id != HUnknown {
		h.index(s.id)
	}
}

// index notes that the last line of the list carries the known name id.
func (h *Headers) index(id HeaderID) {
	if h.first[id] == 0 {
		h.first[id] = uint16(min(len(h.List), maxIndexed))
		return
	}
	h.repeated[id>>6] |= 1 << (id & 63)
	if h.dup == 0 && uniqueHeaders[id>>6]&(1<<(id&63)) != 0 {
		h.dup = len(h.List)
	}
}

// Has reports whether a line of that name is there.
func (h *Headers) Has(id HeaderID) bool { return h.first[id] != 0 }

// Get returns the value of the first line of that name, nil without one.
func (h *Headers) Get(id HeaderID) []byte {
	if i := h.first[id]; i != 0 {
		return h.List[i-1].Value
	}
	return nil
}

// Index returns the place of the first line of that name, or -1.
func (h *Headers) Index(id HeaderID) int { return int(h.first[id]) - 1 }

// Next returns the place of the next line with the same known name as line i,
// or -1. It looks no further when the name occurs once.
func (h *Headers) Next(i int) int {
	id := h.List[i].ID
	if h.repeated[id>>6]&(1<<(id&63)) == 0 {
		return -1
	}
	for j := i + 1; j < len(h.List); j++ {
		if h.List[j].ID == id {
			return j
		}
	}
	return -1
}

// Set gives the first line of that name the value, in place, and deletes the others; without one it adds a line. An
// empty value deletes them all. The slices are kept, not copied.
func (h *Headers) Set(name, value []byte) {
	found, kept := false, h.List[:0]
	for i := range h.List {
		e := &h.List[i]
		if len(e.Name) == len(name) && ascii.EqualFold(e.Name, name) {
			if found || len(value) == 0 {
				continue
			}
			found = true
			e.Value = value
		}
		kept = append(kept, *e)
	}
	if len(kept) < len(h.List) {
		h.List = kept
		h.reindex()
	}
	if !found && len(value) > 0 {
		h.Add(name, value)
	}
}

// reindex makes the index anew after lines have moved.
func (h *Headers) reindex() {
	all := h.List
	clear(h.first[:])
	clear(h.repeated[:])
	h.dup = 0
	for i := range all {
		if all[i].ID != HUnknown {
			h.List = all[:i+1]
			h.index(all[i].ID)
		}
	}
	h.List = all
}

// rebase points the lines into buf, which holds the same bytes as the buffer
// they were parsed from.
func (h *Headers) rebase(buf []byte) {
	for i := range h.List {
		e := &h.List[i]
		e.Name = buf[e.nameOff:][:len(e.Name):len(e.Name)]
		e.Value = buf[e.valueOff:][:len(e.Value):len(e.Value)]
	}
}
