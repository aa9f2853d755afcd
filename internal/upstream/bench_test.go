package upstream

import "testing"

func BenchmarkChoice(b *testing.B) {
	g := group(RoundRobin, 1, 1, 1)
	g.Init()
	bal := NewBalancer(g, 0)
	var c Choice
	r := Result{Status: 200, Header: 100000, Whole: 200000, Sent: 100, Received: 300}
	b.ReportAllocs()
	for range b.N {
		bal.Begin(&c, nil)
		c.Next(second)
		c.Connected(true)
		c.Done(&r, second)
	}
}
