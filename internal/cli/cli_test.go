package cli

import (
	"os"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"moongate/internal/app"
)

func TestParse(t *testing.T) {
	for line, want := range map[string]options{
		"":                      {},
		"-p /x -c y -e z -g w":  {Options: app.Options{Prefix: "/x", Config: "y", ErrorLog: "z", Global: "w"}},
		"-p/x -cy -estderr -gw": {Options: app.Options{Prefix: "/x", Config: "y", ErrorLog: "stderr", Global: "w"}},
		"-tqp /x":               {Options: app.Options{Prefix: "/x", Test: true, Quiet: true}},
		"-T":                    {Options: app.Options{Test: true, Dump: true}},
		"-s reload":             {Options: app.Options{Signal: "reload"}},
		"-squit":                {Options: app.Options{Signal: "quit"}},
		"-V -t":                 {Options: app.Options{Test: true}, version: true, configure: true},
		"-?":                    {version: true, help: true},
		"-hv":                   {version: true, help: true},
	} {
		o, err := parse(append([]string{"moongate"}, strings.Fields(line)...))
		if err != nil || !reflect.DeepEqual(*o, want) {
			t.Errorf("%q: %+v %v", line, o, err)
		}
	}
	for line, want := range map[string]string{
		"x":      `invalid option: "x"`,
		"-x":     `invalid option: "x"`,
		"-tx":    `invalid option: "x"`,
		"-p":     `option "-p" requires directory name`,
		"-e":     `option "-e" requires file name`,
		"-c":     `option "-c" requires file name`,
		"-g":     `option "-g" requires parameter`,
		"-s":     `option "-s" requires parameter`,
		"-s die": `invalid option: "-s die"`,
		"--help": `invalid option: "-"`,
	} {
		if _, err := parse(append([]string{"moongate"}, strings.Fields(line)...)); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", line, err, want)
		}
	}
}

func TestAdvice(t *testing.T) {
	const lists = `"moongate -h" lists the options, "moongate help" the commands`
	for line, want := range map[string]string{
		"-x":         lists,
		"site":       lists,
		"tset -q":    `did you mean "moongate test"?`,
		"start":      "options without a command start the server: moongate -p DIR/ -c conf/nginx.conf",
		"restart":    "a running server is told by -s: moongate -p DIR/ -c conf/nginx.conf -s reload",
		"quit":       "a running server is told by -s: moongate -p DIR/ -c conf/nginx.conf -s quit",
		"nginx.conf": "a configuration is named by -c: moongate -c nginx.conf",
	} {
		if got := advice(strings.Fields(line)); got != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
}

func TestVersion(t *testing.T) {
	s := newSite(t, "")
	_, v, code := s.command("-v")
	if code != 0 || !regexp.MustCompile(`^nginx version: nginx/\d+\.\d+\.\d+ \(moongate [\d.]+\)\n$`).MatchString(v) {
		t.Errorf("-v: %d %q", code, v)
	}
	_, v, code = s.command("-V")
	if code != 0 || !strings.HasSuffix(v, "\nconfigure arguments: --with-fake\n") {
		t.Errorf("-V: %d %q", code, v)
	}
	// What test-nginx looks for; greedy, so it takes the last version on the line.
	if m := regexp.MustCompile(`nginx version: .*/(\d)\.(\d+)(?:\.\d+)+`).FindStringSubmatch(v); m == nil || m[1] != "1" {
		t.Errorf("version of %q", v)
	}
	_, v, code = s.command("-h")
	if code != 0 || !strings.Contains(v, "\nUsage: ") || !strings.Contains(v, "-s signal") {
		t.Errorf("-h: %d %q", code, v)
	}
	if _, v, code = s.command("-x"); code != 1 || !strings.HasPrefix(v, "nginx: invalid option: \"x\"\nmoongate: ") {
		t.Errorf("-x: %d %q", code, v)
	}
}

func TestConfigTest(t *testing.T) {
	s := newSite(t, head+"include extra.conf;\n")
	s.write("conf/extra.conf", "fake_warning;")
	const ok = "nginx: the configuration file DIR/conf/nginx.conf syntax is ok\n"
	const good = "nginx: configuration file DIR/conf/nginx.conf test is successful\n"
	const warn = "nginx: [warn] a warning in DIR/conf/extra.conf:1\n"
	const failed = "nginx: configuration file DIR/conf/nginx.conf test failed\n"
	for _, tt := range []struct {
		args, config, stdout, stderr string
		code                         int
	}{
		{"-t", "", "", warn + ok + good, 0},
		{"-tq", "", "", warn, 0},
		{"-T", "", "# configuration file DIR/conf/nginx.conf:\nMAIN\n# configuration file DIR/conf/extra.conf:\nfake_warning;\n", warn + ok + good, 0},
		{"-t", "events { }\nx;", "", "nginx: [emerg] unknown directive \"x\" in DIR/conf/nginx.conf:2\n" + failed, 1},
		{"-tq", "x", "", "nginx: [emerg] unexpected end of file, expecting \";\" or \"}\" in DIR/conf/nginx.conf:1\nmoongate: is a \";\" missing behind the directive that begins in line 1?\n" + failed, 1},
		{"-t", " ", "", ok + "nginx: [emerg] no \"events\" section in configuration\nmoongate: a configuration needs \"events { }\", even an empty one, outside of \"http\"\n" + failed, 1},
		{"-t", "events {} fake_listen unix:/nowhere/x;", "", ok + "nginx: [emerg] bind() to unix:/nowhere/x failed (2: No such file or directory)\n" + failed, 1},
		{"-t", "events {} pid no/pid;", "", ok + "nginx: [emerg] open() \"DIR/no/pid\" failed (2: No such file or directory)\nmoongate: there is no folder DIR/no\n" + failed, 1},
		{"-t -c none.conf", "", "", "nginx: [emerg] open() \"DIR/none.conf\" failed (2: No such file or directory)\nnginx: configuration file DIR/none.conf test failed\n", 1},
		{"-t -g y;", "", "", "nginx: [emerg] unknown directive \"y\" in command line\n" + failed, 1},
	} {
		main := s.read("conf/nginx.conf")
		if tt.config != "" {
			s.write("conf/nginx.conf", tt.config)
		}
		stdout, stderr, code := s.command(strings.Fields(tt.args)...)
		want := strings.NewReplacer("DIR", s.dir, "MAIN", main).Replace(tt.stdout)
		if code != tt.code || stderr != tt.stderr || stdout != want {
			t.Errorf("%s %q: exit code %d\nstdout %q, want %q\nstderr %q, want %q", tt.args, tt.config, code, stdout, want, stderr, tt.stderr)
		}
		s.write("conf/nginx.conf", main)
	}
	if exists(s.path("s")) {
		t.Error("the socket stays")
	}
}

func TestErrorLogOption(t *testing.T) {
	s := newSite(t, "broken;")
	for args, file := range map[string]string{"-e own.log": "own.log", "": "logs/error.log"} {
		_, stderr, code := s.command(strings.Fields(args)...)
		if want := "nginx: [emerg] unknown directive \"broken\" in DIR/conf/nginx.conf:1\n"; stderr != want || code != 1 {
			t.Errorf("%q: %d %q", args, code, stderr)
		}
		log := s.read(file)
		if !regexp.MustCompile(`^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[emerg\] (\d+)#(\d+): unknown directive "broken" in /.*:1\n$`).MatchString(log) {
			t.Errorf("%q: %s has %q", args, file, log)
		}
	}
	// Without a file the lines go to stderr in the log's form.
	if _, stderr, _ := s.command("-e", "stderr"); !regexp.MustCompile(`^\d{4}/.* \[emerg\] \d+#\d+: unknown`).MatchString(stderr) || strings.Count(stderr, "\n") != 1 {
		t.Errorf("stderr %q", stderr)
	}
	if _, stderr, code := s.command("-e", "no/e.log"); code != 1 ||
		!strings.HasPrefix(stderr, "nginx: [alert] could not open error log file: open() \"DIR/no/e.log\" failed (2: No such file or directory)\n") ||
		strings.Count(stderr, "unknown directive") != 1 {
		t.Errorf("stderr %q", stderr)
	}
	s = newSite(t, fore+"error_log none/error.log;")
	if _, stderr, code := s.command(); code != 1 || !strings.Contains(stderr, "failed (2: No such file or directory)\nmoongate: there is no folder DIR/none\n") {
		t.Errorf("stderr %q", stderr)
	}
}

func TestSignalOption(t *testing.T) {
	s := newSite(t, fore)
	check := func(word, want string, code int) {
		t.Helper()
		if _, stderr, got := s.command("-s", word); stderr != want || got != code {
			t.Errorf("-s %s: %d %q, want %d %q", word, got, stderr, code, want)
		}
	}
	const pidFile = "DIR/logs/nginx.pid"
	check("stop", "nginx: [error] open() \""+pidFile+"\" failed (2: No such file or directory)\nmoongate: no server runs with this configuration\n", 1)
	s.write("logs/nginx.pid", "")
	check("stop", "nginx: [error] invalid PID number \"\" in \""+pidFile+"\"\n", 1)
	s.write("logs/nginx.pid", "12x\n")
	check("stop", "nginx: [error] invalid PID number \"12x\" in \""+pidFile+"\"\n", 1)
	dead := deadPID(t)
	s.write("logs/nginx.pid", strconv.Itoa(dead)+"\n")
	check("quit", "nginx: [alert] kill("+strconv.Itoa(dead)+", 3) failed (3: No such process)\nmoongate: no server runs with this configuration: what wrote \""+pidFile+"\" has gone\n", 1)
	os.Remove(s.path("logs/nginx.pid"))

	s.start()
	check("reopen", "", 0)
	s.logged("signal 10 (SIGUSR1) received, reopening logs")
	s.write("conf/nginx.conf", strings.ReplaceAll(fore, "one", "two"))
	check("reload", "", 0)
	s.eventually("the new answer", func() bool { return s.ask("reply") == "two" })
	check("stop", "", 0)
	if code := s.ended(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	s.logged("signal process started")
}

// deadPID is a number that no process has.
func deadPID(t *testing.T) int {
	for pid := 1 << 21; pid < 1<<22; pid++ {
		if syscall.Kill(pid, 0) == syscall.ESRCH {
			return pid
		}
	}
	t.Skip("every process number is taken")
	return 0
}
