package statuspage

import (
	"sync"
	"sync/atomic"

	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/upstream"
)

// zone is a name that requests are counted under, over workers and reloads.
type zone struct {
	plane   *engine.Plane
	name    string
	workers []zoneCounts
}

// zoneCounts is what one worker has counted. Only that worker writes.
type zoneCounts struct {
	requests, received, sent atomic.Int64
	responses                [6]atomic.Int64 // by class; [0] for those without
	time                     [len(upstream.Buckets) + 1]atomic.Int64
	timeSum                  atomic.Int64
	_                        [64]byte
}

var zones = struct {
	sync.Mutex
	all []*zone
}{}

func zoneOf(p *engine.Plane, name string) *zone {
	zones.Lock()
	defer zones.Unlock()
	for _, z := range zones.all {
		if z.plane == p && z.name == name {
			return z
		}
	}
	z := &zone{p, name, make([]zoneCounts, max(len(p.Workers()), 1))}
	zones.all = append(zones.all, z)
	return z
}

// begin gives the locations of a snapshot their zones; those that it does not have are forgotten.
func begin(p *engine.Plane, h *engine.HTTP) error {
	used := map[string]bool{}
	each(h.Scope, func(s *conf.Scope) {
		if cf := loc.Of(s); cf.zone.V != "" {
			cf.counted = zoneOf(p, cf.zone.V)
			used[cf.zone.V] = true
		}
	})
	zones.Lock()
	defer zones.Unlock()
	kept := zones.all[:0:0]
	for _, z := range zones.all {
		if z.plane != p || used[z.name] {
			kept = append(kept, z)
		}
	}
	zones.all = kept
	return nil
}

func each(s *conf.Scope, f func(s *conf.Scope)) {
	if s == nil {
		return
	}
	if s.Own(conf.KindLocation) {
		f(s)
	}
	for _, c := range s.Children {
		each(c, f)
	}
}

func counts(s *conf.Scope) bool { return loc.Of(s).zone.V != "" }

// count is the log step.
func count(r *engine.Request) engine.Status {
	z := loc.Of(r.Scope).counted
	if z == nil || r.Parent != nil {
		return engine.OK
	}
	c := &z.workers[r.W.ID]
	c.requests.Add(1)
	c.received.Add(r.RequestLen)
	c.sent.Add(r.Main.Sent)
	class := int(r.Out.Status) / 100
	if class < 0 || class > 5 {
		class = 0
	}
	c.responses[class].Add(1)
	took := r.W.Loop.Now() - r.Start
	i := 0
	for i < len(upstream.Buckets) && took > int64(upstream.Buckets[i]) {
		i++
	}
	c.time[i].Add(1)
	c.timeSum.Add(took)
	return engine.OK
}
