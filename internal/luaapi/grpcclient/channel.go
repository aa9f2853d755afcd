package grpcclient

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"

	"moongate/internal/engine"
	"moongate/internal/grpc"
	"moongate/internal/h2client"
	"moongate/internal/lua"
	"moongate/internal/luahost"
	"moongate/internal/netio"
	"moongate/internal/relay"
	"moongate/internal/resolve"
	"moongate/internal/tlsio"
	"moongate/internal/upstream"
)

// channel is where calls go and how.
type channel struct {
	target    string
	group     *relay.Group // an upstream block
	url       upstream.URL
	authority string
	tls       *tls.Config
	key       string // of connections, but for the address
	maxRecv   int64
	gzip      bool
	own       bool // connections per worker
	connect   time.Duration
}

// What channels have unless their options say otherwise; grpc-go, too, gives a connection 20 seconds.
const (
	defaultMaxRecv = 4 << 20
	defaultConnect = 20 * time.Second
)

func newChannel(c *lua.Call) lua.Outcome {
	o := options(c, 2)
	ch, err := makeChannel(c, c.String(1), o)
	if err != nil {
		return c.ReturnNilErr(err.Error())
	}
	c.Push().Object("grpc_channel", ch)
	return c.Return()
}

func makeChannel(c *lua.Call, target string, o lua.Packed) (*channel, error) {
	for _, scheme := range []string{"dns:///", "passthrough:///", "ipv4:", "ipv6:"} {
		target = strings.TrimPrefix(target, scheme)
	}
	ch := &channel{target: target, maxRecv: int64(o.Get("max_receive_size").Num()), gzip: string(o.Get("compression").Str()) == "gzip",
		own: o.Get("use_local_subchannel_pool").Bool(), connect: defaultConnect}
	if seconds := o.Get("connect_timeout").Num(); seconds > 0 {
		ch.connect = duration(seconds)
	}
	if ch.maxRecv <= 0 {
		ch.maxRecv = defaultMaxRecv
	}
	if w := workerOf(c); w != nil {
		for _, g := range relay.Groups(w.HTTP) {
			if g.Name == target {
				ch.group = g
			}
		}
	}
	port := 80
	if o.Get("tls").Bool() {
		port = 443
	}
	host := target
	if ch.group == nil {
		u, problem := upstream.ParseURL(target, port, false)
		if problem != "" {
			return nil, fmt.Errorf("%s in target \"%s\"", problem, target)
		}
		ch.url, host = u, u.Host
	}
	ch.authority = string(o.Get("authority").Str())
	if ch.authority == "" {
		ch.authority = target
		if strings.HasPrefix(target, "unix:") {
			ch.authority = "localhost"
		}
	}
	if !o.Get("tls").Bool() {
		return ch, nil
	}
	if o.Get("location").Bool() { // for what passes calls on
		return ch, ch.secureAs(c, host)
	}
	return ch, ch.secure(o, host)
}

// secure makes the channel one of TLS.
func (ch *channel) secure(o lua.Packed, host string) error {
	text := func(name string) string { return string(o.Get(name).Str()) }
	cfg := &tls.Config{ServerName: text("server_name"), NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS12}
	if cfg.ServerName == "" {
		cfg.ServerName = host
	}
	if v := o.Get("verify"); !v.IsNil() && !v.Bool() {
		cfg.InsecureSkipVerify = true
	}
	var ca []byte
	if name := text("trusted_ca"); name != "" {
		var err error
		if ca, err = os.ReadFile(name); err != nil {
			return err
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(ca) {
			return errors.New("no certificate in " + name)
		}
	}
	cert, key := text("client_cert"), text("client_key")
	if (cert == "") != (key == "") {
		return fmt.Errorf("client_cert and client_key must both be present or both absent: cert: %s key: %s", cert, key)
	}
	var chain [][]byte
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return err
		}
		cfg.Certificates, chain = []tls.Certificate{pair}, pair.Certificate
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%t\x00%s\x00%x\x00%s", cfg.ServerName, cfg.InsecureSkipVerify, ca, chain, key))
	ch.tls, ch.key = cfg, "tls:"+hex.EncodeToString(sum[:8])+":"
	return nil
}

// dialer makes a connection for the pool.
type dialer struct {
	w        *engine.Worker
	ch       *channel
	addr     syscall.Sockaddr
	deadline int64
}

var h2conf h2client.Config

// DialHTTP2 implements h2client.Dialer.
func (d *dialer) DialHTTP2() (h2client.Transport, *h2client.Config, error) {
	loop := d.w.Loop
	c := new(upstream.Idle).New(loop, nil)
	deadline := min(d.deadline, loop.Now()+int64(d.ch.connect))
	if err := loop.Dial(&c.FD, &netio.Dial{Addr: d.addr, Deadline: deadline}); err != nil {
		return nil, nil, err
	}
	syscall.SetsockoptInt(c.FD.Sysfd(), syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)
	c.Requests, c.Start = 1, loop.Now()
	if d.ch.tls == nil {
		return c, &h2conf, nil
	}
	t := tlsio.Client(&c.FD, d.ch.tls)
	if err := t.Handshake(deadline); err != nil {
		c.Close()
		return nil, nil, err
	}
	if t.State().NegotiatedProtocol != "h2" {
		c.Close()
		return nil, nil, errors.New("the server does not speak HTTP/2")
	}
	c.TLS = t
	return c, &h2conf, nil
}

// killed says that an error of waiting ends the Lua code.
func killed(err error) bool { return err == netio.ErrKilled || err == netio.ErrClosed }

// errNoMore says that a group has no further server to try.
var errNoMore = errors.New("no further server")

// next gives the server that a call is to be made at. choice is used for groups.
func (ch *channel) next(c *lua.Call, loop *netio.Loop, choice *upstream.Choice, deadline int64) (target, error) {
	if ch.group == nil && ch.url.IsAddr() {
		return target{ch.url.Addr.Sock, ch.key + ch.url.Addr.Name}, nil
	}
	if ch.group == nil {
		sock, name, err := ch.address(c, loop, deadline)
		return target{sock, ch.key + name}, err
	}
	if choice.Tries <= 0 || !choice.Next(loop.Now()) {
		return target{}, errNoMore
	}
	p := choice.Peer
	return target{p.Sock, ch.key + p.Name}, nil
}

// address finds the address of a target that is a name.
func (ch *channel) address(c *lua.Call, loop *netio.Loop, deadline int64) (sock syscall.Sockaddr, name string, err error) {
	host := ch.url.Host
	var addrs []netip.Addr
	if cfg := engine.CoreOf(luahost.ScopeOf(c)).Resolver.V; cfg != nil && c.MayWait() {
		addrs, err = resolve.For(loop, cfg).Lookup(host, deadline)
	} else {
		loop.Offload(func() {
			var ips []net.IP
			if ips, err = net.LookupIP(host); err == nil {
				for _, ip := range ips {
					if a, ok := netip.AddrFromSlice(ip); ok {
						addrs = append(addrs, a.Unmap())
					}
				}
			}
		})
		if c.Killed() {
			return nil, "", netio.ErrKilled
		}
	}
	if err != nil {
		if killed(err) {
			return nil, "", err
		}
		return nil, "", fmt.Errorf("%s could not be resolved: %w", host, err)
	}
	if len(addrs) == 0 {
		return nil, "", fmt.Errorf("%s could not be resolved", host)
	}
	// One that is preferred first: with several, connections to any of them are as good.
	a := upstream.NewAddrPort(addrs[rand.IntN(len(addrs))], ch.url.Port)
	if host == "localhost" {
		for _, x := range addrs {
			if x.Is4() {
				a = upstream.NewAddrPort(x, ch.url.Port)
			}
		}
	}
	return a.Sock, a.Name, nil
}

// unavailable is the status of a failure to connect.
func (ch *channel) unavailable(err error, deadline, now int64) *grpc.Status {
	if err == netio.ErrTimeout {
		if now >= deadline {
			return deadlinePassed
		}
		err = syscall.ETIMEDOUT
	}
	var de *netio.DialError
	if errors.As(err, &de) {
		err = de.Err
	}
	return &grpc.Status{Code: grpc.Unavailable, Message: "connection error: " + ch.target + ": " + tlsio.ErrorText(err)}
}

func duration(seconds float64) time.Duration {
	if seconds <= 0 || seconds > 1e8 {
		return 1e8 * time.Second
	}
	return time.Duration(seconds * float64(time.Second))
}
