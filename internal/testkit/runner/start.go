package runner

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"moongate/internal/testkit/pattern"
	"moongate/internal/testkit/perl"
	"moongate/internal/testkit/poll"
	"moongate/internal/testkit/report"
	"moongate/internal/testkit/server"
)

// missingDirective is a server that does not know what the block needs.
type missingDirective struct{ name string }

func (e *missingDirective) Error() string { return "the lack of directive " + e.name }

var unknownDirective = pattern.MustCompile(`\[emerg\] \S+?: unknown directive "([^"]+)"`, "")

// start makes the block's server run: a new one, or with use_hup the old one with
// a new configuration. A block without config takes the server as it is.
func (t *test) start() error {
	f := t.f
	if !t.has("config") && !t.isStream() && f.site == "" {
		if f.proc == nil || !f.proc.Alive() {
			return errors.New("the block has no config section and there is no server of a block before it")
		}
		return nil
	}
	if f.set.hup && f.proc != nil && f.proc.Alive() {
		return t.reload()
	}
	f.stop()
	for {
		code, err := t.tryStart(true)
		if err != nil || code == 0 {
			return err
		}
		if again, err := t.closeUnknown(); err != nil || !again {
			return errors.Join(err, t.startFailure())
		}
	}
}

// startFailure tells why the server did not start.
func (t *test) startFailure() error {
	text, _ := os.ReadFile(t.f.root.ErrorLog())
	said := string(text) + t.f.stderr
	if g := groups(unknownDirective, said); g != nil {
		if t.f.r.opts.SkipMissing {
			return &missingDirective{g[1]}
		}
	}
	return fmt.Errorf("the server does not start: %s\n%s", strings.TrimSpace(t.f.stderr),
		report.Tail(strings.SplitAfter(string(text), "\n"), 5))
}

// tryStart runs the server's command once and returns its exit code; 0 means that
// it serves. fresh makes a new root first.
func (t *test) tryStart(fresh bool) (code int, err error) {
	f := t.f
	if fresh {
		f.version = ""
		if f.set.hup {
			f.version = newVersion()
		}
		if err := f.root.Reset(); err != nil {
			return 0, err
		}
		if err := t.prepare(); err != nil {
			return 0, err
		}
		f.log.Rewind()
	}
	// A process with threads is gone a moment before its sockets are.
	if !poll.Until(portPatience, func() bool { return server.Free(f.port) }) {
		return 0, fmt.Errorf("port %d is taken by somebody else", f.port)
	}
	l := &server.Launch{Binary: f.r.binary, Root: f.root, Dir: f.r.opts.Dir, Env: t.environ(), Daemon: !f.r.opts.Foreground}
	f.stderr = ""
	p, err := l.Start()
	var se *server.StartError
	if errors.As(err, &se) {
		f.stderr = se.Stderr
		return max(1, se.ExitCode), nil
	}
	if err != nil {
		return 0, err
	}
	f.proc = p
	return 0, nil
}

// prepare fills the root: set-up code, files, nginx.conf.
func (t *test) prepare() error {
	if t.has("post_setup_server_root") {
		if _, err := t.f.in.Eval(t.text("post_setup_server_root"), t.f.src.Path, t.src.Line); err != nil {
			return fmt.Errorf("post_setup_server_root: %w", err)
		}
	}
	if err := t.renameStreams(); err != nil {
		return err
	}
	if t.has("mock") {
		if err := t.startStandins(); err != nil {
			return fmt.Errorf("section mock: %w", err)
		}
	}
	if t.f.site != "" && !t.has("config") && !t.isStream() {
		return errors.Join(t.copySite(), t.writeUserFiles())
	}
	if err := t.writeUserFiles(); err != nil {
		return err
	}
	conf, err := t.conf()
	if err != nil {
		return err
	}
	return os.WriteFile(t.f.root.ConfFile(), []byte(conf.Text()), 0o644)
}

func (t *test) environ() (env []string) {
	for k, v := range t.f.in.Env.M {
		if v != nil {
			env = append(env, k+"="+perl.String(v))
		}
	}
	return env
}

func (t *test) conf() (*server.Conf, error) {
	f, out := t.f, t.f.r.binary.Output
	c := &server.Conf{
		Root: f.root, Port: f.port, Workers: f.set.workers, WorkerConnections: f.set.connections,
		Master: f.set.master || f.set.hup, Daemon: !f.r.opts.Foreground,
		ErrorLog: f.root.ErrorLog(), LogLevel: f.set.logLevel, Env: f.set.env, Modules: f.r.opts.LoadModules,
		ServerName: f.set.serverName, Preamble: f.set.preamble, NoRootLocation: f.set.noRootLocation,
		NoFastCGI: strings.Contains(out, "--without-http_fastcgi_module"),
		NoSCGI:    strings.Contains(out, "--without-http_scgi_module"),
		NoUWSGI:   strings.Contains(out, "--without-http_uwsgi_module"),
		Version:   f.version,
	}
	if perl.Truth(f.in.Env.M["TEST_NGINX_MASTER_PROCESS"]) {
		c.Master = perl.String(f.in.Env.M["TEST_NGINX_MASTER_PROCESS"]) == "on"
	}
	if t.has("http2") {
		c.ListenOptions = " http2"
	}
	var err error
	section := func(name string) string {
		text, e := t.expand(t.text(name))
		text = t.mocked.Replace(text)
		if e != nil && err == nil {
			err = fmt.Errorf("section %s: %w", name, e)
		}
		return text
	}
	c.Main = section("main_config") + t.streams(section)
	c.HTTP = section("http_config")
	c.Server = section("config") + section("server_config")
	c.PostMain = section("post_main_config")
	if t.has("error_log_file") {
		c.ErrorLog = strings.TrimSpace(section("error_log_file"))
	}
	if t.has("log_level") {
		c.LogLevel = strings.TrimSpace(t.text("log_level"))
	}
	if t.has("server_name") {
		c.ServerName = strings.TrimSpace(t.text("server_name"))
	}
	if user := perl.String(f.in.Env.M["TEST_NGINX_WORKER_USER"]); user != "" {
		c.User = user
	} else if os.Geteuid() == 0 {
		c.User = "root"
	}
	return c, err
}

// streams renders the stream block, "" without stream sections.
func (t *test) streams(section func(string) string) string {
	if !t.isStream() {
		return ""
	}
	var b strings.Builder
	b.WriteString("stream {\n" + section("stream_config") + "\n")
	for i, suffix := range []string{"", "2", "3"} {
		if i > 0 && !t.has("stream_server_config"+suffix) {
			continue
		}
		fmt.Fprintf(&b, "    server {\n        listen %d;\n\n%s\n    }\n", t.f.extra[i], section("stream_server_config"+suffix))
	}
	b.WriteString("}\n")
	return b.String()
}

// userFile is one file that a block puts into the root.
type userFile struct{ name, body, date string }

func (t *test) userFiles() (files []userFile) {
	v, ok := t.get("user_files")
	if !ok {
		return nil
	}
	if list, ok := v.(*perl.Array); ok {
		for _, e := range list.Elems {
			parts := append(texts(perl.Elems(e)), "", "", "")
			files = append(files, userFile{parts[0], parts[1], parts[2]})
		}
		return files
	}
	for _, line := range strings.SplitAfter(perl.String(v), "\n") {
		if _, head, ok := strings.Cut(line, ">>> "); ok {
			name, date, _ := strings.Cut(strings.TrimSpace(head), " ")
			files = append(files, userFile{name: name, date: strings.TrimSpace(date)})
		} else if len(files) > 0 {
			files[len(files)-1].body += line
		}
	}
	return files
}

func (t *test) writeUserFiles() error {
	for _, u := range t.userFiles() {
		path := u.name
		if !filepath.IsAbs(path) {
			beside := t.f.root.HTML()
			if t.site != nil {
				beside = string(t.f.root)
			}
			path = filepath.Join(beside, path)
		}
		if st, err := os.Lstat(path); err == nil && st.Mode().Type() == os.ModeSymlink {
			os.Remove(path) // the site's own file stays what it is
		}
		body, err := t.expand(u.body)
		if err != nil {
			return fmt.Errorf("user file %s: %w", u.name, err)
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(body), 0o644); err != nil {
			return err
		}
		if u.date == "" {
			continue
		}
		at, err := touchTime(u.date)
		if err != nil {
			return fmt.Errorf("user file %s: %w", u.name, err)
		}
		if err := os.Chtimes(path, at, at); err != nil {
			return err
		}
	}
	return nil
}

// touchTime reads [CC]YYMMDDhhmm[.ss] in UTC, as touch -t does.
func touchTime(s string) (time.Time, error) {
	layout := "200601021504"
	digits, _, seconds := strings.Cut(s, ".")
	if len(digits) == 10 {
		layout = "0601021504"
	}
	if seconds {
		layout += ".05"
	}
	return time.Parse(layout, s)
}

// newVersion names a configuration.
func newVersion() string { return fmt.Sprintf("v%x", time.Now().UnixNano()) }

// portPatience bounds the wait for the port between two servers.
const portPatience = 30 * time.Second

// reloadTimeout bounds the time until only the new configuration answers.
const reloadTimeout = 30 * time.Second

// failTimeout bounds the wait for the message of a reload that is to fail.
const failTimeout = time.Second

// reload gives the running server a new configuration and waits until it is in
// force.
func (t *test) reload() error {
	f := t.f
	if f.last != nil {
		f.last.check()
		f.last = nil
	}
	f.version = newVersion()
	if err := f.root.Clean(); err != nil {
		return err
	}
	if err := t.prepare(); err != nil {
		return err
	}
	f.log.Rewind()
	f.proc.Signal(syscall.SIGUSR1)
	if !poll.Until(reloadTimeout, func() bool { return exists(f.root.ErrorLog()) }) {
		return errors.New("the server did not reopen its log")
	}
	f.proc.Signal(syscall.SIGHUP)
	if t.has("reload_fails") {
		poll.Until(failTimeout, f.reloadFailed)
		return nil
	}
	if !poll.Until(reloadTimeout, f.reloaded) {
		return errors.New("the server did not take the new configuration")
	}
	return nil
}

// reloaded tells whether only the new configuration answers: many times in a row,
// because old workers may still accept.
func (f *fileRun) reloaded() bool {
	for range 20 {
		if f.runningVersion() != f.version {
			return false
		}
	}
	return true
}

func (f *fileRun) reloadFailed() bool {
	text, _ := os.ReadFile(f.root.ErrorLog())
	return strings.Contains(string(text), "[emerg]") || strings.Contains(string(text), "[error]")
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// runningVersion asks the server which configuration it runs.
func (f *fileRun) runningVersion() string {
	req, err := http.NewRequest("GET", fmt.Sprintf("http://127.0.0.1:%d/ver", f.port), nil)
	if err != nil {
		return ""
	}
	req.Host, req.Close = server.VersionHost, true
	c := http.Client{Timeout: time.Second}
	res, err := c.Do(req)
	if err != nil {
		return ""
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	return string(body)
}
