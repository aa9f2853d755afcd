package h3

import (
	"cmp"
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/quic-go/quic-go"

	"moongate/internal/base/nlog"
	"moongate/internal/engine"
)

const tls13 = tls.VersionTLS13

// endpoint serves one socket.
type endpoint struct {
	plane     *engine.Plane
	l         *engine.Listener
	transport *quic.Transport
	listener  *quic.Listener
	cancel    context.CancelFunc
	next      atomic.Int64 // the worker that gets the next connection
	wg        sync.WaitGroup
	conns     sync.WaitGroup // that are open, greeted or not
}

// Serve gives the function for engine.Plane.Datagrams.
func Serve() func(p *engine.Plane, ls []*engine.Listener) {
	var mu sync.Mutex
	open := map[*engine.Listener]*endpoint{}
	return func(p *engine.Plane, ls []*engine.Listener) {
		mu.Lock()
		defer mu.Unlock()
		keep := map[*engine.Listener]bool{}
		for _, l := range ls {
			if keep[l] = l.QUIC; !l.QUIC || open[l] != nil {
				continue
			}
			e, err := listen(p, l)
			if err != nil {
				p.Params().Log.Logf(nlog.Emerg, nil, err, "QUIC on %s failed", l.Addr)
				continue
			}
			open[l] = e
		}
		for l, e := range open {
			if !keep[l] {
				delete(open, l)
				e.close()
			}
		}
	}
}

func listen(p *engine.Plane, l *engine.Listener) (*endpoint, error) {
	fd, err := syscall.Dup(l.FD) // the process owns the other
	if err != nil {
		return nil, err
	}
	syscall.CloseOnExec(fd)
	f := os.NewFile(uintptr(fd), l.Addr)
	pc, err := net.FilePacketConn(f)
	f.Close()
	if err != nil {
		return nil, err
	}
	cf := srv.Of(l.Conf().DefaultServer().Scope)
	e := &endpoint{plane: p, l: l, transport: &quic.Transport{Conn: pc, ConnectionIDLength: 8}}
	e.transport.ConnContext = e.greet
	e.transport.VerifySourceAddress = func(net.Addr) bool { return e.config().retry.V }
	if cf.hostKey.V != "" {
		if err := e.keys(p.Params().Config.FullName(cf.hostKey.V)); err != nil {
			pc.Close()
			return nil, err
		}
	}
	quiet := &quic.Config{
		MaxIncomingStreams: int64(cf.streams.V), MaxIncomingUniStreams: 8,
		InitialStreamReceiveWindow: uint64(cf.buffer.V), MaxStreamReceiveWindow: uint64(max(cf.buffer.V, 1<<20)),
		HandshakeIdleTimeout: 10 * time.Second,
		MaxIdleTimeout:       e.idle(),
	}
	e.listener, err = e.transport.Listen(&tls.Config{MinVersion: tls13, NextProtos: protocols, GetConfigForClient: e.choose}, quiet)
	if err != nil {
		e.transport.Close()
		pc.Close()
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	e.cancel = cancel
	e.wg.Add(1)
	go e.accept(ctx)
	return e, nil
}

func (e *endpoint) config() *config { return srv.Of(e.l.Conf().DefaultServer().Scope) }

// idle is keepalive_timeout, the time a connection may do nothing.
func (e *endpoint) idle() time.Duration {
	if d := time.Duration(e.l.Conf().DefaultServer().Loc.Core.KeepaliveTimeout.V.Timeout); d > 0 {
		return d
	}
	return 5 * time.Second
}

// keys derives the secrets of tokens and resets from a file's content.
func (e *endpoint) keys(name string) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	make32 := func(what string) (k [32]byte, err error) {
		b, err := hkdf.Key(sha256.New, text, nil, what, len(k))
		copy(k[:], b)
		return k, err
	}
	reset, err := make32("stateless reset")
	if err != nil {
		return err
	}
	token, err := make32("address token")
	if err != nil {
		return err
	}
	e.transport.StatelessResetKey = (*quic.StatelessResetKey)(&reset)
	e.transport.TokenGeneratorKey = (*quic.TokenGeneratorKey)(&token)
	return nil
}

// greeting is a connection whose handshake is under way.
type greeting struct {
	c   *conn
	h   *engine.Handshake
	ctx context.Context // of the connection
}

type greetingKey struct{}

// greet gives a new connection to a worker, which its handshake asks already.
func (e *endpoint) greet(ctx context.Context, _ *quic.ClientInfo) (context.Context, error) {
	workers := e.plane.Workers()
	w := workers[int(e.next.Add(1))%len(workers)]
	e.conns.Add(1)
	context.AfterFunc(ctx, e.conns.Done)
	c := &conn{w: w}
	c.Worker, c.Listener = w, e.l
	c.FD = -1
	return context.WithValue(ctx, greetingKey{}, &greeting{c: c, ctx: ctx}), nil
}

// do runs f with the baton of the connection's worker, where it may park, and waits for it.
func (g *greeting) do(f func()) error {
	done := make(chan struct{})
	g.c.w.Loop.Post(func() {
		g.c.w.Loop.Go(func() {
			defer close(done)
			f()
		})
	})
	select {
	case <-done:
		return nil
	case <-g.ctx.Done():
		return g.ctx.Err()
	}
}

// choose gives TLS its configuration, by the name that the client asks for. What the configuration calls belongs to the
// worker.
func (e *endpoint) choose(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	g, ok := hello.Context().Value(greetingKey{}).(*greeting)
	if !ok {
		return nil, errors.New("a handshake of nobody")
	}
	var cfg *tls.Config
	var failed error
	err := g.do(func() {
		c := g.c
		c.ID, c.StartMono = c.w.Plane.NextConnID(), c.w.Loop.Now()
		g.h = engine.NewHandshake(&c.Conn, c.w, e.l.Conf())
		if cfg, failed = g.h.Choose(hello); failed == nil && cfg.MaxVersion != 0 && cfg.MaxVersion < tls13 {
			failed = errors.New("TLS 1.3 is not enabled")
		}
	})
	if err = cmp.Or(err, failed); err != nil {
		return nil, err
	}
	return g.wrap(cfg), nil
}

// wrap has the functions of a configuration run with the baton.
func (g *greeting) wrap(cfg *tls.Config) *tls.Config {
	cfg = cfg.Clone()
	cfg.MinVersion, cfg.NextProtos = tls13, protocols
	if get := cfg.GetCertificate; get != nil {
		cfg.GetCertificate = func(info *tls.ClientHelloInfo) (cert *tls.Certificate, err error) {
			lost := g.do(func() { cert, err = get(info) })
			return cert, cmp.Or(lost, err)
		}
	}
	if wrap := cfg.WrapSession; wrap != nil {
		cfg.WrapSession = func(st tls.ConnectionState, ss *tls.SessionState) (b []byte, err error) {
			lost := g.do(func() { b, err = wrap(st, ss) })
			return b, cmp.Or(lost, err)
		}
	}
	if unwrap := cfg.UnwrapSession; unwrap != nil {
		cfg.UnwrapSession = func(id []byte, st tls.ConnectionState) (ss *tls.SessionState, err error) {
			lost := g.do(func() { ss, err = unwrap(id, st) })
			return ss, cmp.Or(lost, err)
		}
	}
	return cfg
}

var protocols = []string{"h3"}

func (e *endpoint) accept(ctx context.Context) {
	defer e.wg.Done()
	for {
		qc, err := e.listener.Accept(ctx)
		if err != nil {
			return
		}
		if g, ok := qc.Context().Value(greetingKey{}).(*greeting); ok && g.h != nil {
			w := g.c.w
			w.Loop.Post(func() { w.Loop.Go(func() { g.begin(qc) }) })
		}
	}
}

// close takes no more connections; those that are open go on, and the socket is closed with the last of them.
func (e *endpoint) close() {
	e.cancel()
	e.listener.Close() // nobody is greeted any more
	e.wg.Wait()
	go func() {
		e.conns.Wait()
		e.transport.Close()
		e.transport.Conn.Close()
	}()
}
