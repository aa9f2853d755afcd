package ssl

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"sync"
	"time"

	"moongate/internal/conf"
)

// ticketKey encrypts sessions for clients to keep (RFC 5077, 4): the name of the key, an initial vector, the session in
// AES-CBC, a MAC over it all. The file is nginx's: 16 bytes of name, then for AES-256 the key of the MAC and that of
// AES, for AES-128 the key of AES and that of the MAC.
type ticketKey struct {
	name  [16]byte
	block cipher.Block
	mac   []byte
	made  time.Time // of keys that rotate
}

func newTicketKey(text []byte) *ticketKey {
	k := &ticketKey{}
	copy(k.name[:], text)
	key := text[16:32]
	k.mac = text[32:]
	if len(text) == 80 {
		k.mac, key = text[16:48], text[48:]
	}
	k.block, _ = aes.NewCipher(key)
	return k
}

func readTicketKey(c *conf.Cmd) (*ticketKey, error) {
	name := c.Config().FullConfName(c.Args[0])
	text, err := c.Config().ReadFile(name)
	if err != nil {
		return nil, c.Errorf("open() \"%s\" failed %s", name, conf.SysError(err))
	}
	if len(text) != 48 && len(text) != 80 {
		return nil, c.Errorf("\"%s\" must be 48 or 80 bytes", name)
	}
	return newTicketKey(text), nil
}

func (k *ticketKey) seal(session []byte) []byte {
	const head = 16 + aes.BlockSize
	pad := aes.BlockSize - len(session)%aes.BlockSize
	out := make([]byte, head, head+len(session)+pad+sha256.Size)
	copy(out, k.name[:])
	rand.Read(out[16:head])
	out = append(out, session...)
	for range pad {
		out = append(out, byte(pad))
	}
	cipher.NewCBCEncrypter(k.block, out[16:head]).CryptBlocks(out[head:], out[head:])
	m := hmac.New(sha256.New, k.mac)
	m.Write(out)
	return m.Sum(out)
}

// open gives the session of a ticket, nil when it was not made with the key.
func (k *ticketKey) open(ticket []byte) []byte {
	const head = 16 + aes.BlockSize
	if len(ticket) < head+aes.BlockSize+sha256.Size || subtle.ConstantTimeCompare(ticket[:16], k.name[:]) != 1 {
		return nil
	}
	body := ticket[:len(ticket)-sha256.Size]
	m := hmac.New(sha256.New, k.mac)
	m.Write(body)
	if !hmac.Equal(m.Sum(nil), ticket[len(body):]) || (len(body)-head)%aes.BlockSize != 0 {
		return nil
	}
	out := make([]byte, len(body)-head)
	cipher.NewCBCDecrypter(k.block, body[16:head]).CryptBlocks(out, body[head:])
	pad := int(out[len(out)-1])
	if pad == 0 || pad > aes.BlockSize {
		return nil
	}
	return out[:len(out)-pad]
}

// ring are keys that nobody has given: made here, used for a session's time, understood for as long again. There is
// one for each such time in the process, which reloads do not touch.
type ring struct {
	mu   sync.Mutex
	life time.Duration
	keys []*ticketKey // the newest first
}

var rings struct {
	sync.Mutex
	m map[time.Duration]*ring
}

func ringOf(life time.Duration) *ring {
	rings.Lock()
	defer rings.Unlock()
	r := rings.m[life]
	if r == nil {
		if rings.m == nil {
			rings.m = map[time.Duration]*ring{}
		}
		r = &ring{life: life}
		rings.m[life] = r
	}
	return r
}

// now gives the keys in use, the first of which encrypts.
func (r *ring) now() []*ticketKey {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := time.Now()
	if len(r.keys) == 0 || at.Sub(r.keys[0].made) >= r.life {
		var text [80]byte
		rand.Read(text[:])
		k := newTicketKey(text[:])
		k.made = at
		keys := []*ticketKey{k}
		for _, old := range r.keys {
			if at.Sub(old.made) < 2*r.life {
				keys = append(keys, old)
			}
		}
		r.keys = keys
	}
	return r.keys
}
