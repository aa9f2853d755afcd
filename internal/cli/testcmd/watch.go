package testcmd

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"moongate/internal/testkit/runner"
)

// watchPause is how often the files are looked at.
const watchPause = 300 * time.Millisecond

// watchAndRun runs the tests, and again whenever a file changes, until the process ends.
func (c *config) watchAndRun(r *runner.Runner, paths []string, stdout, stderr io.Writer) int {
	for {
		before := c.stamp(paths)
		if files, err := find(paths); err != nil {
			fmt.Fprintf(stderr, "moongate test: %v\n", err)
		} else {
			c.run(r, files, stdout, stderr)
		}
		fmt.Fprintln(stdout, "# waiting for changes")
		for c.stamp(paths) == before {
			time.Sleep(watchPause)
		}
	}
}

// stamp changes when a file of the tests, of the site or beside the tests does.
func (c *config) stamp(paths []string) string {
	var b strings.Builder
	roots := append([]string{}, paths...)
	for _, p := range paths {
		roots = append(roots, filepath.Dir(p))
	}
	if c.opts.Site != "" {
		roots = append(roots, c.opts.Site)
	}
	for _, root := range roots {
		filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return nil
			}
			if d.IsDir() {
				if d.Name() == "logs" || strings.HasSuffix(d.Name(), "_temp") || len(d.Name()) > 1 && strings.HasPrefix(d.Name(), ".") && d.Name() != ".." {
					return fs.SkipDir
				}
				return nil
			}
			if st, err := os.Stat(path); err == nil {
				fmt.Fprintf(&b, "%s %d %d\n", path, st.Size(), st.ModTime().UnixNano())
			}
			return nil
		})
	}
	return b.String()
}
