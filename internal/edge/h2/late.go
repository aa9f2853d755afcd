package h2

import (
	"time"

	"moongate/internal/http2"
)

// A response may end before the request's body has come. The client shall be told to send no more of it (RFC 9113 8.1), but
// some take that for an error and lose the response while they still send; so it is given some time to end by itself.

// lateBody is a request body that is still coming although the response has been sent.
type lateBody struct {
	id    uint32
	until int64 // when the client is told, monotonic nanoseconds
	got   int   // bytes since
}

const (
	lateTime  = int64(250 * time.Millisecond)
	lateBytes = 128 << 10
	lateMost  = 32
)

// addLate lets the body of a stream that is over come in.
func (c *conn) addLate(id uint32) {
	if len(c.late) == lateMost || c.goaway {
		c.endLate(0)
	}
	c.late = append(c.late, lateBody{id: id, until: c.w.Loop.Now() + lateTime})
	if !c.lateTimer.Armed() {
		c.w.Loop.Arm(&c.lateTimer, c.late[0].until)
	}
}

// endLate tells the client to send no more of a body.
func (c *conn) endLate(i int) {
	if len(c.late) == 0 {
		return
	}
	id := c.late[i].id
	c.late = append(c.late[:i], c.late[i+1:]...)
	c.past.add(id, endedByUs)
	c.resetStream(id, http2.NoError)
}

// lateExpired is the timer's function.
func (c *conn) lateExpired() {
	if c.dead {
		return
	}
	for len(c.late) > 0 && c.late[0].until <= c.w.Loop.Now() {
		c.endLate(0)
	}
	if len(c.late) > 0 {
		c.w.Loop.Arm(&c.lateTimer, c.late[0].until)
	}
}

// lateData reports whether n bytes, or other frames, of the stream are expected and meaningless.
func (c *conn) lateData(id uint32, n int, end bool) bool {
	for i := range c.late {
		l := &c.late[i]
		if l.id != id {
			continue
		}
		if l.got += n; end {
			c.late = append(c.late[:i], c.late[i+1:]...)
			c.past.add(id, endedByClient)
		} else if l.got > lateBytes {
			c.endLate(i)
		}
		return true
	}
	return false
}
