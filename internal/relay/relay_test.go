package relay

import (
	"fmt"
	"strings"
	"testing"

	"moongate/internal/http1"
	"moongate/internal/netio"
)

func TestNames(t *testing.T) {
	var n names
	for _, h := range []string{"Date", "X-Own", "Server", "x-other"} {
		n.add(h)
	}
	n.remove("SERVER")
	n.remove("X-OTHER")
	n.remove("X-None")
	for name, want := range map[string]bool{"date": true, "X-own": true, "Server": false, "X-Other": false, "Accept": false, "X-Ow": false} {
		if got := n.has(http1.LookupHeader([]byte(name)), []byte(name)); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestLocalAddresses(t *testing.T) {
	for text, want := range map[string]string{"127.0.0.1": "127.0.0.1", "127.0.0.1:81": "127.0.0.1:81", "::1": "::1", "[::1]": "::1", "[::1]:81": "[::1]:81",
		"localhost": "", "": "", "127.0.0.1:x": "", "127.0.0.256": "", "[::1": "::1"} {
		got := ""
		if sa := parseAddr(text); sa != nil {
			got = sockText(sa)
			if netio.Family(sa) == 0 {
				t.Errorf("%q has no family", text)
			}
		}
		if got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestAppendSeconds(t *testing.T) {
	for ns, want := range map[int64]string{-1: "-", 0: "0.000", 999_999: "0.000", 1_000_000: "0.001", 1_234_567_890: "1.234", 61_050_000_000: "61.050"} {
		if got := string(AppendSeconds(nil, ns)); got != want {
			t.Errorf("%d: %s", ns, got)
		}
	}
}

// TestFailureBits compares with the numbers of nginx's debug lines.
func TestFailureBits(t *testing.T) {
	for why, want := range map[uint32]string{onError: "2", onTimeout: "4", onInvalidHeader: "8", on500: "10", on502: "20", on503: "40", on504: "80", on403: "100", on404: "200", on429: "400", onNoLive: "40000000"} {
		if got := fmt.Sprintf("%x", nginxBit(why)); got != want {
			t.Errorf("%x: %s, want %s", why, got, want)
		}
	}
	if len(nginxWords()) != 13 {
		t.Error("a word of next_upstream has no bit")
	}
}

func nginxWords() []string {
	return strings.FieldsFunc(nextWords.String(), func(r rune) bool { return r == ' ' || r == '|' || r == '.' })
}

func TestNamesInSNI(t *testing.T) {
	for name, want := range map[string]bool{"a.example": true, "localhost": true, "": false, "10.0.0.1": false, "::1": false, "[::1]": false, "10.0.0.1.example": true} {
		if got := sendsName(name); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
}
