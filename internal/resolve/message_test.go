package resolve

import (
	"net/netip"
	"testing"
)

// reply makes an answer to a question for name.
func reply(t *testing.T, name string, qtype uint16, records ...[]byte) []byte {
	b, ok := appendQuery(nil, 7, name, qtype)
	if !ok {
		t.Fatal("no query for", name)
	}
	b[2], b[3], b[7] = 0x81, 0x80, byte(len(records))
	for _, r := range records {
		b = append(b, r...)
	}
	return b
}

var (
	recordA = []byte{0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1}
	cname   = []byte{0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 30, 0, 4, 1, 'b', 0xc0, 14}
)

func TestReply(t *testing.T) {
	a, ok := parseReply(reply(t, "a.test", typeA, recordA), "A.test.", typeA)
	if !ok || len(a.addrs) != 1 || a.addrs[0] != netip.MustParseAddr("192.0.2.1") || a.ttl != 60 {
		t.Errorf("%+v %v", a, ok)
	}
	a, ok = parseReply(reply(t, "a.test", typeA, cname), "a.test", typeA)
	if !ok || a.cname != "b.test" || a.ttl != 30 {
		t.Errorf("%+v %v", a, ok)
	}
	if _, ok := parseReply(reply(t, "a.test", typeA, recordA), "other.test", typeA); ok {
		t.Error("the answer to another question was taken")
	}
	if _, ok := parseReply(reply(t, "a.test", typeA, recordA)[:39], "a.test", typeA); ok {
		t.Error("an answer that ends early was taken")
	}
	loop := append(reply(t, "a.test", typeA), 0xc0, 24)
	loop[7] = 1
	if _, ok := parseReply(loop, "a.test", typeA); ok {
		t.Error("a name that points at itself was taken")
	}
}

func TestQueryName(t *testing.T) {
	for _, name := range []string{"", ".", "a..b", string(make([]byte, 64)) + ".test", string(make([]byte, 300))} {
		if _, ok := appendQuery(nil, 1, name, typeA); ok {
			t.Errorf("%q was taken for a name", name)
		}
	}
}

func FuzzReply(f *testing.F) {
	f.Add([]byte("\x00\x07\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00\x01a\x04test\x00\x00\x01\x00\x01\xc0\x0c\x00\x01\x00\x01\x00\x00\x00<\x00\x04\xc0\x00\x02\x01"))
	f.Add([]byte("\x00\x07\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00\x01a\x04test\x00\x00\x21\x00\x01\xc0\x0c\x00\x21\x00\x01\x00\x00\x00<\x00\x08\x00\x01\x00\x02\x00\x50\xc0\x0c"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, qtype := range []uint16{typeA, typeAAAA, typeSRV} {
			parseReply(b, "a.test", qtype)
		}
	})
}
