package testkit

import (
	"testing"

	"moongate/internal/testkit/poll"
)

// Eventually asks ok until it says yes. When that takes too long, the test ends; what names the thing that did not happen.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	if !poll.Until(patience, ok) {
		t.Fatalf("not in time: %s", what)
	}
}
