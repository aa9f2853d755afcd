package runner

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"

	"moongate/internal/testkit/poll"
	"moongate/internal/testkit/report"
	"moongate/internal/testkit/server"
)

// standins are servers that a mock section makes: a process of its own with a server block for each address, on a free port.
// Where the configuration under test has the address, the port is written instead.
type standins struct {
	root  server.Root
	proc  *server.Process
	ports []int
}

// renames are addresses and what is written in their place.
type renames []renaming

type renaming struct {
	re *regexp.Regexp
	to string
}

// rename replaces an address by a port of this machine: where it stands by itself, and where it is two arguments in Lua,
// connect("host", 6379).
func rename(name string, port int) renames {
	number := strconv.Itoa(port)
	host, service, split := strings.Cut(name, ":")
	if !split {
		return renames{{regexp.MustCompile(`(^|[^\w.-])` + regexp.QuoteMeta(name) + `($|[^\w.:-])`), "${1}127.0.0.1:" + number + "${2}"}}
	}
	return renames{
		{regexp.MustCompile(`(^|[^\w.-])` + regexp.QuoteMeta(name) + `($|[^\d])`), "${1}127.0.0.1:" + number + "${2}"},
		{regexp.MustCompile(`(["'])` + regexp.QuoteMeta(host) + `(["']\s*,\s*)` + regexp.QuoteMeta(service) + `\b`), "${1}127.0.0.1${2}" + number},
	}
}

// Replace replaces the addresses of a text.
func (r renames) Replace(text string) string {
	for _, one := range r {
		text = one.re.ReplaceAllString(text, one.to)
	}
	return text
}

// renameStreams gives the stand-ins of tcp_listen and udp_listen free ports, where these sections name an address of the
// configuration.
func (t *test) renameStreams() error {
	t.mocked = nil
	for _, section := range []string{"tcp_listen", "udp_listen"} {
		name := strings.TrimSpace(t.text(section))
		if !strings.Contains(name, ":") || strings.HasSuffix(name, ".sock") {
			continue
		}
		port, err := t.f.r.ports.Get()
		if err != nil {
			return err
		}
		t.rand[section] = port // given back with the block's others
		t.values[section] = strconv.Itoa(port)
		t.mocked = append(t.mocked, rename(name, port)...)
	}
	return nil
}

// startStandins starts the servers of the mock section.
func (t *test) startStandins() error {
	text, err := t.expand(t.text("mock"))
	if err != nil {
		return err
	}
	s := &standins{root: server.Root(filepath.Join(t.f.dir, "mocks"))}
	t.f.standins = s
	var servers strings.Builder
	parts := strings.Split("\n"+text, "\n>>> ")
	servers.WriteString(parts[0] + "\n") // of the http block
	for _, part := range parts[1:] {
		head, body, _ := strings.Cut(part, "\n")
		words := strings.Fields(head)
		if len(words) == 0 {
			return fmt.Errorf("section mock: >>> without an address")
		}
		port, err := t.f.r.ports.Get()
		if err != nil {
			return err
		}
		s.ports = append(s.ports, port)
		fmt.Fprintf(&servers, "log_format m%d '%s $request_method $request_uri';\nserver { listen 127.0.0.1:%d %s; access_log logs/requests.log m%d;\n%s\n}\n",
			port, strings.ReplaceAll(words[0], "'", ""), port, strings.Join(words[1:], " "), port, body)
		t.mocked = append(t.mocked, rename(words[0], port)...)
	}
	if len(s.ports) == 0 {
		return fmt.Errorf("section mock has no address: a line >>> host:port begins each server")
	}
	return t.launchStandins(servers.String())
}

func (t *test) launchStandins(servers string) error {
	s := t.f.standins
	if err := s.root.Reset(); err != nil {
		return err
	}
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;"
	}
	prefix := t.f.site
	if prefix == "" {
		prefix = t.f.r.opts.Dir
	}
	conf := fmt.Sprintf("daemon off; master_process off; pid %s; error_log %s info; %s events { }\nhttp {\ndefault_type text/plain;\n%s}\n",
		s.root.PidFile(), s.root.ErrorLog(), user, servers)
	if strings.Contains(t.f.r.binary.Output, "moongate") || strings.Contains(conf, "_by_lua") {
		conf = strings.Replace(conf, "http {\n", "http {\nlua_package_path '"+prefix+"/lua/?.lua;;';\n", 1)
	}
	if err := os.WriteFile(s.root.ConfFile(), []byte(conf), 0o644); err != nil {
		return err
	}
	l := &server.Launch{Binary: t.f.r.binary, Root: s.root, Dir: t.f.r.opts.Dir, Env: t.environ()}
	var err error
	s.proc, err = l.Start()
	return err
}

// stop ends the servers.
func (s *standins) stop(ports *server.Ports) {
	if s == nil {
		return
	}
	if s.proc != nil {
		s.proc.Stop(syscall.SIGTERM, stopGrace)
	}
	for _, p := range s.ports {
		ports.Put(p)
	}
}

// checkStandins compares the requests that came with the mock_requests section.
func (t *test) checkStandins(repeat int) {
	v, ok := t.get("mock_requests")
	if !ok || t.f.standins == nil {
		return
	}
	want := strings.Repeat(strings.TrimRight(fmt.Sprint(v), "\n")+"\n", repeat+1)
	if strings.TrimSpace(want) == "" {
		want = ""
	}
	var got string
	poll.Until(t.f.r.opts.Log.Wait, func() bool {
		text, _ := os.ReadFile(filepath.Join(t.f.standins.root.Logs(), "requests.log"))
		got = string(text)
		return got == want
	})
	t.add(report.Assert{Name: "mock_requests ok", OK: got == want, Diag: report.Diff(want, got)})
}
