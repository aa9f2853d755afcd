// Package upstream knows groups of servers: their addresses and parameters, the balancing of requests over them, what is
// known of how they do, and the idle connections to them.
//
// A Group is configuration. Its servers at a moment are a Peers, which never changes: names that are resolved at run time
// replace it. A Balancer is one worker's state of a group: all of it is used with the worker's baton, so there are no
// locks. What the process knows of a server over workers and reloads is a State: atomic counters. The package knows neither
// requests nor protocols.
package upstream

import (
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"

	"moongate/internal/base/nlog"
)

// Group is an upstream block, or the addresses of a host that was named directly.
type Group struct {
	Name    string
	Port    int // 0 when none was given
	NoPort  bool
	Block   bool // an upstream block
	Servers []Server
	File    string
	Line    int

	Method    Method
	Inflight  bool // least_time counts requests that have no answer yet
	Keepalive Keepalive
	Zone      bool // the workers know together how the servers do
	ZoneName  string
	Retry     Retry
	Breaker   Breaker
	Outlier   *Outlier // nil: nobody is ejected
	// Panic is the share of usable servers, in percent, below which health and ejection are disregarded.
	Panic int

	Index int // among the groups of a configuration
	// Log gives the log that changes of the servers' states are written to; nil for none.
	Log func() *nlog.Logger

	live    atomic.Pointer[Peers]
	shared  *shared
	panic   atomic.Bool
	onEject atomic.Pointer[func()]
}

// Server is one "server" of an upstream block.
type Server struct {
	Name        string // as written
	Addrs       []Addr
	Weight      int
	MaxConns    int
	MaxFails    int
	FailTimeout time.Duration
	SlowStart   time.Duration
	Backup      bool
	Down        bool
	Drain       bool   // only requests that stick to it
	Route       string // what requests stick to, in place of a hash of the address

	// Host is a name to be resolved at run time, for addresses with Port or, with Service, for SRV records.
	Host    string
	Service string
	Port    int
}

// Addr is an address with its text.
type Addr struct {
	Sock syscall.Sockaddr
	Name string // "127.0.0.1:80", "[::1]:80", "unix:/path"
}

// Peer is an address of a group. It never changes, but for its State.
type Peer struct {
	Addr
	Server      string
	Weight      int
	MaxConns    int
	MaxFails    int
	FailTimeout int64 // nanoseconds
	SlowStart   int64
	Down        bool
	Drain       bool
	Backup      bool
	SID         string // what requests stick to
	*State

	of *Server // of which it is an address that was resolved
}

// Method chooses among the peers of a group.
type Method uint8

// The methods.
const (
	RoundRobin Method = iota
	LeastConn
	IPHash
	Hash
	ConsistentHash
	Random
	RandomTwo
	RandomLeastTime
	RandomLeastTimeLast
	LeastTime
	LeastTimeLast
)

var methodNames = [...]string{"round_robin", "least_conn", "ip_hash", "hash", "hash consistent", "random", "random two", "random two least_time=header", "random two least_time=last_byte", "least_time header", "least_time last_byte"}

func (m Method) String() string { return methodNames[m] }

// timed reports whether the method looks at response times.
func (m Method) timed() bool { return m >= RandomLeastTime }

// Keepalive describes the idle connections a worker keeps to a group.
type Keepalive struct {
	Max      int  // 0: none
	Local    bool // a connection is used again by the location that made it only
	Requests int
	Timeout  time.Duration
	Time     time.Duration
}

// Defaults of the parameters of a server.
const (
	DefaultMaxFails    = 1
	DefaultFailTimeout = 10 * time.Second
)

// NewAddr makes an Addr of an address with port.
func NewAddr(a netip.AddrPort) Addr {
	a = netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
	if a.Addr().Is4() {
		return Addr{&syscall.SockaddrInet4{Addr: a.Addr().As4(), Port: int(a.Port())}, a.String()}
	}
	return Addr{&syscall.SockaddrInet6{Addr: a.Addr().As16(), Port: int(a.Port())}, a.String()}
}

// NewAddrPort makes an Addr of an address and a port.
func NewAddrPort(a netip.Addr, port int) Addr { return NewAddr(netip.AddrPortFrom(a, uint16(port))) }

// UnixAddr makes an Addr of the path of a socket.
func UnixAddr(path string) Addr { return Addr{&syscall.SockaddrUnix{Name: path}, "unix:" + path} }

// Implicit adds the addresses of a host as servers with default parameters.
func (g *Group) Implicit(addrs []Addr) {
	for _, a := range addrs {
		g.Servers = append(g.Servers, Server{Name: a.Name, Addrs: []Addr{a}, Weight: 1, MaxFails: DefaultMaxFails, FailTimeout: DefaultFailTimeout})
	}
}

func (g *Group) logf(level nlog.Level, format string, args ...any) {
	if g.Log != nil {
		g.Log().Logf(level, nil, nil, format, args...)
	}
}

// OnEject has f be told, from any goroutine, that a server was ejected; nil ends that.
func (g *Group) OnEject(f func()) {
	if f == nil {
		g.onEject.Store(nil)
		return
	}
	g.onEject.Store(&f)
}
