package statuspage

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/common/expfmt"
)

// metric describes a metric; its description is made when it is first asked for.
type metric struct {
	name, help string
	typ        prometheus.ValueType
	labels     []string
}

const (
	counter = prometheus.CounterValue
	gauge   = prometheus.GaugeValue
)

var serverLabels = []string{"upstream", "server", "address"}

// The metrics, one variable each.
var (
	mInfo        = metric{"moongate_build_info", "The version; always 1.", gauge, []string{"version"}}
	mStart       = metric{"moongate_start_time_seconds", "When the process started, in seconds since the epoch.", gauge, nil}
	mAccepted    = metric{"moongate_connections_accepted_total", "Client connections accepted.", counter, nil}
	mHandled     = metric{"moongate_connections_handled_total", "Client connections handled.", counter, nil}
	mConnections = metric{"moongate_connections", "Client connections by state.", gauge, []string{"state"}}
	mRequests    = metric{"moongate_requests_total", "Requests begun, by worker.", counter, []string{"worker"}}
	mLua         = metric{"moongate_lua_memory_bytes", "Memory of the Lua VM, by worker.", gauge, []string{"worker"}}
	mGoroutines  = metric{"moongate_goroutines", "Goroutines of the process.", gauge, nil}
	mDescriptors = metric{"moongate_open_descriptors", "Open descriptors of the process.", gauge, nil}
	mDictSize    = metric{"moongate_shared_dict_size_bytes", "Size of a shared dictionary.", gauge, []string{"dict"}}
	mDictFree    = metric{"moongate_shared_dict_free_bytes", "Bytes of pages of a shared dictionary in which nothing is stored.", gauge, []string{"dict"}}

	mZoneRequests  = metric{"moongate_zone_requests_total", "Requests by zone.", counter, []string{"zone"}}
	mZoneResponses = metric{"moongate_zone_responses_total", "Responses by zone and class.", counter, []string{"zone", "class"}}
	mZoneReceived  = metric{"moongate_zone_received_bytes_total", "Bytes of requests by zone.", counter, []string{"zone"}}
	mZoneSent      = metric{"moongate_zone_sent_bytes_total", "Bytes of responses by zone.", counter, []string{"zone"}}
	mZoneTime      = metric{"moongate_zone_request_duration_seconds", "Times of requests by zone.", 0, []string{"zone"}}

	mServerRequests  = metric{"moongate_upstream_requests_total", "Requests sent to a server, tries included.", counter, serverLabels}
	mServerResponses = metric{"moongate_upstream_responses_total", "Responses of a server by class.", counter, append(serverLabels[:3:3], "class")}
	mServerFails     = metric{"moongate_upstream_fails_total", "Failures of a server.", counter, serverLabels}
	mServerActive    = metric{"moongate_upstream_active_connections", "Requests that a server is working on.", gauge, serverLabels}
	mServerUp        = metric{"moongate_upstream_server_up", "Whether requests go to a server.", gauge, serverLabels}
	mServerHealthy   = metric{"moongate_upstream_server_healthy", "Whether the health checks of a server succeed.", gauge, serverLabels}
	mServerEjected   = metric{"moongate_upstream_server_ejected", "Whether a server is ejected as an outlier.", gauge, serverLabels}
	mServerConnects  = metric{"moongate_upstream_connections_total", "Requests by the connection they took: made for them, or reused.", counter, append(serverLabels[:3:3], "kind")}
	mServerSent      = metric{"moongate_upstream_sent_bytes_total", "Bytes sent to a server.", counter, serverLabels}
	mServerReceived  = metric{"moongate_upstream_received_bytes_total", "Bytes received from a server.", counter, serverLabels}
	mServerTime      = metric{"moongate_upstream_response_duration_seconds", "Times of responses of a server.", 0, serverLabels}
	mServerChecks    = metric{"moongate_upstream_health_checks_total", "Health checks of a server by result.", counter, append(serverLabels[:3:3], "result")}
	mPanic           = metric{"moongate_upstream_panic", "Whether health is disregarded because too few servers are usable.", gauge, []string{"upstream"}}
	mIdle            = metric{"moongate_upstream_idle_connections", "Idle connections that are kept.", gauge, []string{"upstream"}}
	mPending         = metric{"moongate_upstream_pending_requests", "Requests that wait for a connection.", gauge, []string{"upstream"}}
	mRetries         = metric{"moongate_upstream_retries_active", "Retries under way.", gauge, []string{"upstream"}}
	mOverflows       = metric{"moongate_upstream_breaker_overflows_total", "Requests and retries that the circuit breaker has refused.", counter, []string{"upstream", "kind"}}
)

// grpcMetrics are those of calls of gRPC, for each role. Names and labels of servers and clients are those that gRPC
// libraries use.
var grpcMetrics = map[string]callMetrics{
	"server": grpcMetric("server", "answered here", "from clients", "to clients", "grpc_type", "grpc_service", "grpc_method"),
	"proxy":  grpcMetric("proxy", "passed on", "from servers", "to servers", "upstream", "grpc_service", "grpc_method"),
	"client": grpcMetric("client", "made by Lua", "from servers", "to servers", "upstream", "grpc_service", "grpc_method"),
}

type callMetrics struct{ handled, received, sent, time metric }

func grpcMetric(role, calls, from, to string, labels ...string) (m callMetrics) {
	m.handled = metric{"grpc_" + role + "_handled_total", "Calls of gRPC " + calls + ", by how they ended.", counter, append(labels[:len(labels):len(labels)], "grpc_code")}
	m.received = metric{"grpc_" + role + "_msg_received_total", "Messages of gRPC " + from + ", of calls that have ended.", counter, labels}
	m.sent = metric{"grpc_" + role + "_msg_sent_total", "Messages of gRPC " + to + ", of calls that have ended.", counter, labels}
	m.time = metric{"grpc_" + role + "_handling_seconds", "Times of calls of gRPC " + calls + ", from their beginning to their end.", 0, labels}
	return m
}

func (c *Calls) collect(ch chan<- prometheus.Metric) {
	m := grpcMetrics[c.Role]
	values := map[string]string{"upstream": c.Upstream, "grpc_type": c.Type, "grpc_service": c.Service, "grpc_method": c.Method}
	labels := make([]string, 0, 5)
	for _, l := range m.sent.labels {
		labels = append(labels, values[l])
	}
	m.received.put(ch, float64(c.Received), labels...)
	m.sent.put(ch, float64(c.Sent), labels...)
	m.time.putTimes(ch, &c.Time, labels...)
	for code, n := range c.Handled {
		m.handled.put(ch, float64(n), append(labels, code)...)
	}
}

// collector gives a State as metrics. It describes nothing beforehand: the servers are known when it is asked.
type collector struct{ s *State }

func (collector) Describe(chan<- *prometheus.Desc) {}

// put sends one value.
func (m *metric) put(ch chan<- prometheus.Metric, v float64, labels ...string) {
	ch <- prometheus.MustNewConstMetric(prometheus.NewDesc(m.name, m.help, m.labels, nil), m.typ, v, printable(labels)...)
}

// printable writes as \xHH the bytes of labels that are no UTF-8, which Prometheus does not take: names of a configuration, and
// of hosts that a name server has told, may be anything. labels stays as it is.
func printable(labels []string) []string {
	for i, l := range labels {
		if utf8.ValidString(l) {
			continue
		}
		labels = slices.Clone(labels)
		var b strings.Builder
		for len(l) > 0 {
			r, n := utf8.DecodeRuneInString(l)
			if r == utf8.RuneError && n == 1 {
				fmt.Fprintf(&b, "\\x%02x", l[0])
			} else {
				b.WriteString(l[:n])
			}
			l = l[n:]
		}
		labels[i] = b.String()
	}
	return labels
}

func (m *metric) putTimes(ch chan<- prometheus.Metric, h *Histogram, labels ...string) {
	buckets := make(map[float64]uint64, len(h.Buckets))
	for _, b := range h.Buckets {
		buckets[b.Bound] = uint64(b.Count)
	}
	ch <- prometheus.MustNewConstHistogram(prometheus.NewDesc(m.name, m.help, m.labels, nil), uint64(h.Count), h.Sum, buckets, printable(labels)...)
}

func (m *metric) putClasses(ch chan<- prometheus.Metric, r *Responses, labels ...string) {
	labels = append(labels, "")
	for _, c := range [...]struct {
		class string
		n     int64
	}{{"1xx", r.Class1xx}, {"2xx", r.Class2xx}, {"3xx", r.Class3xx}, {"4xx", r.Class4xx}, {"5xx", r.Class5xx}, {"other", r.Other}} {
		labels[len(labels)-1] = c.class
		m.put(ch, float64(c.n), labels...)
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// Collect sends all metrics.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	s := c.s
	mInfo.put(ch, 1, s.Version)
	mStart.put(ch, float64(s.Started.Unix()))
	mAccepted.put(ch, float64(s.Connections.Accepted))
	mHandled.put(ch, float64(s.Connections.Handled))
	mConnections.put(ch, float64(s.Connections.Active), "active")
	mConnections.put(ch, float64(s.Connections.Reading), "reading")
	mConnections.put(ch, float64(s.Connections.Writing), "writing")
	mConnections.put(ch, float64(s.Connections.Waiting), "waiting")
	for _, w := range s.Workers {
		mRequests.put(ch, float64(w.Requests), strconv.Itoa(w.ID))
		mLua.put(ch, float64(w.LuaMemory), strconv.Itoa(w.ID))
	}
	mGoroutines.put(ch, float64(s.Process.Goroutines))
	mDescriptors.put(ch, float64(s.Process.Descriptors))
	for _, d := range s.Dicts {
		mDictSize.put(ch, float64(d.Size), d.Name)
		mDictFree.put(ch, float64(d.Free), d.Name)
	}
	for i := range s.Zones {
		z := &s.Zones[i]
		mZoneRequests.put(ch, float64(z.Requests), z.Name)
		mZoneResponses.putClasses(ch, &z.Responses, z.Name)
		mZoneReceived.put(ch, float64(z.Received), z.Name)
		mZoneSent.put(ch, float64(z.Sent), z.Name)
		mZoneTime.putTimes(ch, &z.Time, z.Name)
	}
	seen := map[string]int{}
	for i := range s.Upstreams {
		name := s.Upstreams[i].Name
		n := seen[name]
		if seen[name]++; n > 0 { // a block may be named as an address that a directive has: another series
			name += "#" + strconv.Itoa(n)
		}
		s.Upstreams[i].collect(ch, name)
	}
	for i := range s.GRPC {
		s.GRPC[i].collect(ch)
	}
}

func (u *Upstream) collect(ch chan<- prometheus.Metric, group string) {
	mPanic.put(ch, truth(u.Panics), group)
	mIdle.put(ch, float64(u.Idle), group)
	mPending.put(ch, float64(u.Pending), group)
	mRetries.put(ch, float64(u.Retries), group)
	mOverflows.put(ch, float64(u.Overflows), group, "request")
	mOverflows.put(ch, float64(u.RetriesRefused), group, "retry")
	seen := map[string]int{}
	for i := range u.Servers {
		v := &u.Servers[i]
		name := v.Name
		if n := seen[v.Name+" "+v.Address]; n > 0 { // the same server once more is another series
			name += "#" + strconv.Itoa(n)
		}
		seen[v.Name+" "+v.Address]++
		l := []string{group, name, v.Address}
		mServerRequests.put(ch, float64(v.Requests), l...)
		mServerResponses.putClasses(ch, &v.Responses, l...)
		mServerFails.put(ch, float64(v.Fails), l...)
		mServerActive.put(ch, float64(v.Active), l...)
		mServerUp.put(ch, truth(v.State == "up"), l...)
		mServerHealthy.put(ch, truth(v.State != "unhealthy"), l...)
		mServerEjected.put(ch, truth(v.State == "ejected"), l...)
		mServerConnects.put(ch, float64(v.Connects), append(l, "made")...)
		mServerConnects.put(ch, float64(v.Reused), append(l, "reused")...)
		mServerSent.put(ch, float64(v.Sent), l...)
		mServerReceived.put(ch, float64(v.Received), l...)
		mServerTime.putTimes(ch, &v.Time, l...)
		mServerChecks.put(ch, float64(v.Checks-v.CheckFails), append(l, "ok")...)
		mServerChecks.put(ch, float64(v.CheckFails), append(l, "failed")...)
	}
}

// metrics is the text form of Prometheus. The registry lives as long as the answer: nothing is registered at start.
func (s *State) metrics(goStats, process bool) ([]byte, error) {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collector{s})
	if goStats {
		reg.MustRegister(collectors.NewGoCollector())
	}
	if process {
		reg.MustRegister(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	}
	families, err := reg.Gather()
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	enc := expfmt.NewEncoder(&b, expfmt.NewFormat(expfmt.TypeTextPlain))
	for _, f := range families {
		if err := enc.Encode(f); err != nil {
			return nil, err
		}
	}
	return b.Bytes(), nil
}
