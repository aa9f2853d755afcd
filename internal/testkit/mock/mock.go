// Package mock stands in for upstream servers in tests: a TCP and a UDP server
// that take one query, remember it and send a canned reply.
package mock

import (
	"errors"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"moongate/internal/testkit/poll"
)

// Reply makes the pieces to send from the query.
type Reply func(query string) []string

// Options describe one mock server.
type Options struct {
	// Target is a port on loopback, or a path ending in .sock.
	Target        string
	Reply         Reply // nil: nothing is sent
	ReplyDelay    time.Duration
	QueryLen      int           // TCP: read until so many bytes came; 0: one read
	AutoTimeout   time.Duration // TCP: instead, read until nothing comes for so long
	NoClose       bool          // TCP: keep the connection until Close
	Shutdown      int           // TCP: 0 read side, 1 write side, 2 both; -1 none
	ShutdownDelay time.Duration
}

// Server is a running mock. Close ends it.
type Server struct {
	opts  Options
	close func()
	done  chan struct{} // closed by Close
	wait  sync.WaitGroup

	mu    sync.Mutex
	query []byte
}

func (s *Server) record(b []byte) (total int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.query = append(s.query, b...)
	return len(s.query)
}

// Query is what came in so far.
func (s *Server) Query() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return string(s.query)
}

// Close stops listening, drops the connection and waits for the server's end.
func (s *Server) Close() {
	close(s.done)
	s.close()
	s.wait.Wait()
}

// sleep waits unless the server is closed first.
func (s *Server) sleep(d time.Duration) {
	if d <= 0 {
		return
	}
	select {
	case <-s.done:
	case <-time.After(d):
	}
}

// bindTimeout is how long a server waits for a port that is still taken.
const bindTimeout = 30 * time.Second

func bind[T any](listen func() (T, error)) (l T, err error) {
	poll.Until(bindTimeout, func() bool {
		l, err = listen()
		return !errors.Is(err, syscall.EADDRINUSE)
	})
	return l, err
}

func isPort(target string) bool {
	_, err := strconv.ParseUint(target, 10, 16)
	return err == nil
}

// TCP starts a server that serves the first connection and lets further ones
// wait, as a single-threaded server would.
func TCP(o Options) (*Server, error) {
	o.Target = strings.TrimSpace(o.Target)
	l, err := bind(func() (net.Listener, error) {
		if isPort(o.Target) {
			return net.Listen("tcp", "127.0.0.1:"+o.Target)
		}
		os.Remove(o.Target)
		return net.Listen("unix", o.Target)
	})
	if err != nil {
		return nil, err
	}
	if u, ok := l.(*net.UnixListener); ok {
		os.Chmod(o.Target, 0o777)
		u.SetUnlinkOnClose(true)
	}
	s := &Server{opts: o, done: make(chan struct{}), close: func() { l.Close() }}
	s.wait.Go(func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		gone := make(chan struct{})
		go func() { // a Close in mid-read must not wait for the peer
			select {
			case <-s.done:
				c.Close()
			case <-gone:
			}
		}()
		s.serve(c)
		close(gone)
		c.Close()
	})
	return s, nil
}

type halfCloser interface {
	CloseRead() error
	CloseWrite() error
}

func (s *Server) serve(c net.Conn) {
	mayRead, mayWrite := true, true
	if h, ok := c.(halfCloser); ok && s.opts.Shutdown >= 0 {
		s.sleep(s.opts.ShutdownDelay)
		if s.opts.Shutdown != 1 {
			h.CloseRead()
			mayRead = false
		}
		if s.opts.Shutdown != 0 {
			h.CloseWrite()
			mayWrite = false
		}
	}
	if mayRead {
		s.readQuery(c)
	}
	s.sleep(s.opts.ReplyDelay)
	if mayWrite && s.opts.Reply != nil {
		for _, piece := range s.opts.Reply(s.Query()) {
			if _, err := c.Write([]byte(piece)); err != nil {
				break
			}
		}
	}
	if s.opts.NoClose {
		<-s.done
	}
}

func (s *Server) readQuery(c net.Conn) {
	buf := make([]byte, 4096)
	for {
		if s.opts.AutoTimeout > 0 {
			c.SetReadDeadline(time.Now().Add(s.opts.AutoTimeout))
		}
		n, err := c.Read(buf)
		total := s.record(buf[:n])
		if err != nil || s.opts.AutoTimeout <= 0 && total >= s.opts.QueryLen {
			return
		}
	}
}

// UDP starts a server that answers the first datagram.
func UDP(o Options) (*Server, error) {
	o.Target = strings.TrimSpace(o.Target)
	c, err := bind(func() (net.PacketConn, error) {
		if isPort(o.Target) {
			return net.ListenPacket("udp4", ":"+o.Target)
		}
		os.Remove(o.Target)
		return net.ListenPacket("unixgram", o.Target)
	})
	if err != nil {
		return nil, err
	}
	s := &Server{opts: o, done: make(chan struct{}), close: func() {
		c.Close()
		if !isPort(o.Target) {
			os.Remove(o.Target)
		}
	}}
	if !isPort(o.Target) {
		os.Chmod(o.Target, 0o777)
	}
	s.wait.Go(func() {
		buf := make([]byte, 64<<10)
		n, from, err := c.ReadFrom(buf)
		if err != nil {
			return
		}
		s.record(buf[:n])
		s.sleep(o.ReplyDelay)
		if o.Reply == nil || from == nil {
			return
		}
		for _, piece := range o.Reply(string(buf[:n])) {
			c.WriteTo([]byte(piece), from)
		}
	})
	return s, nil
}
