package h1

import (
	"moongate/internal/edge/h2"
	"moongate/internal/engine"
	"moongate/internal/http2"
)

// A connection turns out to be one of HTTP/2: the client has chosen it in the handshake, or its first bytes say so.

// speaksHTTP2 reports whether the address does.

func (c *conn) speaksHTTP2() bool {
	a := c.addr()
	return a.SpeaksHTTP2(a.DefaultServer())
}

// beginsHTTP2 compares what was read with the preface. part: it is the same as far as it goes.
func (c *conn) beginsHTTP2() (all, part bool) {
	p := c.buf[c.rpos:]
	n := min(len(p), len(http2.Preface))
	if n == 0 || p[0] != 'P' || string(p[:n]) != http2.Preface[:n] || !c.speaksHTTP2() {
		return false, false
	}
	return n == len(http2.Preface), true
}

// turnsOut reports whether it is known that the client speaks HTTP/2.
func (c *conn) turnsOut() bool {
	if c.https {
		return c.TLS != nil && h2.Negotiated(&c.TLS.ConnectionState)
	}
	all, _ := c.beginsHTTP2()
	return all
}

// maybeHTTP2 reports whether more bytes are needed to know.
func (c *conn) maybeHTTP2() bool {
	if c.https {
		return false
	}
	all, part := c.beginsHTTP2()
	return part && !all
}

// speakHTTP2 leaves the connection to the other driver.
func (c *conn) speakHTTP2() {
	if c.timer.Armed() {
		c.w.Loop.Disarm(&c.timer)
	}
	buf, rpos := c.buf, c.rpos
	c.buf, c.rpos = nil, 0
	c.h2 = h2.Take((*host)(c), &c.Conn, &c.fd, c.tls, buf, rpos)
}

// host is a connection as the other driver needs it.
type host conn

// Addr implements h2.Host.
func (h *host) Addr() *engine.AddrConf { return (*conn)(h).addr() }

// Close implements h2.Host.
func (h *host) Close(linger, each int64) {
	c := (*conn)(h)
	if linger > 0 && !c.closed {
		c.lingerClose(linger, each)
	}
	c.close()
}

// Arrived implements h2.Host.
func (h *host) Arrived() bool { return (*conn)(h).arrived() }
