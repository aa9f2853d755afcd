package poll

import (
	"testing"
	"time"
)

func TestUntil(t *testing.T) {
	n := 0
	if !Until(time.Hour, func() bool { n++; return n == 3 }) || n != 3 {
		t.Errorf("asked %d times", n)
	}
	n = 0
	if Until(0, func() bool { n++; return false }) || n == 0 {
		t.Errorf("asked %d times", n)
	}
}
