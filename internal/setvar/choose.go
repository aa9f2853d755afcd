package setvar

import (
	crand "crypto/rand"
	"math/rand/v2"
	"strconv"

	"moongate/internal/base/ascii"
	"moongate/internal/engine"
)

func ifEmpty(_ *engine.Request, args [][]byte) ([]byte, engine.Status) {
	if len(args[0]) > 0 {
		return args[0], engine.OK
	}
	return args[1], engine.OK
}

func hashedUpstream(r *engine.Request, args [][]byte) ([]byte, engine.Status) {
	list := Level.Of(r.Scope).Lists[string(args[0])]
	if len(list) == 0 {
		complain(r, "set_hashed_upstream: upstream list \"%s\" not defined yet", args[0])
		return nil, 500
	}
	var key uint64 // nginx's hash
	for _, c := range args[1] {
		key = key*31 + uint64(ascii.Lower(c))
	}
	return r.CopyString(list[key%uint64(len(list))]), engine.OK
}

// bounds reads the limits of a range; they may come in any order.
func bounds(r *engine.Request, args [][]byte, complaint string, quote string) (lo, hi int64, ok bool) {
	lo, ok = ascii.ParseInt(args[0])
	if !ok {
		complain(r, complaint, "from", quote, args[0], quote)
		return 0, 0, false
	}
	hi, ok = ascii.ParseInt(args[1])
	if !ok {
		complain(r, complaint, "to", quote, args[1], quote)
		return 0, 0, false
	}
	if lo > hi {
		lo, hi = hi, lo
	}
	return lo, hi, true
}

func random(r *engine.Request, args [][]byte) ([]byte, engine.Status) {
	lo, hi, ok := bounds(r, args, "set_random: bad \"%s\" argument: %s%s%s", "")
	if !ok {
		return nil, 500
	}
	return number(r, lo+int64(rand.Uint64N(uint64(hi-lo)+1))), engine.OK
}

func number(r *engine.Request, n int64) []byte { return strconv.AppendInt(alloc(r, 20)[:0], n, 10) }

func secureAlphanum(r *engine.Request, args [][]byte) ([]byte, engine.Status) {
	return secure(r, args[0], "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
}

func secureLower(r *engine.Request, args [][]byte) ([]byte, engine.Status) {
	return secure(r, args[0], "abcdefghijklmnopqrstuvwxyz")
}

// maxSecure is the longest random text.
const maxSecure = 64

func secure(r *engine.Request, length []byte, letters string) ([]byte, engine.Status) {
	n, ok := ascii.ParseInt(length)
	if !ok || n < 1 || n > maxSecure {
		complain(r, "set_random: bad \"length\" argument: %s", length)
		return nil, 500
	}
	out := alloc(r, int(n))
	limit := byte(256 / len(letters) * len(letters)) // above it, letters would not be equally likely
	for i := 0; i < len(out); {
		crand.Read(out[i:]) // never fails
		k := i
		for _, c := range out[i:] {
			if c < limit {
				out[k] = letters[int(c)%len(letters)]
				k++
			}
		}
		i = k
	}
	return out, engine.OK
}

func rotate(r *engine.Request, args [][]byte) ([]byte, engine.Status) {
	lo, hi, ok := bounds(r, args, "set_rotate: bad \"%s\" argument value: %s%s%s", "\"")
	if !ok {
		return nil, 500
	}
	turn := Level.Of(r.Scope).turn
	n, ok := ascii.ParseInt(args[2])
	if !ok {
		if len(args[2]) > 0 {
			complain(r, "set_rotate: bad current value: \"%s\"", args[2])
		}
		n = turn.Load()
	}
	if n++; n < lo || n > hi {
		n = lo
	}
	turn.Store(n)
	return number(r, n), engine.OK
}
