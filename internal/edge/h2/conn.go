package h2

import (
	"syscall"

	"moongate/internal/base/nlog"
	"moongate/internal/engine"
	"moongate/internal/http1"
	"moongate/internal/http2"
	"moongate/internal/netio"
	"moongate/internal/tlsio"
)

// Host is the driver that a connection comes from.
type Host interface {
	// Addr is the address, as it is configured now, that the connection came in at.
	Addr() *engine.AddrConf
	// Close closes the connection; with a time it lingers before: that parks.
	Close(linger, each int64)
	// Arrived reports whether the client has sent something that was not read.
	Arrived() bool
}

// conn is one connection.
type conn struct {
	base      *engine.Conn
	host      Host
	w         *engine.Worker
	fd        *netio.FD
	tls       *tlsio.Conn
	timer     netio.Timer
	idleUntil int64 // when the timer means something; it may be armed for an earlier moment

	buf  []byte // bytes read; nil while idle
	rpos int    // the first one that was not consumed
	out  []byte // frames to be sent; nil while idle
	wpos int    // the first byte that the socket has not taken

	dec  http2.Decoder
	enc  http2.Encoder
	peer http2.Peer

	sendWindow http2.Window
	recvWindow int64

	streams map[uint32]*stream // those that a task serves; the one that is served inline is not there
	inline  *stream
	ready   queue // streams with DATA that may leave
	late    []lateBody

	lateTimer netio.Timer

	past  history
	prio  *priorities
	block headerBlock
	flood flood

	lastID     uint32
	partial    uint32 // the stream of a HEADERS frame that has not come in full
	expired    uint32 // the stream whose head took too long
	processing int    // requests under way, whatever became of their streams
	heads      int    // Weight of their header blocks
	epoch      uint32
	greeted    bool // the preface has come
	acked      bool // our settings were acknowledged
	running    bool // the goroutine that holds the baton reads
	idling     bool
	flushing   bool // sending is due at the end of the turn
	writing    bool // a task waits until the socket takes more
	pumping    bool
	goaway     bool // GOAWAY was sent: no more streams
	dead       bool // nothing is read or sent any more
	closed     bool
	resumeFn   func()
	handOverFn func()
	turnFn     func()
}

// headerBlock is a header block that comes in several frames.
type headerBlock struct {
	stream uint32 // 0: none is under way
	end    bool   // END_STREAM
	buf    []byte
}

// Take serves a connection that turned out to be one of HTTP/2, and says who is to be told when the worker stops. buf is what
// was read, from rpos on unconsumed; it is the worker's. It may park.
func Take(h Host, base *engine.Conn, fd *netio.FD, tls *tlsio.Conn, buf []byte, rpos int) engine.Closer {
	w := base.Worker
	c := &conn{base: base, host: h, w: w, fd: fd, tls: tls, buf: buf, rpos: rpos, peer: http2.DefaultPeer()}
	c.sendWindow, c.recvWindow = http2.DefaultWindow, http2.MaxWindow
	c.dec.Init(http2.DefaultTableSize)
	c.enc.Init()
	c.timer.Init(c.expire)
	c.lateTimer.Init(c.lateExpired)
	c.resumeFn, c.handOverFn, c.turnFn = c.resume, c.handOver, c.endTurn
	base.Action = "processing HTTP/2 connection"
	fd.SetHandler(c)
	cf := c.config()
	c.room(64)
	c.out = http2.AppendSettings(c.out,
		http2.Setting{ID: http2.MaxConcurrentStreams, Value: uint32(cf.streams.V)},
		http2.Setting{ID: http2.InitialWindowSize, Value: uint32(cf.preread.V)},
		http2.Setting{ID: http2.MaxFrameSizeID, Value: maxFrame},
		http2.Setting{ID: http2.EnableConnectProtocol, Value: 1})
	c.out = http2.AppendWindowUpdate(c.out, 0, http2.MaxWindow-http2.DefaultWindow)
	c.until(int64(c.server().ClientHeaderTimeout.V))
	if !base.Remote.Unix && c.core().TCPNodelay.V {
		syscall.SetsockoptInt(fd.Sysfd(), syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)
	}
	w.Loop.Go(c.resumeFn)
	return c
}

// def is the default server of the connection's address.
func (c *conn) def() *engine.Server     { return c.host.Addr().DefaultServer() }
func (c *conn) config() *config         { return srv.Of(c.def().Scope) }
func (c *conn) server() *engine.SrvConf { return c.def().Conf }
func (c *conn) core() *engine.LocConf   { return c.def().Loc.Core }

func (c *conn) log(level nlog.Level, err error, msg string) {
	c.core().Logger().Log(level, c.base, err, msg)
}

// until arms the timer for at most d nanoseconds from now.
func (c *conn) until(d int64) {
	c.idleUntil = c.w.Loop.Now() + d
	if !c.timer.Armed() || c.timer.When() > c.idleUntil {
		c.w.Loop.Arm(&c.timer, c.idleUntil)
	}
}

// expire is the timer's function.
func (c *conn) expire() {
	if c.dead {
		return
	}
	if c.idleUntil > c.w.Loop.Now() {
		c.w.Loop.Arm(&c.timer, c.idleUntil)
		return
	}
	switch id := max(c.block.stream, c.partial); {
	case !c.greeted:
		c.log(nlog.Info, syscall.ETIMEDOUT, "client timed out")
		c.finish(http2.ProtocolError)
	case id != 0 && id != c.expired:
		c.log(nlog.Info, syscall.ETIMEDOUT, "client timed out")
		c.expired = id
		c.resetStream(id, http2.ProtocolError)
		c.until(int64(c.core().KeepaliveTimeout.V.Timeout))
	case id != 0 && c.processing == 0:
		c.finish(http2.NoError)
	case c.processing == 0 && c.idling:
		c.finish(http2.NoError)
	case c.processing == 0:
		c.log(nlog.Info, syscall.ETIMEDOUT, "client timed out")
		c.finish(http2.ProtocolError)
	}
}

// Shutdown is told when the worker stops.
func (c *conn) Shutdown(now bool) {
	switch {
	case now:
		c.abort()
		if c.processing == 0 {
			c.close()
		} else {
			c.fd.Close()
		}
	case c.dead:
	case c.processing == 0 && !c.host.Arrived() && c.rpos == len(c.buf):
		c.finish(http2.NoError)
	case c.processing == 0 && c.base.Requests == 0:
		c.w.Loop.Go(func() {
			c.resume()
			c.retire()
		})
	default:
		c.retire()
	}
}

// retire lets the requests under way end, and takes no more.
func (c *conn) retire() {
	if c.dead || c.goaway {
		return
	}
	c.sayGoAway(http2.NoError)
	c.flushSoon()
}

func (c *conn) sayGoAway(code http2.ErrCode) {
	if !c.goaway {
		c.goaway = true
		c.room(32)
		c.out = http2.AppendGoAway(c.out, c.lastID, code, "")
	}
}

// finish ends the connection with GOAWAY; requests under way are given up.
func (c *conn) finish(code http2.ErrCode) {
	if c.dead {
		return
	}
	c.sayGoAway(code)
	c.write()
	if c.processing > 0 {
		c.abort()
		return
	}
	c.dead = true
	c.w.Loop.Go(c.closeGently)
}

// fail ends the connection for a fault of the client.
func (c *conn) fail(err error) {
	e, ok := err.(*http2.Error)
	if !ok {
		e = &http2.Error{Code: http2.InternalError, Text: err.Error()}
	}
	c.log(nlog.Info, nil, "client "+e.Text)
	c.finish(e.Code)
}

// abort gives all streams up, once nobody is in the middle of one.
func (c *conn) abort() {
	if c.dead {
		return
	}
	c.dead = true
	c.w.Loop.Go(func() {
		for _, s := range c.streams {
			s.abandon()
		}
		if c.processing == 0 {
			c.close()
		}
	})
}

// closeGently closes after the client has had the time to read what was sent last.
func (c *conn) closeGently() {
	if c.closed {
		return
	}
	core := c.core()
	if core.LingeringClose.V == engine.LingerOff || c.fd.Sysfd() < 0 {
		c.close()
		return
	}
	c.release()
	c.fd.SetHandler(nil)
	c.host.Close(int64(core.LingeringTime.V), int64(core.LingeringTimeout.V))
}

func (c *conn) close() {
	if !c.closed {
		c.release()
		c.host.Close(0, 0)
	}
}

// release gives back what the connection holds.
func (c *conn) release() {
	c.closed, c.dead = true, true
	if c.timer.Armed() {
		c.w.Loop.Disarm(&c.timer)
	}
	if c.lateTimer.Armed() {
		c.w.Loop.Disarm(&c.lateTimer)
	}
	c.freeRead()
	if c.out != nil {
		c.w.FreeBuffer(c.out)
		c.out, c.wpos = nil, 0
	}
}

func (c *conn) freeRead() {
	if c.buf != nil {
		c.w.FreeBuffer(c.buf)
		c.buf, c.rpos = nil, 0
	}
}

// Ready reads what the client sent. It is called by the poller.
func (c *conn) Ready(f *netio.FD) {
	if !c.running && !c.dead {
		c.run()
	}
}

// resume goes on reading after the goroutine that did has had to wait.
func (c *conn) resume() {
	if !c.running && !c.dead {
		c.run()
	}
}

// handOver is called when the request that is served inline is about to wait.
func (c *conn) handOver() {
	s := c.inline
	c.inline = nil
	c.running = false
	c.epoch++
	c.enter(s)
	c.w.Loop.Go(c.resumeFn)
}

// enter makes a stream one that frames can find.
func (c *conn) enter(s *stream) {
	if c.streams == nil {
		c.streams = map[uint32]*stream{}
	}
	c.streams[s.id] = s
}

// turns is how many requests a connection may have served in a row before others have their turn.
const turns = 128

const (
	// readBuffer is the size of the buffer that is read into at first; it grows with what comes of a long frame.
	readBuffer = 16 << 10
	// maxFrame is the longest frame that we take: a head of the usual limits is one, or as much of a body as large windows allow.
	maxFrame = 80 << 10
)

// run takes frames as long as there are any.
func (c *conn) run() {
	c.running = true
	epoch := c.epoch
	for left := c.base.Requests + turns; ; {
		for !c.dead && c.frame() {
			if c.epoch != epoch {
				return // another goroutine goes on
			}
			if c.base.Requests >= left {
				c.pause(true)
				return
			}
		}
		if c.epoch != epoch {
			return
		}
		if c.dead || !c.read() {
			break
		}
	}
	c.pause(false)
}

// pause ends run: what was answered leaves. With more, frames wait to be taken.
func (c *conn) pause(more bool) {
	c.running = false
	if c.dead {
		return
	}
	c.write()
	switch {
	case c.dead:
	case more:
		c.w.Loop.Go(c.resumeFn)
	default:
		c.rest()
	}
}

// rest is called when nothing is to be done before the next event.
func (c *conn) rest() {
	if c.rpos == len(c.buf) {
		c.freeRead()
	}
	if c.processing > 0 || c.unsent() > 0 {
		return
	}
	if c.out != nil {
		c.w.FreeBuffer(c.out)
		c.out, c.wpos = nil, 0
	}
	if c.goaway {
		c.dead = true
		c.w.Loop.Go(c.closeGently)
		return
	}
	if c.base.Requests > 0 && !c.idling && c.block.stream == 0 {
		c.idling = true
		c.until(int64(c.core().KeepaliveTimeout.V.Timeout))
	}
}

// read reads more; false: there is nothing, or the connection is at its end.
func (c *conn) read() bool {
	if !c.readable() {
		return false
	}
	if c.unsent() > maxUnsent {
		if c.write(); c.dead || c.unsent() > maxUnsent {
			return false // writer goes on
		}
	}
	c.makeRoom()
	n, err := c.readSome(c.buf[len(c.buf):cap(c.buf)])
	if n > 0 {
		c.buf = c.buf[:len(c.buf)+n]
		if !c.flood.read(n) {
			c.log(nlog.Info, nil, "http2 flood detected")
			c.finish(http2.NoError)
			return false
		}
		return true
	}
	if err == syscall.EAGAIN {
		return false
	}
	switch {
	case err != nil:
		c.log(nlog.Info, err, "recv() failed")
	case c.processing > 0 || c.rpos < len(c.buf) || c.block.stream != 0:
		c.log(nlog.Info, nil, "client prematurely closed connection")
	}
	c.abort()
	return false
}

// makeRoom makes sure that a read has room for more than the frame that has begun.
func (c *conn) makeRoom() {
	switch {
	case c.buf == nil:
		c.buf, c.rpos = c.w.Buffer(readBuffer), 0
	case c.rpos == len(c.buf):
		c.buf, c.rpos = c.buf[:0], 0
	case len(c.buf) == cap(c.buf) || c.rpos > 0 && cap(c.buf)-len(c.buf) < 1024:
		live := c.buf[c.rpos:]
		if len(live) < cap(c.buf)/2 {
			n := copy(c.buf[:cap(c.buf)], live)
			c.buf, c.rpos = c.buf[:n], 0
			return
		}
		nb := append(c.w.Buffer(4*len(live)), live...)
		c.w.FreeBuffer(c.buf)
		c.buf, c.rpos = nb, 0
	}
}

func (c *conn) readSome(p []byte) (int, error) {
	if c.tls != nil {
		return c.tls.Read(p)
	}
	return c.fd.Read(p)
}

func (c *conn) readable() bool {
	if c.tls != nil {
		return c.tls.Readable()
	}
	return c.fd.Readable()
}

// limits are those of header blocks.
func (c *conn) limits() (http2.Limits, *http1.Limits) {
	l := c.server().Limits()
	return http2.Limits{String: l.LargeSize, Total: l.LargeSize * l.LargeCount, Count: countLimit(l.MaxHeaders)}, l
}

// countLimit is how many fields of a block are kept: the pseudo headers and the pieces of a cookie do not count for max_headers.
func countLimit(most int) int {
	if most == 0 {
		most = 1000
	}
	return most + 64
}
