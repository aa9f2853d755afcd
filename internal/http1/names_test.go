package http1

import (
	"math/bits"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestHeaderTable(t *testing.T) {
	used := map[HeaderID]string{}
	for id := HUnknown + 1; id < numHeaders; id++ {
		name := headerNames[id]
		if len(name) < 2 || len(name) > 32 {
			t.Errorf("%q does not fit the table", name)
		}
		if other := used[LookupHeader([]byte(name))]; other != "" {
			t.Errorf("%q and %q fall into one slot", name, other)
		}
		used[LookupHeader([]byte(name))] = name
		for _, form := range []string{name, strings.ToLower(name), strings.ToUpper(name)} {
			if got := LookupHeader([]byte(form)); got != id {
				t.Errorf("LookupHeader(%q) = %d (%s), want %d", form, got, got, id)
			}
		}
	}
	if t.Failed() {
		t.Logf("a factor that fits: %#x", searchFactor())
	}
}

// searchFactor finds a nameFactor without collisions.
func searchFactor() uint64 {
	for {
		factor := rand.Uint64() | 1
		seen := map[uint64]bool{}
		for id := HUnknown + 1; id < numHeaders; id++ {
			first, last, _ := nameWords([]byte(headerNames[id]))
			sum := first + uint64(len(headerNames[id])) + bits.RotateLeft64(last, 29)
			seen[sum*factor>>(64-nameSlotBits)] = true
		}
		if len(seen) == int(numHeaders)-1 {
			return factor
		}
	}
}

// Every name that differs from a known one in a byte must be unknown, above all
// those that differ by the case bit of a byte that is no letter.
func TestLookupHeaderNear(t *testing.T) {
	for id := HUnknown + 1; id < numHeaders; id++ {
		name := []byte(headerNames[id])
		for i := range name {
			for c := range 256 {
				near := append([]byte(nil), name...)
				near[i] = byte(c)
				got := LookupHeader(near)
				if want := strings.EqualFold(string(near), string(name)); (got == id) != want {
					t.Fatalf("LookupHeader(%q) = %d (%s)", near, got, got)
				}
			}
		}
		if LookupHeader(name[:len(name)-1]) == id || LookupHeader(append(name, 'x')) == id {
			t.Errorf("a name one byte shorter or longer than %q is taken for it", name)
		}
	}
	for _, name := range []string{"", "x", "-", strings.Repeat("a", 33), strings.Repeat("host", 100)} {
		if got := LookupHeader([]byte(name)); got != HUnknown {
			t.Errorf("LookupHeader(%q) = %d", name, got)
		}
	}
}

// nginxHeaders are the request headers nginx itself looks at.
const nginxHeaders = "Host Connection Proxy-Connection If-Modified-Since If-Unmodified-Since If-Match If-None-Match " +
	"User-Agent Referer Content-Length Content-Range Content-Type Range If-Range Transfer-Encoding TE Expect Upgrade " +
	"Accept-Encoding Via Authorization Proxy-Authorization Keep-Alive X-Forwarded-For X-Real-IP Accept Accept-Language " +
	"Depth Destination Overwrite Date Cookie"

func TestKnowsNginxHeaders(t *testing.T) {
	for _, name := range strings.Fields(nginxHeaders) {
		if got := LookupHeader([]byte(name)); got.String() != name {
			t.Errorf("LookupHeader(%q) = %d (%s)", name, got, got)
		}
	}
}

func TestHeadersIndex(t *testing.T) {
	var h Headers
	for _, line := range []string{"Via: a", "X-Own: 1", "VIA: b", "Host: h", "via: c"} {
		name, value, _ := strings.Cut(line, ": ")
		h.Add([]byte(name), []byte(value))
	}
	var via []string
	for i := h.Index(HVia); i >= 0; i = h.Next(i) {
		via = append(via, string(h.List[i].Value))
	}
	if strings.Join(via, "") != "abc" {
		t.Errorf("lines of Via: %q", via)
	}
	if string(h.Get(HHost)) != "h" || h.Next(h.Index(HHost)) != -1 || h.Has(HCookie) || h.Index(HCookie) != -1 || h.Get(HCookie) != nil {
		t.Error("Host or Cookie wrong")
	}
	h.Reset()
	if len(h.List) != 0 || h.Has(HHost) || h.Has(HVia) || h.repeated != [len(h.repeated)]uint64{} {
		t.Error("Reset leaves something")
	}
}
