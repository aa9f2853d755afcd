package policy

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"moongate/internal/testkit/doctest"
)

const root = "../.."

type treeFile struct {
	path string // relative to the root, with slashes
	text []byte
}

// tree returns the files of the project. Folders that begin with a dot, built things and running servers' files are not
// part of it.
func tree(t *testing.T) []treeFile {
	t.Helper()
	var files []treeFile
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		hidden := strings.HasPrefix(name, ".") && name != "." && name != ".." && name != ".ci" && name != ".gitignore"
		switch {
		case hidden && d.IsDir(), d.IsDir() && (name == "bin" || name == "logs"):
			return fs.SkipDir
		case hidden, !d.Type().IsRegular():
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		files = append(files, treeFile{filepath.ToSlash(rel), text})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// unwanted is what no file may contain. The patterns are written so that they do not match themselves.
var unwanted = []struct {
	pattern *regexp.Regexp
	reason  string
}{
	{regexp.MustCompile(`(^|[\s"'=(:])/(ro[o]t|ho[m]e|Use[r]s|wo[r]k|fa[r]m)/`), "a path of one machine"},
	{regexp.MustCompile(`(pro[x]y|s[u]m)\.golang\.|(de[b]|secu[r]ity|archi[v]e)\.(debian|ubuntu)\.|regist[r]y\.npmjs|p[y]pi\.org`),
		"the host of a package registry; the clients know theirs"},
	{regexp.MustCompile(`\b(TOD[O]|FIXM[E])\b`), "unfinished work; finish it or open an issue"},
	{regexp.MustCompile(`^(<{7}|>{7}) `), "a merge conflict"},
}

func TestUnwantedText(t *testing.T) {
	for _, f := range tree(t) {
		if strings.ContainsRune(string(f.text), 0) || strings.HasSuffix(f.path, "go.sum") || strings.Contains(f.path, "/testdata/fuzz/") {
			continue
		}
		for n, line := range strings.Split(string(f.text), "\n") {
			if wrong := checkLine(line); wrong != "" {
				t.Errorf("%s:%d: %s: %s", f.path, n+1, wrong, strings.TrimSpace(line))
			}
		}
	}
}

func checkLine(line string) string {
	for _, u := range unwanted {
		if u.pattern.MatchString(line) {
			return u.reason
		}
	}
	return ""
}

func TestUnwantedRules(t *testing.T) {
	for line, want := range map[string]string{
		"open(\"/ho" + "me/ann/x\")":            "a path",
		"see /wo" + "rk/main":                   "a path",
		"location /network/ {":                  "",
		"GOPROXY=https://pro" + "xy.golang.org": "the host",
		"// TO" + "DO: later":                   "unfinished",
		"<<<<<<" + "< ours":                     "a merge",
		"mktemp XXXXXX":                         "",
	} {
		got := checkLine(line)
		if (want == "") != (got == "") || !strings.Contains(got, want) {
			t.Errorf("%q: %q, want %q in it", line, got, want)
		}
	}
}

var link = regexp.MustCompile(`\]\(([^)#\s]+)(#[^)\s]*)?\)`)

// fenced is code in a document, where brackets before parentheses are no links.
var fenced = regexp.MustCompile("(?ms)^ *```.*?^ *```$")

// Relative links in the documents lead to files that exist.
func TestLinks(t *testing.T) {
	for _, f := range tree(t) {
		if filepath.Ext(f.path) != ".md" {
			continue
		}
		for _, m := range link.FindAllStringSubmatch(fenced.ReplaceAllString(string(f.text), ""), -1) {
			if strings.Contains(m[1], "://") || strings.HasPrefix(m[1], "mailto:") {
				continue
			}
			if _, err := os.Stat(filepath.Join(root, filepath.Dir(f.path), m[1])); err != nil {
				t.Errorf("%s: the link to %s leads nowhere", f.path, m[1])
			}
		}
	}
}

// Examples in the documentation say how internal/testkit/doctest is to try them.
func TestExamples(t *testing.T) {
	for _, f := range tree(t) {
		if strings.HasPrefix(f.path, "docs/") && filepath.Ext(f.path) == ".md" && !strings.HasPrefix(f.path, "docs/reference/") {
			if err := doctest.Check(filepath.Join(root, f.path)); err != nil {
				t.Error(err)
			}
		}
	}
}
