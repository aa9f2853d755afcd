package tlsio

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"math/rand/v2"
	"testing"
)

//lint:file-ignore SA1019 keys encrypted in the old form are what this is about.

// A wrong password may leave padding that looks right, and even a value of ASN.1: the next one is tried nevertheless.
// Key and salt are fixed, so that the same passwords seem right in every run.
func TestPasswordsThatSeemRight(t *testing.T) {
	want, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(want)
	if err != nil {
		t.Fatal(err)
	}
	block, err := x509.EncryptPEMBlock(rand.NewChaCha8([32]byte{1}), "EC PRIVATE KEY", der, []byte("right"), x509.PEMCipherAES256)
	if err != nil {
		t.Fatal(err)
	}
	padded, values := 0, 0
	for i := 0; padded < 3 || values < 1; i++ {
		wrong := fmt.Appendf(nil, "wrong %d", i)
		rubbish, err := decrypt(block, wrong)
		if err != nil {
			continue
		}
		var v asn1.RawValue
		if rest, err := asn1.Unmarshal(rubbish, &v); err == nil && len(rest) == 0 {
			values++
		} else if padded++; padded > 3 {
			continue
		}
		if got, err := openKey(block, [][]byte{wrong, []byte("right")}); err != nil || !want.Equal(got) {
			t.Errorf("%s: %v, %v", wrong, got, err)
		}
		if _, err := openKey(block, [][]byte{wrong}); err != errPassword {
			t.Errorf("%s alone: %v", wrong, err)
		}
	}
	t.Logf("%d seemed padded, %d whole", padded, values)
}
