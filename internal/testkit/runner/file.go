package runner

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"moongate/internal/testkit/blocks"
	"moongate/internal/testkit/perl"
	"moongate/internal/testkit/report"
	"moongate/internal/testkit/server"
)

// fileRun is the state of one file while its blocks run.
type fileRun struct {
	r     *Runner
	src   *blocks.File
	in    *perl.Interp
	set   settings
	dir   string // private directory; the root is in it
	root  server.Root
	port  int
	extra []int // further ports: stream servers
	log   server.Log
	site  string // the folder under test; empty: blocks have configurations

	proc     *server.Process
	standins *standins // of the mock section
	last     *pending  // the block that the running server belongs to
	version  string    // of the running configuration, with use_hup
	stderr   string    // of the last failed start
	current  *test     // the block that runs

	perlMu sync.Mutex // held while code of the file runs
}

// pending is a block whose shutdown checks wait for the end of its server.
type pending struct {
	check func()
}

// maxStreams is the number of stream servers that a block may have.
const maxStreams = 3

func (r *Runner) newFileRun(src *blocks.File) (*fileRun, error) {
	f := &fileRun{r: r, src: src, set: defaultSettings(&r.opts), port: r.opts.Port}
	var err error
	// The path stays short: unix sockets in it have 107 bytes at most.
	if f.dir, err = os.MkdirTemp(r.opts.TempDir, "mgt-"); err != nil {
		return nil, err
	}
	if err := os.Chmod(f.dir, 0o755); err != nil {
		return nil, err
	}
	f.root = server.Root(filepath.Join(f.dir, "t", "servroot"))
	if err := f.neighbours(); err != nil {
		return nil, err
	}
	if err := f.root.Reset(); err != nil {
		return nil, err
	}
	f.log.Path = f.root.ErrorLog()
	if f.port == 0 {
		if f.port, err = r.ports.Get(); err != nil {
			return nil, err
		}
	}
	for range maxStreams {
		p, err := r.ports.Get()
		if err != nil {
			return nil, err
		}
		f.extra = append(f.extra, p)
	}
	if f.site, err = findSite(src, r.opts.Site); err != nil {
		return nil, err
	}
	f.in = perl.New(r.opts.Dir)
	f.environment()
	f.define()
	f.defineAsserts()
	return f, nil
}

// neighbours makes the directories beside the tests visible beside the root, which
// stands for t/servroot of the project: configurations reach them as ../../name.
func (f *fileRun) neighbours() error {
	beside := filepath.Join(f.r.opts.Dir, "t")
	if st, err := os.Stat(beside); err != nil || !st.IsDir() {
		beside = filepath.Dir(f.src.Path)
	}
	beside, err := filepath.Abs(beside)
	if err != nil {
		return err
	}
	here := filepath.Dir(string(f.root))
	if err := os.Mkdir(here, 0o755); err != nil {
		return err
	}
	entries, err := os.ReadDir(beside)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), "servroot") {
			if err := os.Symlink(filepath.Join(beside, e.Name()), filepath.Join(here, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// environment fills %ENV: that of the process and what tests expect to find.
func (f *fileRun) environment() {
	env := f.in.Env.M
	for _, kv := range f.r.opts.Env {
		if k, v, ok := strings.Cut(kv, "="); ok {
			env[k] = v
		}
	}
	env["TEST_NGINX_SERVER_PORT"] = strconv.Itoa(f.port)
	env["TEST_NGINX_SERVER_ROOT"] = string(f.root)
	env["TEST_NGINX_BINARY"] = f.r.binary.Path
	for i, p := range f.extra {
		env["TEST_NGINX_STREAM_PORT"+[]string{"", "2", "3"}[i]] = strconv.Itoa(p)
	}
	version, _ := strconv.ParseFloat(canonical(f.r.binary.Version), 64)
	for _, pkg := range []string{"", "Test::Nginx::Util::", "Test::Nginx::Socket::"} {
		f.in.SetGlobal(pkg+"NginxVersion", version)
		f.in.SetGlobal(pkg+"PcreVersion", f.r.pcre())
		f.in.SetGlobal(pkg+"ServerPort", f.port)
		f.in.SetGlobal(pkg+"ServerPortForClient", f.port)
		f.in.SetGlobal(pkg+"ServRoot", string(f.root))
		f.in.SetGlobal(pkg+"ErrLogFile", f.root.ErrorLog())
		for _, mode := range []string{"UseHup", "UseValgrind", "UseStap", "CheckLeak", "Benchmark", "UseHttp2", "UseHttp3"} {
			f.in.SetGlobal(pkg+mode, nil)
		}
	}
}

// fallbacks are variables that a file without a prelude may use as well.
func (f *fileRun) fallbacks() map[string]string {
	return map[string]string{
		"TEST_NGINX_HTML_DIR":       f.root.HTML(),
		"TEST_NGINX_SITE":           f.site,
		"TEST_NGINX_MEMCACHED_PORT": "11211",
		"TEST_NGINX_REDIS_PORT":     "6379",
	}
}

// pcre is the major version of the library that the binary's messages speak of.
func (r *Runner) pcre() int {
	out := r.binary.Output
	major, minor, _ := strings.Cut(r.binary.Version, ".")
	minor, _, _ = strings.Cut(minor, ".")
	a, _ := strconv.Atoi(major)
	b, _ := strconv.Atoi(minor)
	switch {
	case a*100+b >= 125 && !strings.Contains(out, "--without-pcre2"):
		return 2
	case strings.Contains(out, "pcre"):
		return 1
	}
	return 0
}

func (f *fileRun) prelude() error {
	if strings.TrimSpace(f.src.Prelude) == "" {
		return nil
	}
	if err := f.in.Run(f.src.Prelude, f.src.Path, 1); err != nil {
		return err
	}
	if perl.Truth(f.in.Env.M["TEST_NGINX_USE_HUP"]) {
		f.set.hup = true
	}
	return nil
}

// call runs code of the file. Mock servers do so on their own goroutines.
func (f *fileRun) call(code *perl.Code, args ...perl.Value) ([]perl.Value, error) {
	f.perlMu.Lock()
	defer f.perlMu.Unlock()
	return f.in.Call(code, args...)
}

func (f *fileRun) close() {
	f.stop()
	for _, c := range f.set.cleanup {
		f.in.Call(c)
	}
	f.r.ports.Put(f.port)
	for _, p := range f.extra {
		f.r.ports.Put(p)
	}
	if f.r.opts.Keep {
		f.r.logf("%s: kept in %s", f.src.Path, f.dir)
		return
	}
	os.RemoveAll(f.dir)
}

// stop ends the running server and makes the shutdown checks of its last block.
func (f *fileRun) stop() {
	if f.proc != nil {
		sig := syscall.SIGQUIT
		if perl.Truth(f.in.Env.M["TEST_NGINX_FAST_SHUTDOWN"]) {
			sig = syscall.SIGTERM
		}
		if !f.proc.Stop(sig, stopGrace) {
			f.r.logf("%s: server %d did not end within %v and was killed", f.src.Path, f.proc.Pid, stopGrace)
		}
		f.proc = nil
	}
	f.standins.stop(&f.r.ports)
	f.standins = nil
	if f.last != nil {
		f.last.check()
		f.last = nil
	}
}

// stopGrace is how long a server may take to quit.
const stopGrace = 3 * time.Second

// test is one block while it runs.
type test struct {
	f      *fileRun
	src    *blocks.Block
	values map[string]perl.Value
	rand   map[string]int // $TEST_NGINX_RAND_PORT_n
	site   *site          // what is under test, when that is a site
	mocked renames        // addresses of the mock section
	closed renames        // names that nobody knows
	out    *report.Block
}

// newTest evaluates a block's sections and runs the preprocessors on them.
func (f *fileRun) newTest(b *blocks.Block, out *report.Block) (*test, error) {
	t := &test{f: f, src: b, values: map[string]perl.Value{}, rand: map[string]int{}, out: out}
	for i := range b.Sections {
		s := &b.Sections[i]
		if ignored(s.Name) {
			continue
		}
		v, err := s.Value(f.in, f.src.Path)
		var broken *perl.Error
		if errors.As(err, &broken) {
			// A section whose code fails holds the error's text: there are files that
			// pass thanks to that. Strict runs do not let it through.
			v, err = broken.Error(), nil
			t.note(fmt.Sprintf("section %s: %v", s.Name, broken))
		}
		if err != nil {
			return t, err
		}
		t.values[s.Name] = v
	}
	obj := t.object()
	for _, c := range f.set.preprocess {
		if _, err := f.in.Call(c, obj); err != nil {
			return t, fmt.Errorf("block preprocessor: %w", err)
		}
	}
	return t, nil
}

// ignored sections belong to tools that this runner does not drive; their code is
// not even evaluated.
func ignored(section string) bool { return strings.HasPrefix(section, "stap") }

// method is what preprocessors can do with a block.
func (t *test) method(name string, args []perl.Value) ([]perl.Value, error) {
	switch name {
	case "name":
		return []perl.Value{t.f.src.Path + " " + t.src.Name}, nil
	case "description":
		return []perl.Value{t.src.Description}, nil
	case "set_value":
		if len(args) == 0 {
			return nil, fmt.Errorf("set_value needs the name of a section")
		}
		var v perl.Value
		if len(args) > 1 {
			v = args[1]
		}
		t.values[perl.String(args[0])] = v
		return nil, nil
	}
	return []perl.Value{t.values[name]}, nil
}

// get returns a section's value; an undefined value is no section.
func (t *test) get(section string) (perl.Value, bool) {
	v, ok := t.values[section]
	return v, ok && v != nil
}

func (t *test) has(section string) bool {
	_, ok := t.get(section)
	return ok
}

func (t *test) text(section string) string {
	v, _ := t.get(section)
	return perl.String(v)
}

// duration reads a section that holds a time.
func (t *test) duration(section string) (time.Duration, error) {
	v, ok := t.get(section)
	if !ok || strings.TrimSpace(perl.String(v)) == "" {
		return 0, nil
	}
	d, err := parseTime(v)
	if err != nil {
		return 0, fmt.Errorf("section %s: %w", section, err)
	}
	return d, nil
}

var variable = regexp.MustCompile(`\$(TEST_NGINX_[_A-Z0-9]+)`)

// expand replaces the $TEST_NGINX_ variables of a text.
func (t *test) expand(text string) (string, error) {
	var missing error
	out := variable.ReplaceAllStringFunc(text, func(name string) string {
		name = name[1:]
		if strings.HasPrefix(name, "TEST_NGINX_RAND_PORT_") {
			if t.rand[name] == 0 {
				port, err := t.f.r.ports.Get()
				if err != nil {
					missing = err
				}
				t.rand[name] = port
			}
			return strconv.Itoa(t.rand[name])
		}
		if v := t.f.in.Env.M[name]; v != nil {
			return perl.String(v)
		}
		if v, ok := t.f.fallbacks()[name]; ok {
			return v
		}
		missing = fmt.Errorf("no environment %s defined", name)
		return "$" + name
	})
	return out, missing
}

// lenient is expand for texts in which the framework knows no variables.
func (t *test) lenient(text string) string {
	if out, err := t.expand(text); err == nil {
		return out
	}
	return text
}

func (t *test) releasePorts() {
	if t.site != nil {
		for _, p := range t.site.ports {
			t.f.r.ports.Put(p)
		}
	}
	for _, name := range slices.Collect(maps.Keys(t.rand)) {
		t.f.r.ports.Put(t.rand[name])
	}
}

func (t *test) add(a report.Assert) { t.out.Asserts = append(t.out.Asserts, a) }

func (t *test) note(text string) {
	if t.f.r.opts.Strict {
		t.add(report.Assert{Name: "no warnings", Diag: text})
		return
	}
	t.out.Notes = append(t.out.Notes, text)
}

func (t *test) fail(name string, err error) { t.add(report.Assert{Name: name, Diag: err.Error()}) }
