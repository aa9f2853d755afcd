package doctest

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDocuments tries every document of the tree.
func TestDocuments(t *testing.T) {
	const docs = "../../../docs"
	err := filepath.WalkDir(docs, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && d.Name() == "reference" {
			return fs.SkipDir
		}
		if !strings.HasSuffix(path, ".md") {
			return nil
		}
		name, err := filepath.Rel(docs, path)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			extra := map[string]string{"examples": "../../../examples"}
			if libs := filepath.Join(cache(), "lualibs/nginx"); there(libs) { // of build/testdeps; Debian calls the folder so
				extra["lua/resty"] = libs
			}
			Run(t, path, "../../..", extra)
		})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func cache() string {
	if dir := os.Getenv("MOONGATE_CACHE"); dir != "" {
		return dir
	}
	return "../../../.cache"
}

func TestMatches(t *testing.T) {
	for _, c := range []struct {
		want, got string
		ok        bool
	}{
		{"a\n", "a\n", true},
		{"a\n", "a", true},
		{"a\n", "a\r\n", true},
		{"a\n", "b\n", false},
		{"a\n", "a\nb\n", false},
		{"", "", true},
		{"", "a\n", false},
		{"a ... c\n", "a b b c\n", true},
		{"a ... c\n", "a b\nc\n", false},
		{"a\n...\n", "a\nb\nc\n", true},
		{"a\n...\nd\n", "a\nb\nc\nd\n", true},
		{"...\nd\n", "d\n", true},
		{"a.c\n", "abc\n", false},
	} {
		if matches(c.want, c.got) != c.ok {
			t.Errorf("%q, %q", c.want, c.got)
		}
	}
}

func TestShows(t *testing.T) {
	for command, want := range map[string]bool{
		"curl localhost/":                            false,
		"curl 'localhost/?a=1&b=2|3'":                false,
		"curl -o /dev/null localhost/":               true,
		"curl -s -o /dev/null -w '%{http_code}' a":   false,
		"curl localhost/ | grep x":                   true,
		"curl -H \"A: $(curl localhost/token)\" b":   true,
		"curl -H \"A: $(curl -s localhost/t)\" b":    false,
		"for i in 1 2; do curl localhost/; done":     false,
		"for i in 1; do curl a; done | sort":         true,
		"curl -s a > file & curl -s b; cat file":     false,
		"head -c 9 /dev/zero | curl -d @- localhost": false,
	} {
		if got := shows(command); got != want {
			t.Errorf("%s: %v", command, got)
		}
	}
}

func TestCommands(t *testing.T) {
	b := &block{line: 5, text: "$ a \\\n    b\n1\n2\n$ c <<E\n> d\n> E\n$ e\n\n3\n"}
	var got []string
	for _, c := range b.commands() {
		got = append(got, c.text+"|"+c.want)
	}
	if s := strings.Join(got, "#"); s != "a \\\n    b|1\n2\n#c <<E\nd\nE|#e|\n3\n" {
		t.Errorf("%q", s)
	}
}
