package setvar

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/md5"
	"crypto/subtle"
	"encoding/binary"

	"moongate/internal/base/nlog"
	"moongate/internal/engine"
)

// A sealed value is the MD5 digest of the text, and behind it the text in AES-256-CBC: the value and the time, in seconds
// since the epoch, up to which it is good, 0 for ever.

// SessionKey and SessionIV are the lengths of the key and of the initialisation vector.
const (
	SessionKey = 32
	SessionIV  = aes.BlockSize
)

// DefaultIV is the initialisation vector unless the configuration says otherwise.
const DefaultIV = "deadbeefdeadbeef"

// session gives the location's settings; nil, which is logged: there is no key, or no request to have one for.
func session(r *engine.Request) *Conf {
	if r == nil {
		return nil
	}
	c := Level.Of(r.Scope)
	if c.Key.V == "" {
		r.Logf(nlog.Error, "encrypted_session: a key is required to be defined by the encrypted_session_key directive")
		return nil
	}
	return c
}

func (c *Conf) block() (cipher.Block, []byte) {
	b, err := aes.NewCipher([]byte(c.Key.V))
	if err != nil {
		panic("setvar: length of the key was not checked")
	}
	iv := make([]byte, SessionIV)
	copy(iv, c.IV.V)
	return b, iv
}

func encryptSession(r *engine.Request, args [][]byte) ([]byte, engine.Status) {
	c := session(r)
	if c == nil {
		return nil, 500
	}
	until := uint64(0)
	if e := c.Expires.V; e > 0 {
		until = uint64(now(r).Unix()) + uint64(e.Seconds())
	}
	size := len(args[0]) + 8
	pad := aes.BlockSize - size%aes.BlockSize
	out := alloc(r, md5.Size+size+pad)
	text := out[md5.Size:]
	binary.BigEndian.PutUint64(text[copy(text, args[0]):], until)
	sum := md5.Sum(text[:size])
	copy(out, sum[:])
	for i := size; i < len(text); i++ {
		text[i] = byte(pad)
	}
	b, iv := c.block()
	cipher.NewCBCEncrypter(b, iv).CryptBlocks(text, text)
	return out, engine.OK
}

// decryptSession gives nothing for what is not sealed with the key, or not good any more.
func decryptSession(r *engine.Request, args [][]byte) ([]byte, engine.Status) {
	c := session(r)
	if c == nil {
		return nil, 500
	}
	in := args[0]
	n := len(in) - md5.Size
	if n < aes.BlockSize || n%aes.BlockSize != 0 {
		return nil, engine.OK
	}
	text := alloc(r, n)
	b, iv := c.block()
	cipher.NewCBCDecrypter(b, iv).CryptBlocks(text, in[md5.Size:])
	pad := int(text[n-1])
	if pad == 0 || pad > aes.BlockSize || n-pad < 8 {
		return nil, engine.OK
	}
	for _, p := range text[n-pad:] {
		if int(p) != pad {
			return nil, engine.OK
		}
	}
	text = text[:n-pad]
	sum := md5.Sum(text)
	if subtle.ConstantTimeCompare(sum[:], in[:md5.Size]) == 0 {
		return nil, engine.OK
	}
	value := text[:len(text)-8]
	if until := binary.BigEndian.Uint64(text[len(value):]); until != 0 && until <= uint64(now(r).Unix()) {
		return nil, engine.OK
	}
	return value, engine.OK
}
