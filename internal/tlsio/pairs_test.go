package tlsio

import (
	"testing"
	"time"
)

func TestPairCache(t *testing.T) {
	pc := &PairCache{Max: 2, Inactive: 10 * time.Second, Valid: 5 * time.Second}
	at := time.Unix(1000, 0)
	keep := func(id string, now time.Time) { pc.keep(id, &cached{checked: now, used: now}) }
	keep("a", at)
	keep("b", at.Add(time.Second))
	if pc.find("a", at.Add(2*time.Second)) == nil {
		t.Error("a is not kept")
	}
	keep("c", at.Add(3*time.Second)) // b makes room: a was used since
	for id, want := range map[string]bool{"a": true, "b": false, "c": true} {
		if got := pc.all[id] != nil; got != want {
			t.Errorf("%s is kept: %v", id, got)
		}
	}
	if pc.find("a", at.Add(13*time.Second)) != nil || pc.all["a"] != nil {
		t.Error("what nobody has used for long is kept")
	}
	pc.drop("c")
	if len(pc.all) != 0 {
		t.Errorf("%d are left", len(pc.all))
	}
}
