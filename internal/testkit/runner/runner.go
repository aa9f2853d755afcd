// Package runner runs test files of the block form against a server program: it
// evaluates a file's prelude and sections, writes each block's nginx.conf, starts
// the server in a private directory on a free port, sends the requests, and has
// the checks made.
//
// One Runner serves many files at once; a file's blocks run in order.
package runner

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"moongate/internal/testkit/blocks"
	"moongate/internal/testkit/check"
	"moongate/internal/testkit/pattern"
	"moongate/internal/testkit/report"
	"moongate/internal/testkit/server"
)

// Options of a run. Binary is required; zero values of the others are usable.
type Options struct {
	Binary      string   // program under test
	LoadModules []string // load_module lines for every configuration
	Dir         string   // project directory: relative paths of tests begin here
	Site        string   // folder under test, for files whose blocks have no configuration
	TempDir     string   // where server roots are made
	Port        int      // fixed port of the server instead of a free one

	OnlyName    *pattern.Regexp // run the blocks whose name matches
	OnlyNumber  int             // run the n-th block (from 1)
	Foreground  bool            // daemon off
	SkipMissing bool            // an unknown directive skips the block
	Strict      bool            // warnings and unknown sections fail the block
	Keep        bool            // leave server roots behind
	Timeout     time.Duration   // of a request; 3 s unless set
	Log         check.LogTiming // of log checks
	Verbose     io.Writer       // progress and commands; nil: none
	Env         []string        // environment; os.Environ() unless set
}

// Runner runs files with the same options.
type Runner struct {
	opts   Options
	binary *server.Binary
	ports  server.Ports
	logMu  sync.Mutex

	activeMu sync.Mutex
	active   map[*fileRun]bool
}

// Interrupt ends the servers that run and removes their directories; the process is about to end.
func (r *Runner) Interrupt() {
	r.activeMu.Lock()
	defer r.activeMu.Unlock()
	for f := range r.active {
		for _, root := range []server.Root{f.root, server.Root(filepath.Join(f.dir, "mocks"))} {
			if pid, err := root.Pid(); err == nil {
				syscall.Kill(pid, syscall.SIGTERM)
			}
		}
		if !r.opts.Keep {
			os.RemoveAll(f.dir)
		}
	}
}

// track notes that a file runs, or that it has ended.
func (r *Runner) track(f *fileRun, runs bool) {
	r.activeMu.Lock()
	defer r.activeMu.Unlock()
	if r.active == nil {
		r.active = map[*fileRun]bool{}
	}
	if runs {
		r.active[f] = true
	} else {
		delete(r.active, f)
	}
}

// New checks the options and probes the binary.
func New(o Options) (*Runner, error) {
	b, err := server.Probe(o.Binary)
	if err != nil {
		return nil, err
	}
	if o.Dir == "" {
		o.Dir = "."
	}
	if o.Dir, err = filepath.Abs(o.Dir); err != nil {
		return nil, err
	}
	if o.Timeout == 0 {
		o.Timeout = 3 * time.Second
	}
	if o.Log.Wait == 0 {
		o.Log.Wait = time.Second
	}
	if o.Log.Quiet == 0 {
		o.Log.Quiet = 10 * time.Millisecond
	}
	if o.Env == nil {
		o.Env = os.Environ()
	}
	return &Runner{opts: o, binary: b}, nil
}

func (r *Runner) logf(format string, args ...any) {
	if r.opts.Verbose == nil {
		return
	}
	r.logMu.Lock()
	defer r.logMu.Unlock()
	fmt.Fprintf(r.opts.Verbose, "# "+format+"\n", args...)
}

// RunFile runs a file and returns what was found. done, when set, gets each block
// as soon as it ended, in order.
func (r *Runner) RunFile(path string, done func(*report.Block)) *report.File {
	f := &report.File{Path: path}
	if done == nil {
		done = func(*report.Block) {}
	}
	src, err := blocks.ParseFile(path)
	if err != nil {
		f.Err = err
		return f
	}
	fr, err := r.newFileRun(src)
	if err != nil {
		f.Err = err
		return f
	}
	r.track(fr, true)
	defer func() {
		fr.close()
		r.track(fr, false)
	}()
	if err := fr.prelude(); err != nil {
		f.Err = fmt.Errorf("prelude: %w", err)
		return f
	}
	if fr.set.skipAll != "" {
		f.Skip = fr.set.skipAll
		return f
	}
	f.Blocks = make([]*report.Block, 0, len(src.Blocks))
	selected := r.selected(src.Blocks)
	for i, b := range selected {
		start := time.Now()
		out := &report.Block{Name: b.Name, Place: fmt.Sprintf("%s:%d", path, b.Line)}
		f.Blocks = append(f.Blocks, out)
		more := i+1 < len(selected)
		fr.runBlock(b, out, more && !selected[i+1].Has("config"))
		out.Time = time.Since(start)
		done(out)
	}
	for _, b := range src.Blocks {
		if b.Has("SKIP") {
			out := &report.Block{Name: b.Name, Skip: "SKIP section"}
			f.Blocks = append(f.Blocks, out)
			done(out)
		}
	}
	return f
}

// selected applies ONLY, SKIP, LAST and the options' choice.
func (r *Runner) selected(all []*blocks.Block) (out []*blocks.Block) {
	for i, b := range blocks.Select(all) {
		if r.opts.OnlyName != nil && !r.opts.OnlyName.Match(b.Name) {
			continue
		}
		if n := r.opts.OnlyNumber; n > 0 && n != i+1 && !strings.HasPrefix(b.Name, fmt.Sprintf("TEST %d:", n)) {
			continue
		}
		out = append(out, b)
	}
	if n := r.opts.OnlyNumber; n > 0 { // a number in the names wins over the position
		for _, b := range out {
			if strings.HasPrefix(b.Name, fmt.Sprintf("TEST %d:", n)) {
				return []*blocks.Block{b}
			}
		}
	}
	return out
}

// Run runs files, up to jobs at once, and hands each result to done as it comes;
// done is not called concurrently.
func (r *Runner) Run(files []string, jobs int, done func(*report.File)) {
	queue := make(chan string)
	var wg sync.WaitGroup
	var mu sync.Mutex
	for range max(1, min(jobs, len(files))) {
		wg.Go(func() {
			for path := range queue {
				f := r.RunFile(path, nil)
				mu.Lock()
				done(f)
				mu.Unlock()
			}
		})
	}
	for _, f := range files {
		queue <- f
	}
	close(queue)
	wg.Wait()
}
