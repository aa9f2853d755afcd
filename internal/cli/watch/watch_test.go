package watch

import (
	"os"
	"path/filepath"
	"testing"
)

func TestStamp(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string) {
		path := filepath.Join(dir, name)
		os.MkdirAll(filepath.Dir(path), 0o755)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	put("conf/a.conf", "1")
	last := Stamp([]string{dir}, ".conf", ".lua")
	for _, c := range []struct {
		name, text string
		changes    bool
	}{
		{"conf/a.conf", "12", true},
		{"lua/b.lua", "1", true},
		{"lua/b.lua", "1234", true},
		{"html/c.html", "1", false},
		{"logs/d.conf", "1", false},
		{".git/e.conf", "1", false},
		{"conf/.swap.conf", "1", false},
		{"body_temp/f.conf", "1", false},
	} {
		put(c.name, c.text)
		now := Stamp([]string{dir}, ".conf", ".lua")
		if (now != last) != c.changes {
			t.Errorf("%s: changed: %v", c.name, now != last)
		}
		last = now
	}
	if Stamp([]string{filepath.Join(dir, "none")}) != "" {
		t.Error("a folder that is not there has files")
	}
}
