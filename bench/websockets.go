package main

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// websockets keeps many WebSockets open through the server, each echoing every few seconds, while the configuration is
// reloaded. Any that ends, or echoes something else, is a failure.
func websockets(s *settings) error {
	limit := raiseFiles()
	need := 2*uint64(s.idle) + 100
	if s.overH2 {
		need = uint64(s.idle) + uint64(s.idle)/perConnection + 100
	}
	if need > limit {
		return fmt.Errorf("%d connections need more than the %d descriptors that ulimit -n allows; -idle %d is possible, or -h2", s.idle, limit, (limit-100)/2)
	}
	echo, stop, err := startChild("", "echo")
	if err != nil {
		return err
	}
	defer stop()
	binary, err := filepath.Abs(s.ours)
	if err != nil {
		return err
	}
	srv, err := startTunnel(binary, echo, limit)
	if err != nil {
		return err
	}
	defer srv.stop()
	pid := srv.cmd.Process.Pid
	start := memoryOf(pid)
	w := &sockets{url: srv.listen, overH2: s.overH2, pause: time.Duration(s.settle) * time.Second / 5, quit: make(chan struct{})}
	began := time.Now()
	for range s.idle {
		if err := w.open(); err != nil {
			return fmt.Errorf("after %d connections: %w", w.opened.Load(), err)
		}
	}
	fmt.Printf("# %d WebSockets open after %.1f s; each echoes every %v or so\n", s.idle, time.Since(began).Seconds(), w.pause)
	fmt.Printf("# PSS after the start: %d KiB\n", start)
	fmt.Printf("%-8s %10s %10s %10s %12s\n", "reload", "open", "dropped", "echoes", "PSS KiB")
	for n := range 4 {
		if n > 0 {
			if err := srv.configure(tunnelConf(srv.listen, echo, limit, n)); err != nil {
				return err
			}
			srv.cmd.Process.Signal(syscall.SIGHUP)
		}
		before := w.echoes.Load()
		time.Sleep(time.Duration(s.settle) * time.Second)
		fmt.Printf("%-8d %10d %10d %10d %12d\n", n, w.opened.Load()-w.dropped.Load(), w.dropped.Load(), w.echoes.Load()-before, memoryOf(pid))
		if got, err := version(srv.listen); err != nil || got != fmt.Sprint(n) {
			return fmt.Errorf("new connections see configuration %q after reload %d: %w", got, n, err)
		}
	}
	close(w.quit)
	w.wait.Wait()
	time.Sleep(time.Duration(s.settle) * time.Second)
	fmt.Printf("%-8s %10d %10d %10s %12d\n", "closed", 0, w.dropped.Load(), "", memoryOf(pid))
	if n := w.dropped.Load(); n > 0 {
		return fmt.Errorf("%d of %d WebSockets were dropped, the first: %v", n, s.idle, w.first.Load())
	}
	return nil
}

func raiseFiles() uint64 {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) == nil {
		limit.Cur = limit.Max
		syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
	}
	return limit.Cur
}

// echo is the server behind, a process of its own so that there are twice the descriptors: it takes any request for a
// WebSocket and sends frames back.
func echo(*settings) error {
	l, err := listenAsChild()
	if err != nil {
		return err
	}
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go echoFrames(c)
	}
}

func echoFrames(c net.Conn) {
	defer c.Close()
	br := bufio.NewReaderSize(c, 512)
	req, err := http.ReadRequest(br)
	if err != nil {
		return
	}
	fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", accept(req.Header.Get("Sec-WebSocket-Key")))
	for {
		p, err := readFrame(br)
		if err != nil {
			return
		}
		if _, err := c.Write(append([]byte{0x82, byte(len(p))}, p...)); err != nil {
			return
		}
	}
}

func accept(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// readFrame reads a short binary frame (RFC 6455 5.2), with a mask or without.
func readFrame(br *bufio.Reader) ([]byte, error) {
	var head [2]byte
	if _, err := io.ReadFull(br, head[:]); err != nil {
		return nil, err
	}
	n := int(head[1] & 0x7f)
	if head[0] != 0x82 || n > 125 {
		return nil, fmt.Errorf("frame %x", head)
	}
	var mask [4]byte
	if head[1]&0x80 != 0 {
		if _, err := io.ReadFull(br, mask[:]); err != nil {
			return nil, err
		}
	}
	p := make([]byte, n)
	_, err := io.ReadFull(br, p)
	for i := range p {
		p[i] ^= mask[i&3]
	}
	return p, err
}

// sockets are the clients.
type sockets struct {
	url     string
	overH2  bool
	shared  *h2Client // the newest connection of HTTP/2
	pause   time.Duration
	opened  atomic.Int64
	dropped atomic.Int64
	echoes  atomic.Int64
	first   atomic.Value // why the first was dropped
	quit    chan struct{}
	wait    sync.WaitGroup
}

func (w *sockets) open() error {
	if w.overH2 {
		return w.openH2()
	}
	c, err := net.Dial("tcp", w.url)
	if err != nil {
		return err
	}
	const key = "dGhlIHNhbXBsZSBub25jZQ=="
	fmt.Fprintf(c, "GET /socket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n", key)
	br := bufio.NewReaderSize(c, 256)
	resp, err := http.ReadResponse(br, nil)
	switch {
	case err != nil:
		return err
	case resp.StatusCode != 101 || resp.Header.Get("Sec-WebSocket-Accept") != accept(key):
		return errors.New("it answers " + resp.Status)
	}
	w.start(c, br)
	return nil
}

// openH2 is open over HTTP/2.
func (w *sockets) openH2() (err error) {
	if w.opened.Load()%perConnection == 0 {
		if w.shared, err = dialH2(w.url); err != nil {
			return err
		}
	}
	c, err := w.shared.open("/socket")
	if err == nil {
		w.start(c, bufio.NewReaderSize(c, 256))
	}
	return err
}

// start has a WebSocket talk.
func (w *sockets) start(c net.Conn, br *bufio.Reader) {
	n := w.opened.Add(1)
	w.wait.Go(func() {
		defer c.Close()
		if err := w.talk(c, br, uint64(n)<<32); err != nil {
			w.dropped.Add(1)
			w.first.CompareAndSwap(nil, err.Error())
		}
	})
}

// talk sends numbers and wants them back, until all is over.
func (w *sockets) talk(c net.Conn, br *bufio.Reader, n uint64) error {
	for {
		select {
		case <-w.quit:
			return nil
		case <-time.After(w.pause/2 + rand.N(w.pause)):
		}
		n++
		frame := []byte{0x82, 0x88, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0}
		binary.BigEndian.PutUint64(frame[6:], n)
		for i := range 8 {
			frame[6+i] ^= frame[2+i&3]
		}
		c.SetDeadline(time.Now().Add(30 * time.Second))
		if _, err := c.Write(frame); err != nil {
			return err
		}
		p, err := readFrame(br)
		if err != nil {
			return err
		}
		if len(p) != 8 || binary.BigEndian.Uint64(p) != n {
			return errors.New("another echo")
		}
		w.echoes.Add(1)
	}
}

// startTunnel starts a server that passes WebSockets on.
func startTunnel(bin, echo string, limit uint64) (*server, error) {
	srv, err := newServer(func(srv *server) error { return srv.configure(tunnelConf(srv.listen, echo, limit, 0)) })
	if err != nil {
		return nil, err
	}
	return srv, srv.run("", bin, "http://"+srv.listen+"/version", false)
}

// tunnelConf is the nth configuration.
func tunnelConf(listen, echo string, limit uint64, n int) string {
	return fmt.Sprintf(`pid logs/pid; error_log logs/error.log error; worker_processes auto; worker_rlimit_nofile %d;
events { worker_connections %d; }
http { access_log off;
  server { listen %s backlog=4096; http2 on; http2_max_concurrent_streams %d; keepalive_requests 1000000;
    location /version { return 200 %d; }
    location /socket { proxy_pass http://%s; proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection Upgrade; proxy_read_timeout 10m; }
  } }
`, limit, limit, listen, perConnection, n, echo)
}

// version asks which configuration serves new connections.
func version(address string) (string, error) {
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := c.Get("http://" + address + "/version")
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	return string(b), err
}
