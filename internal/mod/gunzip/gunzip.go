// Package gunzip decompresses responses for clients that do not accept gzip (gunzip), whoever has compressed them.
package gunzip

import (
	"errors"
	"io"

	"moongate/internal/base/ascii"
	"moongate/internal/base/nlog"
	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/http1"
)

type config struct{ on conf.Opt[bool] }

var loc = conf.NewLevel[config](conf.KindLocation)

// Module is the gunzip family.
var Module = engine.Module{
	Module: conf.Module{Name: "gunzip", Directives: []conf.Directive{
		{Name: "gunzip", In: conf.HTTPServerLocation, Default: "off", Set: conf.Slot(loc, conf.Flag, func(c *config) *conf.Opt[bool] { return &c.on }),
			Doc: "Decompresses responses with \"Content-Encoding: gzip\" for clients that do not accept it."},
		{Name: "gunzip_buffers", In: conf.HTTPServerLocation, Default: "32 4k", Set: conf.Checked(conf.Bufs),
			Doc: "Accepted for compatibility: decompressed bytes are passed on as they come."},
	}},
	StopWorker: drop,
	TrimWorker: drop,
}

// Filter decompresses.
var Filter = engine.Filter{
	Name:   "gunzip",
	Active: func(s *conf.Scope) bool { return loc.Of(s).on.V },
	Header: decide, Body: decompress, InMemory: true,
}

var (
	slot       = engine.NewSlot()
	workerSlot = engine.NewWorkerSlot()
)

func decide(r *engine.Request) engine.Status {
	h := r.HeaderOut(http1.HContentEncoding)
	if h == nil || !ascii.EqualFold(h.Value, "gzip") {
		return engine.OK
	}
	r.Out.VaryEncoding = true
	if r.GzipOK() {
		return engine.OK
	}
	h.Name = nil
	r.Out.ContentLength = -1
	r.DelHeaderOut(http1.HContentLength)
	r.Out.AcceptRanges = false
	r.DelHeaderOut(http1.HAcceptRanges)
	r.WeakenETag()
	s := take(r)
	r.SetCtx(slot, s)
	r.UseOwnBody()
	return engine.OK
}

// pool is what a worker keeps for responses to come.
type pool struct {
	streams   *stream
	inflaters *inflater
}

func poolOf(w *engine.Worker) *pool {
	p, _ := w.Values[workerSlot].(*pool)
	if p == nil {
		p = &pool{}
		w.Values[workerSlot] = p
	}
	return p
}

// drop gives the memory of inflaters that wait for work back.
func drop(w *engine.Worker) {
	p := poolOf(w)
	for ; p.inflaters != nil; p.inflaters = p.inflaters.next {
		p.inflaters.stop()
	}
}

// stream is a response in work.
type stream struct {
	pool *pool
	i    *inflater // from the first byte of body to the last
	at   event
	done bool
	end  func()
	next *stream
}

func take(r *engine.Request) *stream {
	p := poolOf(r.W)
	s := p.streams
	if s == nil {
		s = &stream{pool: p}
		s.end = s.release
	} else {
		p.streams = s.next
	}
	s.done = false
	r.Cleanup(s.end)
	return s
}

func (s *stream) release() {
	s.giveBack()
	s.next = s.pool.streams
	s.pool.streams = s
}

func (s *stream) borrow() {
	if s.i = s.pool.inflaters; s.i == nil {
		s.i = newInflater()
	} else {
		s.pool.inflaters = s.i.next
	}
	s.i.begin()
	s.at = wants
}

func (s *stream) giveBack() {
	i := s.i
	if i == nil {
		return
	}
	i.abandon(s.at)
	s.i = nil
	i.next = s.pool.inflaters
	s.pool.inflaters = i
}

// decompress passes on what a piece gives. Producers wait for the client between pieces, so what is queued is bounded by
// what one piece can become.
func decompress(r *engine.Request, c *engine.Chunk) error {
	s, _ := r.Ctx(slot).(*stream)
	if s == nil || s.done {
		return r.Next(c)
	}
	if s.i == nil {
		if len(c.Data) == 0 && !c.Last {
			return r.Next(c)
		}
		s.borrow()
	}
	i := s.i
	i.in, i.last = c.Data, c.Last
	for {
		s.at, _ = i.resume()
		switch s.at {
		case gives:
			if err := r.Next(&engine.Chunk{Data: i.out}); err != nil {
				return err
			}
		case failed:
			return s.fail(r, c)
		default:
			if s.at == idle || c.Last {
				s.done = true
				s.giveBack()
			}
			if !c.Flush && !c.Last {
				return nil
			}
			return r.Next(&engine.Chunk{Flush: c.Flush, Last: c.Last})
		}
	}
}

// The numbers of zlib that the log lines have.
const (
	zSyncFlush = 2
	zFinish    = 4
	zDataError = -3
	zBufError  = -5
)

func (s *stream) fail(r *engine.Request, c *engine.Chunk) error {
	flush := 0
	switch {
	case c.Last:
		flush = zFinish
	case c.Flush:
		flush = zSyncFlush
	}
	if err := s.i.err; c.Last && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)) {
		r.Logf(nlog.Error, "inflate() returned %d on response end", zBufError)
	} else {
		r.Logf(nlog.Error, "inflate() failed: %d, %d", flush, zDataError)
	}
	s.done = true
	s.giveBack()
	return engine.ErrClientGone
}
