// Package tally keeps how gRPC calls have ended: with the request, for variables and logs, and with the worker, as counters
// by service, method and status.
//
// A worker counts for itself, with its baton; whoever wants the sums asks all of them (Snapshot). Names come from clients:
// a name gets counters of its own only when somebody knows it, and no more than a fixed number of names do.
package tally

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"moongate/internal/engine"
	"moongate/internal/grpc"
)

// Role is the side of a call that is counted.
type Role uint8

// The roles.
const (
	Server Role = iota // answered here
	Proxy              // passed on
	Client             // made by Lua
)

func (r Role) String() string { return [...]string{"server", "proxy", "client"}[r] }

// Codes is how many codes are counted one by one; the last place is for all beyond.
const Codes = int(grpc.Unauthenticated) + 2

// Other stands for the names of services and methods that have no counters of their own.
const Other = "other"

// Name is whose calls are counted.
type Name struct {
	Role                    Role
	Upstream                string // group or address; "" for Server
	Service, Method, Stream string // Stream is the kind of method where it is known: unary, client_stream, server_stream, bidi_stream
}

// Series is the counters of a name. Received and Sent count messages, as seen from here: of a Server from and to the client,
// else from and to the server.
type Series struct {
	Name
	Handled        [Codes]int64
	Received, Sent int64
	Took           [len(Buckets) + 1]int64 // calls by the first of Buckets that they do not exceed; the last place is for all others
	Time           int64                   // of all, in nanoseconds
}

// Buckets are the bounds of Series.Took: those that Prometheus' libraries have unless told otherwise.
var Buckets = [...]time.Duration{5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond,
	250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second}

// Call is how a call has ended.
type Call struct {
	Code           grpc.Code
	Message        []byte // as grpc-message has it
	Received, Sent int64
	Time           int64 // that it took, in nanoseconds

	w    *engine.Worker
	next *Call
}

// most is how many names of each role a worker tells apart.
const most = 1000

// maxName bounds the length of a path that is told apart.
const maxName = 256

type key struct {
	role     Role
	upstream string
	path     string // "/service/method"
}

// counts is what a worker has counted.
type counts struct {
	all   map[key]*Series
	names [3]int
	free  *Call
}

var (
	workerSlot = engine.NewWorkerSlot()
	callSlot   = engine.NewSlot()
)

func of(w *engine.Worker) *counts {
	c, _ := w.Values[workerSlot].(*counts)
	if c == nil {
		c = &counts{all: map[key]*Series{}}
		w.Values[workerSlot] = c
	}
	return c
}

// Note gives the request's Call, to be filled in; it lives until the request ends or leaves its location.
func Note(r *engine.Request) *Call {
	if c := Of(r); c != nil {
		return c
	}
	l := of(r.W)
	c := l.free
	if c == nil {
		c = &Call{}
	} else {
		l.free = c.next
	}
	*c = Call{w: r.W}
	r.SetCtx(callSlot, c)
	return c
}

// Of gives what Note has made, or nil.
func Of(r *engine.Request) *Call {
	c, _ := r.Ctx(callSlot).(*Call)
	return c
}

// ReleaseCtx recycles the Call.
func (c *Call) ReleaseCtx() {
	l := of(c.w)
	*c = Call{next: l.free}
	l.free = c
}

// Add counts a call of a path, which is "/service/method". known says that the method is one: that of another call counts
// as Other until then. stream is Series.Stream.
func Add(w *engine.Worker, role Role, upstream string, path []byte, stream string, known bool, c *Call) {
	l := of(w)
	s := l.all[key{role, upstream, string(path)}]
	if s == nil {
		s = l.series(role, upstream, path, stream, known)
	}
	s.Handled[min(int(c.Code), Codes-1)]++
	s.Received += c.Received
	s.Sent += c.Sent
	i := 0
	for i < len(Buckets) && c.Time > int64(Buckets[i]) {
		i++
	}
	s.Took[i]++
	s.Time += c.Time
}

// series makes the counters of a name.
func (l *counts) series(role Role, upstream string, path []byte, stream string, known bool) *Series {
	service, method := split(path)
	if !known || service == "" || method == "" || len(path) > maxName || !utf8.Valid(path) || l.names[role] >= most {
		k := key{role, upstream, ""}
		s := l.all[k]
		if s == nil {
			s = &Series{Name: Name{role, upstream, Other, Other, ""}}
			l.all[k] = s
		}
		return s
	}
	s := &Series{Name: Name{role, strings.Clone(upstream), service, method, stream}}
	l.names[role]++
	l.all[key{role, s.Upstream, string(path)}] = s
	return s
}

func split(path []byte) (service, method string) {
	path = bytes.TrimPrefix(path, []byte("/"))
	i := bytes.LastIndexByte(path, '/')
	if i < 0 {
		return "", ""
	}
	return string(path[:i]), string(path[i+1:])
}

// Snapshot copies a worker's counters; the caller has the baton.
func Snapshot(w *engine.Worker) []Series {
	l := of(w)
	list := make([]Series, 0, len(l.all))
	for _, s := range l.all {
		list = append(list, *s)
	}
	return list
}

// Sum adds the counters of workers up, in the order of the names.
func Sum(lists [][]Series) []Series {
	all := map[Name]*Series{}
	for _, list := range lists {
		for i := range list {
			s := &list[i]
			t := all[s.Name]
			if t == nil {
				t = &Series{Name: s.Name}
				all[s.Name] = t
			}
			for code, n := range s.Handled {
				t.Handled[code] += n
			}
			t.Received += s.Received
			t.Sent += s.Sent
			t.Time += s.Time
			for j, n := range s.Took {
				t.Took[j] += n
			}
		}
	}
	out := make([]Series, 0, len(all))
	for _, s := range all {
		out = append(out, *s)
	}
	slices.SortFunc(out, func(a, b Series) int {
		return cmp.Or(cmp.Compare(a.Role, b.Role), cmp.Compare(a.Upstream, b.Upstream), cmp.Compare(a.Service, b.Service), cmp.Compare(a.Method, b.Method), cmp.Compare(a.Stream, b.Stream))
	})
	return out
}

// CodeName is the name of a place of Series.Handled, as the metrics of gRPC libraries have it.
func CodeName(code int) string {
	return [Codes]string{"OK", "Canceled", "Unknown", "InvalidArgument", "DeadlineExceeded", "NotFound", "AlreadyExists", "PermissionDenied", "ResourceExhausted",
		"FailedPrecondition", "Aborted", "OutOfRange", "Unimplemented", "Internal", "Unavailable", "DataLoss", "Unauthenticated", "Other"}[code]
}

// Stream is the kind of a method.
func Stream(client, server bool) string {
	switch {
	case client && server:
		return "bidi_stream"
	case client:
		return "client_stream"
	case server:
		return "server_stream"
	}
	return "unary"
}
