// Package doctest tries what documents show. It reads Markdown; what it looks at are the fenced blocks, with words behind the
// fence that say what a block is. Readers of the page do not see these words, so the text before a block has to name
// the file, the address or the block of the configuration that it is for (`lua/a.lua`, `/path`, `http`):
//
//	```nginx in=server       part of the server block of conf/nginx.conf, which listens on 8080
//	```nginx in=http         part of its http block
//	```lua at=/path          the content handler of a location
//	```lua file=lua/a.lua    a file; conf/nginx.conf as well, which then is the whole configuration
//	```console               commands behind "$ ", and what they print; "..." stands for anything
//	```console serves        one command that goes on running until the section ends
//	```console eventually    commands that are tried again until they print that
//	```nginx part=NAME       lines of a file that is there, for instance below examples/
//	```lua needs=NAME ...    only tried where the file is there, for instance one of the libraries in lua/resty/
//	```nginx unchecked=why   not tried
//
// The blocks of a section (a heading of the second level) make one configuration, which another section goes on with when it
// has the comment <!-- test: continued -->; files stay for the page. Commands run in
// the site's folder with the program under test as `moongate`, after the server has been started or given what is new. Numbers of
// ports are replaced by free ones: 8080, those behind "listen", and those of a comment <!-- test: port=9000 -->, which may
// also ask for a service: <!-- test: redis=6379 -->.
package doctest

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"moongate/internal/testkit"
	"moongate/internal/testkit/poll"
	"moongate/internal/testkit/report"
	"moongate/internal/testkit/server"
)

// Four digits, as the ports that documents show: lengths stay what they are.
var ports = server.Ports{From: 4000, To: 7900}

// patience bounds every wait; commandTime a single command.
const (
	patience    = time.Minute
	commandTime = 3 * time.Minute
)

// Run tries a document. root is where names of part= begin that are not in the site's folder; extra are directories whose files are there when the page begins, by name in the site's folder.
func Run(t *testing.T, path, root string, extra map[string]string) {
	t.Helper()
	p, err := parse(path)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, s := range p.sections {
		n += len(s.blocks)
	}
	if n == 0 {
		return
	}
	for _, tool := range append([]string{"curl", "openssl"}, p.programs()...) {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed", tool)
		}
	}
	s := newSite(t, p)
	s.root = root
	for name, from := range extra {
		if err := os.CopyFS(filepath.Join(s.dir, name), os.DirFS(from)); err != nil {
			t.Fatal(err)
		}
		s.adapt(name)
	}
	s.services()
	for _, sec := range p.sections {
		s.section(sec)
	}
}

// Check tells whether every block of a document says how it is tried, without trying any.
func Check(path string) error {
	_, err := parse(path)
	return err
}

func (p *page) programs() (list []string) {
	for _, need := range p.needs {
		list = append(list, map[string]string{"redis": "redis-server", "memcached": "memcached"}[need])
	}
	return list
}

// site is the folder of one page while it is tried.
type site struct {
	t       *testing.T
	page    *page
	binary  string
	dir     string
	root    string
	back    *regexp.Regexp
	numbers map[string]string // real port to the document's

	http, server string // what the section has said so far
	whole        bool   // the section has a configuration file of its own
	stale        bool   // the server does not know all of it
	running      []running
	out          bytes.Buffer
	cwd          string
}

func newSite(t *testing.T, p *page) *site {
	s := &site{t: t, page: p, binary: testkit.Binary(t), numbers: map[string]string{}}
	dir, err := os.MkdirTemp("", "mgd-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.killDaemons()
		os.RemoveAll(dir)
	})
	s.dir = filepath.Join(dir, "site")
	for _, name := range []string{"site/conf", "site/logs", "site/html", "bin", "home"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(s.binary, filepath.Join(dir, "bin/moongate")); err != nil {
		t.Fatal(err)
	}
	s.write("../home/.curlrc", "silent\nshow-error\n")
	var all []string
	for _, n := range p.ports {
		port, err := ports.Get()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ports.Put(port) })
		s.numbers[strconv.Itoa(port)] = n
		all = append(all, strconv.Itoa(port))
	}
	s.back = regexp.MustCompile(`\b(?:` + strings.Join(all, "|") + `)\b`)
	return s
}

// killDaemons ends what commands of the page have left running: processes that a pid file names and that work here.
func (s *site) killDaemons() {
	filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.Contains(d.Name(), ".pid") {
			return nil
		}
		text, _ := os.ReadFile(path)
		pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
		if err != nil || pid <= 1 {
			return nil
		}
		line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if strings.Contains(string(line), filepath.Dir(s.dir)) {
			syscall.Kill(pid, syscall.SIGTERM)
		}
		return nil
	})
}

// real replaces the document's ports, shown replaces them back.
func (s *site) real(text string) string {
	for port, n := range s.numbers {
		text = regexp.MustCompile(`\b`+n+`\b`).ReplaceAllString(text, port)
	}
	return text
}

func (s *site) shown(text string) string {
	text = strings.ReplaceAll(text, filepath.Dir(s.dir)+"/site", "/srv/site")
	return s.back.ReplaceAllStringFunc(text, func(port string) string { return s.numbers[port] })
}

func (s *site) write(name, text string) {
	path := filepath.Join(s.dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
		s.t.Fatal(err)
	}
}

// adapt gives copied files the page's ports.
func (s *site) adapt(name string) {
	err := filepath.WalkDir(filepath.Join(s.dir, name), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !adapted[filepath.Ext(path)] {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(path, []byte(s.real(string(text))), 0o644)
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

var adapted = map[string]bool{".conf": true, ".lua": true, ".t": true}

// part checks that a block shows what a file has, whatever the indentation.
func (s *site) part(b *block) {
	text, err := os.ReadFile(filepath.Join(s.dir, b.attrs["part"]))
	if err != nil {
		text, err = os.ReadFile(filepath.Join(s.root, b.attrs["part"]))
	}
	if err != nil {
		s.t.Fatalf("%s:%d: %v", s.page.path, b.line, err)
	}
	if !strings.Contains(flat(string(text)), flat(s.real(b.text))) {
		s.t.Errorf("%s:%d: %s does not have these lines", s.page.path, b.line, b.attrs["part"])
	}
}

// flat is a text without the white space that begins its lines.
func flat(text string) string {
	return strings.TrimSpace(regexp.MustCompile(`(?m)^[ \t]+`).ReplaceAllString(text, ""))
}

// services starts what the page asks for.
func (s *site) services() {
	for _, need := range s.page.needs {
		for port, n := range s.numbers {
			var cmd *exec.Cmd
			switch {
			case need == "redis" && n == "6379":
				cmd = exec.Command("redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", s.dir)
			case need == "memcached" && n == "11211":
				cmd = exec.Command("memcached", "-p", port, "-l", "127.0.0.1", "-u", "nobody")
			default:
				continue
			}
			s.launch(cmd)
			if !poll.Until(patience, func() bool { return listening(port) }) {
				s.t.Fatalf("%s does not start", need)
			}
		}
	}
}

func listening(port string) bool {
	c, err := net.Dial("tcp", "127.0.0.1:"+port)
	if err == nil {
		c.Close()
	}
	return err == nil
}

// launch starts a program that ends with the test.
func (s *site) launch(cmd *exec.Cmd) chan struct{} {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		cmd.Wait()
		close(done)
	}()
	s.t.Cleanup(func() { end(cmd, done) })
	return done
}

// end stops a program: TERM, and KILL to all it has started when it does not end.
func end(cmd *exec.Cmd, done chan struct{}) {
	syscall.Kill(cmd.Process.Pid, syscall.SIGTERM)
	select {
	case <-done:
	case <-time.After(5 * time.Second):
	}
	syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	<-done
}

func (s *site) section(sec *section) {
	if len(sec.blocks) == 0 {
		return
	}
	if s.cwd = s.dir; !sec.continued {
		s.http, s.server, s.whole = "", "", false
	}
	s.stale = sec.continued
	for _, b := range sec.blocks {
		if _, ok := b.attrs["unchecked"]; ok {
			continue
		}
		if need := b.attrs["needs"]; need != "" && !there(filepath.Join(s.dir, need)) {
			s.t.Logf("%s:%d: not tried, %s is not there", s.page.path, b.line, need)
			continue
		}
		switch {
		case b.attrs["part"] != "":
			s.part(b)
		case b.attrs["file"] != "":
			name := b.attrs["file"]
			s.write(name, s.real(b.text))
			if name == "conf/nginx.conf" {
				s.whole, s.stale = true, true
			}
		case b.attrs["at"] != "":
			file := "lua/at" + strings.ReplaceAll(b.attrs["at"], "/", "_") + ".lua"
			s.write(file, s.real(b.text))
			s.server += fmt.Sprintf("location = %s { default_type text/plain; content_by_lua_file %s; }\n", b.attrs["at"], file)
			s.stale = true
		case b.attrs["in"] == "http":
			s.http += b.text
			s.stale = true
		case b.attrs["in"] == "server":
			s.server += b.text
			s.stale = true
		case b.attrs["in"] != "":
			s.t.Fatalf("%s:%d: in=%s", s.page.path, b.line, b.attrs["in"])
		case b.lang == "console":
			s.console(b)
		}
	}
	if s.stale { // nothing asks for it, so it is only checked
		s.serve()
	}
	s.stop()
}

func there(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// wrapper is what surrounds the parts that a page shows.
const wrapper = `worker_processes 1;
error_log logs/error.log notice;
pid logs/nginx.pid;
events { }
http {
    access_log logs/access.log;
    lua_package_path "$prefix/lua/?.lua;;";
%s
%s
}
`

// wrapped is the configuration of a section. Its own server on 8080, when the http block has one, stands for ours.
func (s *site) wrapped() string {
	server := "server {\nlisten 127.0.0.1:8080;\nroot html;\n" + s.server + "}"
	if s.server == "" && strings.Contains(s.http, "8080") {
		server = ""
	}
	return fmt.Sprintf(wrapper, s.http, server)
}

// serve makes the server run what the section has said so far.
func (s *site) serve() {
	if !s.stale {
		return
	}
	s.t.Helper()
	s.stale = false
	if !s.whole {
		s.write("conf/nginx.conf", s.real(s.wrapped()))
	}
	s.stop()
	conf, _ := os.ReadFile(filepath.Join(s.dir, "conf/nginx.conf"))
	global := ""
	if !regexp.MustCompile(`(?m)^daemon\s`).Match(conf) {
		global += "daemon off;"
	}
	if os.Geteuid() == 0 && !regexp.MustCompile(`(?m)^user\s`).Match(conf) {
		global += "user root;"
	}
	pid := filepath.Join(s.dir, "logs/nginx.pid")
	os.Remove(pid)
	for _, log := range []string{"error.log", "access.log"} {
		os.Remove(filepath.Join(s.dir, "logs", log))
	}
	proc := exec.Command(s.binary, "-p", s.dir+"/", "-c", "conf/nginx.conf", "-g", global)
	proc.Dir = s.dir
	s.out.Reset()
	proc.Stdout, proc.Stderr = &s.out, &s.out
	done := s.launch(proc)
	s.running = append(s.running, running{proc, done})
	up := false
	poll.Until(patience, func() bool {
		select {
		case <-done:
			return true
		default:
		}
		text, err := os.ReadFile(pid)
		up = err == nil && len(text) > 0
		return up
	})
	if !up {
		s.t.Fatalf("%s: the server does not start:\n%s\n%s", s.page.path, s.out.String(), conf)
	}
}

func (s *site) stop() {
	for _, r := range s.running {
		end(r.cmd, r.done)
	}
	s.running = nil
}

// running is a program of the section.
type running struct {
	cmd  *exec.Cmd
	done chan struct{}
}

func (s *site) console(b *block) {
	s.serve()
	_, serves := b.attrs["serves"]
	_, eventually := b.attrs["eventually"]
	for _, c := range b.commands() {
		var got string
		ok := false
		switch {
		case serves:
			ok, got = s.background(c)
		case eventually:
			ok = poll.Until(patience, func() bool { got = s.shell(c.text); return matches(c.want, got) })
		default:
			got = s.shell(c.text)
			ok = matches(c.want, got)
		}
		if !ok {
			log, _ := os.ReadFile(filepath.Join(s.dir, "logs/error.log"))
			s.t.Errorf("%s:%d: %s\n%s\nerror log:\n%s", s.page.path, c.line, c.text, report.Diff(c.want, got),
				report.Tail(strings.SplitAfter(string(log), "\n"), 12))
		}
	}
}

func (s *site) environ() []string {
	top := filepath.Dir(s.dir)
	return append(os.Environ(), "PATH="+top+"/bin:"+os.Getenv("PATH"), "HOME="+top+"/home", "CURL_HOME="+top+"/home", "LC_ALL=C.UTF-8")
}

// shell runs a command where the last one has left the shell, and returns what it printed.
func (s *site) shell(text string) string {
	where := filepath.Join(s.dir, "../home/cwd")
	cmd := exec.Command("timeout", strconv.Itoa(int(commandTime.Seconds())), "bash", "-c", s.real(text)+"\npwd > "+where)
	cmd.Dir, cmd.Env = s.cwd, s.environ()
	out, _ := cmd.CombinedOutput()
	if dir, err := os.ReadFile(where); err == nil {
		s.cwd = strings.TrimSpace(string(dir))
	}
	return s.shown(string(out))
}

// background starts a command and waits for what it is to print first.
func (s *site) background(c *command) (bool, string) {
	file, err := os.CreateTemp(filepath.Dir(s.dir), "out-")
	if err != nil {
		s.t.Fatal(err)
	}
	defer file.Close()
	cmd := exec.Command("bash", "-c", "exec "+s.real(c.text))
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = s.cwd, s.environ(), file, file
	s.running = append(s.running, running{cmd, s.launch(cmd)})
	var got string
	ok := poll.Until(patience, func() bool {
		text, _ := os.ReadFile(file.Name())
		got = s.shown(string(text))
		return matches(c.want, got)
	})
	return ok, got
}
