package luahost

import (
	"sync"
	"sync/atomic"
	"time"

	"moongate/internal/base/nlog"
	"moongate/internal/lua"
)

// KeptLines are the newest lines of the error log, of all workers, that Lua code has not taken yet
// (lua_capture_error_log). Lines lie in one buffer, each in one piece; new ones overwrite the oldest.
type KeptLines struct {
	mu    sync.Mutex
	level nlog.Level
	buf   []byte
	tail  int // where the next line goes
	lines []keptLine
}

type keptLine struct {
	at, n int // place and length in buf
	level nlog.Level
	time  float64
}

// lineCost is the room a line takes besides its text: as much as in OpenResty, so that a size holds as many lines.
const lineCost = 16

// MinCaptured is the least size of the buffer.
const MinCaptured = 4096

var captured atomic.Pointer[KeptLines]

// CapturedLog gives the kept lines, nil when none are kept.
func CapturedLog() *KeptLines { return captured.Load() }

// CaptureLog keeps lines in a buffer of size bytes from now on, or no longer when size is 0. What is kept survives when
// the size stays the same.
func CaptureLog(size int64) {
	old := captured.Load()
	switch {
	case size == 0:
		captured.Store(nil)
		nlog.SetCapture(nil)
	case old == nil || int64(len(old.buf)) != size:
		k := &KeptLines{buf: make([]byte, size), level: nlog.Debug}
		captured.Store(k)
		nlog.SetCapture(k.put)
	}
}

// SetLevel keeps lines up to a level.
func (k *KeptLines) SetLevel(l nlog.Level) {
	k.mu.Lock()
	k.level = l
	k.mu.Unlock()
}

// Take removes the oldest line. The time is in seconds since the epoch.
func (k *KeptLines) Take() (level nlog.Level, at float64, line []byte, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.lines) == 0 {
		return 0, 0, nil, false
	}
	l := k.lines[0]
	line = append(line, k.buf[l.at:l.at+l.n]...)
	k.drop()
	return l.level, l.time, line, true
}

func (k *KeptLines) drop() {
	if k.lines = k.lines[1:]; len(k.lines) == 0 {
		k.lines, k.tail = nil, 0
	}
}

// room is the space in one piece from tail on.
func (k *KeptLines) room() int {
	switch {
	case len(k.lines) == 0:
		return len(k.buf)
	case k.tail > k.lines[0].at:
		return len(k.buf) - k.tail
	}
	return k.lines[0].at - k.tail
}

func (k *KeptLines) put(level nlog.Level, text []byte, _ int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if n := len(text); n > 0 && text[n-1] == '\n' {
		text = text[:n-1]
	}
	need := len(text) + lineCost
	if level > k.level || need > len(k.buf) {
		return
	}
	if k.room() < need {
		if len(k.buf)-k.tail < need { // the end of the buffer stays empty
			for len(k.lines) > 0 && k.lines[0].at >= k.tail {
				k.drop()
			}
			k.tail = 0
		}
		for k.room() < need {
			k.drop()
		}
	}
	now := time.Now().UnixMilli()
	k.lines = append(k.lines, keptLine{at: k.tail, n: len(text), level: level, time: float64(now) / 1000})
	copy(k.buf[k.tail:], text)
	k.tail += need
}

// Supervised says that a supervisor stands above the process: master_process on.
func Supervised(c *lua.Call) bool {
	p := initPlane
	if w := EngineWorker(c); w != nil {
		p = w.Plane
	}
	return p != nil && p.Params() != nil && p.Params().Worker
}
