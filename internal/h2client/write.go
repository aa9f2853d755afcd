package h2client

import (
	"syscall"

	"moongate/internal/http2"
)

// control is room for any of the frames that are no DATA and no HEADERS.
const control = 32

// reserve makes room for n bytes to be queued.
func (c *Conn) reserve(n int) {
	if cap(c.out)-len(c.out) >= n {
		return
	}
	m := c.env.Mem
	rest := c.out[min(c.unsent, len(c.out)):]
	nb := append(m.Buffer(max(len(rest)+n, 4<<10)), rest...)
	if c.out != nil {
		m.FreeBuffer(c.out)
	}
	c.out, c.unsent = nb, 0
}

func (c *Conn) freeOut() {
	if c.out != nil {
		c.env.Mem.FreeBuffer(c.out)
		c.out = nil
	}
	c.unsent = 0
}

// wake has what is queued written at the end of the turn.
func (c *Conn) wake() {
	if !c.queued {
		c.queued = true
		c.env.Loop.AtEnd(c.flushFn)
	}
}

// flush writes what is queued, as far as the socket takes it; a task waits for the rest.
func (c *Conn) flush() {
	c.queued = false
	if c.err != nil || c.draining || c.ending {
		return
	}
	if c.write() == syscall.EAGAIN {
		c.draining = true
		c.env.Loop.Go(c.drain)
	}
}

// write writes until all has left, the socket takes no more (EAGAIN) or it fails.
func (c *Conn) write() error {
	for c.unsent < len(c.out) {
		n, err := c.t.Write(c.out[c.unsent:])
		if n > 0 {
			c.unsent += n
			continue
		}
		if err != syscall.EAGAIN {
			c.lastWords()
			c.fail(&Error{Text: "writev() failed", Closed: true, Sys: err})
		}
		return err
	}
	c.freeOut()
	c.answers = 0
	c.wakeWaiters()
	return nil
}

// lastWords reads what a peer has sent before it went: it may say which requests it has not looked at.
func (c *Conn) lastWords() {
	if c.ending {
		return
	}
	c.ending = true
	c.read()
}

// drain is a task that writes to a socket that was full.
func (c *Conn) drain() {
	for c.err == nil {
		if err := c.t.WaitWrite(c.env.Loop.Now() + int64(c.cfg.WriteTimeout)); err != nil {
			c.fail(&Error{Text: "upstream timed out", Closed: true, Sys: syscall.ETIMEDOUT})
			break
		}
		if c.write() != syscall.EAGAIN {
			break
		}
		if c.unsent > 0 && len(c.out)-c.unsent < maxUnsent/2 {
			c.wakeWaiters()
		}
	}
	c.draining = false
	if c.err != nil {
		c.freeOut()
	}
}

// full reports whether senders have to wait for the socket.
func (c *Conn) full() bool { return len(c.out)-c.unsent >= maxUnsent }

// TrySend queues as much of p as the windows allow and reports how much that was; with last, the end of the request
// follows it. done says that all was queued.
func (s *Stream) TrySend(p []byte, last bool) (n int, done bool) {
	c := s.c
	if s.err != nil || s.localEnd || s.shut {
		return 0, false
	}
	for {
		m := len(p) - n
		if m > 0 {
			m = int(min(int64(m), s.sendWin.Free(), c.sendWin.Free(), int64(c.peer.FrameSize)))
			if m == 0 || c.full() {
				return n, false
			}
		} else if !last || n > 0 {
			c.wakeWaiters() // who else waits has its turn
			return n, true
		}
		flags := http2.Flags(0)
		if last && n+m == len(p) {
			flags = http2.EndStream
		}
		c.reserve(m + http2.HeaderSize)
		c.out = http2.AppendData(c.out, s.id, p[n:n+m], flags)
		n += m
		s.sendWin.Take(int64(m))
		c.sendWin.Take(int64(m))
		if len(c.out)-c.unsent >= writeAt {
			c.flush()
			if c.err != nil {
				return n, false
			}
		} else {
			c.wake()
		}
		if flags != 0 {
			s.endLocal()
			c.wakeWaiters()
			return n, true
		}
	}
}

// Send queues all of p; it parks while the windows or the socket do not allow it, no longer than timeout (nanoseconds)
// without progress. The error is the stream's, ErrStopped or that of waiting.
func (s *Stream) Send(p []byte, last bool, timeout int64) error {
	for {
		n, done := s.TrySend(p, last)
		if done {
			return nil
		}
		p = p[n:]
		if err := s.WaitSend(timeout); err != nil {
			return err
		}
	}
}

// WaitSend parks, after a TrySend that was not done, until more may be sent, no longer than timeout (nanoseconds).
func (s *Stream) WaitSend(timeout int64) error {
	c, loop := s.c, s.c.env.Loop
	switch {
	case s.err != nil:
		return s.err
	case s.localEnd || s.shut:
		return ErrStopped
	case s.sendWin.Free() > 0:
		c.wait(s)
	case c.sendWin.Free() > 0:
		c.wakeWaiters()
	}
	s.sender = loop.Current()
	err := loop.Park(loop.Now() + timeout)
	s.sender = nil
	c.unwait(s)
	return err
}

// wait puts a stream at the end of those that wait for the connection.
func (c *Conn) wait(s *Stream) {
	if s.waiting {
		return
	}
	s.waiting = true
	s.wprev, s.wnext = c.waitLast, nil
	if c.waitLast != nil {
		c.waitLast.wnext = s
	} else {
		c.waitFirst = s
	}
	c.waitLast = s
}

func (c *Conn) unwait(s *Stream) {
	if !s.waiting {
		return
	}
	s.waiting = false
	if s.wprev != nil {
		s.wprev.wnext = s.wnext
	} else if c.waitFirst == s {
		c.waitFirst = s.wnext
	}
	if s.wnext != nil {
		s.wnext.wprev = s.wprev
	} else if c.waitLast == s {
		c.waitLast = s.wprev
	}
	s.wprev, s.wnext = nil, nil
}

// wakeWaiters lets the first of those that wait go on, when it can; it lets the next one go on.
func (c *Conn) wakeWaiters() {
	if s := c.waitFirst; s != nil && c.sendWin.Free() > 0 && !c.full() {
		c.unwait(s)
		s.wakeSender()
	}
}
