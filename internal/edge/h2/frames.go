package h2

import (
	"moongate/internal/base/nlog"
	"moongate/internal/engine"
	"moongate/internal/http2"
)

// frame takes the next frame of the buffer; false: it has not come in full, or the connection has failed.
func (c *conn) frame() bool {
	p := c.buf[c.rpos:]
	if !c.greeted {
		return c.greet(p)
	}
	if len(p) < http2.HeaderSize {
		return false
	}
	h := http2.ParseHeader(p)
	if h.Length > maxFrame {
		c.fail(&http2.Error{Code: http2.FrameSizeError, Text: "sent frame that is too long"})
		return false
	}
	size := http2.HeaderSize + int(h.Length)
	if len(p) < size {
		c.part(h)
		return false
	}
	c.rpos += size
	c.partial = 0
	if err := c.take(h, p[http2.HeaderSize:size]); err != nil {
		c.fail(err)
		return false
	}
	return true
}

// part is called when a frame has begun to come.
func (c *conn) part(h http2.FrameHeader) {
	switch h.Type {
	case http2.PushPromise: // will not do, whatever it holds
		c.fail(errPush)
		return
	case http2.Headers, http2.Continuation:
		if c.partial == 0 {
			c.partial = h.Stream
			c.until(int64(c.server().ClientHeaderTimeout.V))
		}
	}
}

var errPush = &http2.Error{Code: http2.ProtocolError, Text: "sent PUSH_PROMISE frame"}

// greet looks for the preface.
func (c *conn) greet(p []byte) bool {
	n := min(len(p), len(http2.Preface))
	if string(p[:n]) != http2.Preface[:n] {
		c.log(nlog.Info, nil, "invalid connection preface")
		c.finish(http2.ProtocolError)
		return false
	}
	if n < len(http2.Preface) {
		return false
	}
	c.greeted = true
	c.rpos += n
	return true
}

// take serves one frame. An error is the end of the connection.
func (c *conn) take(h http2.FrameHeader, p []byte) error {
	if c.block.stream != 0 && h.Type != http2.Continuation {
		return &http2.Error{Code: http2.ProtocolError, Text: "sent inappropriate frame while CONTINUATION was expected"}
	}
	if !c.flood.frame(h) {
		c.log(nlog.Info, nil, "http2 flood detected")
		c.finish(http2.EnhanceYourCalm)
		return nil
	}
	switch h.Type {
	case http2.Data:
		return c.onData(h, p)
	case http2.Headers:
		return c.onHeaders(h, p)
	case http2.Continuation:
		return c.onContinuation(h, p)
	case http2.Priority:
		return c.onPriority(h, p)
	case http2.RSTStream:
		return c.onReset(h, p)
	case http2.Settings:
		return c.onSettings(h, p)
	case http2.Ping:
		return c.onPing(h, p)
	case http2.WindowUpdate:
		return c.onWindowUpdate(h, p)
	case http2.GoAway:
		_, _, _, err := http2.GoAwayPayload(h, p)
		return err
	case http2.PushPromise:
		return errPush
	}
	if lg := c.core().Logger(); lg.On(nlog.Info) {
		lg.Logf(nlog.Info, c.base, nil, "client sent frame with unknown type %d", h.Type)
	}
	return nil
}

func (c *conn) onData(h http2.FrameHeader, p []byte) error {
	data, err := http2.DataPayload(h, p)
	if err != nil {
		return err
	}
	size := int64(h.Length)
	if size > c.recvWindow {
		return errorf(http2.FlowControlError, "violated connection flow control: received DATA frame length %d, available window %d", size, c.recvWindow)
	}
	if c.recvWindow -= size; c.recvWindow < http2.MaxWindow/4 {
		c.room(16)
		c.out = http2.AppendWindowUpdate(c.out, 0, http2.MaxWindow-c.recvWindow)
		c.recvWindow = http2.MaxWindow
	}
	end := h.Has(http2.EndStream)
	s := c.streams[h.Stream]
	if s == nil || s.reset {
		return c.strayData(h, end)
	}
	if size > s.body.recvWindow {
		c.log(nlog.Info, nil, sprintf("client violated flow control for stream %d: received DATA frame length %d, available window %d", s.id, size, s.body.recvWindow))
		s.terminate(http2.FlowControlError)
		return c.tooManyResets()
	}
	s.body.recvWindow -= size
	if s.inClosed {
		c.log(nlog.Info, nil, sprintf("client sent DATA frame for half-closed stream %d", s.id))
		s.terminate(http2.StreamClosed)
		return c.tooManyResets()
	}
	c.flood.useful(len(data))
	s.receive(data, int(size)-len(data), end)
	return nil
}

// strayData is DATA of a stream that no task serves.
func (c *conn) strayData(h http2.FrameHeader, end bool) error {
	if h.Stream > c.lastID {
		return errorf(http2.ProtocolError, "sent DATA frame for idle stream %d", h.Stream)
	}
	if c.lateData(h.Stream, int(h.Length), end) || c.past.find(h.Stream) != endedByClient {
		return nil
	}
	c.resetStream(h.Stream, http2.StreamClosed)
	c.past.add(h.Stream, endedByUs)
	return c.tooManyResets()
}

// resetStream sends RST_STREAM.
func (c *conn) resetStream(id uint32, code http2.ErrCode) {
	c.room(16)
	c.out = http2.AppendRSTStream(c.out, id, code)
	c.flushSoon()
}

func (c *conn) onHeaders(h http2.FrameHeader, p []byte) error {
	block, dep, err := http2.HeadersPayload(h, p)
	if err != nil {
		return err
	}
	if h.Stream%2 == 0 {
		return c.badStream(h.Stream)
	}
	if h.Has(http2.HasPriority) && h.Stream > c.lastID {
		c.prioritize(h.Stream, dep)
	}
	if h.Has(http2.EndHeaders) {
		return c.onBlock(h.Stream, h.Has(http2.EndStream), block)
	}
	c.block.stream, c.block.end = h.Stream, h.Has(http2.EndStream)
	c.block.buf = append(c.block.buf[:0], block...)
	c.until(int64(c.server().ClientHeaderTimeout.V))
	return nil
}

func (c *conn) onPriority(h http2.FrameHeader, p []byte) error {
	dep, err := http2.PriorityPayload(h, p)
	switch {
	case err != nil:
		return err
	case !c.flood.priority(c.config().streams.V):
		return &http2.Error{Code: http2.EnhanceYourCalm, Text: "sent too many PRIORITY frames"}
	}
	c.prioritize(h.Stream, dep)
	return nil
}

func (c *conn) badStream(id uint32) error {
	return errorf(http2.ProtocolError, "sent HEADERS frame with incorrect identifier %d, the last was %d", id, c.lastID)
}

func (c *conn) onContinuation(h http2.FrameHeader, p []byte) error {
	b := &c.block
	switch {
	case b.stream == 0:
		return &http2.Error{Code: http2.ProtocolError, Text: "sent unexpected CONTINUATION frame"}
	case h.Stream != b.stream:
		return &http2.Error{Code: http2.ProtocolError, Text: "sent CONTINUATION frame with incorrect identifier"}
	}
	b.buf = append(b.buf, p...)
	if l, _ := c.limits(); len(b.buf) > 2*l.Total+4096 {
		return &http2.Error{Code: http2.EnhanceYourCalm, Text: "sent too large header"}
	}
	if !h.Has(http2.EndHeaders) {
		return nil
	}
	id := b.stream
	b.stream = 0
	buf := b.buf
	b.buf = nil
	return c.onBlock(id, b.end, buf)
}

// onBlock takes a complete header block.
func (c *conn) onBlock(id uint32, end bool, block []byte) error {
	if id <= c.lastID {
		return c.laterBlock(id, end, block)
	}
	c.lastID = id
	if c.goaway {
		return c.skipBlock(block)
	}
	if id == c.expired {
		c.past.add(id, endedByUs)
		return c.skipBlock(block)
	}
	if why := c.refuse(end); why != "" {
		c.log(nlog.Info, nil, why)
		if err := c.skipBlock(block); err != nil {
			return err
		}
		if !c.flood.refused(c.config().streams.V) {
			c.log(nlog.Info, nil, "client sent too many refused streams")
			c.finish(http2.NoError)
			return nil
		}
		c.past.add(id, endedByUs)
		c.resetStream(id, http2.RefusedStream)
		return nil
	}
	return c.begin(id, end, block)
}

// skipBlock reads a block for its effect on the table of fields.
func (c *conn) skipBlock(block []byte) error {
	l, _ := c.limits()
	return c.dec.Decode(nil, block, &l)
}

// laterBlock is a header block of a stream that was there before: trailers.
func (c *conn) laterBlock(id uint32, end bool, block []byte) error {
	s := c.streams[id]
	if s == nil || s.reset {
		err := c.skipBlock(block)
		switch {
		case err != nil:
			return err
		case c.lateData(id, 0, end):
			return nil
		}
		switch c.past.find(id) {
		case endedByUs:
			return nil
		case endedByClient:
			return errorf(http2.StreamClosed, "sent HEADERS frame for closed stream %d", id)
		}
		return c.badStream(id)
	}
	if s.inClosed {
		if err := c.skipBlock(block); err != nil {
			return err
		}
		c.log(nlog.Info, nil, sprintf("client sent HEADERS frame for half-closed stream %d", id))
		s.terminate(http2.StreamClosed)
		return c.tooManyResets()
	}
	return s.takeTrailers(end, block)
}

// headShare is how much memory the heads of a connection's requests may take on the average, if there are as many as may be.
// A block of one byte per field becomes a hundred times as much.
const headShare = 16 << 10

// refuse says why there can be no new stream now.
func (c *conn) refuse(end bool) string {
	cf := c.config()
	switch {
	case c.processing >= cf.streams.V:
		return sprintf("concurrent streams exceeded %d", c.processing)
	case c.heads > cf.streams.V*headShare:
		return sprintf("too large headers of concurrent streams: %d bytes", c.heads)
	case !c.flood.stream(cf.streams.V):
		return "client sent too many streams at once"
	case !c.acked && !end && cf.preread.V < http2.DefaultWindow:
		return "client sent stream with data before settings were acknowledged"
	}
	return ""
}

// begin serves a new stream.
func (c *conn) begin(id uint32, end bool, block []byte) error {
	s := newStream(c, id)
	s.inClosed = end
	s.size = len(block)
	l, _ := c.limits()
	if err := c.dec.Decode(&s.block, block, &l); err != nil {
		s.recycle()
		return err
	}
	c.idling = false
	c.processing++
	s.weight = s.block.Weight()
	c.heads += s.weight
	c.base.Requests++
	core := c.core()
	if k := core.KeepaliveTimeout.V.Timeout; k == 0 || c.base.Requests >= uint64(core.KeepaliveRequests.V) ||
		c.w.Loop.Now()-c.base.StartMono > int64(core.KeepaliveTime.V) {
		c.sayGoAway(http2.NoError)
	}
	c.flood.useful(len(block))
	c.serveInline(s)
	return nil
}

// serveInline serves a request on the goroutine that reads, until it has to wait.
func (c *conn) serveInline(s *stream) {
	c.inline = s
	epoch := c.epoch
	c.w.Loop.OnPark(c.handOverFn)
	s.serve()
	if c.epoch == epoch {
		c.w.Loop.OnPark(nil)
		c.inline = nil
	}
}

func (c *conn) onReset(h http2.FrameHeader, p []byte) error {
	code, err := http2.RSTStreamPayload(h, p)
	if err != nil {
		return err
	}
	if h.Stream > c.lastID {
		return errorf(http2.ProtocolError, "sent RST_STREAM frame for idle stream %d", h.Stream)
	}
	c.lateData(h.Stream, 0, true)
	s := c.streams[h.Stream]
	if s == nil || s.reset {
		return c.tooManyResets()
	}
	s.inClosed, s.reset = true, true
	c.past.add(s.id, endedByClient)
	switch code {
	case http2.Cancel:
		s.r.Logf(nlog.Info, "client canceled stream %d", s.id)
	case http2.InternalError:
		s.r.Logf(nlog.Info, "client terminated stream %d due to internal error", s.id)
	default:
		s.r.Logf(nlog.Info, "client terminated stream %d with status %d", s.id, uint32(code))
	}
	s.abandon()
	return c.tooManyResets()
}

// tooManyResets counts streams that the client had ended before their time, by whatever means.
func (c *conn) tooManyResets() error {
	if c.flood.reset(c.config().streams.V, c.w.Loop.Now()) {
		return nil
	}
	return &http2.Error{Code: http2.EnhanceYourCalm, Text: "reset too many streams"}
}

func (c *conn) onSettings(h http2.FrameHeader, p []byte) error {
	delta, ack, err := c.peer.SettingsPayload(h, p)
	if err != nil {
		return err
	}
	if ack {
		c.acked = true
		return nil
	}
	c.enc.SetTableSize(c.peer.HeaderTableSize)
	c.room(16)
	c.out = http2.AppendSettingsAck(c.out)
	c.flushSoon()
	if delta != 0 {
		c.adjustWindows(delta)
	}
	return nil
}

func (c *conn) onPing(h http2.FrameHeader, p []byte) error {
	data, err := http2.PingPayload(h, p)
	if err != nil || h.Has(http2.Ack) {
		return err
	}
	c.room(32)
	c.out = http2.AppendPing(c.out, data, http2.Ack)
	c.flushSoon()
	return nil
}

func (c *conn) onWindowUpdate(h http2.FrameHeader, p []byte) error {
	n, err := http2.WindowUpdatePayload(h, p)
	if err != nil {
		return err
	}
	if n == 0 {
		return &http2.Error{Code: http2.ProtocolError, Text: "sent WINDOW_UPDATE frame with incorrect window increment 0"}
	}
	if h.Stream == 0 {
		if !c.sendWindow.Add(n) {
			return errorf(http2.FlowControlError, "violated connection flow control: received WINDOW_UPDATE frame with window increment %d not allowed for window %d", n, c.sendWindow)
		}
		c.pump()
		return nil
	}
	if h.Stream > c.lastID {
		return errorf(http2.ProtocolError, "sent WINDOW_UPDATE frame for idle stream %d", h.Stream)
	}
	s := c.streams[h.Stream]
	if s == nil || s.reset {
		return nil
	}
	if !s.sendWindow.Add(n) {
		c.log(nlog.Info, nil, sprintf("client violated flow control for stream %d: received WINDOW_UPDATE frame with window increment %d not allowed for window %d", s.id, n, s.sendWindow))
		s.terminate(http2.FlowControlError)
		return c.tooManyResets()
	}
	s.offer()
	c.pump()
	return nil
}

// adjustWindows applies a new SETTINGS_INITIAL_WINDOW_SIZE to the streams.
func (c *conn) adjustWindows(delta int64) {
	for _, s := range c.streams {
		if !s.sendWindow.Add(delta) {
			s.terminate(http2.FlowControlError)
			continue
		}
		s.offer()
	}
	c.pump()
}

var _ engine.Closer = (*conn)(nil)
