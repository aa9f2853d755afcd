// Package testcmd is the command `moongate test`: it finds test files of the
// block form, runs them, and reports in TAP.
package testcmd

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"time"

	"moongate/internal/testkit/pattern"
	"moongate/internal/testkit/report"
	"moongate/internal/testkit/runner"
)

const usage = `Usage: moongate test [flags] [PATH...]

Runs test files (*.t) of the data-driven block form, or all below a directory
(without PATH: tests/ or t/), each block against a server of its own. A file whose
blocks have no configuration tests the site it is in. One file is reported as TAP for prove:

    prove -r -e 'moongate test' t/

Several files are reported as subtests. The last line counts blocks. The exit
code is 0 when nothing failed, 1 when something did, 2 for wrong usage.

Flags:
`

type config struct {
	opts        runner.Options
	jobs        int
	only        string
	junit       string
	verbose     bool
	quiet       bool
	watch       bool
	loadModules string
}

func newFlags(stderr io.Writer) (*flag.FlagSet, *config) {
	c := &config{}
	fl := flag.NewFlagSet("moongate test", flag.ContinueOnError)
	fl.SetOutput(stderr)
	fl.Usage = func() {
		fmt.Fprint(stderr, usage)
		fl.PrintDefaults()
	}
	fl.StringVar(&c.opts.Binary, "binary", "", "server `program` to test (default: TEST_NGINX_BINARY or this program)")
	fl.StringVar(&c.loadModules, "load-modules", os.Getenv("TEST_NGINX_LOAD_MODULES"), "`files` for load_module, separated by spaces or commas")
	fl.IntVar(&c.jobs, "j", 2, "run `N` files at once")
	fl.StringVar(&c.only, "only", "", "run the blocks whose name matches this `pattern`, or block number N")
	fl.BoolVar(&c.verbose, "v", false, "tell what is done")
	fl.BoolVar(&c.quiet, "q", false, "print failures and the summary only")
	fl.StringVar(&c.junit, "junit", "", "write a JUnit XML report to `file`")
	fl.BoolVar(&c.opts.Keep, "keep", false, "keep the servers' directories")
	fl.StringVar(&c.opts.Site, "site", "", "site `directory` to test (default: the nearest with conf/nginx.conf above a test file whose blocks have no configuration)")
	fl.BoolVar(&c.watch, "w", false, "watch: run again when a file of the tests or of the site changes, until Ctrl-C")
	fl.StringVar(&c.opts.Dir, "root", ".", "project `directory`: relative paths in tests and configurations begin here")
	fl.IntVar(&c.opts.Port, "port", 0, "server `port` instead of a free one (runs one file at a time)")
	fl.DurationVar(&c.opts.Timeout, "timeout", envSeconds("TEST_NGINX_TIMEOUT", 3*time.Second), "time-out of a request without a timeout section")
	fl.DurationVar(&c.opts.Log.Wait, "log-wait", time.Second, "how long expected log lines may take to come")
	fl.DurationVar(&c.opts.Log.Quiet, "log-quiet", 10*time.Millisecond, "how long the log must be quiet before lines that must not come are looked for")
	fl.BoolVar(&c.opts.Foreground, "foreground", false, "start the server with daemon off")
	fl.BoolVar(&c.opts.Strict, "strict", false, "unknown sections and warnings fail a block")
	fl.BoolVar(&c.opts.SkipMissing, "skip-missing", os.Getenv("TEST_NGINX_IGNORE_MISSING_DIRECTIVES") != "",
		"skip blocks with directives that the server does not know")
	return fl, c
}

func envSeconds(name string, otherwise time.Duration) time.Duration {
	if s, err := strconv.ParseFloat(os.Getenv(name), 64); err == nil && s > 0 {
		return time.Duration(s * float64(time.Second))
	}
	return otherwise
}

// Main runs the command with the arguments behind its name and returns the exit
// code.
func Main(args []string, stdout, stderr io.Writer) int {
	fl, c := newFlags(stderr)
	paths, err := parse(fl, args)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err == nil && len(paths) == 0 {
		if paths = usual(); paths == nil {
			fl.Usage()
			return 2
		}
	}
	var files []string
	if err == nil {
		files, err = find(paths)
	}
	if err == nil {
		err = c.complete(stderr)
	}
	var r *runner.Runner
	if err == nil {
		r, err = runner.New(c.opts)
	}
	if err != nil {
		fmt.Fprintf(stderr, "moongate test: %v\n", err)
		return 2
	}
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt, syscall.SIGTERM)
	defer func() {
		signal.Stop(interrupted)
		close(interrupted)
	}()
	go func() {
		if _, ok := <-interrupted; ok {
			r.Interrupt()
			os.Exit(130)
		}
	}()
	if c.watch {
		return c.watchAndRun(r, paths, stdout, stderr)
	}
	return c.run(r, files, stdout, stderr)
}

// usual is where tests are when nobody says where.
func usual() []string {
	for _, dir := range []string{"tests", "t"} {
		if _, err := find([]string{dir}); err == nil {
			return []string{dir}
		}
	}
	return nil
}

// parse accepts flags before, between and behind the paths.
func parse(fl *flag.FlagSet, args []string) (paths []string, err error) {
	for {
		if err := fl.Parse(args); err != nil {
			return nil, err
		}
		args = fl.Args()
		if len(args) == 0 {
			return paths, nil
		}
		paths = append(paths, args[0])
		args = args[1:]
	}
}

func (c *config) complete(stderr io.Writer) error {
	if c.opts.Binary == "" {
		c.opts.Binary = os.Getenv("TEST_NGINX_BINARY")
	}
	if c.opts.Binary == "" {
		self, err := os.Executable()
		if err != nil {
			return err
		}
		c.opts.Binary = self
	}
	c.opts.LoadModules = strings.FieldsFunc(c.loadModules, func(r rune) bool { return r == ' ' || r == ',' })
	if n, err := strconv.Atoi(c.only); err == nil {
		c.opts.OnlyNumber = n
	} else if c.only != "" {
		if c.opts.OnlyName, err = pattern.Compile(c.only, ""); err != nil {
			return fmt.Errorf("-only: %w", err)
		}
	}
	if c.verbose {
		c.opts.Verbose = stderr
	}
	if c.opts.Port != 0 {
		c.jobs = 1
	}
	return nil
}

// find expands directories to the .t files below them.
func find(paths []string) (files []string, err error) {
	for _, p := range paths {
		st, err := os.Stat(p)
		if err != nil {
			return nil, err
		}
		if !st.IsDir() {
			files = append(files, p)
			continue
		}
		var below []string
		err = filepath.WalkDir(p, func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && strings.HasSuffix(path, ".t") {
				below = append(below, path)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		if len(below) == 0 {
			return nil, fmt.Errorf("no .t files below %s", p)
		}
		sort.Strings(below)
		files = append(files, below...)
	}
	return files, nil
}

func (c *config) run(r *runner.Runner, files []string, stdout, stderr io.Writer) int {
	var results []*report.File
	var totals report.Totals
	if len(files) == 1 {
		tap := &report.TAP{W: stdout, Quiet: c.quiet}
		f := r.RunFile(files[0], tap.Block)
		tap.End(f)
		results = append(results, f)
		totals.Add(f)
	} else {
		n := 0
		r.Run(files, c.jobs, func(f *report.File) {
			n++
			subtest(stdout, n, f, c.quiet)
			results = append(results, f)
			totals.Add(f)
		})
		if !c.quiet {
			fmt.Fprintf(stdout, "1..%d\n", n)
		}
	}
	code := 0
	if totals.Failed > 0 {
		code = 1
	}
	if c.junit != "" {
		sort.Slice(results, func(i, j int) bool { return results[i].Path < results[j].Path })
		if err := writeJUnit(c.junit, results); err != nil {
			fmt.Fprintf(stderr, "moongate test: %v\n", err)
			code = 2
		}
	}
	fmt.Fprintln(stdout, totals)
	return code
}

// subtest writes a file's result as an indented TAP stream and its outcome.
func subtest(w io.Writer, n int, f *report.File, quiet bool) {
	if !quiet {
		fmt.Fprintf(w, "# Subtest: %s\n", f.Path)
	}
	var totals report.Totals
	totals.Add(f)
	verdict, remark := "ok", ""
	if totals.Failed > 0 {
		verdict = "not ok"
	}
	if f.Skip != "" {
		remark = " # SKIP " + f.Skip
	}
	if quiet && totals.Failed > 0 {
		fmt.Fprintf(w, "# %s\n", f.Path)
	}
	tap := &report.TAP{W: w, Indent: "    ", Quiet: quiet}
	for _, b := range f.Blocks {
		tap.Block(b)
	}
	tap.End(f)
	if !quiet {
		fmt.Fprintf(w, "%s %d - %s%s\n", verdict, n, f.Path, remark)
	}
}

func writeJUnit(path string, results []*report.File) error {
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := report.JUnit(out, results); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}
