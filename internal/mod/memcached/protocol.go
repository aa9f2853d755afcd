package memcached

import (
	"bytes"
	"io"
	"strconv"

	"moongate/internal/base/ascii"
	"moongate/internal/base/nlog"
	"moongate/internal/engine"
	"moongate/internal/http1"
	"moongate/internal/relay"
)

// command is a command of memcached's text protocol, by what its request and its answer look like.
type command uint8

const (
	cmdGet command = iota
	cmdStore
	cmdDelete
	cmdCount
	cmdFlush
	cmdStats
	cmdVersion
)

// exchange is what this protocol keeps with a relay.Exchange.
type exchange struct {
	cmd      command
	name     string
	keyName  string
	key      []byte // as it is sent, once the request was written
	hasKey   bool
	value    []byte
	hasValue bool
	flags    []byte
	exptime  []byte
	gzipFlag int64
	// flagsTo takes the flags of a value.
	flagsTo        *engine.Var
	toLastModified bool

	resp http1.Response
	left int64 // of the body
	end  int   // bytes of the trailer that are to come
}

func exchangeOf(x *relay.Exchange) *exchange {
	e, _ := x.Data.(*exchange)
	if e == nil {
		e = &exchange{}
		x.Data = e
	}
	list := e.resp.List[:0]
	*e = exchange{}
	e.resp.List = list
	return e
}

type protocol struct{}

// trailer stands behind a value.
const trailer = "\r\nEND\r\n"

// Request writes the command, with the value of one that stores.
func (protocol) Request(x *relay.Exchange, dst []byte) ([]byte, engine.Status) {
	e := x.Data.(*exchange)
	dst = append(dst, e.name...)
	if e.cmd <= cmdCount {
		if !e.hasKey {
			x.R.Logf(nlog.Error, "the \"$%s\" variable is not set", e.keyName)
			return dst, 500
		}
		dst = append(dst, ' ')
		from := len(dst)
		dst = http1.AppendEscape(dst, e.key, http1.EscapeMemcached)
		e.key = x.R.Copy(dst[from:])
	}
	switch e.cmd {
	case cmdStore:
		return e.appendValue(x, dst)
	case cmdCount:
		dst = append(append(dst, ' '), e.value...)
	case cmdDelete, cmdFlush:
		if len(e.exptime) > 0 {
			dst = append(append(dst, ' '), e.exptime...)
		}
	}
	return append(dst, "\r\n"...), engine.OK
}

// appendValue writes the rest of a command that stores: the value, or the request body in its place.
func (e *exchange) appendValue(x *relay.Exchange, dst []byte) ([]byte, engine.Status) {
	b := &x.R.Body
	size := b.Size()
	switch {
	case e.hasValue:
		size = int64(len(e.value))
	case size == 0:
		x.R.Logf(nlog.Error, "neither the \"$memc_value\" variable nor the request body is available")
		return dst, 500
	}
	dst = append(append(dst, ' '), orZero(e.flags)...)
	dst = append(append(dst, ' '), orZero(e.exptime)...)
	dst = append(strconv.AppendInt(append(dst, ' '), size, 10), "\r\n"...)
	switch {
	case e.hasValue:
		dst = append(dst, e.value...)
	case b.File == nil:
		dst = append(dst, b.Mem...)
	default:
		at := len(dst)
		dst = append(dst, make([]byte, size)...)
		if n, err := b.File.ReadAt(dst[at:], 0); int64(n) < size && err != io.EOF {
			x.R.LogErr(nlog.Crit, err, "pread() \"%s\" failed", b.File.Name())
			return dst, 500
		}
	}
	return append(dst, "\r\n"...), engine.OK
}

func orZero(b []byte) []byte {
	if len(b) == 0 {
		return []byte("0")
	}
	return b
}

// Reset prepares for an answer.
func (protocol) Reset(x *relay.Exchange) {
	e := x.Data.(*exchange)
	e.left, e.end = 0, 0
	e.resp.List = e.resp.List[:0]
	x.Resp = &e.resp
}

// Head reads the first line of a value; other answers are read whole, and are the body.
func (protocol) Head(x *relay.Exchange, in []byte) (int, relay.HeadState) {
	e := x.Data.(*exchange)
	if e.cmd == cmdGet {
		i := bytes.IndexByte(in, '\n')
		if i < 0 {
			return 0, relay.HeadMore
		}
		return i + 1, e.valueLine(x, in[:i])
	}
	n, st, ok := e.answer(in)
	switch {
	case !ok:
		x.R.Logf(nlog.Error, "memcached sent invalid response for command \"%s\" at pos %d: %s", e.name, n, in[:n])
		return 0, relay.HeadInvalid
	case n == 0:
		return 0, relay.HeadMore
	case st == 404:
		e.respond(404, 0)
		x.KeepConn = len(in) == n
		return n, relay.HeadDone
	}
	e.respond(st, int64(n))
	return 0, relay.HeadDone
}

func (e *exchange) respond(st int, length int64) {
	e.resp.Status, e.resp.StatusText, e.resp.ContentLength = st, nil, length
	e.left = length
}

// valueLine reads "VALUE key flags length" or "END"; a carriage return ends line.
func (e *exchange) valueLine(x *relay.Exchange, line []byte) relay.HeadState {
	r := x.R
	invalid := func() relay.HeadState {
		r.Logf(nlog.Error, "memcached sent invalid response: \"%s\"", line)
		return relay.HeadInvalid
	}
	line, ok := bytes.CutSuffix(line, []byte{'\r'})
	if !ok {
		return invalid()
	}
	if string(line) == "END" {
		r.Logf(nlog.Info, "key: \"%s\" was not found by memcached", e.key)
		e.respond(404, 0)
		x.KeepConn = true
		return relay.HeadDone
	}
	rest, ok := bytes.CutPrefix(line, []byte("VALUE "))
	if !ok {
		return invalid()
	}
	if rest, ok = bytes.CutPrefix(rest, e.key); !ok {
		r.Logf(nlog.Error, "memcached sent invalid key in response \"%s\" for key \"%s\"", line, e.key)
		return relay.HeadInvalid
	}
	if rest, ok = bytes.CutPrefix(rest, []byte{' '}); !ok {
		return invalid()
	}
	flags, length, ok := bytes.Cut(rest, []byte{' '})
	if !ok {
		return invalid()
	}
	if !e.takeFlags(x, flags) {
		r.Logf(nlog.Error, "memcached sent invalid flags in response \"%s\" for key \"%s\"", line, e.key)
		return relay.HeadInvalid
	}
	n, ok := ascii.ParseInt(length)
	if !ok {
		r.Logf(nlog.Error, "memcached sent invalid length in response \"%s\" for key \"%s\"", line, e.key)
		return relay.HeadInvalid
	}
	e.respond(200, n)
	e.end = len(trailer)
	return relay.HeadDone
}

// takeFlags makes of the flags of a value what the location asks for.
func (e *exchange) takeFlags(x *relay.Exchange, flags []byte) bool {
	r := x.R
	if e.flagsTo != nil {
		r.SetVar(e.flagsTo, r.Copy(flags))
	}
	if e.gzipFlag == 0 && !e.toLastModified {
		return true
	}
	n, ok := ascii.ParseInt(flags)
	if e.toLastModified && ok {
		r.Out.LastModified = n
	}
	if e.gzipFlag == 0 {
		return true
	}
	if n&e.gzipFlag != 0 {
		e.resp.Add([]byte("Content-Encoding"), []byte("gzip"))
	}
	return ok
}

// answer reads the answer to a command that gets no value: n is its length, 0 when it is not complete, and st what it means.
// When it is none, n is where that shows.
func (e *exchange) answer(in []byte) (n, st int, ok bool) {
	for {
		i := bytes.IndexByte(in[n:], '\n')
		if i < 0 {
			return 0, 0, true
		}
		line, ok := bytes.CutSuffix(in[n:n+i], []byte{'\r'})
		if !ok {
			return n, 0, false
		}
		if e.cmd == cmdStats && bytes.HasPrefix(line, []byte("STAT ")) {
			n += i + 1
			continue
		}
		if st = e.meaning(line); st == 0 {
			return n, 0, false
		}
		return n + i + 1, st, true
	}
}

// meaning is the status that a line of an answer stands for; 0: it is none.
func (e *exchange) meaning(line []byte) int {
	word := string(line)
	switch {
	case word == "ERROR", bytes.HasPrefix(line, []byte("CLIENT_ERROR ")), bytes.HasPrefix(line, []byte("SERVER_ERROR ")):
		return 502
	case word == "NOT_FOUND" && e.cmd <= cmdCount:
		return 404
	}
	switch e.cmd {
	case cmdStore:
		switch word {
		case "STORED":
			return 201
		case "NOT_STORED", "EXISTS":
			return 200
		}
	case cmdDelete:
		if word == "DELETED" {
			return 200
		}
	case cmdFlush:
		if word == "OK" {
			return 200
		}
	case cmdStats:
		if word == "END" {
			return 200
		}
	case cmdVersion:
		if bytes.HasPrefix(line, []byte("VERSION ")) {
			return 200
		}
	case cmdCount:
		if _, ok := ascii.ParseInt(bytes.TrimRight(line, " ")); ok {
			return 201
		}
	}
	return 0
}

// Body takes the value, and what stands behind it.
func (protocol) Body(x *relay.Exchange, in []byte) ([]byte, int, relay.BodyState) {
	e := x.Data.(*exchange)
	if e.left > 0 {
		n := int(min(e.left, int64(len(in))))
		e.left -= int64(n)
		if e.left == 0 && e.end == 0 {
			x.KeepConn = true
			return in[:n], n, relay.BodyDone
		}
		return in[:n], n, relay.BodyMore
	}
	if e.end == 0 {
		return nil, 0, relay.BodyDone
	}
	want := trailer[len(trailer)-e.end:]
	n := min(len(in), e.end)
	if string(in[:n]) != want[:n] || len(in) > e.end {
		x.R.Logf(nlog.Error, "memcached sent invalid trailer")
		return nil, len(in), relay.BodyDone
	}
	if e.end -= n; e.end > 0 {
		return nil, n, relay.BodyMore
	}
	x.KeepConn = true
	return nil, n, relay.BodyDone
}

// End: an answer ends by itself.
func (protocol) End(*relay.Exchange) bool { return false }

// Location and Cookie: answers have no such fields.
func (protocol) Location(_ *relay.Exchange, v []byte, _ int) ([]byte, bool) { return v, false }

func (protocol) Cookie(_ *relay.Exchange, v []byte) []byte { return v }
