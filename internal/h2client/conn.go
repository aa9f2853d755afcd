// Package h2client is the client's side of HTTP/2: connections that carry many requests at once, on a worker's loop.
//
// A Conn belongs to one worker and is used with its baton, so there are no locks and no goroutines of its own: the loop
// calls it when the peer has sent something, and it hands what came to the Streams, whose tasks go on. A Stream is used
// in straight-line code: Open, Send, wait, read, Close; each side goes on independently of the other. What all streams
// send in a turn of the loop leaves with one system call.
//
// The package dials nothing and knows no requests: a Pool is given a Dialer. What the peer sends is checked as RFC 9113
// asks; a fault of a stream ends that stream, a fault of the connection all of them.
package h2client

import (
	"strconv"
	"syscall"
	"time"

	"moongate/internal/http2"
	"moongate/internal/netio"
)

// Transport is the connection below, in the form of upstream.Conn: nothing but Wait parks.
type Transport interface {
	Read(p []byte) (int, error)
	Write(p []byte) (int, error)
	Readable() bool
	WaitWrite(deadline int64) error
	SetHandler(h netio.Handler)
	Close()
}

// Memory is where buffers come from: a worker.
type Memory interface {
	Buffer(n int) []byte
	FreeBuffer(b []byte)
}

// Env is what the connections of one worker share.
type Env struct {
	Loop *netio.Loop
	Mem  Memory
	free *Stream
	kept int
}

// Config is the parameters of connections. The zero value of a field stands for its default.
type Config struct {
	Window       int64         // bytes a stream's peer may send before they are read
	ConnWindow   int64         // bytes that may be on their way to all streams
	HeaderList   int           // bytes of a header list
	MaxStreams   uint32        // at once on a connection
	WriteTimeout time.Duration // how long the peer may take nothing
	// PingAfter asks a peer that has been silent for so long, with streams open, whether it is there; it has PingTimeout
	// to answer. 0: it is never asked.
	PingAfter, PingTimeout time.Duration
}

// The defaults.
const (
	defaultWindow     = 256 << 10
	defaultConnWindow = 16 << 20
	defaultHeaderList = 256 << 10
	defaultTimeout    = 60 * time.Second
	// firstStreams is how many streams are opened before the peer has said how many it takes (RFC 9113 6.5.2).
	firstStreams = 100
	// maxUnsent is how much may wait to be written before senders have to.
	maxUnsent = 256 << 10
	// writeAt is how much is written at once, without waiting for the end of the turn.
	writeAt  = 64 << 10
	readSize = 64 << 10
	// maxAnswers and maxEmpty bound what a peer can make us do for nothing: answers that it does not take, and frames in a
	// row that carry nothing.
	maxAnswers = 1000
	maxEmpty   = 10000
	// maxFragments bounds the frames of one header block.
	maxFragments = 128
)

// Conn is a connection.
type Conn struct {
	env  *Env
	t    Transport
	cfg  Config
	pool *Pool

	dec    http2.Decoder
	enc    http2.Encoder
	limits http2.Limits
	peer   http2.Peer

	table   []*Stream // by identifier, see find
	streams int       // in table
	live    int       // open: the peer counts them
	nextID  uint32
	opened  int
	start   int64

	sendWin, recvWin http2.Window
	recvDebt         int64

	in        []byte // read and not parsed
	out       []byte // to be written, from the first that was not
	unsent    int    // place in out
	queued    bool   // flush will be called
	draining  bool   // a task waits for the socket
	answers   int    // since the peer has taken all that was written
	empty     int
	frag      []byte // of a header block that is not complete
	fragments int
	fragHead  http2.FrameHeader
	ending    bool // nothing more is written
	again     bool // the rest of what came is read in a job of its own
	flushFn   func()

	waitFirst, waitLast *Stream // for the connection's window or for unsent bytes to leave

	settled bool // the peer's first SETTINGS are here
	goaway  bool // no further streams
	lastID  uint32
	retired bool // closed when the last stream has ended
	once    bool // the same, but its stream is still to come
	err     *Error

	// of the pool
	key        string
	idle       bool
	idleUntil  int64
	timer      netio.Timer
	prev, next *Conn

	heard   int64 // when the peer last sent something
	pinged  int64
	pingSet bool
	ping    netio.Timer
}

// NewConn begins a connection: the preface leaves with the first request, or at the end of the turn.
func (e *Env) NewConn(t Transport, cfg *Config) *Conn {
	c := &Conn{env: e, t: t, cfg: *cfg, nextID: 1, peer: http2.DefaultPeer(), start: e.Loop.Now(), heard: e.Loop.Now()}
	def := func(v *int64, d int64) {
		if *v == 0 {
			*v = d
		}
	}
	def(&c.cfg.Window, defaultWindow)
	def(&c.cfg.ConnWindow, defaultConnWindow)
	if c.cfg.HeaderList == 0 {
		c.cfg.HeaderList = defaultHeaderList
	}
	if c.cfg.WriteTimeout == 0 {
		c.cfg.WriteTimeout = defaultTimeout
	}
	c.table = make([]*Stream, 16)
	c.dec.Init(http2.DefaultTableSize)
	c.enc.Init()
	c.limits = http2.Limits{String: c.cfg.HeaderList, Total: c.cfg.HeaderList, Count: 1000}
	c.sendWin, c.recvWin = http2.DefaultWindow, http2.Window(c.cfg.ConnWindow)
	c.flushFn = c.flush
	c.timer.Init(c.expire)
	c.ping.Init(c.checkPeer)
	c.out = append(e.Mem.Buffer(4<<10), http2.Preface...)
	c.out = http2.AppendSettings(c.out, http2.Setting{ID: http2.EnablePush, Value: 0},
		http2.Setting{ID: http2.InitialWindowSize, Value: uint32(c.cfg.Window)},
		http2.Setting{ID: http2.MaxHeaderListSize, Value: uint32(c.cfg.HeaderList)})
	c.out = http2.AppendWindowUpdate(c.out, 0, c.cfg.ConnWindow-http2.DefaultWindow)
	c.wake()
	t.SetHandler(c)
	if t.Readable() {
		c.readLater()
	}
	return c
}

// room is how many streams more may be opened.
func (c *Conn) room() int {
	if c.err != nil || c.goaway || c.retired || c.nextID > http2.MaxStreamID {
		return 0
	}
	most := c.peer.MaxConcurrentStreams
	if !c.settled {
		most = firstStreams
	}
	if m := c.cfg.MaxStreams; m > 0 {
		most = min(most, m)
	}
	return int(min(int64(most), 1<<30)) - c.live
}

// Room is how many streams more may be opened now; Open waits when there is none.
func (c *Conn) Room() int { return max(c.room(), 0) }

// Usable reports whether streams can be opened, now or when others have ended.
func (c *Conn) Usable() bool {
	return c.err == nil && !c.goaway && !c.retired && c.nextID <= http2.MaxStreamID
}

// Live is the number of open streams.
func (c *Conn) Live() int { return c.live }

// Opened counts the streams there were.
func (c *Conn) Opened() int { return c.opened }

// find gives the stream with an identifier, nil when it is not known any more.
func (c *Conn) find(id uint32) *Stream {
	s := c.table[int(id>>1)&(len(c.table)-1)]
	for s != nil && s.id != id {
		s = s.chain
	}
	return s
}

func (c *Conn) insert(s *Stream) {
	if c.streams >= len(c.table) {
		old := c.table
		c.table = make([]*Stream, 2*len(old))
		for _, s := range old {
			for s != nil {
				next := s.chain
				p := &c.table[int(s.id>>1)&(len(c.table)-1)]
				s.chain, *p = *p, s
				s = next
			}
		}
	}
	p := &c.table[int(s.id>>1)&(len(c.table)-1)]
	s.chain, *p = *p, s
	c.streams++
}

func (c *Conn) remove(s *Stream) {
	p := &c.table[int(s.id>>1)&(len(c.table)-1)]
	for *p != nil && *p != s {
		p = &(*p).chain
	}
	if *p == s {
		*p, s.chain = s.chain, nil
		c.streams--
	}
}

// Ready is called by the loop when the peer has sent something.
func (c *Conn) Ready(*netio.FD) {
	if !c.again {
		c.read()
	}
}

func (c *Conn) readLater() {
	if !c.again {
		c.again = true
		c.env.Loop.Go(func() {
			c.again = false
			c.read()
		})
	}
}

// turns is how often is read before other connections have their turn.
const turns = 8

func (c *Conn) read() {
	if c.err != nil {
		if c.in != nil {
			c.env.Mem.FreeBuffer(c.in)
			c.in = nil
		}
		return
	}
	for range turns {
		if c.in == nil {
			c.in = c.env.Mem.Buffer(readSize)
		}
		n, err := c.t.Read(c.in[len(c.in):cap(c.in)])
		if n <= 0 {
			c.shrinkIn()
			switch {
			case err == syscall.EAGAIN:
			case err == nil:
				c.fail(&Error{Text: "upstream prematurely closed connection", Closed: true})
			default:
				c.fail(&Error{Text: "recv() failed", Closed: true, Sys: err})
			}
			return
		}
		c.heard = c.env.Loop.Now()
		c.in = c.in[:len(c.in)+n]
		if err := c.parse(); err != nil {
			c.fault(err)
			return
		}
		if c.err != nil || !c.t.Readable() {
			c.shrinkIn()
			return
		}
	}
	c.readLater()
}

func (c *Conn) shrinkIn() {
	if len(c.in) == 0 && c.in != nil {
		c.env.Mem.FreeBuffer(c.in)
		c.in = nil
	}
}

// parse serves the frames that are complete.
func (c *Conn) parse() error {
	p := c.in
	for len(p) >= http2.HeaderSize {
		h := http2.ParseHeader(p)
		if h.Length > http2.DefaultFrameSize {
			return &http2.Error{Code: http2.FrameSizeError, Text: "sent too large http2 frame: " + strconv.Itoa(int(h.Length))}
		}
		size := http2.HeaderSize + int(h.Length)
		if len(p) < size {
			break
		}
		if err := c.frame(h, p[http2.HeaderSize:size]); err != nil {
			return err
		}
		if c.err != nil {
			return nil
		}
		p = p[size:]
	}
	c.in = c.in[:copy(c.in, p)]
	return nil
}

// fault ends the connection because of what the peer has sent.
func (c *Conn) fault(err error) {
	e, ok := err.(*http2.Error)
	if !ok {
		e = &http2.Error{Code: http2.InternalError, Text: err.Error()}
	}
	if c.err != nil {
		return
	}
	if !c.draining && !c.ending {
		c.ending = true
		c.reserve(control)
		c.out = http2.AppendGoAway(c.out, 0, e.Code, "")
	}
	c.write()
	c.fail(&Error{Code: e.Code, Text: "upstream " + e.Text, Invalid: true})
}

// fail ends the connection and all its streams.
func (c *Conn) fail(e *Error) {
	if c.err != nil {
		return
	}
	c.err = e
	if c.timer.Armed() {
		c.env.Loop.Disarm(&c.timer)
	}
	if c.ping.Armed() {
		c.env.Loop.Disarm(&c.ping)
	}
	if p := c.pool; p != nil {
		p.forget(c)
	}
	for i, s := range c.table {
		for s != nil {
			next := s.chain
			s.chain = nil
			if s.err == nil && !s.remoteEnd {
				s.err = e
			}
			s.shut, s.localEnd = true, true
			s.wakeAll()
			s = next
		}
		c.table[i] = nil
	}
	c.streams, c.live = 0, 0
	c.waitFirst, c.waitLast = nil, nil
	c.t.Close()
	if !c.draining { // else its task gives it back
		c.freeOut()
	}
	if c.in != nil && !c.again {
		c.env.Mem.FreeBuffer(c.in)
		c.in = nil
	}
	c.frag = nil
}

// Close ends the connection at once; streams that are open get an error.
func (c *Conn) Close() {
	if c.err == nil {
		c.flush()
	}
	c.fail(&Error{Text: "upstream connection is closed", Closed: true})
}

// Retire lets no stream be opened any more and closes the connection when the last has ended.
func (c *Conn) Retire() {
	c.retired = true
	if c.streams == 0 {
		c.Close()
	}
}

// ended is told that a stream is not live any more.
func (c *Conn) ended() { c.live-- }

// vacant is told that the last stream was given up.
func (c *Conn) vacant() {
	switch {
	case c.err != nil:
	case c.retired || c.goaway || c.once:
		c.Close()
	case c.pool != nil:
		c.pool.idle(c)
	}
}

// expire is the function of the pool's timer.
func (c *Conn) expire() {
	if c.err != nil || !c.idle {
		return
	}
	if loop := c.env.Loop; c.idleUntil > loop.Now() {
		loop.Arm(&c.timer, c.idleUntil)
		return
	}
	c.Close()
}

// watchPeer begins to look after a silent peer.
func (c *Conn) watchPeer() {
	if d := int64(c.cfg.PingAfter); d > 0 && !c.ping.Armed() {
		c.env.Loop.Arm(&c.ping, c.env.Loop.Now()+d)
	}
}

func (c *Conn) checkPeer() {
	now := c.env.Loop.Now()
	after, wait := int64(c.cfg.PingAfter), int64(c.cfg.PingTimeout)
	switch {
	case c.err != nil || c.live == 0:
		c.pingSet = false
	case c.heard+after > now:
		c.pingSet = false
		c.env.Loop.Arm(&c.ping, c.heard+after)
	case !c.pingSet:
		c.pingSet, c.pinged = true, now
		c.reserve(control)
		c.out = http2.AppendPing(c.out, [8]byte{'a', 'l', 'i', 'v', 'e', '?'}, 0)
		c.wake()
		c.env.Loop.Arm(&c.ping, now+wait)
	case c.heard >= c.pinged:
		c.pingSet = false
		c.env.Loop.Arm(&c.ping, c.heard+after)
	default:
		c.fail(&Error{Text: "upstream does not answer pings", Closed: true, Sys: syscall.ETIMEDOUT})
	}
}
