package h3

import (
	"bytes"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/quic-go/qpack"
	"github.com/quic-go/quic-go/quicvarint"

	"moongate/internal/edge/mux"
	"moongate/internal/engine"
	"moongate/internal/http1"
	"moongate/internal/netio"
)

// output is the response on its way: the engine's side appends, a goroutine writes to the stream, which may block.
type output struct {
	mu    sync.Mutex
	ready sync.Cond
	queue []piece
	end   bool // nothing is appended any more
	dead  bool // nothing is sent any more

	pending atomic.Int64
	done    atomic.Bool // all was given to QUIC, the end too

	// The worker's:
	last    bool // the end of the response was queued
	running bool
	writer  *netio.Task // waits until at most low bytes are queued
	low     atomic.Int64
	moved   bool // something was sent since the writer began to wait
}

// piece is bytes, or a range of a file, which the queue holds a reference of.
type piece struct {
	b         []byte
	f         *engine.File
	off, left int64
}

func (o *output) finished() bool { return o.done.Load() }

// abandon drops what was not sent. The references of files go once nobody reads them: see write.
func (o *output) abandon() {
	o.mu.Lock()
	o.dead = true
	o.ready.Signal()
	o.mu.Unlock()
}

// put appends bytes of the stream; a file's range follows them.
func (s *stream) put(head, data []byte, c *engine.Chunk) {
	o := &s.out
	n := int64(len(head) + len(data))
	o.mu.Lock()
	if k := len(o.queue); k > 0 && o.queue[k-1].f == nil && len(o.queue[k-1].b) < joinBelow {
		o.queue[k-1].b = append(append(o.queue[k-1].b, head...), data...)
	} else {
		o.queue = append(o.queue, piece{b: append(append(make([]byte, 0, max(int(n), 512)), head...), data...)})
	}
	if c != nil {
		c.File.Ref()
		o.queue = append(o.queue, piece{f: c.File, off: c.Off, left: c.Len})
		n += c.Len
	}
	o.pending.Add(n)
	o.ready.Signal()
	o.mu.Unlock()
	s.r.Sent += n
	s.c.Sent += n
	s.start()
}

// joinBelow is the size up to which pieces are joined.
const joinBelow = 16 << 10

func (s *stream) start() {
	if !s.out.running {
		s.out.running = true
		go s.write()
	}
}

// finish queues the end, behind trailers.
func (s *stream) finish(trailers []http1.Header) {
	o := &s.out
	if o.last {
		return
	}
	if len(trailers) > 0 {
		var b bytes.Buffer
		e := qpack.NewEncoder(&b)
		for i := range trailers {
			if h := &trailers[i]; h.Name != nil && !mux.Forbidden(h) {
				e.WriteField(qpack.HeaderField{Name: string(bytes.ToLower(h.Name)), Value: string(h.Value)})
			}
		}
		s.put(frame(frameHeaders, b.Len()), b.Bytes(), nil)
	}
	o.last = true
	o.mu.Lock()
	o.end = true
	o.ready.Signal()
	o.mu.Unlock()
	s.start()
}

// write is the goroutine that sends.
func (s *stream) write() {
	o := &s.out
	var list []piece
	var buf []byte
	failed := false
	for {
		o.mu.Lock()
		for len(o.queue) == 0 && !o.end && !o.dead {
			o.ready.Wait()
		}
		if len(o.queue) == 0 {
			end := !o.dead && !failed
			o.mu.Unlock()
			if end {
				o.done.Store(true)
				s.str.Close()
			}
			s.c.w.Loop.Post(s.wrote)
			return
		}
		list, o.queue = o.queue, list[:0]
		failed = failed || o.dead
		o.mu.Unlock()
		for i := range list {
			p := &list[i]
			if p.f == nil {
				failed = failed || !s.send(p.b)
				p.b = nil
				continue
			}
			for p.left > 0 && !failed {
				if buf == nil {
					buf = make([]byte, 32<<10)
				}
				n, err := p.f.ReadAt(buf[:min(p.left, int64(len(buf)))], p.off)
				if n == 0 || err != nil && n == 0 { // the file was cut
					s.str.CancelWrite(errInternal)
					failed = true
					break
				}
				p.off, p.left = p.off+int64(n), p.left-int64(n)
				failed = !s.send(buf[:n])
			}
			f := p.f
			p.f = nil
			s.c.w.Loop.Post(f.Unref)
		}
	}
}

// send writes, in parts, so that who waits for room learns of it soon; false: nothing can be sent any more.
func (s *stream) send(p []byte) bool {
	o := &s.out
	for len(p) > 0 {
		n, err := s.str.Write(p[:min(len(p), 32<<10)])
		p = p[n:]
		if left := o.pending.Add(-int64(n)); left <= o.low.Load() {
			s.c.w.Loop.Post(s.wrote)
		}
		if err != nil {
			return false // the stream's context tells
		}
	}
	return true
}

// wrote wakes who waits for room.
func (s *stream) wrote() {
	s.out.moved = true
	if t := s.out.writer; t != nil {
		s.c.w.Loop.Ready(t)
	}
}

func frame(kind uint64, size int) []byte {
	b := make([]byte, 0, 9)
	b = quicvarint.Append(b, kind)
	return quicvarint.Append(b, uint64(size))
}

// Continue sends the interim response a client may wait for before it sends the body.
func (s *stream) Continue(r *engine.Request) error { return s.sendHeaders([]field{{":status", "100"}}) }

// Hints sends an interim response 103 (engine.Hinter).
func (s *stream) Hints(r *engine.Request, fields []http1.Header) error {
	list := []field{{":status", "103"}}
	for i := range fields {
		if h := &fields[i]; !mux.Forbidden(h) {
			list = append(list, field{string(bytes.ToLower(h.Name)), string(h.Value)})
		}
	}
	return s.sendHeaders(list)
}

type field struct{ name, value string }

func (s *stream) sendHeaders(list []field) error {
	if s.gone {
		return engine.ErrClientGone
	}
	var b bytes.Buffer
	e := qpack.NewEncoder(&b)
	for _, f := range list {
		e.WriteField(qpack.HeaderField{Name: f.name, Value: f.value})
	}
	s.put(frame(frameHeaders, b.Len()), b.Bytes(), nil)
	return nil
}

// SendHead queues the response head, in nginx's order.
func (s *stream) SendHead(r *engine.Request, last bool) error {
	o, core := &r.Out, r.Core()
	switch o.Status {
	case 200, 206, 304:
	case 204:
		o.ContentLength, o.ContentType, o.LastModified = -1, nil, -1
	default:
		o.LastModified = -1
	}
	status := int(o.Status)
	if len(o.StatusLine) >= 3 {
		if n, err := strconv.Atoi(string(o.StatusLine[:3])); err == nil && n >= 100 {
			status = n
		}
	}
	if status == 101 && s.tunnel {
		status = 200
	}
	r.AbsoluteLocation(core)
	list := make([]field, 0, len(o.List)+8)
	list = append(list, field{":status", strconv.Itoa(status)})
	list = s.ownFields(list, r, core)
	for i := range o.List {
		h := &o.List[i]
		if h.Name == nil || mux.Forbidden(h) || s.tunnel && h.ID == http1.HSecWebSocketAccept {
			continue
		}
		list = append(list, field{string(bytes.ToLower(h.Name)), string(h.Value)})
	}
	before := r.Sent
	if err := s.sendHeaders(list); err != nil {
		return err
	}
	r.HeaderSize = r.Sent - before
	if last || o.ContentLength == 0 && !r.ExpectTrailers && len(o.Trailers) == 0 {
		s.finish(nil)
	}
	return nil
}

// ownFields are those that the driver adds, unless whoever made the response has said otherwise.
func (s *stream) ownFields(list []field, r *engine.Request, core *engine.LocConf) []field {
	o := &r.Out
	var server, date, modified bool
	for i := range o.List {
		h := &o.List[i]
		server = server || h.ID == http1.HServer
		date = date || h.ID == http1.HDate
		modified = modified || h.ID == http1.HLastModified && h.Name != nil
	}
	if token := r.ServerToken(); !server && len(token) > 0 {
		list = append(list, field{"server", string(token)})
	}
	if !date {
		list = append(list, field{"date", string(s.c.w.Date())})
	}
	if len(o.ContentType) > 0 {
		v := string(o.ContentType)
		if len(o.Charset) > 0 && bytes.IndexByte(o.ContentType, ';') < 0 {
			v += "; charset=" + string(o.Charset)
		}
		list = append(list, field{"content-type", v})
	}
	if o.ContentLength >= 0 {
		list = append(list, field{"content-length", strconv.FormatInt(o.ContentLength, 10)})
	}
	if o.LastModified >= 0 && !modified {
		list = append(list, field{"last-modified", string(http1.AppendTime(nil, o.LastModified))})
	}
	if o.VaryEncoding && core.Gzip.Vary.V {
		list = append(list, field{"vary", "Accept-Encoding"})
	}
	return list
}

// SendBody queues a piece of body.
func (s *stream) SendBody(r *engine.Request, c *engine.Chunk) error {
	if s.gone || s.c.closed {
		return engine.ErrClientGone
	}
	if s.out.last {
		return nil
	}
	switch {
	case c.File != nil && c.Len > 0:
		s.put(frame(frameData, int(c.Len)), nil, c)
	case len(c.Data) > 0:
		s.put(frame(frameData, len(c.Data)), c.Data, nil)
	}
	if c.Last {
		s.finish(r.Out.Trailers)
	}
	return nil
}

// Flush has nothing to do: what is queued leaves by itself.
func (s *stream) Flush(r *engine.Request) error {
	if s.gone {
		return engine.ErrClientGone
	}
	return nil
}

// Pending is the number of bytes that QUIC has not taken.
func (s *stream) Pending() int64 {
	if n := s.out.pending.Load(); n > 0 || !s.out.last || s.out.finished() {
		return n
	}
	return 1
}

// Drain parks until at most most bytes are queued, for at most send_timeout without progress.
func (s *stream) Drain(r *engine.Request, most int64) error {
	o, loop := &s.out, s.c.w.Loop
	for {
		o.low.Store(most)
		if s.gone || s.c.closed {
			return engine.ErrClientGone
		}
		if s.Pending() <= most || !o.running {
			return nil
		}
		t := loop.Current()
		o.writer, o.moved = t, false
		before := o.pending.Load()
		err := loop.Park(loop.Now() + int64(r.Core().SendTimeout.V))
		if o.writer == t {
			o.writer = nil
		}
		switch err {
		case nil, netio.ErrKilled:
		case netio.ErrTimeout:
			if o.pending.Load() == before {
				return s.timedOut(r)
			}
		default:
			return err
		}
	}
}
