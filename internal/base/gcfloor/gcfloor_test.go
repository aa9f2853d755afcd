package gcfloor

import "testing"

// TestPercent: up to the floor the heap may grow to it; above it is Go's own rule.
func TestPercent(t *testing.T) {
	for _, c := range []struct {
		live, roots uint64
		want        int
	}{{0, 0, 400}, {1 << 20, 3 << 20, 375}, {4 << 20, 2 << 20, 200}, {8 << 20, 0, 100}, {100 << 20, 1 << 20, 100}} {
		if got := percent(c.live, c.roots); got != c.want {
			t.Errorf("%d bytes: %d, want %d", c.live, got, c.want)
		}
	}
}
