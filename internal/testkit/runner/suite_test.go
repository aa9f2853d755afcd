package runner

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"moongate/internal/testkit/blocks"
	"moongate/internal/testkit/report"
	"moongate/internal/testkit/server"
)

// TestSuiteEvaluates runs the prelude of every .t file of a foreign suite and
// evaluates all sections, without a server. TESTKIT_SUITE names the suite's
// directory (the one above t/).
func TestSuiteEvaluates(t *testing.T) {
	dir := os.Getenv("TESTKIT_SUITE")
	if dir == "" {
		t.Skip("TESTKIT_SUITE names no upstream suite: those are not part of this tree")
	}
	r := &Runner{opts: Options{Dir: dir, TempDir: t.TempDir(), Env: os.Environ()},
		binary: &server.Binary{Path: "/usr/sbin/nginx", Version: "1.27.1", OpenSSL: "3.0.2", Output: "built with OpenSSL 3.0.2"}}
	err := filepath.WalkDir(filepath.Join(dir, "t"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".t") {
			return err
		}
		src, err := blocks.ParseFile(path)
		if err != nil {
			t.Error(err)
			return nil
		}
		f, err := r.newFileRun(src)
		if err != nil {
			return err
		}
		defer f.close()
		if err := f.prelude(); err != nil {
			t.Errorf("%s: prelude: %v", path, err)
			return nil
		}
		for _, b := range blocks.Select(src.Blocks) {
			x, err := f.newTest(b, &report.Block{})
			if err == nil {
				_, err = x.skipReason()
			}
			if err != nil {
				t.Errorf("%s:%d: %v", path, b.Line, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
