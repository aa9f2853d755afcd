package tlsio

//lint:file-ignore SA1019 OpenSSL still reads and writes keys encrypted in the old form, so we read them.

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"hash"
)

var errPassword = errors.New("error:1C800064:Provider routines::bad decrypt error:11800074:PKCS12 routines::pkcs12 cipherfinal error:maybe wrong password")

// encrypted reports whether a block wants a password, in the old form or the new.
func encrypted(b *pem.Block) bool {
	return x509.IsEncryptedPEMBlock(b) || b.Type == "ENCRYPTED PRIVATE KEY"
}

// openKey reads the secret key of a PEM block, with the first of the passwords that fits where it is encrypted.
// A password fits when what it leaves is a key: one wrong password in 256 leaves padding that looks right behind rubbish,
// and some of that rubbish is even a value of ASN.1.
func openKey(b *pem.Block, passwords [][]byte) (crypto.Signer, error) {
	if !encrypted(b) {
		if k := ReadKey(b.Bytes); k != nil {
			return k, nil
		}
		return nil, errNoKey
	}
	for _, p := range passwords {
		if der, err := decrypt(b, p); err == nil {
			if k := ReadKey(der); k != nil {
				return k, nil
			}
		}
	}
	return nil, errPassword
}

// decrypt gives what a password leaves of an encrypted block: of most wrong ones an error, of some rubbish.
func decrypt(b *pem.Block, password []byte) ([]byte, error) {
	if x509.IsEncryptedPEMBlock(b) {
		return x509.DecryptPEMBlock(b, password)
	}
	return pkcs8(b.Bytes, password)
}

// The structures of RFC 8018 (PBES2) and RFC 5208.
type encryptedKey struct {
	Algorithm struct {
		ID     asn1.ObjectIdentifier
		Params struct{ KDF, Cipher pkix.AlgorithmIdentifier }
	}
	Data []byte
}

type kdfParams struct {
	Salt       []byte
	Iterations int
	Length     int                      `asn1:"optional"`
	PRF        pkix.AlgorithmIdentifier `asn1:"optional"`
}

var (
	oidPBES2  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
	oidPBKDF2 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}

	prfs = map[string]func() hash.Hash{"": sha1.New, "1.2.840.113549.2.7": sha1.New, "1.2.840.113549.2.9": sha256.New, "1.2.840.113549.2.10": sha512.New384, "1.2.840.113549.2.11": sha512.New}

	ciphers = map[string]struct {
		keyLen int
		make   func([]byte) (cipher.Block, error)
	}{
		"2.16.840.1.101.3.4.1.2":  {16, aes.NewCipher},
		"2.16.840.1.101.3.4.1.22": {24, aes.NewCipher},
		"2.16.840.1.101.3.4.1.42": {32, aes.NewCipher},
		"1.2.840.113549.3.7":      {24, des.NewTripleDESCipher},
	}
)

// maxIterations keeps a file from stopping the start for minutes.
const maxIterations = 10_000_000

// pkcs8 decrypts the DER of an "ENCRYPTED PRIVATE KEY".
func pkcs8(der, password []byte) ([]byte, error) {
	var k encryptedKey
	var kp kdfParams
	var iv []byte
	if _, err := asn1.Unmarshal(der, &k); err != nil {
		return nil, err
	}
	p := &k.Algorithm.Params
	c, ok := ciphers[p.Cipher.Algorithm.String()]
	if !ok || !k.Algorithm.ID.Equal(oidPBES2) || !p.KDF.Algorithm.Equal(oidPBKDF2) {
		return nil, errNoKey
	}
	if _, err := asn1.Unmarshal(p.KDF.Parameters.FullBytes, &kp); err != nil {
		return nil, err
	}
	if _, err := asn1.Unmarshal(p.Cipher.Parameters.FullBytes, &iv); err != nil {
		return nil, err
	}
	prf := prfs[kp.PRF.Algorithm.String()]
	if prf == nil || kp.Iterations < 1 || kp.Iterations > maxIterations {
		return nil, errNoKey
	}
	key, err := pbkdf2.Key(prf, string(password), kp.Salt, kp.Iterations, c.keyLen)
	if err != nil {
		return nil, err
	}
	block, err := c.make(key)
	if err != nil {
		return nil, err
	}
	n, size := len(k.Data), block.BlockSize()
	if len(iv) != size || n == 0 || n%size != 0 {
		return nil, errPassword
	}
	out := make([]byte, n)
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(out, k.Data)
	pad := int(out[n-1])
	if pad == 0 || pad > size {
		return nil, errPassword
	}
	for _, x := range out[n-pad:] {
		if int(x) != pad {
			return nil, errPassword
		}
	}
	return out[:n-pad], nil
}
