package client

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"moongate/internal/testkit/poll"
)

// Options say how a request is sent.
type Options struct {
	Addr        string        // host:port
	Timeout     time.Duration // without any progress, and for connecting
	MiddleDelay time.Duration // before every piece but the first that has none of its own
	TLS         *tls.Config   // handshake before the request; nil: none
	HTTP2       bool          // the request travels over HTTP/2
	Shutdown    int           // after the last byte: 0 nothing, 1 write side, 2 both, 3 read side
}

// Result is what came back.
type Result struct {
	Raw      string
	TimedOut bool
	Err      error // why reading or writing ended other than by the server's close
}

// ErrNoListener means that nothing listened within the time-out.
var ErrNoListener = errors.New("nothing listens")

// Dial connects; while nothing listens yet it tries again until the time-out.
func Dial(addr string, timeout time.Duration) (*net.TCPConn, error) {
	var c net.Conn
	var err error
	poll.Until(timeout, func() bool {
		c, err = net.DialTimeout("tcp", addr, timeout)
		return !errors.Is(err, syscall.ECONNREFUSED)
	})
	if err != nil {
		return nil, fmt.Errorf("%w at %s: %v", ErrNoListener, addr, err)
	}
	return c.(*net.TCPConn), nil
}

// Send writes the request's pieces with their delays and reads until the server
// closes or nothing happens for the time-out.
func Send(req Request, o Options) (Result, error) {
	if o.HTTP2 {
		return sendHTTP2(req, o)
	}
	tcp, err := Dial(o.Addr, o.Timeout)
	if err != nil {
		return Result{}, err
	}
	defer tcp.Close()
	var conn halves = tcp
	if o.TLS != nil {
		secure := tls.Client(tcp, o.TLS)
		tcp.SetDeadline(time.Now().Add(o.Timeout))
		if err := secure.Handshake(); err != nil {
			return Result{Err: err}, fmt.Errorf("TLS handshake: %w", err)
		}
		tcp.SetDeadline(time.Time{})
		conn = tlsHalves{secure, tcp}
	}
	written := make(chan error, 1)
	conn.SetReadDeadline(time.Now().Add(o.Timeout))
	go func() { written <- write(conn, req, o) }()

	var res Result
	buf := make([]byte, 16<<10)
	var raw []byte
	for {
		n, err := conn.Read(buf)
		raw = append(raw, buf[:n]...)
		if err == nil {
			conn.SetReadDeadline(time.Now().Add(o.Timeout))
			continue
		}
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			res.TimedOut = true
		case !errors.Is(err, io.EOF):
			res.Err = err
		}
		break
	}
	conn.Close()
	if werr := <-written; werr != nil && len(raw) == 0 && res.Err == nil && !res.TimedOut {
		res.Err = werr
	}
	res.Raw = string(raw)
	return res, nil
}

// halves is a connection whose directions can be closed one by one.
type halves interface {
	net.Conn
	CloseRead() error
	CloseWrite() error
}

// tlsHalves closes the reading half below TLS, which knows no such thing.
type tlsHalves struct {
	*tls.Conn
	tcp *net.TCPConn
}

func (c tlsHalves) CloseRead() error { return c.tcp.CloseRead() }

func write(conn halves, req Request, o Options) error {
	for i, p := range req {
		delay := p.Delay
		if !p.HasDelay && i > 0 {
			delay = o.MiddleDelay
		}
		if delay > 0 {
			conn.SetReadDeadline(time.Now().Add(delay + o.Timeout))
			poll.Pause(delay)
		}
		conn.SetWriteDeadline(time.Now().Add(o.Timeout))
		if _, err := io.WriteString(conn, p.Text); err != nil {
			return err
		}
		conn.SetReadDeadline(time.Now().Add(o.Timeout))
	}
	switch o.Shutdown {
	case 1:
		return conn.CloseWrite()
	case 2:
		return errors.Join(conn.CloseWrite(), conn.CloseRead())
	case 3:
		return conn.CloseRead()
	}
	return nil
}
