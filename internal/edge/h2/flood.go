package h2

import (
	"fmt"

	"moongate/internal/http2"
)

// flood counts what a client does that costs us more than it costs the client. Each method reports whether the connection may
// go on.
type flood struct {
	total   int64 // bytes read
	payload int64 // those of request heads and bodies, and those sent of bodies
	idle    int   // frames that carry nothing, less what carried something
	prio    int   // PRIORITY frames
	resets  int   // streams that ended before their time, less those that did not
	since   int64 // when resets were last forgiven
	refusal int   // refused streams
	news    int   // streams begun since the last read
}

const (
	// idleFrames is how many frames without content a connection may send more than others (nginx allows as many frames
	// to be answered that were not sent yet).
	idleFrames = 10000
	// nginx gives a connection up whose frames weigh eight times what they carry, beyond a megabyte.
	floodFactor  = 8
	floodAllowed = 1 << 20
)

// read counts bytes; it is called for each read of the connection.
func (f *flood) read(n int) bool {
	f.news = 0
	f.total += int64(n)
	return f.total/floodFactor <= f.payload+floodAllowed
}

// useful counts bytes that are what the connection is for.
func (f *flood) useful(n int) {
	f.payload += int64(n)
	if n > 0 {
		f.idle = max(0, f.idle-4)
	}
}

// frame counts a frame that may be an empty one, or one that is only answered.
func (f *flood) frame(h http2.FrameHeader) bool {
	switch h.Type {
	case http2.Headers:
		return true
	case http2.Data, http2.Continuation:
		if h.Length > 0 || h.Has(http2.EndStream) {
			return true
		}
	}
	f.idle++
	return f.idle <= idleFrames
}

// priority counts PRIORITY frames, as nginx: each new stream allows for more.
func (f *flood) priority(streams int) bool {
	f.prio++
	return f.prio < max(streams, 100)
}

// stream counts a new stream: so many of one read are too many.
func (f *flood) stream(streams int) bool {
	f.news++
	f.resets = max(0, f.resets-1)
	f.prio = max(0, f.prio-streams)
	return f.news <= 2*streams
}

// refused counts refused streams.
func (f *flood) refused(streams int) bool {
	f.refusal++
	return f.refusal <= max(streams, 100)+1
}

// reset counts streams whose end the client brought about, by RST_STREAM or by frames that made us send it. As each was
// begun, which took one off, twice as many as the others are too many. Time forgives.
func (f *flood) reset(streams int, now int64) bool {
	most := max(streams, 100)
	if seconds := (now - f.since) / 1e9; seconds > 0 {
		f.resets = max(0, f.resets-int(min(seconds, 60))*most)
		f.since = now
	}
	f.resets += 2
	return f.resets <= 4*most
}

// How a stream of the past has ended.
type ending uint8

const (
	unknown       ending = iota
	endedByClient        // by END_STREAM or RST_STREAM: nothing may follow
	endedByUs            // by RST_STREAM: the client may not have known yet
)

// history remembers the streams that have ended last.
type history struct {
	ids [32]uint32 // the highest bit: endedByUs
	at  uint8
}

func (h *history) add(id uint32, e ending) {
	if e == endedByUs {
		id |= 1 << 31
	}
	h.ids[h.at%32] = id
	h.at++
}

func (h *history) find(id uint32) ending {
	e := unknown
	for _, x := range h.ids {
		switch x {
		case id:
			e = max(e, endedByClient)
		case id | 1<<31:
			e = endedByUs
		}
	}
	return e
}

func sprintf(format string, args ...any) string { return fmt.Sprintf(format, args...) }

func errorf(code http2.ErrCode, format string, args ...any) error {
	return &http2.Error{Code: code, Text: fmt.Sprintf(format, args...)}
}
