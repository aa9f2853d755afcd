// Package poll waits for what another process does: that can only be looked at
// again and again.
package poll

import "time"

const (
	firstPause   = 200 * time.Microsecond
	longestPause = 10 * time.Millisecond
)

// Until asks cond until it says yes or the limit is over, and returns its last
// word. It asks at least once.
func Until(limit time.Duration, cond func() bool) bool { return eventually(limit, cond) }

func eventually(limit time.Duration, cond func() bool) bool {
	deadline := time.Now().Add(limit)
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		if cond() {
			return true
		}
		if time.Now().After(deadline) {
			return false
		}
		time.Sleep(pause)
	}
}

// Pause lets time pass because a test says so (a delay between two pieces of a
// request), never to give something the time to happen.
func Pause(d time.Duration) {
	if d > 0 {
		<-time.After(d)
	}
}
