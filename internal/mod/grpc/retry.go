package grpc

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"moongate/internal/base/ascii"
	"moongate/internal/base/units"
	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/http1"
	"moongate/internal/relay"
)

// retryWords are the statuses of grpc_retry_on, in the order of its bits.
var retryWords = []string{"off", "cancelled", "deadline-exceeded", "internal", "resource-exhausted", "unavailable", "aborted", "unknown"}

// retryCodes are their numbers.
var retryCodes = []int64{-1, 1, 4, 13, 8, 14, 10, 2}

var backoffType = conf.NewType("base [max]", conf.Take12, func(c *conf.Cmd) (backoff, error) {
	b := backoff{}
	for i, a := range c.Args {
		d, ok := units.Msec(a)
		if !ok || d <= 0 {
			return b, c.Invalid(a)
		}
		if i == 0 {
			b = backoff{d, 10 * d}
		} else {
			b.max = d
		}
	}
	return b, nil
})

var budgetType = conf.NewType("percent% [minimum]", conf.Take12, func(c *conf.Cmd) (budget, error) {
	b := budget{atLeast: 3}
	text, isPercent := strings.CutSuffix(c.Args[0], "%")
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || !isPercent {
		return b, c.Invalid(c.Args[0])
	}
	b.percent = int64(n)
	if len(c.Args) == 2 {
		if n, err = strconv.ParseUint(c.Args[1], 10, 31); err != nil {
			return b, c.Invalid(c.Args[1])
		}
		b.atLeast = int64(n)
	}
	return b, nil
})

// spending is what a worker knows of the calls in flight to a group.
type spending struct{ calls, retries int64 }

var spendSlot = engine.NewWorkerSlot()

// begin counts a call that may be made again.
func (e *call) begin(x *relay.Exchange) {
	w := x.R.W
	all, _ := w.Values[spendSlot].(map[string]*spending)
	if all == nil {
		all = map[string]*spending{}
		w.Values[spendSlot] = all
	}
	name := e.host
	if x.Group == nil {
		name = "" // addresses that are known at run time only share one
	}
	if e.spend = all[name]; e.spend == nil {
		e.spend = &spending{}
		all[name] = e.spend
	}
	e.spend.calls++
}

// end is begin's counterpart.
func (e *call) end() {
	if s := e.spend; s != nil {
		s.calls--
		if e.retrying {
			s.retries--
		}
		e.spend = nil
	}
}

// Retry reports whether a call that has ended with a status is to be made again.
func (protocol) Retry(x *relay.Exchange, end bool) bool {
	e := x.Data.(*call)
	s := e.spend
	if s == nil || !end || x.Retries() >= e.conf.retryTries.V {
		return false
	}
	if i := find(x.Resp.List, "grpc-status"); i < 0 || !e.conf.retries(x.Resp.List[i].Value) {
		return false
	}
	b := e.conf.budget.V
	if !e.retrying && s.retries >= max(b.atLeast, s.calls*b.percent/100) {
		return false
	}
	if !e.retrying {
		e.retrying = true
		s.retries++
	}
	return true
}

// Again waits before the next try.
func (protocol) Again(x *relay.Exchange, tries int) bool {
	e, loop := x.Data.(*call), x.R.W.Loop
	b := e.conf.backoff.V
	d := max(rand.N(min(b.base<<min(tries-1, 16), b.max)), time.Millisecond)
	if e.until != 0 { // the client has its answer in time
		d = min(d, time.Duration(e.until-loop.Now()))
	}
	loop.Sleep(d)
	return true
}

// retries reports whether grpc_retry_on names a status.
func (c *config) retries(status []byte) bool {
	n, ok := ascii.ParseInt(status)
	if !ok || c.retryOn.V&1 != 0 {
		return false
	}
	for i, code := range retryCodes {
		if code == n {
			return c.retryOn.V&(1<<i) != 0
		}
	}
	return false
}

func find(list []http1.Header, name string) int {
	for i := range list {
		if h := &list[i]; len(h.Name) == len(name) && ascii.EqualFold(h.Name, name) {
			return i
		}
	}
	return -1
}

var (
	nameTimeout = []byte("grpc-timeout")
	nameStatus  = []byte("grpc-status")
	nameMessage = []byte("grpc-message")
	typeGRPC    = []byte("application/grpc")
	status4     = []byte("4")
	exceeded    = []byte("deadline exceeded")
)

// timeoutUnits are those of grpc-timeout.
var timeoutUnits = [256]time.Duration{'H': time.Hour, 'M': time.Minute, 'S': time.Second, 'm': time.Millisecond, 'u': time.Microsecond, 'n': time.Nanosecond}

// readTimeout takes the client's deadline over.
func (e *call) readTimeout(x *relay.Exchange) {
	r := x.R
	i := find(r.In.List, "grpc-timeout")
	if i < 0 {
		return
	}
	v := r.In.List[i].Value
	if d, ok := parseTimeout(v); ok {
		e.given, e.until = v, r.Start+int64(d)
		x.Deadline = e.until
	}
}

// parseTimeout reads a value of grpc-timeout: at most eight digits and a unit.
func parseTimeout(v []byte) (time.Duration, bool) {
	if len(v) < 2 || len(v) > 9 {
		return 0, false
	}
	n, ok := ascii.ParseInt(v[:len(v)-1])
	unit := timeoutUnits[v[len(v)-1]]
	if !ok || unit == 0 {
		return 0, false
	}
	if n > int64(1<<62/unit) {
		return 1 << 62, true
	}
	return time.Duration(n) * unit, true
}

// propagate tells the server what is left of the deadline, once a part of it has passed here.
func (e *call) propagate(x *relay.Exchange) {
	w := x.R.W
	if w.Loop.Now()-x.R.Start < int64(time.Millisecond) {
		return // what the client has said goes up as it is
	}
	left := max((e.until-w.Loop.Now())/int64(time.Microsecond), 1)
	v := x.R.Alloc(20)[:0]
	switch {
	case left < 1e8:
		v = append(strconv.AppendInt(v, left, 10), 'u')
	case left < 1e11:
		v = append(strconv.AppendInt(v, left/1000, 10), 'm')
	default:
		v = append(strconv.AppendInt(v, min(left/1e6, 99999999), 10), 'S')
	}
	for i := range x.Fields {
		if f := &x.Fields[i]; len(f.Name) == len(nameTimeout) && ascii.EqualFold(f.Name, nameTimeout) {
			f.Value = v
		}
	}
}

// deadlineExceeded answers for a server that was too slow.
func deadlineExceeded(r *engine.Request) engine.Status {
	r.Out.Status, r.Out.ContentType, r.Out.ContentLength = 200, typeGRPC, 0
	r.AddHeader(http1.HUnknown, nameStatus, status4)
	r.AddHeader(http1.HUnknown, nameMessage, exceeded)
	return r.SendHeadEmpty()
}

// Expired ends a response whose time is over.
func (protocol) Expired(x *relay.Exchange) []http1.Header {
	e := x.Data.(*call)
	e.late = [2]http1.Header{{Name: nameStatus, Value: status4}, {Name: nameMessage, Value: exceeded}}
	return e.late[:]
}
