package ssl

import (
	"encoding/hex"
	"math/big"
	"testing"
)

// TestNames has what nginx shows of the same names.
func TestNames(t *testing.T) {
	for _, c := range []struct{ der, rfc2253, legacy string }{
		{"3000", "", ""},
		{"300c310a300806035504030c0141", "CN=A", "/CN=A"},
		{"300e310c300a06042a0304050c0278c3", `1.2.3.4.5=#0C0278C3`, `/1.2.3.4.5=x\xC3`}, // of parts without a name only the bytes are known
		{"300d310b300906035504031e020416", `CN=\D0\96`, `/CN=\x04\x16`},
		{"300c310a300806035504031401e9", `CN=\C3\A9`, `/CN=\xE9`},
		{"300c310a300806035504030c0123", `CN=\#`, `/CN=#`},
		{"300d310b30090603550403030200ff", "CN=#030200FF", `/CN=\x00\xFF`},
		{"30163114300806035504030c01303008060355040b0c0131", "CN=0+OU=1", "/CN=0/OU=1"},
		{"300e310c300a06035504030c03412f42", "CN=A/B", `/CN=A\/B`},
		{"30ff", "", ""},
	} {
		der, err := hex.DecodeString(c.der)
		if err != nil {
			t.Fatal(err)
		}
		if got := name(der); got != c.rfc2253 {
			t.Errorf("%s: %s, want %s", c.der, got, c.rfc2253)
		}
		if got := oneLine(der); got != c.legacy {
			t.Errorf("%s: %s, want %s", c.der, got, c.legacy)
		}
	}
	for n, want := range map[int64]string{0: "00", 10: "0A", 0x1000: "1000", -10: "-0A"} {
		if got := serial(big.NewInt(n)); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
}
