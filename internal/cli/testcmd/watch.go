package testcmd

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"moongate/internal/cli/watch"
	"moongate/internal/testkit/runner"
)

// watchAndRun runs the tests, and again whenever one of their files or of the site's changes, until the process ends.
func (c *config) watchAndRun(r *runner.Runner, paths []string, stdout, stderr io.Writer) int {
	roots := watched(paths)
	if c.opts.Site != "" {
		roots = append(roots, c.opts.Site)
	}
	for {
		before := watch.Stamp(roots)
		if files, err := find(paths); err != nil {
			fmt.Fprintf(stderr, "moongate test: %v\n", err)
		} else {
			c.run(r, files, stdout, stderr)
		}
		fmt.Fprintln(stdout, "# waiting for changes")
		for watch.Stamp(roots) == before {
			time.Sleep(watch.Pause)
		}
	}
}

// watched are the folders of tests, and the sites that these are in.
func watched(paths []string) (roots []string) {
	for _, p := range paths {
		dir := p
		if st, err := os.Stat(p); err == nil && !st.IsDir() {
			dir = filepath.Dir(p)
		}
		roots = append(roots, dir)
		for up, err := filepath.Abs(dir); err == nil; up = filepath.Dir(up) {
			if _, err := os.Stat(filepath.Join(up, "conf/nginx.conf")); err == nil {
				roots = append(roots, up)
				break
			}
			if up == filepath.Dir(up) {
				break
			}
		}
	}
	return roots
}
