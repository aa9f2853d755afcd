package cli

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"moongate/examples"
	"moongate/internal/app"
	"moongate/internal/base/version"
	"moongate/internal/cli/watch"
	"moongate/internal/conf"
	"moongate/internal/luahost"
)

// What the built-in site says where a copy of it differs.
const (
	siteListen  = "127.0.0.1:8080"
	sitePort    = 8080
	siteProgram = "set $program moongate;"
	siteCached  = "lua_code_cache on;"
	siteLive    = "lua_code_cache off;"
)

const runUsage = `Usage: moongate run [-l ADDRESS] [DIR]

Without DIR it serves a built-in site. A DIR that is new or empty gets a copy of that site, to edit. A DIR with
conf/nginx.conf is served as that says, any other as plain files. Changes of configuration and Lua are live. ADDRESS is
for sites without a configuration; a port alone will do. Unless given it is 127.0.0.1:8080, or the next free port.
`

// run serves a site in the foreground.
func run(prog *app.Program, args []string) int {
	set := flag.NewFlagSet("moongate run", flag.ContinueOnError)
	set.Usage = func() { fmt.Fprint(os.Stderr, runUsage) }
	s := &runSite{program: args[0], out: os.Stderr}
	if fd, err := syscall.Dup(2); err == nil {
		syscall.CloseOnExec(fd)
		s.out = os.NewFile(uintptr(fd), "/dev/stderr")
	}
	set.StringVar(&s.listen, "l", "", "")
	dir, err := s.parse(set, args[2:])
	if err != nil {
		if err != flag.ErrHelp {
			set.Usage()
		}
		return 2
	}
	if err := s.listenable(dir); err != nil {
		fmt.Fprintf(os.Stderr, "moongate: %s\n", err)
		return 1
	}
	clean, err := s.prepare(dir)
	if err != nil {
		fmt.Fprintf(os.Stderr, "moongate: %s\n", err)
		return 1
	}
	defer clean()
	luahost.Development = true
	return app.Main(prog, app.Options{Prefix: s.dir, ErrorLog: "stderr", Text: s.text, Foreground: true, Ready: s.announce, Reloaded: s.reloaded}, args[:1])
}

// parse accepts the flag before and behind the folder.
func (s *runSite) parse(set *flag.FlagSet, args []string) (dir string, err error) {
	for {
		if err := set.Parse(args); err != nil {
			return "", err
		}
		if set.NArg() == 0 {
			break
		}
		if dir != "" {
			return "", errors.New("one folder")
		}
		dir, args = set.Arg(0), set.Args()[1:]
	}
	if _, err := strconv.Atoi(s.listen); err == nil {
		s.listen = "127.0.0.1:" + s.listen
	}
	return dir, nil
}

var listens = regexp.MustCompile(`(?m)^[^#\n]*\blisten\s+(?:127\.0\.0\.1:|localhost:|\*:|0\.0\.0\.0:)?(\d+)\s*(?:;|\s[^;]*;)`)

// isAddress says that -l makes sense: a new site is made only with an address that can be listened on.
func isAddress(s string) bool {
	if strings.HasPrefix(s, "unix:/") {
		return true
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return false
	}
	if _, err := netip.ParseAddr(host); err != nil && host != "localhost" && host != "*" {
		return false
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return err == nil
}

// listenable says who is in the way before anything is made: the server itself only knows that it cannot listen. A site
// whose address nobody has chosen gets the first port that is free.
func (s *runSite) listenable(dir string) error {
	text, err := os.ReadFile(filepath.Join(dir, app.DefaultConfig))
	switch {
	case dir != "" && err == nil:
		for _, m := range listens.FindAllStringSubmatch(string(text), -1) {
			if addr := "127.0.0.1:" + m[1]; taken(addr) {
				return fmt.Errorf("another program listens on %s already: end it, or change \"listen\" in %s", addr, filepath.Join(dir, app.DefaultConfig))
			}
		}
	case s.listen != "":
		if !isAddress(s.listen) {
			return fmt.Errorf("-l %s: an address to listen on is 127.0.0.1:8080, or a port alone", s.listen)
		}
		if taken(s.listen) {
			return fmt.Errorf("another program listens on %s already: end it, or choose another address with -l", s.listen)
		}
	default:
		for port := sitePort; port < sitePort+20; port++ {
			if s.listen = "127.0.0.1:" + strconv.Itoa(port); !taken(s.listen) {
				break
			}
		}
	}
	return nil
}

// taken only binds: a socket that listens for a moment would take in clients that already wait for the server, and lose them.
func taken(addr string) bool {
	a, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return false
	}
	family, sa := syscall.AF_INET6, syscall.Sockaddr(&syscall.SockaddrInet6{Port: a.Port, Addr: a.AddrPort().Addr().As16()})
	if ip := a.AddrPort().Addr().Unmap(); ip.Is4() {
		family, sa = syscall.AF_INET, &syscall.SockaddrInet4{Port: a.Port, Addr: ip.As4()}
	}
	fd, err := syscall.Socket(family, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer syscall.Close(fd)
	syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
	return syscall.Bind(fd, sa) == syscall.EADDRINUSE
}

// follow reloads the site when a file of its configuration or of its Lua changes, to the end of the process.
func (s *runSite) follow() {
	roots, kinds := []string{s.dir}, []string{".conf", ".lua"}
	if text, err := os.ReadFile(filepath.Join(s.dir, app.DefaultConfig)); err == nil && strings.Contains(string(text), siteLive) {
		kinds = kinds[:1] // Lua is read for each request
	}
	for last := watch.Stamp(roots, kinds...); ; {
		time.Sleep(watch.Pause)
		if now := watch.Stamp(roots, kinds...); now != last {
			last = now
			syscall.Kill(os.Getpid(), syscall.SIGHUP)
		}
	}
}

// reloaded tells what came of a reload; the server goes on with what it had when the new configuration is wrong.
func (s *runSite) reloaded(err error) {
	if err == nil {
		fmt.Fprintln(s.out, "Files have changed: reloaded.")
		return
	}
	fmt.Fprintf(s.out, "Files have changed, and cannot be used: %s\n", err)
	var placed *conf.Error
	if errors.As(err, &placed) && placed.Advice() != "" {
		fmt.Fprintf(s.out, "    %s\n", placed.Advice())
	}
}

// runSite is what to serve.
type runSite struct {
	program string // as it was called
	listen  string // -l
	dir     string
	text    string // configuration without a file
	made    bool   // dir is a copy made now
	builtIn bool
	files   bool
	out     *os.File // the terminal: descriptor 2 becomes the error log
}

// prepare finds or makes the site; clean removes what is not to stay.
func (s *runSite) prepare(dir string) (clean func(), err error) {
	clean = func() {}
	if dir == "" {
		if s.dir, err = os.MkdirTemp("", "moongate-run-"); err != nil {
			return nil, err
		}
		tmp := s.dir
		clean = func() { os.RemoveAll(tmp) }
		s.builtIn = true
		if err := s.unpack(false); err != nil {
			clean()
			return nil, err
		}
		return clean, nil
	}
	if s.dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(s.dir)
	switch {
	case os.IsNotExist(err) || err == nil && len(entries) == 0:
		s.made = true
		return clean, s.unpack(true)
	case err != nil:
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(s.dir, app.DefaultConfig)); err == nil {
		if s.listen != "" {
			return nil, fmt.Errorf("-l is for new sites: %s says where to listen", filepath.Join(dir, app.DefaultConfig))
		}
		return clean, os.MkdirAll(filepath.Join(s.dir, "logs"), 0o755)
	}
	return s.serveFiles()
}

// unpack copies the built-in site into dir; live is for a copy that stays.
func (s *runSite) unpack(live bool) error {
	if s.listen == "" {
		s.listen = siteListen
	}
	change := []string{siteListen, s.listen, siteProgram, "set $program " + quote(s.program) + ";"}
	if live {
		change = append(change, siteCached, siteLive)
	}
	changed := strings.NewReplacer(change...)
	site, err := fs.Sub(examples.Hello, "hello")
	if err != nil {
		return err
	}
	err = fs.WalkDir(site, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		to := filepath.Join(s.dir, name)
		if e.IsDir() {
			return os.MkdirAll(to, 0o755)
		}
		b, err := fs.ReadFile(site, name)
		if err != nil {
			return err
		}
		if name == app.DefaultConfig {
			b = []byte(changed.Replace(string(b)))
		}
		return os.WriteFile(to, b, 0o644)
	})
	if err != nil {
		return err
	}
	return os.MkdirAll(filepath.Join(s.dir, "logs"), 0o755)
}

// plainFiles is the configuration for a folder without one.
const plainFiles = `error_log stderr warn;
pid %s/nginx.pid;
events { }
http {
    access_log off;
    client_body_temp_path %s/body;
    server {
        listen %s;
        root %s;
        location / { index index.html; }
    }
}
`

func (s *runSite) serveFiles() (clean func(), err error) {
	if s.listen == "" {
		s.listen = siteListen
	}
	tmp, err := os.MkdirTemp("", "moongate-run-")
	if err != nil {
		return nil, err
	}
	s.files = true
	s.text = fmt.Sprintf(plainFiles, tmp, tmp, s.listen, quote(s.dir))
	return func() { os.RemoveAll(tmp) }, nil
}

// announce says what is served, and what to try.
func (s *runSite) announce() {
	fmt.Fprintln(s.out, s.announcement())
	if !s.builtIn && !s.files {
		go s.follow()
	}
}

func (s *runSite) announcement() string {
	url := "http://" + s.listen
	head := "Moongate " + version.Moongate + " serves "
	switch {
	case s.builtIn:
		return fmt.Sprintf(`%sa built-in site until Ctrl-C. Open %s/ or try

    curl '%s/hello?name=Ann'
    %s run mysite      # a copy of the site to edit: changes of its Lua are live`, head, url, url, s.program)
	case s.made:
		return fmt.Sprintf(`%s%s, a new copy of the built-in site, until Ctrl-C. Open %s/ or try

    curl '%s/hello?name=Ann'
    edit %s and ask again: changes of Lua are live`, head, s.dir, url, url, filepath.Join(s.dir, "lua/hello.lua"))
	case s.files:
		return fmt.Sprintf("%sthe files in %s on %s/ until Ctrl-C.", head, s.dir, url)
	}
	return fmt.Sprintf("%s%s%s until Ctrl-C.", head, filepath.Join(s.dir, app.DefaultConfig), s.where())
}

// where says which ports of this machine the configuration file names, as addresses to open.
func (s *runSite) where() string {
	text, err := os.ReadFile(filepath.Join(s.dir, app.DefaultConfig))
	if err != nil {
		return ""
	}
	var urls []string
	for _, m := range listens.FindAllStringSubmatch(string(text), -1) {
		url := "http://127.0.0.1:" + m[1] + "/"
		if strings.Contains(m[0], " ssl") {
			url = "https://localhost:" + m[1] + "/"
		}
		if !slices.Contains(urls, url) {
			urls = append(urls, url)
		}
	}
	if len(urls) == 0 {
		return ""
	}
	return " on " + strings.Join(urls, ", ")
}

// quote makes a word of the configuration language.
func quote(s string) string {
	b := []byte{'"'}
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' || s[i] == '$' {
			b = append(b, '\\')
		}
		b = append(b, s[i])
	}
	return string(append(b, '"'))
}
