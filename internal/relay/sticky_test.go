package relay

import (
	"testing"
	"time"
)

func TestZonesOfSessionsAreForgotten(t *testing.T) {
	t.Cleanup(func() { KeepSessions(nil) })
	open := func(name string) *Sessions { return OpenSessions(name, 1<<16, time.Minute) }
	kept, gone := open("kept"), open("gone")
	KeepSessions([]*Group{{}, {Sticky: &Sticky{}}, {Sticky: &Sticky{Sessions: kept}}})
	if open("kept") != kept {
		t.Error("the sessions of a zone that is still there are lost")
	}
	if open("gone") == gone {
		t.Error("the sessions of a zone that is gone are still there")
	}
}
