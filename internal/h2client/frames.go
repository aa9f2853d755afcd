package h2client

import (
	"fmt"
	"strconv"

	"moongate/internal/http2"
)

// frame serves one frame. An error is the connection's.
func (c *Conn) frame(h http2.FrameHeader, p []byte) error {
	if c.fragments > 0 && (h.Type != http2.Continuation || h.Stream != c.fragHead.Stream) || c.fragments == 0 && h.Type == http2.Continuation {
		return unexpected(h)
	}
	if !c.settled && h.Type != http2.Settings { // RFC 9113 3.4; others of ours wait for it
		return unexpected(h)
	}
	switch h.Type {
	case http2.Data:
		return c.data(h, p)
	case http2.Headers:
		return c.headers(h, p)
	case http2.Continuation:
		return c.continuation(h, p)
	case http2.Settings:
		return c.settings(h, p)
	case http2.WindowUpdate:
		return c.windowUpdate(h, p)
	case http2.RSTStream:
		return c.rstStream(h, p)
	case http2.Ping:
		return c.pingFrame(h, p)
	case http2.GoAway:
		return c.goAway(h, p)
	case http2.PushPromise:
		return &http2.Error{Code: http2.ProtocolError, Text: "sent unexpected push promise frame"}
	case http2.Priority:
		if _, err := http2.PriorityPayload(h, p); err != nil {
			return err
		}
	}
	return c.nothing()
}

func unexpected(h http2.FrameHeader) error {
	return &http2.Error{Code: http2.ProtocolError, Text: "sent unexpected http2 frame: " + strconv.Itoa(int(h.Type))}
}

var (
	errEmpty   = &http2.Error{Code: http2.EnhanceYourCalm, Text: "sent too many frames that carry nothing"}
	errAnswers = &http2.Error{Code: http2.EnhanceYourCalm, Text: "sent too many settings or ping frames"}
)

// nothing counts frames that carry nothing.
func (c *Conn) nothing() error {
	if c.empty++; c.empty > maxEmpty {
		return errEmpty
	}
	return nil
}

// known gives the stream of a frame; nil: it is closed and forgotten. A stream that we never opened is a fault.
func (c *Conn) known(h http2.FrameHeader) (*Stream, error) {
	if h.Stream&1 == 0 || h.Stream >= c.nextID {
		return nil, &http2.Error{Code: http2.ProtocolError, Text: fmt.Sprintf("sent frame for unknown stream %d", h.Stream)}
	}
	return c.find(h.Stream), nil
}

func (c *Conn) data(h http2.FrameHeader, p []byte) error {
	data, err := http2.DataPayload(h, p)
	if err != nil {
		return err
	}
	n := int64(h.Length)
	if !c.recvWin.Take(n) {
		return &http2.Error{Code: http2.FlowControlError, Text: fmt.Sprintf("violated connection flow control, received %d data frame with window %d", n, c.recvWin)}
	}
	if c.recvDebt += n; c.recvDebt >= c.cfg.ConnWindow/4 {
		c.reserve(control)
		c.out = http2.AppendWindowUpdate(c.out, 0, c.recvDebt)
		c.recvWin.Add(c.recvDebt)
		c.recvDebt = 0
		c.wake()
	}
	if len(data) == 0 && !h.Has(http2.EndStream) {
		if err := c.nothing(); err != nil {
			return err
		}
	} else {
		c.empty = 0
	}
	s, err := c.known(h)
	switch {
	case err != nil:
		return err
	case s == nil || s.err != nil:
		return nil // we have reset it
	case s.remoteEnd:
		s.fail(http2.StreamClosed, fmt.Sprintf("upstream sent frame for closed stream %d", s.id))
		return nil
	case !s.headDone:
		s.fail(http2.ProtocolError, "upstream sent unexpected http2 frame: 0")
		return nil
	case !s.recvWin.Take(n):
		s.fail(http2.FlowControlError, fmt.Sprintf("upstream violated stream flow control, received %d data frame with window %d", n, s.recvWin))
		return nil
	}
	s.data(data, n-int64(len(data)), h.Has(http2.EndStream))
	return nil
}

func (c *Conn) headers(h http2.FrameHeader, p []byte) error {
	block, _, err := http2.HeadersPayload(h, p)
	if err != nil {
		return err
	}
	c.empty = 0
	if h.Has(http2.EndHeaders) {
		return c.block(h, block)
	}
	c.fragHead, c.fragments = h, 1
	c.frag = append(c.frag[:0], block...)
	return nil
}

func (c *Conn) continuation(h http2.FrameHeader, p []byte) error {
	c.frag = append(c.frag, p...)
	if c.fragments++; c.fragments > maxFragments || len(c.frag) > c.cfg.HeaderList {
		return &http2.Error{Code: http2.EnhanceYourCalm, Text: "sent too large http2 header"}
	}
	if !h.Has(http2.EndHeaders) {
		return nil
	}
	c.fragments = 0
	err := c.block(c.fragHead, c.frag)
	if cap(c.frag) > http2.DefaultFrameSize {
		c.frag = nil
	}
	return err
}

// block serves a complete header block.
func (c *Conn) block(h http2.FrameHeader, p []byte) error {
	s, err := c.known(h)
	if err != nil {
		return err
	}
	if s == nil || s.err != nil {
		return c.dec.Decode(nil, p, &c.limits)
	}
	end := h.Has(http2.EndStream)
	switch {
	case s.remoteEnd:
		s.fail(http2.StreamClosed, fmt.Sprintf("upstream sent frame for closed stream %d", s.id))
		return c.dec.Decode(nil, p, &c.limits)
	case s.headDone:
		if err := c.dec.Decode(&s.trail, p, &c.limits); err != nil {
			return err
		}
		s.trailers(end)
	default:
		s.head.Reset()
		if err := c.dec.Decode(&s.head, p, &c.limits); err != nil {
			return err
		}
		s.response(end)
	}
	return nil
}

// answer notes an answer that the peer makes us send.
func (c *Conn) answer() error {
	c.wake()
	if c.answers++; c.answers > maxAnswers {
		return errAnswers
	}
	return nil
}

func (c *Conn) settings(h http2.FrameHeader, p []byte) error {
	delta, ack, err := c.peer.SettingsPayload(h, p)
	if err != nil {
		return err
	}
	if ack {
		return c.nothing()
	}
	c.enc.SetTableSize(c.peer.HeaderTableSize)
	if delta != 0 {
		for _, s := range c.table {
			for ; s != nil; s = s.chain {
				if !s.sendWin.Add(delta) {
					return &http2.Error{Code: http2.FlowControlError, Text: "sent too large window update"}
				}
				s.wakeSender()
			}
		}
	}
	c.settled = true
	c.reserve(control)
	c.out = http2.AppendSettingsAck(c.out)
	return c.answer()
}

func (c *Conn) windowUpdate(h http2.FrameHeader, p []byte) error {
	n, err := http2.WindowUpdatePayload(h, p)
	if err != nil {
		return err
	}
	if h.Stream == 0 {
		switch {
		case n == 0:
			return &http2.Error{Code: http2.ProtocolError, Text: "sent zero window update"}
		case !c.sendWin.Add(n):
			return &http2.Error{Code: http2.FlowControlError, Text: "sent too large window update"}
		}
		c.wakeWaiters()
		return nil
	}
	s, err := c.known(h)
	switch {
	case err != nil:
		return err
	case s == nil || s.err != nil || s.localEnd:
		return c.nothing()
	case n == 0:
		s.fail(http2.ProtocolError, "upstream sent zero window update")
	case !s.sendWin.Add(n):
		s.fail(http2.FlowControlError, "upstream sent too large window update")
	default:
		s.wakeSender()
	}
	return nil
}

func (c *Conn) rstStream(h http2.FrameHeader, p []byte) error {
	code, err := http2.RSTStreamPayload(h, p)
	if err != nil {
		return err
	}
	s, err := c.known(h)
	if err != nil {
		return err
	}
	if s == nil || s.err != nil {
		return c.nothing()
	}
	s.reset(code)
	return nil
}

func (c *Conn) pingFrame(h http2.FrameHeader, p []byte) error {
	data, err := http2.PingPayload(h, p)
	if err != nil {
		return err
	}
	if h.Has(http2.Ack) {
		return c.nothing()
	}
	c.reserve(control)
	c.out = http2.AppendPing(c.out, data, http2.Ack)
	return c.answer()
}

// goAway learns that the peer takes no further streams. Those above the last that it names were not looked at: without
// an error they can be sent again elsewhere, whatever they ask for.
func (c *Conn) goAway(h http2.FrameHeader, p []byte) error {
	last, code, debug, err := http2.GoAwayPayload(h, p)
	if err != nil {
		return err
	}
	if c.goaway && last > c.lastID {
		return &http2.Error{Code: http2.ProtocolError, Text: "sent goaway frame with a higher last stream"}
	}
	c.goaway, c.lastID = true, last
	text := fmt.Sprintf("upstream sent goaway with error %d", code)
	if len(debug) > 0 {
		text += fmt.Sprintf(" (%.64q)", debug)
	}
	e := &Error{Code: code, Text: text, Refused: code == http2.NoError, GoAway: true, Invalid: true}
	for _, s := range c.table {
		for s != nil {
			next := s.chain
			if s.id > last && s.err == nil && !s.remoteEnd { // a response that is here stays, whatever the peer says of it
				s.end(e)
			}
			s = next
		}
	}
	if c.streams == 0 {
		c.Close()
	}
	return nil
}
