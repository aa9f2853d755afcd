// Package testkit runs block tests and whole servers from Go tests.
//
//	func TestBlocks(t *testing.T) { testkit.RunDir(t, "testdata") }
//
//	func TestReload(t *testing.T) {
//		s := testkit.Start(t, testkit.Params{Config: conf})
//		...
//	}
//
// The program under test is MOONGATE_BINARY or, when that is not set, built from
// the tree once for each run of `go test`.
package testkit

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"moongate/internal/testkit/report"
	"moongate/internal/testkit/runner"
)

// RunDir runs all .t files below dir.
func RunDir(t *testing.T, dir string) {
	t.Helper()
	var files []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasSuffix(path, ".t") {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatalf("no .t files below %s", dir)
	}
	runFiles(t, files)
}

func runFiles(t *testing.T, files []string) {
	t.Helper()
	r, err := runner.New(runner.Options{Binary: Binary(t), Dir: moduleRoot(t), Strict: true,
		LoadModules: strings.Fields(os.Getenv("TEST_NGINX_LOAD_MODULES"))})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		t.Run(filepath.Base(path), func(t *testing.T) {
			f := r.RunFile(path, func(b *report.Block) { reportBlock(t, b) })
			switch {
			case f.Err != nil:
				t.Error(f.Err)
			case f.Skip != "":
				t.Skip(f.Skip)
			}
		})
	}
}

func reportBlock(t *testing.T, b *report.Block) {
	t.Run(b.Name, func(t *testing.T) {
		for _, a := range b.Asserts {
			if a.Skip == "" && !a.OK {
				t.Errorf("%s\n%s", a.Name, a.Diag)
			}
		}
		for _, n := range b.Notes {
			t.Log("warning: " + n)
		}
		if b.Skip != "" {
			t.Skip(b.Skip)
		}
	})
}
