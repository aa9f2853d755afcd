// Package upstream knows groups of servers: their addresses and parameters, the balancing of requests over them, and the
// idle connections to them.
//
// A Group is configuration, immutable and shared by all workers. A Balancer is one worker's state of a group: all of it
// is used with the worker's baton, so there are no locks; what workers share of a group with a zone are atomic counters. The package knows neither requests nor protocols.
package upstream

import (
	"net/netip"
	"syscall"
	"time"
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
	Keepalive Keepalive
	Zone      bool // the workers know together how the servers do

	Main, Backup []Peer // made by Init
	Index        int    // among the groups of a configuration
	points       []point
}

// Server is one "server" of an upstream block.
type Server struct {
	Name        string // as written
	Addrs       []Addr
	Weight      int
	MaxConns    int
	MaxFails    int
	FailTimeout time.Duration
	Backup      bool
	Down        bool
}

// Addr is an address with its text.
type Addr struct {
	Sock syscall.Sockaddr
	Name string // "127.0.0.1:80", "[::1]:80", "unix:/path"
}

// Peer is an address of a group.
type Peer struct {
	Addr
	Server      string
	Weight      int
	MaxConns    int
	MaxFails    int
	FailTimeout int64 // nanoseconds
	Down        bool
	shared      *counters
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
)

// Keepalive describes the idle connections a worker keeps to a group.
type Keepalive struct {
	Max      int // 0: none
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

// UnixAddr makes an Addr of the path of a socket.
func UnixAddr(path string) Addr { return Addr{&syscall.SockaddrUnix{Name: path}, "unix:" + path} }

// Init makes the peers once all servers are known.
func (g *Group) Init() {
	for _, s := range g.Servers {
		for _, a := range s.Addrs {
			p := Peer{Addr: a, Server: s.Name, Weight: s.Weight, MaxConns: s.MaxConns, MaxFails: s.MaxFails, FailTimeout: int64(s.FailTimeout), Down: s.Down}
			if g.Zone {
				p.shared = &counters{}
			}
			if s.Backup {
				g.Backup = append(g.Backup, p)
			} else {
				g.Main = append(g.Main, p)
			}
		}
	}
	if g.Method == ConsistentHash {
		g.points = makePoints(g.Main)
	}
}

// Implicit adds the addresses of a host as servers with default parameters.
func (g *Group) Implicit(addrs []Addr) {
	for _, a := range addrs {
		g.Servers = append(g.Servers, Server{Name: a.Name, Addrs: []Addr{a}, Weight: 1, MaxFails: DefaultMaxFails, FailTimeout: DefaultFailTimeout})
	}
}
