package http2

// Add appends a field that was decoded elsewhere (HTTP/3's QPACK) and finds its faults. False: it has no name.
func (b *Block) Add(name, value string) bool {
	if name == "" {
		return false
	}
	b.room(len(name) + len(value))
	at := len(b.mem)
	b.mem = append(append(b.mem, name...), value...)
	f := Field{Name: b.mem[at : at+len(name) : at+len(name)], Value: b.mem[at+len(name) : len(b.mem) : len(b.mem)]}
	f.Static = staticPlace(f.Name)
	f.Faults |= checkName(f.Name)
	if !ValidValue(f.Value) {
		f.Faults |= BadValue
	}
	b.List = append(b.List, f)
	b.Size += len(name) + len(value)
	return true
}
