package proxyproto

import (
	"testing"
)

// v2 is a header of version 2 with the given bytes after the signature.
func v2(rest string) string { return signature + rest }

func TestParse(t *testing.T) {
	const ip4 = "\x21\x11\x00\x0c\xc0\x00\x02\x01\xc0\x00\x02\x02\x00\x50\x1f\x90"
	const ip6 = "\x21\x21\x00\x24\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01" +
		"\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x01\x00\x02"
	tests := []struct {
		name, in, src, dst, tlvs string
		rest                     int
		err                      string
	}{
		{name: "TCP4", in: "PROXY TCP4 192.0.2.1 192.0.2.2 80 8080\r\nGET", src: "192.0.2.1:80", dst: "192.0.2.2:8080", rest: 3},
		{name: "TCP6", in: "PROXY TCP6 2001:db8::1 ::1 1 65535\r\n", src: "[2001:db8::1]:1", dst: "[::1]:65535"},
		{name: "unknown", in: "PROXY UNKNOWN 1 2 3\r\nGET", rest: 3},
		{name: "unknown, short", in: "PROXY UNKNOWN\r\n"},
		{name: "a request", in: "GET / HTTP/1.0\r\n\r\n", err: `broken header: "GET / HTTP/1.0"`},
		{name: "UDP4", in: "PROXY UDP4 192.0.2.1 192.0.2.2 80 8080\r\n", err: `broken header: "PROXY UDP4 192.0.2.1 192.0.2.2 80 8080"`},
		{name: "port too large", in: "PROXY TCP4 192.0.2.1 192.0.2.2 80 65536\r\n", err: `broken header: "PROXY TCP4 192.0.2.1 192.0.2.2 80 65536"`},
		{name: "no port", in: "PROXY TCP4 192.0.2.1 192.0.2.2 80\r\n", err: `broken header: "PROXY TCP4 192.0.2.1 192.0.2.2 80"`},
		{name: "bad address", in: "PROXY TCP4 192.0.2 192.0.2.2 1 2\r\n", err: `broken header: "PROXY TCP4 192.0.2 192.0.2.2 1 2"`},
		{name: "bare LF", in: "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n", err: `broken header: "PROXY TCP4 192.0.2.1 192.0.2.2 1 2"`},
		{name: "part of a line", in: "PROXY TCP4 192.0.", err: ErrMore.Error()},
		{name: "part of a word", in: "PRO", err: ErrMore.Error()},
		{name: "v2, IPv4", in: v2(ip4) + "GET", src: "192.0.2.1:80", dst: "192.0.2.2:8080", rest: 3},
		{name: "v2, IPv6", in: v2(ip6), src: "[2001:db8::1]:1", dst: "[2001:db8::2]:2"},
		{name: "v2, TLVs", in: v2("\x21\x11\x00\x0f" + ip4[4:] + "\x01\x00\x00"), src: "192.0.2.1:80", dst: "192.0.2.2:8080", tlvs: "\x01\x00\x00"},
		{name: "v2, LOCAL", in: v2("\x20\x00\x00\x02xxGET"), rest: 3},
		{name: "v2, UNIX", in: v2("\x21\x31\x00\x02xxGET"), rest: 3},
		{name: "v2, datagrams", in: v2("\x21\x12\x00\x02xx")},
		{name: "v2, short", in: v2("\x21\x11\x00\x04xxxx"), err: `broken header: ""`},
		{name: "v2, version", in: v2("\x31\x11\x00\x00"), err: "unknown PROXY protocol version: 3"},
		{name: "v2, large", in: v2("\x21\x11\xff\xff"), err: "header is too large"},
		{name: "v2, part", in: v2(ip4[:9]), err: ErrMore.Error()},
		{name: "v2, part of the signature", in: signature[:5], err: ErrMore.Error()},
		{name: "v2, not the signature", in: "\r\n\r\nGET", err: `broken header: ""`},
	}
	for _, tt := range tests {
		h, n, err := Parse([]byte(tt.in))
		if err != nil || tt.err != "" {
			if err == nil || err.Error() != tt.err {
				t.Errorf("%s: error %v, want %s", tt.name, err, tt.err)
			}
			continue
		}
		src, dst := "", ""
		if h.Src.IsValid() {
			src, dst = h.Src.String(), h.Dst.String()
		}
		if src != tt.src || dst != tt.dst || string(h.TLVs) != tt.tlvs || len(tt.in)-n != tt.rest {
			t.Errorf("%s: %s %s %q, %d bytes left", tt.name, src, dst, h.TLVs, len(tt.in)-n)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("PROXY TCP4 192.0.2.1 192.0.2.2 80 8080\r\n"))
	f.Add([]byte(v2("\x21\x11\x00\x0c\xc0\x00\x02\x01\xc0\x00\x02\x02\x00\x50\x1f\x90")))
	f.Fuzz(func(t *testing.T, p []byte) {
		h, n, err := Parse(p)
		if n > len(p) || n > MaxHeader || err != nil && n != 0 || err == nil && n == 0 {
			t.Fatalf("%q: %d %v", p, n, err)
		}
		if h.Src.IsValid() != h.Dst.IsValid() {
			t.Fatalf("%q: one end of two", p)
		}
	})
}
