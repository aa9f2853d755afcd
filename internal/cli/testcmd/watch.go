package testcmd

import (
	"fmt"
	"io"
	"path/filepath"
	"time"

	"moongate/internal/cli/watch"
	"moongate/internal/testkit/runner"
)

// watchAndRun runs the tests, and again whenever a file of the tests, of the site or beside the tests changes, until the
// process ends.
func (c *config) watchAndRun(r *runner.Runner, paths []string, stdout, stderr io.Writer) int {
	roots := append([]string{}, paths...)
	for _, p := range paths {
		roots = append(roots, filepath.Dir(p))
	}
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
