package tlsio

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"testing"

	"moongate/internal/testkit/cert"
)

//lint:file-ignore SA1019 keys encrypted in the old form are what this is about.

// A wrong password may leave padding that looks right: the next one is tried nevertheless.
func TestPasswordsThatSeemRight(t *testing.T) {
	want, err := x509.MarshalECPrivateKey(cert.NewKey(t).(*ecdsa.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	block, err := x509.EncryptPEMBlock(rand.Reader, "EC PRIVATE KEY", want, []byte("right"), x509.PEMCipherAES256)
	if err != nil {
		t.Fatal(err)
	}
	for i, found := 0, 0; found < 3; i++ {
		wrong := fmt.Appendf(nil, "wrong %d", i)
		if _, err := x509.DecryptPEMBlock(block, wrong); err != nil {
			continue
		}
		found++
		if got, err := decrypt(block, [][]byte{wrong, []byte("right")}); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %x, %v", wrong, got, err)
		}
		if _, err := decrypt(block, [][]byte{wrong}); err != errPassword {
			t.Errorf("%s alone: %v", wrong, err)
		}
	}
}
