package engine

import (
	"net/netip"
	"testing"

	"moongate/internal/http1"
)

func TestForwardedAddr(t *testing.T) {
	trusted := &Nets{Prefixes: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")}}
	for _, c := range []struct {
		addr      string
		lines     []string
		recursive bool
		want      string
		ok        bool
	}{
		{"10.0.0.1:1", []string{"192.0.2.1"}, false, "192.0.2.1:0", true},
		{"192.0.2.9:1", []string{"192.0.2.1"}, false, "192.0.2.9:1", false},
		{"10.0.0.1:1", nil, true, "10.0.0.1:1", false},
		{"10.0.0.1:1", []string{"192.0.2.1, 10.0.0.2"}, false, "10.0.0.2:0", true},
		{"10.0.0.1:1", []string{"192.0.2.1,10.0.0.2 , "}, true, "192.0.2.1:0", true},
		{"10.0.0.1:1", []string{"192.0.2.1, 192.0.2.2, 10.0.0.2"}, true, "192.0.2.2:0", true},
		{"10.0.0.1:1", []string{"192.0.2.1", "10.0.0.2"}, true, "192.0.2.1:0", true},
		{"10.0.0.1:1", []string{"192.0.2.1", "10.0.0.2"}, false, "10.0.0.2:0", true},
		{"10.0.0.1:1", []string{"unknown, 10.0.0.2"}, true, "10.0.0.2:0", true},
		{"10.0.0.1:1", []string{"unknown"}, true, "10.0.0.1:1", false},
		{"10.0.0.1:1", []string{""}, true, "10.0.0.1:1", false},
		{"[::ffff:10.0.0.1]:1", []string{"[2001:db8::1]:99"}, false, "[2001:db8::1]:99", true},
		{"10.0.0.1:1", []string{"192.0.2.1:80"}, false, "192.0.2.1:80", true},
		{"10.0.0.1:1", []string{"192.0.2.1:0"}, false, "10.0.0.1:1", false},
	} {
		h := &http1.Headers{}
		for _, l := range c.lines {
			h.Add([]byte("X-Forwarded-For"), []byte(l))
		}
		got, ok := ForwardedAddr(Addr{IP: netip.MustParseAddrPort(c.addr)}, h, http1.HXForwardedFor, trusted, c.recursive)
		if got.IP.String() != c.want || ok != c.ok {
			t.Errorf("%s %q: %v %v, want %s %v", c.addr, c.lines, got.IP, ok, c.want, c.ok)
		}
	}
}

func TestParseNet(t *testing.T) {
	for s, want := range map[string]string{
		"1.2.3.4": "1.2.3.4/32", "1.2.3.4/8": "1.2.3.4/8", "::1": "::1/128", "::1/0": "::1/0",
		"": "", "1.2.3": "", "1.2.3.4/33": "", "1.2.3.4/": "", "01.002.3.4/08": "1.2.3.4/8", "1.2.3.256": "", "1.2.3.4.5": "", "1..2.3": "", "1.2.3.4/-1": "", "::1%lo": "", "::/129": "",
	} {
		got, ok := ParseNet(s)
		if ok != (want != "") || ok && got.String() != want {
			t.Errorf("%q: %v %v", s, got, ok)
		}
	}
}
