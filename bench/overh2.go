package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// perConnection is how many WebSockets share a connection of HTTP/2.
const perConnection = 500

// h2Client is a connection of WebSockets (RFC 8441). What they send is far less than the windows, which are not counted.
type h2Client struct {
	c       net.Conn
	fr      *http2.Framer
	mu      sync.Mutex // of what follows, and of writing
	enc     *hpack.Encoder
	block   bytes.Buffer
	last    uint32
	streams map[uint32]*h2Socket
	err     error
}

// h2Socket is one WebSocket, as a net.Conn.
type h2Socket struct {
	net.Conn // the client's, for addresses
	k        *h2Client
	id       uint32
	status   chan string
	in       chan []byte
	rest     []byte
	until    time.Time
}

func dialH2(address string) (*h2Client, error) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	k := &h2Client{c: c, fr: http2.NewFramer(c, c), streams: map[uint32]*h2Socket{}, last: ^uint32(0)}
	k.enc = hpack.NewEncoder(&k.block)
	if _, err := io.WriteString(c, http2.ClientPreface); err != nil {
		return nil, err
	}
	if err := k.fr.WriteSettings(); err != nil {
		return nil, err
	}
	go k.read()
	return k, nil
}

// open makes a WebSocket; the server must answer 200.
func (k *h2Client) open(path string) (*h2Socket, error) {
	s := &h2Socket{Conn: k.c, k: k, status: make(chan string, 1), in: make(chan []byte, 4)}
	k.mu.Lock()
	k.last += 2
	s.id = k.last
	k.streams[s.id] = s
	k.block.Reset()
	for _, f := range [][2]string{{":method", "CONNECT"}, {":protocol", "websocket"}, {":scheme", "http"}, {":authority", "localhost"}, {":path", path}, {"sec-websocket-version", "13"}} {
		k.enc.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
	}
	err := k.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: s.id, BlockFragment: k.block.Bytes(), EndHeaders: true})
	k.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if status := <-s.status; status != "200" {
		return nil, fmt.Errorf("the answer is %s", status)
	}
	return s, nil
}

// read hands frames out until the connection ends.
func (k *h2Client) read() {
	k.fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	taken := 0
	for {
		f, err := k.fr.ReadFrame()
		if err != nil {
			k.end(err)
			return
		}
		k.mu.Lock()
		s := k.streams[f.Header().StreamID]
		switch f := f.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				k.fr.WriteSettingsAck()
			}
		case *http2.PingFrame:
			if !f.IsAck() {
				k.fr.WritePing(true, f.Data)
			}
		case *http2.MetaHeadersFrame:
			if s != nil {
				s.status <- f.PseudoValue("status")
			}
		case *http2.DataFrame:
			if taken += len(f.Data()); taken > 16<<10 {
				k.fr.WriteWindowUpdate(0, uint32(taken))
				taken = 0
			}
			if s != nil && len(f.Data()) > 0 {
				s.in <- bytes.Clone(f.Data())
			}
			if f.StreamEnded() {
				k.drop(s)
			}
		case *http2.RSTStreamFrame:
			k.drop(s)
		}
		k.mu.Unlock()
	}
}

// drop ends a WebSocket. The caller has locked.
func (k *h2Client) drop(s *h2Socket) {
	if s != nil && k.streams[s.id] == s {
		delete(k.streams, s.id)
		close(s.in)
		select {
		case s.status <- "none":
		default:
		}
	}
}

func (k *h2Client) end(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.err = err
	for _, s := range k.streams {
		k.drop(s)
	}
}

func (s *h2Socket) Read(p []byte) (int, error) {
	if len(s.rest) == 0 {
		late := time.NewTimer(time.Until(s.until))
		defer late.Stop()
		select {
		case b, ok := <-s.in:
			if !ok {
				return 0, errors.New("the stream has ended")
			}
			s.rest = b
		case <-late.C:
			return 0, os.ErrDeadlineExceeded
		}
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

func (s *h2Socket) Write(p []byte) (int, error) {
	s.k.mu.Lock()
	defer s.k.mu.Unlock()
	return len(p), errors.Join(s.k.err, s.k.fr.WriteData(s.id, false, p))
}

func (s *h2Socket) SetDeadline(t time.Time) error { s.until = t; return nil }

// Close resets the stream; the connection stays.
func (s *h2Socket) Close() error {
	s.k.mu.Lock()
	defer s.k.mu.Unlock()
	s.k.drop(s)
	return s.k.fr.WriteRSTStream(s.id, http2.ErrCodeCancel)
}
