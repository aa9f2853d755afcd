package h1

import "math"

// pace keeps a response at the speed of limit_rate: a second's bytes may leave at once, then no more until they would
// have taken their time.
type pace struct {
	until int64 // monotonic nanoseconds before which nothing is sent
}

// allowance is the number of bytes that may be sent now. When it is 0, pace.until says when to look again.
func (x *exchange) allowance() int64 {
	r := x.r
	rate, after := r.RateLimit()
	if rate == 0 {
		return math.MaxInt64
	}
	now := x.c.w.Loop.Now()
	if x.pace.until > now {
		return 0
	}
	seconds := x.c.w.Loop.Wall()/1e9 - r.StartWall/1e9
	free := rate*(seconds+1) - (r.Sent - after)
	if free <= 0 {
		x.pace.until = now + (-free*1000/rate+1)*1e6
		return 0
	}
	return free
}

// took notes that n bytes were sent: the next ones wait for the time that these take.
func (x *exchange) took(n int64) {
	rate, after := x.r.RateLimit()
	if rate == 0 || n == 0 {
		return
	}
	counted := max(x.r.Sent-after, 0) - max(x.r.Sent-n-after, 0)
	if ms := counted * 1000 / rate; ms > 0 {
		x.pace.until = x.c.w.Loop.Now() + ms*1e6
	}
}
