package runner

import (
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"moongate/internal/testkit/blocks"
)

// A file none of whose blocks has a configuration tests a site: a folder with conf/nginx.conf. Each block gets a server with
// a copy of it, in which addresses are others and what would reach outside of the copy is taken away. Lines keep their
// numbers.

// siteConf is where a site's configuration is.
const siteConf = "conf/nginx.conf"

// configuring are the sections that make a configuration.
var configuring = []string{"config", "server_config", "http_config", "main_config", "post_main_config", "stream_config", "stream_server_config"}

// findSite returns the site that a file tests, "" when its blocks have configurations of their own.
func findSite(src *blocks.File, given string) (string, error) {
	if given != "" {
		if _, err := os.Stat(filepath.Join(given, siteConf)); err != nil {
			return "", fmt.Errorf("%s is no site: %w", given, err)
		}
		return filepath.Abs(given)
	}
	for _, b := range src.Blocks {
		for _, name := range configuring {
			if b.Has(name) {
				return "", nil
			}
		}
	}
	dir, err := filepath.Abs(filepath.Dir(src.Path))
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, siteConf)); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", nil
		}
		dir = parent
	}
}

// listener is one address that a site listens on.
type listener struct {
	port int  // in the test
	tls  bool // connections begin with a handshake
}

// site is what a block knows of the site it runs.
type site struct {
	listeners map[string]*listener // by address in the configuration, and by its port alone
	first     *listener
	ports     []int // to give back
}

var (
	listens = regexp.MustCompile(`\blisten(\s+)([^\s;#]+)([^;#]*);`)
	// mainOnly are directives of the process, which belong to the runner.
	mainOnly = regexp.MustCompile(`(?m)^([ \t]*)(?:daemon|master_process|pid|user|worker_processes|worker_cpu_affinity|worker_priority|error_log)\s[^;#]*;`)
	logFile  = regexp.MustCompile(`(?m)^([^#\n]*\baccess_log\s+)/(?:[^\s;]*/)?([^\s;/]+)`)
)

// copySite makes the copy in the server's root.
func (t *test) copySite() error {
	f := t.f
	s := &site{listeners: map[string]*listener{}}
	t.site = s
	main, err := os.ReadFile(filepath.Join(f.site, siteConf))
	if err != nil {
		return err
	}
	// The main file goes first: what it listens on first is what requests are sent to.
	texts := map[string]string{siteConf: string(main)}
	names := []string{siteConf}
	err = filepath.WalkDir(f.site, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(f.site, path)
		if err != nil || name == "." || name == siteConf {
			return err
		}
		to := filepath.Join(string(f.root), name)
		switch {
		case d.IsDir() && (name == "logs" || strings.HasPrefix(d.Name(), ".") || strings.HasSuffix(name, "_temp")):
			return fs.SkipDir
		case d.IsDir():
			if _, err := os.Stat(filepath.Join(path, siteConf)); err == nil {
				return fs.SkipDir // another site
			}
			return os.MkdirAll(to, 0o755)
		case d.Type() == fs.ModeSocket:
			return nil
		case strings.HasSuffix(name, ".conf") || strings.HasSuffix(name, ".lua"):
			text, err := os.ReadFile(path)
			texts[name] = string(text)
			names = append(names, name)
			return err
		}
		os.Remove(to)
		return os.Symlink(path, to)
	})
	if err != nil {
		return err
	}
	for _, name := range names {
		if strings.HasSuffix(name, ".conf") {
			if texts[name], err = t.adapt(texts[name]); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	if s.first == nil {
		return fmt.Errorf("%s listens on no port", filepath.Join(f.site, siteConf))
	}
	texts[siteConf] = t.frontMatter() + texts[siteConf]
	for _, name := range names {
		text := t.closed.Replace(t.mocked.Replace(s.rename(texts[name])))
		if err := os.WriteFile(filepath.Join(string(f.root), name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// frontMatter stands on the first line, so that no other moves.
func (t *test) frontMatter() string {
	f := t.f
	level := f.set.logLevel
	if t.has("log_level") {
		level = strings.TrimSpace(t.text("log_level"))
	}
	user := ""
	if os.Geteuid() == 0 {
		user = " user root;"
	}
	modules := ""
	for _, m := range f.r.opts.LoadModules {
		modules += "load_module " + m + "; "
	}
	return modules + fmt.Sprintf("daemon %s; master_process %s; worker_processes %d; pid %s; error_log %s %s;%s ",
		onOff(!f.r.opts.Foreground), onOff(f.set.master), f.set.workers, f.root.PidFile(), f.root.ErrorLog(), level, user)
}

// adapt gives a configuration free ports and takes away what belongs to the runner.
func (t *test) adapt(text string) (string, error) {
	text = mainOnly.ReplaceAllStringFunc(text, func(m string) string { return strings.Repeat("\n", strings.Count(m, "\n")) })
	text = logFile.ReplaceAllString(text, "${1}logs/${2}")
	var out strings.Builder
	done := 0
	for _, m := range listens.FindAllStringSubmatchIndex(text, -1) {
		value, options := text[m[4]:m[5]], text[m[6]:m[7]]
		line := text[strings.LastIndexByte(text[:m[0]], '\n')+1 : m[0]]
		if strings.HasPrefix(value, "unix:") || strings.Contains(line, "#") {
			continue
		}
		addr, err := t.listener(value, options)
		if err != nil {
			return "", err
		}
		out.WriteString(text[done:m[4]] + addr + strings.ReplaceAll(options, " reuseport", ""))
		done = m[7]
	}
	return out.String() + text[done:], nil
}

// listener finds the free port for an address of the configuration.
func (t *test) listener(addr, options string) (string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		if _, err := strconv.Atoi(addr); err == nil {
			host, port = "*", addr
		} else {
			host, port = strings.Trim(addr, "[]"), "80"
		}
	}
	six := strings.Contains(host, ":")
	if host == "0.0.0.0" || host == "::" || host == "" {
		host = "*"
	}
	s := t.site
	l := s.listeners[host+":"+port]
	if l == nil {
		l = &listener{port: t.f.port}
		if s.first != nil {
			if l.port, err = t.f.r.ports.Get(); err != nil {
				return "", err
			}
			s.ports = append(s.ports, l.port)
		} else {
			s.first = l
		}
		s.listeners[host+":"+port] = l
		if s.listeners[port] == nil {
			s.listeners[port] = l
		}
	}
	for _, o := range strings.Fields(options) {
		l.tls = l.tls || o == "ssl"
	}
	if six {
		return "[::1]:" + strconv.Itoa(l.port), nil
	}
	return "127.0.0.1:" + strconv.Itoa(l.port), nil
}

var unknownHost = regexp.MustCompile(`host not found in upstream "([^"\s]+)"`)

// closeUnknown gives a name that this machine does not know, and that has no stand-in, a port where nobody listens: the
// service is down, and the site can be tested without it. It tells whether the server is worth another start.
func (t *test) closeUnknown() (again bool, err error) {
	g := unknownHost.FindStringSubmatch(t.f.stderr)
	if t.site == nil || g == nil {
		return false, nil
	}
	host, _, _ := strings.Cut(g[1], ":")
	re := regexp.MustCompile(`(^|[^\w.-])` + regexp.QuoteMeta(host) + `(?::\d+)?($|[^\w.:-])`)
	for _, known := range t.closed {
		if known.re.String() == re.String() {
			return false, nil
		}
	}
	port, err := t.f.r.ports.Get()
	if err != nil {
		return false, err
	}
	t.rand["closed "+host] = port // given back with the block's others
	t.closed = append(t.closed, renaming{re, "${1}127.0.0.1:" + strconv.Itoa(port) + "${2}"})
	t.f.standins.stop(&t.f.r.ports)
	t.f.standins = nil
	return true, nil
}

var ownAddress = regexp.MustCompile(`\b(127\.0\.0\.1|localhost):(\d+)\b`)

// rename has the site find its own servers.
func (s *site) rename(text string) string {
	return ownAddress.ReplaceAllStringFunc(text, func(m string) string {
		g := ownAddress.FindStringSubmatch(m)
		if l := s.listeners[g[2]]; l != nil {
			return "127.0.0.1:" + strconv.Itoa(l.port)
		}
		return m
	})
}

// target is where the block's requests go: the address that the listen section names, or the first.
func (t *test) target() (port int, tls bool, err error) {
	want := strings.TrimSpace(t.text("listen"))
	if t.site == nil {
		if want == "" {
			return t.f.port, false, nil
		}
		if want, err = t.expand(want); err != nil {
			return 0, false, err
		}
		number, rest, _ := strings.Cut(want, " ")
		port, err = strconv.Atoi(number)
		return port, strings.TrimSpace(rest) == "ssl", err
	}
	l := t.site.first
	if want != "" {
		if l = t.site.listeners[want]; l == nil {
			return 0, false, fmt.Errorf("section listen: the site does not listen on %s", want)
		}
	}
	return l.port, l.tls, nil
}
