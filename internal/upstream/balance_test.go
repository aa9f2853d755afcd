package upstream

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"moongate/internal/base/nlog"
)

// running begins n choices and leaves them open.
func running(b *Balancer, n int, hint string) (cs []*Choice, got string) {
	for range n {
		c := &Choice{}
		b.Begin(c, nil)
		if hint != "" {
			c.Hint = []byte(hint)
		}
		if !c.Next(1e9) {
			got += "-"
			continue
		}
		cs = append(cs, c)
		got += string(rune('a' + c.Peer.Name[len(c.Peer.Name)-1] - '1'))
	}
	return cs, got
}

// The tables are what nginx gives for the same weights.
func TestDistribution(t *testing.T) {
	for _, c := range []struct {
		weights []int
		want    string
	}{
		{[]int{1, 1, 1}, "abcabcabc"},
		{[]int{5, 1, 1}, "aabacaaaabacaa"},
		{[]int{2, 1}, "abaabaaba"},
		{[]int{1, 2, 3}, "cbacbccbacbc"},
	} {
		g := group(RoundRobin, c.weights...)
		g.Init()
		if got := letters(NewBalancer(g, 0), len(c.want), ""); got != c.want {
			t.Errorf("%v gives %s, want %s", c.weights, got, c.want)
		}
	}
}

func TestLeastConnByWeight(t *testing.T) {
	g := group(LeastConn, 3, 1)
	g.Init()
	if _, got := running(NewBalancer(g, 0), 8, ""); got != "abaaabaa" {
		t.Errorf("3:1 with all connections open gives %s", got)
	}
}

func TestRandomUsesAllByWeight(t *testing.T) {
	for _, m := range []Method{Random, RandomTwo, RandomLeastTime} {
		g := group(m, 3, 1)
		g.Init()
		got := letters(NewBalancer(g, 0), 400, "")
		if a := strings.Count(got, "a"); m == Random && (a < 240 || a > 360) || strings.Contains(got, "-") {
			t.Errorf("%v: %d of 400 for a server of weight 3 to 1", m, a)
		}
	}
}

func TestConsistentHashMovesLittle(t *testing.T) {
	four, five := group(ConsistentHash, 1, 1, 1, 1), group(ConsistentHash, 1, 1, 1, 1, 1)
	four.Init()
	five.Init()
	b4, b5 := NewBalancer(four, 0), NewBalancer(five, 0)
	moved, toNew := 0, 0
	for i := range 1000 {
		key := fmt.Sprintf("key-%d", i)
		x, y := letters(b4, 1, key), letters(b5, 1, key)
		if x != y {
			moved++
			if y == "e" {
				toNew++
			}
		}
	}
	if moved != toNew || moved < 100 || moved > 320 {
		t.Errorf("%d of 1000 keys move, %d of them to the new server", moved, toNew)
	}
}

func TestStickyPrefersAndDrains(t *testing.T) {
	for _, m := range []Method{RoundRobin, LeastConn, Random, RandomTwo, LeastTime, IPHash, Hash, ConsistentHash} {
		g := group(m, 1, 1, 1)
		g.Servers[1].Route = "r1"
		g.Servers[1].Drain = true
		g.Init()
		b := NewBalancer(g, 0)
		if _, got := running(b, 6, "r1"); got != "bbbbbb" {
			t.Errorf("%v: a session of b goes to %s", m, got)
		}
		if _, got := running(b, 12, ""); strings.Contains(got, "b") || strings.Contains(got, "-") {
			t.Errorf("%v: requests without a session go to a draining server: %s", m, got)
		}
		if _, got := running(b, 2, "unknown"); strings.Contains(got, "b") || strings.Contains(got, "-") {
			t.Errorf("%v: an unknown session goes to %s", m, got)
		}
	}
}

func TestSIDIsTheHashOfTheAddress(t *testing.T) {
	g := group(RoundRobin, 1)
	g.Init()
	// As nginx makes it: md5("127.0.0.1:8001") in hex.
	if sid := g.Peers().Main[0].SID; sid != "c69a4fd523c3ca0ca67cda2f009f1ea6" {
		t.Errorf("%q", sid)
	}
}

// done ends a choice with a response that took so long.
func done(c *Choice, took time.Duration, now int64) {
	c.Done(&Result{Status: 200, Header: int64(took), Whole: int64(took)}, now)
}

func TestLeastTimeLearns(t *testing.T) {
	g := group(LeastTime, 1, 1)
	g.Init()
	b := NewBalancer(g, 0)
	took := map[byte]time.Duration{'1': 300 * time.Millisecond, '2': 10 * time.Millisecond}
	count := map[byte]int{}
	for range 40 {
		var c Choice
		b.Begin(&c, nil)
		c.Next(second)
		last := c.Peer.Name[len(c.Peer.Name)-1]
		count[last]++
		done(&c, took[last], second)
	}
	if count['1'] > 2 || count['1'] == 0 {
		t.Errorf("the slow server got %d of 40", count['1'])
	}
}

func TestLeastTimeInflight(t *testing.T) {
	g := group(LeastTime, 1, 1)
	g.Inflight = true
	g.Init()
	b := NewBalancer(g, 0)
	warm := func(from int64) {
		for range 2 {
			var c Choice
			b.Begin(&c, nil)
			c.Next(from)
			c.Head(int64(10*time.Millisecond), from)
			done(&c, 10*time.Millisecond, from)
		}
	}
	warm(second)
	var stuck Choice
	b.Begin(&stuck, nil)
	stuck.Next(second)
	name := stuck.Peer.Name
	var c Choice
	for range 5 { // the average of what is under way has to grow past the rest
		b.Begin(&c, nil)
		c.Next(5 * second)
		if c.Peer.Name == name {
			t.Fatal("a request goes to the server that does not answer")
		}
		c.Head(int64(10*time.Millisecond), 5*second)
		done(&c, 10*time.Millisecond, 5*second)
	}
}

func TestSlowStart(t *testing.T) {
	g := group(RoundRobin, 1, 1)
	g.Servers[1].SlowStart = 10 * time.Second
	g.Init()
	b := NewBalancer(g, 0)
	p := g.Peers().Main[1]
	share := func(now int64) int {
		n := 0
		for range 100 {
			var c Choice
			b.Begin(&c, nil)
			c.Next(now)
			if c.Peer == p {
				n++
			}
			done(&c, 0, now)
		}
		return n
	}
	if n := share(second); n != 50 {
		t.Errorf("%d of 100 before any failure", n)
	}
	p.State.setOut(outUnhealthy)
	p.State.clearOut(outUnhealthy, 100*second)
	for _, c := range []struct {
		at        int64
		low, high int
	}{{101, 7, 11}, {105, 30, 36}, {111, 49, 51}} {
		if n := share(c.at * second); n < c.low || n > c.high {
			t.Errorf("%d of 100, %d s after it came back", n, c.at-100)
		}
	}
}

func TestSlowStartOfLargeWeights(t *testing.T) {
	p := &peerState{Peer: &Peer{Weight: 65535, SlowStart: int64(time.Hour), State: &State{}}}
	p.ready.Store(second)
	whole := 65535 * slowScale
	for part := range 10 {
		got := p.ramp(p.Weight, second+p.SlowStart*int64(part)/10)
		if want := whole * part / 10; got < want-1 || got > want+1 {
			t.Errorf("after %d tenths the weight is %d, want %d", part, got, want)
		}
	}
}

func TestResolvedKeepsWhatRemains(t *testing.T) {
	g := &Group{Name: "g", Zone: true, Servers: []Server{{Name: "x.test:80", Host: "x.test", Port: 80, Weight: 2, MaxFails: 1, FailTimeout: DefaultFailTimeout}}}
	g.Init()
	s := &g.Servers[0]
	b := NewBalancer(g, 0)
	var c Choice
	if b.Begin(&c, nil); c.Next(second) {
		t.Fatal("a server before the name is resolved")
	}
	addr := func(last string) Found {
		u, _ := ParseURL("127.0.0."+last+":80", 80, false)
		return Found{Addr: u.Addr}
	}
	if !g.Resolved(s, []Found{addr("1"), addr("2")}) {
		t.Fatal("nothing changed")
	}
	b.Begin(&c, nil)
	c.Next(second)
	first := c.Peer
	c.Done(&Result{Outcome: Failed, Local: true, Status: 502}, second)
	var open Choice // goes on with what it began with
	b.Begin(&open, nil)
	if !g.Resolved(s, []Found{addr("1"), addr("3")}) || g.Resolved(s, []Found{addr("3"), addr("1")}) {
		t.Error("a change is one of the set of addresses, not of their order")
	}
	names := ""
	for _, p := range g.Peers().Each {
		names += p.Name + " "
	}
	if names != "127.0.0.1:80 127.0.0.3:80 " {
		t.Errorf("servers %s", names)
	}
	if p := g.Peers().Main[0]; p != first || p.Totals().Fails != 1 || p.Weight != 2 {
		t.Error("the state of an address that remains is lost")
	}
	b.Begin(&c, nil)
	if c.Next(2 * second); c.Peer == nil || c.Peer.Name != "127.0.0.3:80" {
		t.Errorf("%v; 127.0.0.1 has failed", c.Peer)
	}
	if !open.Next(2*second) || open.Peer.Name != "127.0.0.2:80" {
		t.Error("a choice under way does not end with its servers")
	}
	open.Done(&Result{}, 2*second)
	if g.Resolved(s, nil); len(g.Peers().Main) != 0 {
		t.Error("a name without addresses has servers")
	}
}

func TestServicePriorities(t *testing.T) {
	g := &Group{Name: "g", Zone: true, Servers: []Server{{Name: "x.test", Host: "x.test", Service: "http", Weight: 1, MaxFails: 1}}}
	g.Init()
	s := &g.Servers[0]
	found := func(last, weight int, backup bool) Found {
		u, _ := ParseURL(fmt.Sprintf("127.0.0.%d:80", last), 80, false)
		return Found{Addr: u.Addr, Name: "h.test", Weight: weight, Backup: backup}
	}
	g.Resolved(s, []Found{found(1, 5, false), found(1, 5, false), found(2, 1, true)})
	ps := g.Peers()
	if len(ps.Main) != 2 || len(ps.Backup) != 1 || ps.Main[0].Weight != 5 || ps.Main[0].State == ps.Main[1].State || ps.Main[0].Server != "h.test" {
		t.Errorf("%+v", ps)
	}
	old := ps.Main[0]
	if g.Resolved(s, []Found{found(1, 6, false), found(2, 1, true)}); g.Peers().Main[0] == old || g.Peers().Backup[0] != ps.Backup[0] {
		t.Error("a new weight is a new server, the same one is not")
	}
}

func TestStateOutlivesAReload(t *testing.T) {
	make := func(max int) *Group {
		g := group(RoundRobin, 1, 1)
		g.Name, g.File, g.Zone, g.ZoneName = "kept", "nginx.conf", true, "z"
		g.Servers[0].MaxFails = max
		g.Init()
		return g
	}
	a := make(1)
	var c Choice
	b := NewBalancer(a, 0)
	b.Begin(&c, nil)
	c.Next(second)
	c.Done(&Result{Outcome: Failed}, second)
	n := make(2)
	if n.Peers().Main[0].State != a.Peers().Main[0].State || n.Peers().Main[0].fails.Load() != 1 {
		t.Error("the state is not the one before")
	}
	Keep(nil)
	if make(1).Peers().Main[0].fails.Load() != 0 {
		t.Error("the state of a group that was gone is still there")
	}
	Keep(nil)
}

// logged makes the group keep its lines.
func logged(g *Group) *[]string {
	var lines []string
	l := nlog.New(nlog.Target{Level: nlog.Info, Writer: func(_ nlog.Level, line []byte) {
		_, msg, _ := strings.Cut(string(line), ": ")
		lines = append(lines, msg)
	}})
	g.Log = func() *nlog.Logger { return l }
	return &lines
}

func TestOutliersAreEjected(t *testing.T) {
	g := group(RoundRobin, 1, 1, 1, 1)
	o := DefaultOutlier
	o.Consecutive5xx, o.MaxPercent = 3, 50
	g.Outlier, g.Panic = &o, 0
	g.Init()
	b := NewBalancer(g, 0)
	ask := func(n int, now int64, status map[byte]int) string {
		var got []byte
		for range n {
			var c Choice
			b.Begin(&c, nil)
			if !c.Next(now) {
				got = append(got, '-')
				continue
			}
			last := c.Peer.Name[len(c.Peer.Name)-1]
			got = append(got, last-'1'+'a')
			c.Done(&Result{Status: status[last]}, now)
		}
		return string(got)
	}
	bad := map[byte]int{'1': 500, '2': 200, '3': 503, '4': 503}
	ask(12, second, bad)
	if got := ask(8, 2*second, bad); strings.ContainsAny(got, "ac") || !strings.Contains(got, "d") {
		t.Errorf("%s: a and c are to be ejected, d would be more than half", got)
	}
	if next := g.Sweep(10*second, true); next != second+int64(30*time.Second) {
		t.Errorf("the first ejection ends at %d", next)
	}
	good := map[byte]int{'1': 200, '2': 200, '3': 200, '4': 200}
	if got := ask(8, 32*second, good); !strings.Contains(got, "a") {
		t.Errorf("%s: a's ejection is over", got)
	}
	g.Sweep(33*second, false)
	p := g.Peers().Main[0]
	if p.Ejected() || p.outlier.times.Load() != 1 {
		t.Error("still ejected")
	}
	ask(12, 34*second, map[byte]int{'1': 500, '2': 200, '3': 200, '4': 200})
	if got := p.EjectedUntil(); got < 34*second+int64(60*time.Second) {
		t.Errorf("the second ejection ends at %d s, want twice the time", got/second)
	}
}

func TestGatewayFailures(t *testing.T) {
	g := group(RoundRobin, 1, 1)
	o := DefaultOutlier
	o.Consecutive5xx, o.ConsecutiveGateway = 0, 2
	g.Outlier = &o
	g.Init()
	p, q := g.Peers().Main[0], g.Peers().Main[1]
	g.observe(p, &Result{Status: 502, Local: true, Outcome: Failed}, second)
	g.observe(p, &Result{Status: 500}, second) // no failure of a gateway
	g.observe(p, &Result{Status: 504}, second)
	if p.Ejected() {
		t.Error("ejected though the failures were not in a row")
	}
	g.observe(p, &Result{Status: 200, Broken: true}, second)
	if !p.Ejected() || q.Ejected() {
		t.Error("not ejected")
	}
}

func TestSuccessRate(t *testing.T) {
	g := group(RoundRobin, 1, 1, 1, 1, 1)
	o := DefaultOutlier
	o.Consecutive5xx, o.RequestVolume = 0, 10
	g.Outlier = &o
	g.Init()
	for i, p := range g.Peers().Main {
		for n := range 20 {
			st := 200
			if i == 3 && n%2 == 0 {
				st = 500
			}
			g.observe(p, &Result{Status: st}, second)
		}
	}
	g.Sweep(11*second, true)
	for i, p := range g.Peers().Main {
		if p.Ejected() != (i == 3) {
			t.Errorf("server %d: ejected %v", i, p.Ejected())
		}
	}
}

func TestHealthThresholdsAndPanic(t *testing.T) {
	g := group(RoundRobin, 1, 1, 1)
	g.Panic = 50
	g.Init()
	lines := logged(g)
	b := NewBalancer(g, 0)
	ps := g.Peers().Main
	for i := range 3 {
		if healthy := g.Checked(ps[0], "status 500", 2, 3, second); healthy != (i < 2) {
			t.Errorf("after check %d: healthy %v", i+1, healthy)
		}
	}
	if got := letters(b, 6, ""); strings.Contains(got, "a") {
		t.Errorf("%s: a is unhealthy", got)
	}
	for range 3 {
		g.Checked(ps[1], "timed out", 2, 3, second)
	}
	if got := letters(b, 6, ""); !g.Panics() || !strings.Contains(got, "a") || !strings.Contains(got, "b") {
		t.Errorf("%s: one of three is left, health is to be disregarded", got)
	}
	if g.Checked(ps[0], "", 2, 3, second); !ps[0].Unhealthy() {
		t.Error("healthy after one good check of two")
	}
	if g.Checked(ps[0], "", 2, 3, second); ps[0].Unhealthy() || g.Panics() {
		t.Error("unhealthy after two good checks")
	}
	want := `upstream server 127.0.0.1:8001 of "g" is unhealthy: status 500
upstream server 127.0.0.1:8002 of "g" is unhealthy: timed out
upstream "g" panics: 1 of 3 servers are usable, health is disregarded
upstream server 127.0.0.1:8001 of "g" is healthy
upstream "g" no longer panics: 2 of 3 servers are usable`
	if got := strings.TrimSpace(strings.Join(*lines, "")); got != want {
		t.Errorf("logged\n%s", got)
	}
}

func TestBackupsPreventPanic(t *testing.T) {
	g := group(RoundRobin, 1, 1)
	g.Servers[1].Backup = true
	g.Panic = 50
	g.Init()
	for range 3 {
		g.Checked(g.Peers().Main[0], "refused", 2, 3, second)
	}
	if got := letters(NewBalancer(g, 0), 3, ""); g.Panics() || got != "bbb" {
		t.Errorf("%s, panic %v", got, g.Panics())
	}
}

func TestRetryTurns(t *testing.T) {
	g := group(RoundRobin, 1, 1)
	g.Retry.Num = 3
	g.Servers[0].MaxFails, g.Servers[1].MaxFails = 0, 0
	g.Init()
	b := NewBalancer(g, 0)
	var c Choice
	b.Begin(&c, nil)
	got := ""
	for c.Tries > 0 && c.Next(second) {
		got += c.Peer.Name[len(c.Peer.Name)-1:]
		c.Done(&Result{Outcome: Failed}, second)
	}
	if len(got) != 4 || strings.Count(got, "1") != 2 {
		t.Errorf("tries %s, want each server twice", got)
	}
	one := group(RoundRobin, 1)
	one.Retry.Num = 2
	one.Init()
	b = NewBalancer(one, 0)
	b.Begin(&c, nil)
	n := 0
	for c.Tries > 0 && c.Next(second) {
		n++
		c.Done(&Result{Outcome: Failed}, second)
	}
	if n != 3 {
		t.Errorf("a single server is tried %d times, want 3", n)
	}
}

func TestBackoffDoubles(t *testing.T) {
	r := Retry{Base: 25 * time.Millisecond, Max: 100 * time.Millisecond}
	for n, most := range map[int]time.Duration{1: 25, 2: 50, 3: 100, 4: 100, 60: 100} {
		longest := time.Duration(0)
		for range 500 {
			longest = max(longest, r.Backoff(n))
		}
		if longest > most*time.Millisecond+1 || longest < most*time.Millisecond/2 {
			t.Errorf("retry %d waits up to %v, want %d ms", n, longest, most)
		}
	}
	hour := Retry{Base: time.Hour, Max: 10 * time.Hour}
	for n := range 40 {
		if d := hour.Backoff(n + 1); d <= 0 || d > hour.Max+1 {
			t.Errorf("retry %d of long ones waits %v", n+1, d)
		}
	}
	if (&Retry{}).Backoff(3) != 0 {
		t.Error("waits without a base")
	}
}

func TestRetryBudget(t *testing.T) {
	g := group(RoundRobin, 1)
	g.Breaker = Breaker{Budget: 20, MinRetries: 2}
	g.Init()
	for range 20 {
		if full, err := g.Enter(nil, 0); full != "" || err != nil {
			t.Fatal(full, err)
		}
	}
	n := 0
	for g.BeginRetry() {
		n++
	}
	if n != 4 || g.RefusedRetries() != 1 {
		t.Errorf("%d retries of 20 requests with 20 %%", n)
	}
	for range 20 {
		g.Leave()
	}
	for range n {
		g.EndRetry()
	}
	n = 0
	for g.BeginRetry() {
		n++
	}
	if n != 2 {
		t.Errorf("%d retries without requests, want the minimum", n)
	}
}

func TestMaxRequests(t *testing.T) {
	g := group(RoundRobin, 1)
	g.Breaker = Breaker{MaxRequests: 2}
	g.Init()
	g.Enter(nil, 0)
	g.Enter(nil, 0)
	if full, _ := g.Enter(nil, 0); full != "max_requests" {
		t.Errorf("%q", full)
	}
	g.Leave()
	if full, _ := g.Enter(nil, 0); full != "" {
		t.Errorf("%q after one has left", full)
	}
}

func TestSweepWithoutEjections(t *testing.T) {
	g := group(RoundRobin, 1)
	g.Outlier = &DefaultOutlier
	g.Init()
	if next := g.Sweep(second, true); next != math.MaxInt64 {
		t.Errorf("wants to be called at %d", next)
	}
}
