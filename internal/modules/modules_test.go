package modules

import (
	"testing"

	"moongate/internal/conf"
)

// TestRows finds rows that contradict themselves or each other.
func TestRows(t *testing.T) {
	if err := conf.Check(Conf()); err != nil {
		t.Error(err)
	}
}
