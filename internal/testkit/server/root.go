package server

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
)

// Root is the private directory (prefix) of one server.
type Root string

// Places below the root.
func (r Root) HTML() string      { return filepath.Join(string(r), "html") }
func (r Root) Logs() string      { return filepath.Join(string(r), "logs") }
func (r Root) ConfFile() string  { return filepath.Join(string(r), "conf", "nginx.conf") }
func (r Root) ErrorLog() string  { return filepath.Join(r.Logs(), "error.log") }
func (r Root) AccessLog() string { return filepath.Join(r.Logs(), "access.log") }
func (r Root) PidFile() string   { return filepath.Join(r.Logs(), "nginx.pid") }

// Reset empties the root and makes its directories and the index page.
func (r Root) Reset() error {
	if err := os.RemoveAll(string(r)); err != nil {
		return err
	}
	return r.make()
}

// Clean is Reset for a server that goes on running: the logs' and the pid file's
// directory entries stay, and so do sockets and certificates.
func (r Root) Clean() error {
	err := filepath.WalkDir(string(r), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil
		}
		switch filepath.Ext(path) {
		case ".pid", ".sock", ".crt", ".key":
			return nil
		}
		return os.Remove(path)
	})
	if err != nil {
		return err
	}
	return r.make()
}

const indexPage = "<html><head><title>It works!</title></head><body>It works!</body></html>"

func (r Root) make() error {
	for _, dir := range []string{r.HTML(), r.Logs(), filepath.Dir(r.ConfFile())} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(r.HTML(), "index.html"), []byte(indexPage), 0o644)
}

// Ports hands out TCP ports that are free on all addresses. They lie below the
// range that the kernel takes client ports from, so that no outgoing connection
// takes one between two servers, and are marked by a lock that other test runs on
// the machine respect.
type Ports struct {
	From, To int // range, instead of the usual one
	mu       sync.Mutex
	held     map[int]*os.File
	next     int
}

const (
	portsFrom = 18000
	portsTo   = 32000
)

// Get reserves a free port.
func (p *Ports) Get() (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held == nil {
		p.held = map[int]*os.File{}
		if p.To == 0 {
			p.From, p.To = portsFrom, portsTo
		}
		p.next = p.From + os.Getpid()*37%(p.To-p.From)
	}
	for range p.To - p.From {
		port := p.next
		if p.next++; p.next >= p.To {
			p.next = p.From
		}
		if p.held[port] != nil {
			continue
		}
		lock := lockPort(port)
		if lock == nil {
			continue
		}
		if Free(port) {
			p.held[port] = lock
			return port, nil
		}
		lock.Close()
	}
	return 0, fmt.Errorf("no free port in %d..%d", p.From, p.To)
}

// Put gives a port back.
func (p *Ports) Put(port int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if f := p.held[port]; f != nil {
		f.Close()
		delete(p.held, port)
	}
}

// Free tells whether nobody listens on the port.
func Free(port int) bool {
	l, err := net.Listen("tcp4", fmt.Sprintf("0.0.0.0:%d", port))
	if err != nil {
		return false
	}
	l.Close()
	return true
}

// FreeUDP tells whether nobody has bound the UDP port.
func FreeUDP(port int) bool {
	c, err := net.ListenPacket("udp4", fmt.Sprintf("0.0.0.0:%d", port))
	if err != nil {
		return false
	}
	c.Close()
	return true
}

func lockPort(port int) *os.File {
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("moongate-ports-%d", os.Getuid()))
	if os.MkdirAll(dir, 0o700) != nil {
		return nil
	}
	f, err := os.OpenFile(filepath.Join(dir, fmt.Sprint(port)), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil
	}
	if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		f.Close()
		return nil
	}
	return f
}

// Log reads what a server appended to a file since the last Advance.
type Log struct {
	Path string
	pos  int64
	end  int64
}

// Unread returns the lines behind the position, each with its newline; an
// unfinished last line is left for later.
func (l *Log) Unread() []string {
	f, err := os.Open(l.Path)
	if err != nil {
		return nil
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil
	}
	if st.Size() < l.pos { // a new file
		l.pos = 0
	}
	buf := make([]byte, st.Size()-l.pos)
	n, _ := f.ReadAt(buf, l.pos)
	text := string(buf[:n])
	text = text[:strings.LastIndexByte(text, '\n')+1]
	l.end = l.pos + int64(len(text))
	if text == "" {
		return nil
	}
	lines := strings.SplitAfter(text, "\n")
	return lines[:len(lines)-1]
}

// Advance moves the position behind what Unread last returned.
func (l *Log) Advance() { l.pos = l.end }

// Rewind moves the position to the start of the file.
func (l *Log) Rewind() { l.pos, l.end = 0, 0 }
