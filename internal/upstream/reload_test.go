package upstream

import (
	"testing"
	"time"
)

// reloadable is a group that outlives reloads.
func reloadable(name string, servers ...Server) *Group {
	return &Group{Name: name, File: "nginx.conf", Zone: true, ZoneName: "z", Panic: DefaultPanic, Servers: servers}
}

func TestPortsOfOneNameOverAReload(t *testing.T) {
	t.Cleanup(func() { Keep(nil) })
	load := func() *Group {
		g := reloadable("ports", Server{Name: "x.test:81", Host: "x.test", Port: 81, Weight: 1}, Server{Name: "x.test:82", Host: "x.test", Port: 82, Weight: 1, Backup: true})
		g.Init()
		return g
	}
	g := load()
	for i := range g.Servers {
		u, _ := ParseURL("127.0.0.1", g.Servers[i].Port, false)
		g.Resolved(&g.Servers[i], []Found{{Addr: u.Addr}})
	}
	ps := load().Peers()
	if len(ps.Main) != 1 || len(ps.Backup) != 1 || ps.Main[0].Name != "127.0.0.1:81" || ps.Backup[0].Name != "127.0.0.1:82" {
		t.Errorf("%d servers and %d backups for one name with two ports", len(ps.Main), len(ps.Backup))
	}
}

func TestEjectionEndsWithTheDirective(t *testing.T) {
	t.Cleanup(func() { Keep(nil) })
	load := func(o *Outlier) *Group {
		g := reloadable("ejected", group(RoundRobin, 1).Servers...)
		g.Outlier = o
		g.Init()
		return g
	}
	o := DefaultOutlier
	o.Consecutive5xx = 1
	g := load(&o)
	g.observe(g.Peers().Main[0], &Result{Status: 500}, second)
	if !g.Peers().Main[0].Ejected() || !g.Panics() {
		t.Fatal("not ejected")
	}
	g = load(nil)
	if g.Panics() {
		t.Error("a group that ejects nobody panics")
	}
	if g.Forget(true); g.Peers().Main[0].Ejected() {
		t.Error("still ejected")
	}
}

func TestEjectionsAreForgiven(t *testing.T) {
	g := group(RoundRobin, 1)
	o := DefaultOutlier
	o.Consecutive5xx, o.BaseEjection, o.MaxEjection = 2, time.Second, 3*time.Second
	g.Outlier = &o
	g.Init()
	p := g.Peers().Main[0]
	now := second
	for n := range 20 {
		g.observe(p, &Result{Status: 500}, now)
		g.observe(p, &Result{Status: 500}, now)
		if want := now + int64(min(n+1, 3))*second; p.EjectedUntil() != want {
			t.Fatalf("ejection %d ends at %d, want %d", n+1, p.EjectedUntil(), want)
		}
		g.observe(p, &Result{Status: 500}, now) // was under way
		now = p.EjectedUntil()
		g.Sweep(now, false)
	}
	if g.observe(p, &Result{Status: 500}, now); p.Ejected() {
		t.Error("a failure of before the ejection counts after it")
	}
	for range 3 {
		g.Sweep(now, true)
	}
	p.outlier.in5xx.Store(1)
	if g.observe(p, &Result{Status: 500}, now); p.EjectedUntil() != now+second {
		t.Error("three good intervals do not make up for ejections that were as long as they get")
	}
}
