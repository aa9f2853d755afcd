package upstream

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"moongate/internal/netio"
)

func group(m Method, weights ...int) *Group {
	g := &Group{Name: "g", Method: m}
	for i, w := range weights {
		u, _ := ParseURL(fmt.Sprintf("127.0.0.1:%d", 8001+i), 80, false)
		g.Servers = append(g.Servers, Server{Name: u.Text, Addrs: []Addr{u.Addr}, Weight: w, MaxFails: 1, FailTimeout: DefaultFailTimeout})
	}
	return g
}

// letters asks n times and names the peers a, b, c, ...
func letters(b *Balancer, n int, key string) string {
	var out strings.Builder
	for range n {
		var c Choice
		b.Begin(&c, []byte(key))
		if !c.Next(1e9) {
			out.WriteByte('-')
			continue
		}
		out.WriteByte('a' + c.Peer.Name[len(c.Peer.Name)-1] - '1')
		c.Done(&Result{}, 1e9)
	}
	return out.String()
}

func TestRoundRobinIsSmooth(t *testing.T) {
	g := group(RoundRobin, 5, 1, 1)
	g.Init()
	if got := letters(NewBalancer(g, 0), 7, ""); got != "aabacaa" {
		t.Errorf("5:1:1 gives %s, want aabacaa", got)
	}
}

func TestFailuresAndBackup(t *testing.T) {
	g := group(RoundRobin, 1, 1, 1)
	g.Servers[2].Backup = true
	g.Init()
	b := NewBalancer(g, 0)
	var c Choice
	b.Begin(&c, nil)
	if c.Tries != 3 {
		t.Fatalf("%d tries, want 3", c.Tries)
	}
	var asked []string
	for c.Next(100 * second) {
		asked = append(asked, c.Peer.Name)
		if !c.Done(&Result{Outcome: Failed}, 100*second) {
			t.Errorf("%s is not disabled after max_fails=1", asked[len(asked)-1])
		}
	}
	if len(asked) != 3 || asked[2] != "127.0.0.1:8003" || c.Tries != 0 {
		t.Errorf("asked %v, %d tries left", asked, c.Tries)
	}
	b.Begin(&c, nil)
	if c.Next(105 * second) {
		t.Errorf("%s is asked within fail_timeout", c.Peer.Name)
	}
	b.Begin(&c, nil)
	if !c.Next(111 * second) {
		t.Error("no peer after fail_timeout")
	}
}

func TestSinglePeerIsAlwaysAsked(t *testing.T) {
	g := group(RoundRobin, 1)
	g.Init()
	b := NewBalancer(g, 0)
	for range 3 {
		var c Choice
		b.Begin(&c, nil)
		if !c.Next(second) {
			t.Fatal("not asked")
		}
		c.Done(&Result{Outcome: Failed}, second)
		if c.Tries != 0 {
			t.Fatal("a single peer is tried twice")
		}
	}
}

func TestLeastConnAndMaxConns(t *testing.T) {
	g := group(LeastConn, 1, 1)
	g.Servers[0].MaxConns, g.Servers[1].MaxConns = 2, 1
	g.Init()
	b := NewBalancer(g, 0)
	var cs [4]Choice
	var got []string
	for i := range cs {
		b.Begin(&cs[i], nil)
		if cs[i].Next(second) {
			got = append(got, cs[i].Peer.Name[10:])
		}
	}
	if strings.Join(got, " ") != "8001 8002 8001" {
		t.Errorf("busy peers: %v", got)
	}
}

func TestHashesStay(t *testing.T) {
	for _, m := range []Method{Hash, ConsistentHash, IPHash} {
		g := group(m, 1, 1, 1, 1)
		g.Init()
		b := NewBalancer(g, 0)
		seen := map[string]bool{}
		for i := range 64 {
			key := fmt.Sprintf("%03d", i)
			got := letters(b, 3, key)
			if got != strings.Repeat(got[:1], 3) {
				t.Errorf("method %d: %s gives %s", m, key, got)
			}
			seen[got[:1]] = true
		}
		if len(seen) < 3 {
			t.Errorf("method %d uses only %v", m, seen)
		}
	}
}

func TestChoosingAllocatesNothing(t *testing.T) {
	g := group(RoundRobin, 2, 1)
	g.Init()
	b := NewBalancer(g, 0)
	var c Choice
	if n := testing.AllocsPerRun(100, func() {
		b.Begin(&c, nil)
		c.Next(second)
		c.Done(&Result{Status: 200}, second)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestParseURL(t *testing.T) {
	for _, c := range []struct {
		text     string
		uri      bool
		host     string
		port     int
		rest     string
		addr     string
		problem  string
		portText string
	}{
		{text: "a.example", host: "a.example", port: 80},
		{text: "a.example:81/x?y", uri: true, host: "a.example", port: 81, rest: "/x?y", portText: "81"},
		{text: "127.0.0.1?q", uri: true, host: "127.0.0.1", port: 80, rest: "?q", addr: "127.0.0.1:80"},
		{text: "[::1]:8080/", uri: true, host: "[::1]", port: 8080, rest: "/", addr: "[::1]:8080", portText: "8080"},
		{text: "unix:/tmp/s:/u", uri: true, host: "unix:/tmp/s", rest: "/u", addr: "unix:/tmp/s"},
		{text: "a/b", problem: "invalid host"},
		{text: "a:0", problem: "invalid port"},
		{text: "a:99999", problem: "invalid port"},
		{text: ":80", problem: "no host"},
		{text: "", problem: "no host"},
		{text: "[::1", problem: "invalid host"},
		{text: "[x]:80", problem: "invalid IPv6 address"},
		{text: "unix:", problem: "no path in the unix domain socket"},
	} {
		u, problem := ParseURL(c.text, 80, c.uri)
		if problem != c.problem {
			t.Errorf("%q: problem %q, want %q", c.text, problem, c.problem)
			continue
		}
		if problem == "" && (u.Host != c.host || u.Port != c.port || u.URI != c.rest || u.Addr.Name != c.addr || u.PortText != c.portText) {
			t.Errorf("%q: %+v", c.text, u)
		}
	}
}

func FuzzParseURL(f *testing.F) {
	for _, s := range []string{"a:80/x", "[::1]:1", "unix:/a:/b", "[", ":", "a?b:c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, problem := ParseURL(s, 80, true)
		if problem == "" && (u.Host == "" || !u.Unix && (u.Port < 1 || u.Port > 65535)) {
			t.Errorf("%q: %+v", s, u)
		}
	})
}

func TestIdleConnections(t *testing.T) {
	loop, err := netio.NewLoop()
	if err != nil {
		t.Fatal(err)
	}
	loop.Go(func() {
		defer loop.Stop()
		l := &Idle{}
		l.SetConf(&Keepalive{Max: 2, Requests: 2, Timeout: time.Minute, Time: time.Hour})
		var peers []int
		open := func() *Conn {
			p, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK, 0)
			if err != nil {
				t.Fatal(err)
			}
			peers = append(peers, p[1])
			c := l.New(loop, nil)
			c.Requests, c.Start = 1, loop.Now()
			if err := loop.AddTo(&c.FD, p[0], nil); err != nil {
				t.Fatal(err)
			}
			return c
		}
		a, b, c := open(), open(), open()
		l.Put(a, "x")
		l.Put(b, "y")
		l.Put(c, "x")
		if l.Len() != 2 || a.Sysfd() >= 0 {
			t.Errorf("%d idle; the oldest is open: %v", l.Len(), a.Sysfd() >= 0)
		}
		if got := l.Take("x", nil); got != c || got.Requests != 2 {
			t.Error("not the connection used last")
		}
		l.Put(c, "x")
		if c.Sysfd() >= 0 {
			t.Error("kept beyond keepalive_requests")
		}
		syscall.Close(peers[1])
		loop.Sleep(0)
		for range 100 {
			if l.Len() == 0 {
				break
			}
			loop.Sleep(0)
		}
		if l.Len() != 0 {
			t.Error("a connection that its peer closed is kept")
		}
		l.CloseAll()
	})
	loop.Run()
	loop.Close()
}
