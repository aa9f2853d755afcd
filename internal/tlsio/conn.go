// Package tlsio is TLS over the descriptors of a loop, and what the TLS of servers and of clients have in common.
//
// crypto/tls wants a connection that blocks. It gets one that parks during the handshake; afterwards it never waits:
// what it wants to send is kept, and where it wants to read more than there is it is told to come back. All calls need
// the loop's baton. It knows no HTTP.
package tlsio

import (
	"crypto/tls"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"moongate/internal/netio"
)

// Conn is one side of TLS over a descriptor.
type Conn struct {
	fd       *netio.FD
	tc       *tls.Conn
	choose   func(*tls.ClientHelloInfo) (*tls.Config, error)
	early    []byte // bytes of the client that were read before the handshake
	first    []byte // what the client has sent of its first message
	flight   []byte // the beginning of what was sent first
	hello    *ClientHello
	out      []byte  // records that the socket has not taken
	borrowed *[]byte // the memory of out, when it is a large one
	taken    int     // bytes of Write's caller that out holds
	deadline int64
	shaking  bool
	more     bool // decrypted bytes may be there
	failed   bool
}

// errAgain is an error that crypto/tls does not keep.
type again struct{}

func (again) Error() string   { return "try again" }
func (again) Timeout() bool   { return true }
func (again) Temporary() bool { return true }

var errAgain = again{}

// keepOut is the size up to which the memory for records is kept while nothing is to be sent.
const keepOut = 4 << 10

// large are buffers for more than that, which connections borrow while records wait to be sent.
var large = sync.Pool{New: func() any { b := make([]byte, 0, largeOut); return &b }}

const largeOut = 96 << 10

// Tickets encrypts the sessions of servers that have no key of their own; its keys change by themselves and outlive
// configurations. It is the configuration that every handshake begins with.
var Tickets = &tls.Config{GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
	l := h.Conn.(*link)
	choose := l.choose
	l.choose = nil
	return choose(h)
}}

// Server makes the server's side. choose picks the configuration for a client and may park; early is what was read of
// the client's bytes.
func Server(fd *netio.FD, choose func(*tls.ClientHelloInfo) (*tls.Config, error), early []byte) *Conn {
	c := &Conn{fd: fd, choose: choose, early: early, first: early[:len(early):len(early)]}
	c.tc = tls.Server((*link)(c), Tickets)
	return c
}

// Client makes the client's side, by a configuration that nobody changes any more.
func Client(fd *netio.FD, cfg *tls.Config) *Conn {
	c := &Conn{fd: fd}
	c.tc = tls.Client((*link)(c), cfg)
	return c
}

// Handshake parks until it is done, has failed or the deadline (monotonic nanoseconds).
func (c *Conn) Handshake(deadline int64) error {
	c.shaking, c.deadline = true, deadline
	err := c.tc.Handshake()
	c.shaking, c.choose = false, nil
	c.failed = err != nil
	c.more = true // a request may have come along with the client's last message
	if c.failed {
		c.Flush() // the alert
	}
	return unwrap(err)
}

// Hello is the client's first message, nil when it is none; valid until Forget.
func (c *Conn) Hello() *ClientHello {
	if c.hello == nil {
		c.hello = parseHello(c.first)
	}
	return c.hello
}

// Randoms gives the numbers of the two hellos.
func (c *Conn) Randoms() (client, server [32]byte) {
	if len(c.first) >= helloEnd {
		copy(client[:], c.first[helloEnd-32:])
	}
	if len(c.flight) >= helloEnd && c.flight[0] == recordHandshake && c.flight[recordHead] == serverHello {
		copy(server[:], c.flight[helloEnd-32:])
	}
	return client, server
}

// Forget gives up what was kept of the hellos.
func (c *Conn) Forget() { c.first, c.flight, c.hello = nil, nil, nil }

// State is what was agreed on.
func (c *Conn) State() tls.ConnectionState { return c.tc.ConnectionState() }

// Readable reports whether a read may give bytes or the end.
func (c *Conn) Readable() bool { return c.more || c.fd.Readable() }

// WaitRead parks until a read may give something.
func (c *Conn) WaitRead(deadline int64) error {
	if c.more {
		return nil
	}
	return c.fd.WaitRead(deadline)
}

// Read reads without waiting: syscall.EAGAIN when nothing is there; 0 and no error is the end.
func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.tc.Read(p)
	c.more = n > 0
	if n <= 0 && len(c.out) > c.taken && c.taken == 0 {
		c.Flush() // tickets, the answer to a change of keys; with something to answer they leave together with that
	}
	switch {
	case n > 0:
		return n, nil
	case err == nil || err == errAgain:
		return 0, syscall.EAGAIN
	case err == io.EOF || err == io.ErrUnexpectedEOF:
		return 0, nil
	}
	c.failed = true
	return 0, unwrap(err)
}

// Seal makes records of p; Flush sends them.
func (c *Conn) Seal(p []byte) error {
	_, err := c.tc.Write(p)
	return unwrap(err)
}

// Sealed is the size of the records that have not left.
func (c *Conn) Sealed() int { return len(c.out) }

// Flush sends what the socket takes: syscall.EAGAIN when it did not take all.
func (c *Conn) Flush() error {
	at := 0
	for at < len(c.out) {
		n, err := c.fd.Write(c.out[at:])
		if err != nil {
			c.out = c.out[:copy(c.out, c.out[at:])]
			return err
		}
		at += n
	}
	if c.out = c.out[:0]; cap(c.out) > keepOut {
		c.out = nil
	}
	if c.borrowed != nil {
		large.Put(c.borrowed)
		c.borrowed = nil
	}
	return nil
}

// record is the most plain text that a record holds.
const record = 16 << 10

// Write takes bytes once the socket has taken the records that they make; until then it is to be called with the same
// bytes again.
func (c *Conn) Write(p []byte) (int, error) {
	if c.taken == 0 {
		if err := c.Flush(); err != nil {
			return 0, err
		}
		p = p[:min(len(p), record)]
		if err := c.Seal(p); err != nil {
			return 0, err
		}
		c.taken = len(p)
	}
	if err := c.Flush(); err != nil {
		return 0, err
	}
	n := c.taken
	c.taken = 0
	return n, nil
}

// Quiet reports whether there is nothing to read: no bytes of the peer's, no end. It takes what TLS has for itself:
// tickets, new keys.
func (c *Conn) Quiet() bool {
	if !c.Readable() {
		return true
	}
	var p [1]byte
	n, err := c.Read(p[:])
	return n == 0 && err == syscall.EAGAIN
}

// CloseNotify tells the peer that nothing more comes, as far as the socket takes that now.
func (c *Conn) CloseNotify() {
	if !c.failed && c.fd.Sysfd() >= 0 {
		c.tc.CloseWrite()
		c.Flush()
	}
}

// link is a Conn as crypto/tls sees it.
type link Conn

func (l *link) Read(p []byte) (int, error) {
	if len(l.early) > 0 {
		n := copy(p, l.early)
		if l.early = l.early[n:]; len(l.early) == 0 {
			l.early = nil
		}
		return n, nil
	}
	if l.shaking && len(l.out) > 0 {
		if err := l.push(); err != nil {
			return 0, err
		}
	}
	for {
		if l.fd.Readable() {
			n, err := l.fd.Read(p)
			switch {
			case n > 0:
				if l.choose != nil {
					l.first = append(l.first, p[:n]...)
				}
				return n, nil
			case err == nil:
				return 0, io.EOF
			case err != syscall.EAGAIN:
				return 0, err
			}
		}
		if !l.shaking {
			return 0, errAgain
		}
		if err := l.fd.WaitRead(l.deadline); err != nil {
			return 0, err
		}
	}
}

func (l *link) Write(p []byte) (int, error) {
	if n := len(l.out) + len(p); n > keepOut && n <= largeOut && n > cap(l.out) {
		l.borrowed = large.Get().(*[]byte)
		l.out = append((*l.borrowed)[:0], l.out...)
	}
	l.out = append(l.out, p...)
	if l.shaking && len(l.flight) < helloEnd {
		l.flight = append(l.flight, p[:min(len(p), helloEnd-len(l.flight))]...)
	}
	return len(p), nil
}

// push sends all that is there, during the handshake, before the peer is waited for.
func (l *link) push() error {
	for {
		err := (*Conn)(l).Flush()
		if err != syscall.EAGAIN {
			return err
		}
		if err := l.fd.WaitWrite(l.deadline); err != nil {
			return err
		}
	}
}

func (l *link) Close() error                     { return nil }
func (l *link) LocalAddr() net.Addr              { return &net.UnixAddr{} }
func (l *link) RemoteAddr() net.Addr             { return &net.UnixAddr{Name: "peer"} } // without a name crypto/tls keeps no session
func (l *link) SetDeadline(time.Time) error      { return nil }
func (l *link) SetReadDeadline(time.Time) error  { return nil }
func (l *link) SetWriteDeadline(time.Time) error { return nil }

// unwrap finds the system error in one of crypto/tls.
func unwrap(err error) error {
	if oe, ok := err.(*net.OpError); ok && oe.Op != "remote error" {
		return oe.Err
	}
	return err
}
