// Package gzip compresses responses to clients that accept it (gzip). To whom that may be done is the engine's to say
// (Request.GzipOK), because others ask, too.
//
// Compressing needs much memory for a short time: an encoder is the worker's, lent to a response from its first byte of
// body to its last.
package gzip

import (
	"encoding/binary"
	"hash/crc32"
	"strconv"

	"github.com/klauspost/compress/flate"

	"moongate/internal/base/units"
	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/http1"
)

type config struct {
	on        conf.Opt[bool]
	level     conf.Opt[int]
	minLength conf.Opt[int64]
	types     [][]string
	set       *engine.TypeSet
}

var loc = conf.NewLevel[config](conf.KindLocation).OnMerge(func(parent, child *config, _ *conf.Scope) error {
	child.set = engine.NewTypeSet(child.types, "text/html")
	return nil
})

// Module has the directives of compression and the variable $gzip_ratio.
var Module = engine.Module{
	Module: conf.Module{Name: "gzip", Directives: []conf.Directive{
		{Name: "gzip", In: conf.InRequest, Default: "off", Set: conf.Slot(loc, conf.Flag, func(c *config) *conf.Opt[bool] { return &c.on }),
			Doc: "Compresses responses of the types in gzip_types for clients that accept gzip."},
		{Name: "gzip_types", In: conf.HTTPServerLocation, Args: conf.OneMore, Syntax: "mime-type ...", Default: "text/html",
			Set: conf.List(loc, engine.ReadTypes("text/html"), func(c *config) *[][]string { return &c.types }),
			Doc: "The types of responses that are compressed, besides text/html; * is any."},
		{Name: "gzip_comp_level", In: conf.HTTPServerLocation, Default: "1", Set: conf.Slot(loc, conf.Int(1, 9), func(c *config) *conf.Opt[int] { return &c.level }),
			Doc: "How hard to try, from 1 (fast) to 9 (small)."},
		{Name: "gzip_min_length", In: conf.HTTPServerLocation, Default: "20", Set: conf.Slot(loc, conf.Size, func(c *config) *conf.Opt[int64] { return &c.minLength }),
			Doc: "The Content-Length from which responses are compressed; those of unknown length always are."},
		{Name: "gzip_buffers", In: conf.HTTPServerLocation, Default: "32 4k", Set: conf.Checked(conf.Bufs),
			Doc: "Accepted for compatibility: compressed bytes are passed on as they come."},
		{Name: "gzip_window", In: conf.HTTPServerLocation, Args: conf.Take1, Syntax: "size", Default: "32k", Set: conf.Func(window),
			Doc: "Accepted for compatibility: the window always is 32k."},
		{Name: "gzip_hash", In: conf.HTTPServerLocation, Args: conf.Take1, Syntax: "size", Default: "128k", Set: conf.Func(hash), Doc: "Accepted for compatibility."},
		{Name: "postpone_gzipping", In: conf.HTTPServerLocation, Default: "0", Set: conf.Checked(conf.Size), Doc: "Accepted for compatibility."},
		{Name: "gzip_no_buffer", In: conf.HTTPServerLocation, Default: "off", Set: conf.Checked(conf.Flag), Doc: "Accepted for compatibility: see gzip_buffers."},
	}},
	Vars: []engine.Var{{Name: "gzip_ratio", Get: ratio, NoCache: true, Doc: "How many times smaller the compressed response is; none while it is not complete."}},
	TrimWorker: func(w *engine.Worker) {
		if p, _ := w.Values[workerSlot].(*pool); p != nil {
			*p = pool{}
		}
	},
}

// window checks a size that is a power of two.
func window(c *conf.Cmd) error {
	if !powerOfTwo(c.Args[0], 32<<10) {
		return c.Bad("must be 512, 1k, 2k, 4k, 8k, 16k, or 32k")
	}
	return nil
}

func hash(c *conf.Cmd) error {
	if !powerOfTwo(c.Args[0], 128<<10) {
		return c.Bad("must be 512, 1k, 2k, 4k, 8k, 16k, 32k, 64k, or 128k")
	}
	return nil
}

func powerOfTwo(s string, most int64) bool {
	n, ok := units.Size(s)
	return ok && n >= 512 && n <= most && n&(n-1) == 0
}

// Filter compresses.
var Filter = engine.Filter{
	Name:   "gzip",
	Active: func(s *conf.Scope) bool { return loc.Of(s).on.V },
	Header: decide, Body: compress, InMemory: true,
}

var (
	slot       = engine.NewSlot()
	workerSlot = engine.NewWorkerSlot()

	nameContentEncoding = []byte("Content-Encoding")
	codingGzip          = []byte("gzip")
)

func decide(r *engine.Request) engine.Status {
	c := loc.Of(r.Scope)
	o := &r.Out
	if o.Status != 200 && o.Status != 403 && o.Status != 404 || o.ContentLength != -1 && o.ContentLength < c.minLength.V ||
		!c.set.Has(o.ContentType) || r.HeaderOnlyR {
		return engine.OK
	}
	if h := r.HeaderOut(http1.HContentEncoding); h != nil && len(h.Value) > 0 {
		return engine.OK
	}
	o.VaryEncoding = true
	if !r.GzipOK() {
		return engine.OK
	}
	p := poolOf(r.W)
	s := p.stream()
	s.level = c.level.V
	r.SetCtx(slot, s)
	r.Cleanup(s.end)
	r.AddHeader(http1.HContentEncoding, nameContentEncoding, codingGzip)
	o.ContentLength = -1
	o.AcceptRanges = false
	r.DelHeaderOut(http1.HAcceptRanges)
	r.WeakenETag()
	r.UseOwnBody()
	return engine.OK
}

// pool is what a worker keeps for responses to come.
type pool struct {
	streams  *stream
	encoders [10]*encoder // by level
}

func poolOf(w *engine.Worker) *pool {
	p, _ := w.Values[workerSlot].(*pool)
	if p == nil {
		p = &pool{}
		w.Values[workerSlot] = p
	}
	return p
}

// stream is a compressed response.
type stream struct {
	pool    *pool
	enc     *encoder // from the first byte of body to the last
	level   int
	crc     uint32
	in, out int64 // bytes, before and after
	done    bool
	end     func() // gives the stream back
	next    *stream
}

func (p *pool) stream() *stream {
	s := p.streams
	if s == nil {
		s = &stream{pool: p}
		s.end = s.release
	} else {
		p.streams = s.next
	}
	s.crc, s.in, s.out, s.done = 0, 0, 0, false
	return s
}

func (s *stream) release() {
	s.drop()
	s.next = s.pool.streams
	s.pool.streams = s
}

// encoder compresses; what comes out is gathered in out.
type encoder struct {
	w    *flate.Writer
	out  []byte
	next *encoder
}

func (e *encoder) Write(p []byte) (int, error) {
	e.out = append(e.out, p...)
	return len(p), nil
}

// take lends an encoder to the stream.
func (s *stream) take() *encoder {
	e := s.pool.encoders[s.level]
	if e == nil {
		e = &encoder{out: make([]byte, 0, 2*passOn)}
		e.w, _ = flate.NewWriter(e, s.level) // fails for impossible levels only
	} else {
		s.pool.encoders[s.level] = e.next
		e.w.Reset(e)
	}
	s.enc = e
	return e
}

// drop gives the encoder back.
func (s *stream) drop() {
	e := s.enc
	if e == nil {
		return
	}
	s.enc = nil
	if cap(e.out) > 8*passOn {
		e.out = make([]byte, 0, 2*passOn)
	}
	e.out = e.out[:0]
	e.next = s.pool.encoders[s.level]
	s.pool.encoders[s.level] = e
}

// passOn is how much may come out of the encoder before it is passed on.
const passOn = 8 << 10

// appendHeader appends the head of a gzip file (RFC 1952 2.3): no name, no time, as zlib writes it.
func appendHeader(b []byte, level int) []byte {
	extra := byte(0)
	switch level {
	case 1:
		extra = 4
	case 9:
		extra = 2
	}
	return append(b, 0x1f, 0x8b, 8, 0, 0, 0, 0, 0, extra, 3)
}

func compress(r *engine.Request, c *engine.Chunk) error {
	s, _ := r.Ctx(slot).(*stream)
	if s == nil || s.done {
		return r.Next(c)
	}
	e := s.enc
	if e == nil {
		if len(c.Data) == 0 && !c.Last && !c.Flush {
			return nil
		}
		e = s.take()
		e.out = appendHeader(e.out, s.level)
	}
	if len(c.Data) > 0 {
		s.crc = crc32.Update(s.crc, crc32.IEEETable, c.Data)
		s.in += int64(len(c.Data))
		e.w.Write(c.Data)
	}
	switch {
	case c.Last:
		e.w.Close()
		e.out = binary.LittleEndian.AppendUint32(e.out, s.crc)
		e.out = binary.LittleEndian.AppendUint32(e.out, uint32(s.in))
	case c.Flush:
		e.w.Flush()
	case len(e.out) < passOn:
		return nil
	}
	s.out += int64(len(e.out))
	s.done = c.Last
	err := r.Next(&engine.Chunk{Data: e.out, Flush: c.Flush, Last: c.Last})
	e.out = e.out[:0]
	if c.Last {
		s.drop()
	}
	return err
}

// ratio is $gzip_ratio, with two digits after the point, rounded.
func ratio(r *engine.Request, _ *engine.Var) ([]byte, bool) {
	s, _ := r.Ctx(slot).(*stream)
	if s == nil || !s.done || s.out == 0 {
		return nil, false
	}
	whole, hundredths := s.in/s.out, s.in*100/s.out%100
	if s.in*1000/s.out%10 > 4 {
		if hundredths++; hundredths > 99 {
			whole, hundredths = whole+1, 0
		}
	}
	b := append(strconv.AppendInt(r.Alloc(24)[:0], whole, 10), '.')
	if hundredths < 10 {
		b = append(b, '0')
	}
	return strconv.AppendInt(b, hundredths, 10), true
}
