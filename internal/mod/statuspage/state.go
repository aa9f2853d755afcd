package statuspage

import (
	"encoding/json"
	"maps"
	"os"
	"runtime"
	"slices"
	"time"

	"moongate/internal/engine"
	"moongate/internal/grpc/tally"
	"moongate/internal/luahost"
	"moongate/internal/luajit"
	"moongate/internal/netio"
	"moongate/internal/relay"
	"moongate/internal/upstream"
)

// State is the server at a moment. Its fields are the interface of the JSON form.
type State struct {
	Version     string      `json:"version"`
	PID         int         `json:"pid"`
	Started     time.Time   `json:"started"`
	Time        time.Time   `json:"time"`
	Connections Connections `json:"connections"`
	Requests    uint64      `json:"requests"`
	Workers     []Worker    `json:"workers"`
	Process     Process     `json:"process"`
	Zones       []Zone      `json:"zones"`
	Upstreams   []Upstream  `json:"upstreams"`
	GRPC        []Calls     `json:"grpc"`
	Dicts       []Dict      `json:"shared_dicts"`
}

// Connections are the numbers of stub_status.
type Connections struct {
	Accepted int64 `json:"accepted"`
	Handled  int64 `json:"handled"`
	Active   int64 `json:"active"`
	Reading  int64 `json:"reading"`
	Writing  int64 `json:"writing"`
	Waiting  int64 `json:"waiting"`
}

// Worker is one worker.
type Worker struct {
	ID          int    `json:"id"`
	Requests    uint64 `json:"requests"`
	Connections int    `json:"connections"`
	Active      int    `json:"active_requests"`
	LuaMemory   int64  `json:"lua_memory_bytes"`
}

// Process is the process of the workers.
type Process struct {
	Goroutines  int `json:"goroutines"`
	Descriptors int `json:"open_descriptors"`
}

// Zone is what was counted under a name of status_zone.
type Zone struct {
	Name      string    `json:"name"`
	Requests  int64     `json:"requests"`
	Responses Responses `json:"responses"`
	Received  int64     `json:"received_bytes"`
	Sent      int64     `json:"sent_bytes"`
	Time      Histogram `json:"request_time"`
}

// Responses counts responses by class.
type Responses struct {
	Class1xx int64 `json:"1xx"`
	Class2xx int64 `json:"2xx"`
	Class3xx int64 `json:"3xx"`
	Class4xx int64 `json:"4xx"`
	Class5xx int64 `json:"5xx"`
	Other    int64 `json:"other"`
}

// Histogram counts times: Buckets has, for each bound in seconds, how many were not longer.
type Histogram struct {
	Count   int64    `json:"count"`
	Sum     float64  `json:"sum_seconds"`
	Buckets []Bucket `json:"buckets"`
}

// Bucket is one of a Histogram.
type Bucket struct {
	Bound float64 `json:"le"`
	Count int64   `json:"count"`
}

// Upstream is a group of servers.
type Upstream struct {
	Name           string   `json:"name"`
	Method         string   `json:"method"`
	Zone           string   `json:"zone,omitempty"`
	Panics         bool     `json:"panic"`
	Idle           int      `json:"idle_connections"`
	Requests       int64    `json:"guarded_requests"`
	Pending        int64    `json:"pending_requests"`
	Retries        int64    `json:"retries_in_flight"`
	Overflows      int64    `json:"breaker_overflows"`
	RetriesRefused int64    `json:"breaker_refused_retries"`
	Sessions       int      `json:"sticky_sessions"`
	Servers        []Server `json:"servers"`
}

// Server is one address of a group.
type Server struct {
	Address      string    `json:"address"`
	Name         string    `json:"server"`
	Backup       bool      `json:"backup"`
	Chosen       bool      `json:"chosen,omitempty"` // by balancer_by_lua, not configured
	Weight       int       `json:"weight"`
	State        string    `json:"state"` // up, down, drain, unhealthy, ejected
	Active       int64     `json:"active_connections"`
	Requests     int64     `json:"requests"`
	Responses    Responses `json:"responses"`
	Fails        int64     `json:"fails"`
	Connects     int64     `json:"connections_made"`
	Reused       int64     `json:"connections_reused"`
	Sent         int64     `json:"sent_bytes"`
	Received     int64     `json:"received_bytes"`
	Time         Histogram `json:"response_time"`
	Checks       uint64    `json:"health_checks"`
	CheckFails   uint64    `json:"health_check_fails"`
	LastCheck    string    `json:"last_health_check,omitempty"`
	EjectedUntil float64   `json:"ejected_for_seconds,omitempty"`
}

// Calls are the calls of a gRPC method.
type Calls struct {
	Role     string           `json:"role"` // server: answered here; proxy: passed on; client: made by Lua
	Upstream string           `json:"upstream,omitempty"`
	Service  string           `json:"service"`
	Method   string           `json:"method"`
	Type     string           `json:"type,omitempty"`
	Handled  map[string]int64 `json:"handled"` // by status
	Received int64            `json:"messages_received"`
	Sent     int64            `json:"messages_sent"`
	Time     Histogram        `json:"handling_time"`
}

// Dict is a shared dictionary.
type Dict struct {
	Name string `json:"name"`
	Size int64  `json:"size_bytes"`
	Free int64  `json:"free_page_bytes"`
}

// gather makes the State; it asks every worker, and so must not run in one.
func gather(p *engine.Plane, h *engine.HTTP) *State {
	s := &State{Version: engine.Version, PID: os.Getpid(), Started: p.Started().UTC().Truncate(time.Second), Time: time.Now().UTC().Truncate(time.Millisecond),
		Zones: []Zone{}, Upstreams: []Upstream{}, Dicts: []Dict{}}
	c := &s.Connections
	accepted, active, requests := p.Stats()
	*c = Connections{Accepted: accepted, Handled: accepted, Active: active, Writing: p.InFlight(), Reading: p.Reading()}
	c.Waiting = max(0, c.Active-c.Writing-c.Reading)
	s.Requests = requests
	groups := relay.AllGroups(h)
	idle := make([][]int, len(p.Workers()))
	memory := make([]int64, len(p.Workers()))
	calls := make([][]tally.Series, len(p.Workers()))
	p.Ask(func(w *engine.Worker) {
		idle[w.ID] = relay.IdleOf(h, w)
		calls[w.ID] = tally.Snapshot(w)
		// h may have been replaced: then a worker that has no request of it any more has ended its VM.
		if lw := luahost.WorkerOf(w, w.HTTP); lw != nil && lw.VM != nil {
			memory[w.ID] = int64(lw.VM.Mem())
		}
	})
	for i, w := range p.Workers() {
		n, conns, busy := w.Published()
		s.Workers = append(s.Workers, Worker{ID: i, Requests: n, Connections: conns, Active: busy, LuaMemory: memory[i]})
	}
	s.Process = Process{Goroutines: runtime.NumGoroutine(), Descriptors: descriptors()}
	s.addZones(p)
	for i, g := range groups {
		u := upstreamOf(g)
		for _, list := range idle {
			if i < len(list) {
				u.Idle += list[i]
			}
		}
		s.Upstreams = append(s.Upstreams, u)
	}
	s.addCalls(tally.Sum(calls))
	for _, d := range luahost.MainOf(h).SharedDicts {
		if dict, err := luajit.OpenDict(d.Name, d.Size); err == nil {
			s.Dicts = append(s.Dicts, Dict{d.Name, d.Size, dict.FreeSpace()})
			dict.Release()
		}
	}
	return s
}

func (s *State) addCalls(list []tally.Series) {
	s.GRPC = []Calls{}
	for i := range list {
		t := &list[i]
		c := Calls{Role: t.Role.String(), Upstream: t.Upstream, Service: t.Service, Method: t.Method, Type: t.Stream, Handled: map[string]int64{}, Received: t.Received, Sent: t.Sent,
			Time: histogram(t.Took[:], tally.Buckets[:], t.Time)}
		for code, n := range t.Handled {
			if n > 0 {
				c.Handled[tally.CodeName(code)] = n
			}
		}
		s.GRPC = append(s.GRPC, c)
	}
}

func descriptors() int {
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return -1
	}
	return len(list) - 1 // without the one that reads the list
}

func (s *State) addZones(p *engine.Plane) {
	zones.Lock()
	all := zones.all
	zones.Unlock()
	for _, z := range all {
		if z.plane != p {
			continue
		}
		o := Zone{Name: z.name}
		var classes [6]int64
		var times [len(upstream.Buckets) + 1]int64
		var sum int64
		for i := range z.workers {
			c := &z.workers[i]
			o.Requests += c.requests.Load()
			o.Received += c.received.Load()
			o.Sent += c.sent.Load()
			sum += c.timeSum.Load()
			for j := range classes {
				classes[j] += c.responses[j].Load()
			}
			for j := range times {
				times[j] += c.time[j].Load()
			}
		}
		o.Responses, o.Time = responses(classes), histogram(times[:], upstream.Buckets[:], sum)
		s.Zones = append(s.Zones, o)
	}
}

func responses(n [6]int64) Responses { return Responses{n[1], n[2], n[3], n[4], n[5], n[0]} }

// histogram sums up what n has for each bound, and for what is beyond them.
func histogram(n []int64, bounds []time.Duration, sum int64) Histogram {
	h := Histogram{Sum: float64(sum) / 1e9}
	for i, b := range bounds {
		h.Count += n[i]
		h.Buckets = append(h.Buckets, Bucket{b.Seconds(), h.Count})
	}
	h.Count += n[len(n)-1]
	return h
}

func upstreamOf(g *relay.Group) Upstream {
	u := Upstream{Name: g.FullName(), Method: g.Method.String(), Zone: g.ZoneName, Panics: g.Panics(), RetriesRefused: g.RefusedRetries(), Servers: []Server{}}
	u.Requests, u.Pending, u.Retries, u.Overflows = g.Load()
	if g.Sticky != nil && g.Sticky.Sessions != nil {
		u.Sessions = g.Sticky.Sessions.Len()
	}
	chosen := g.Chosen()
	for _, addr := range slices.Sorted(maps.Keys(chosen)) {
		v := serverOf(chosen[addr])
		v.Address, v.Name, v.Weight, v.State, v.Chosen = addr, addr, 1, "up", true
		u.Servers = append(u.Servers, v)
	}
	if g.Placeholder {
		return u
	}
	now := netio.Mono()
	for _, p := range g.Peers().Each {
		v := serverOf(p.Totals())
		v.Address, v.Name, v.Backup, v.Weight, v.State = p.Name, p.Server, p.Backup, p.Weight, "up"
		v.Checks, v.CheckFails, v.LastCheck = p.Checks.Load(), p.CheckFail.Load(), p.LastCheck()
		if until := p.EjectedUntil(); until > now {
			v.EjectedUntil = float64((until-now)/1e6) / 1e3
		}
		switch {
		case p.Down:
			v.State = "down"
		case p.Unhealthy():
			v.State = "unhealthy"
		case p.Ejected():
			v.State = "ejected"
		case p.Drain:
			v.State = "drain"
		}
		u.Servers = append(u.Servers, v)
	}
	return u
}

func serverOf(t upstream.Totals) Server {
	return Server{Active: t.Active, Requests: t.Requests, Responses: responses(t.Responses), Fails: t.Fails, Connects: t.Connects, Reused: t.Hit,
		Sent: t.Sent, Received: t.Received, Time: histogram(t.Time[:], upstream.Buckets[:], t.TimeSum)}
}

func (s *State) json() ([]byte, error) {
	b, err := json.MarshalIndent(s, "", " ")
	return append(b, '\n'), err
}
