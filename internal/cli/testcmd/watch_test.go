package testcmd

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

func TestWatched(t *testing.T) {
	dir := t.TempDir()
	os.MkdirAll(filepath.Join(dir, "site/conf"), 0o755)
	os.MkdirAll(filepath.Join(dir, "site/tests"), 0o755)
	os.MkdirAll(filepath.Join(dir, "t"), 0o755)
	for _, name := range []string{"site/conf/nginx.conf", "site/tests/a.t", "t/b.t"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	at := func(names ...string) (list []string) {
		for _, n := range names {
			list = append(list, filepath.Join(dir, n))
		}
		return list
	}
	for path, want := range map[string][]string{
		"site":           at("site", "site"),
		"site/tests":     at("site/tests", "site"),
		"site/tests/a.t": at("site/tests", "site"),
		"t/b.t":          at("t"),
	} {
		if got := watched(at(path)); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v", path, got)
		}
	}
}
