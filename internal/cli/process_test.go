package cli

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

const (
	head    = "events { }\nerror_log logs/error.log notice;\nfake_listen SOCK;\nfake_reply one;\n"
	fore    = "daemon off;\n" + head
	forking = fore
	alone   = "master_process off;\n" + fore
)

func TestForeground(t *testing.T) {
	for name, config := range map[string]string{"master": forking, "single": alone} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, config).start()
			if got := s.ask("reply"); got != "one" {
				t.Errorf("reply %q", got)
			}
			if self := s.ask("pid") == strconv.Itoa(s.pid()); self != (name == "single") {
				t.Errorf("served by the process itself: %v", self)
			}
			if s.ask("print from the runtime"); !strings.Contains(s.read("logs/error.log"), "from the runtime\n") {
				t.Error("stderr is not the log")
			}
			s.signal(syscall.SIGTERM)
			if code := s.ended(); code != 0 {
				t.Errorf("exit code %d", code)
			}
			if s.pid() != 0 || exists(s.path("s")) {
				t.Error("pid file or socket stay")
			}
			if out := s.stderr.String(); out != "" {
				t.Errorf("stderr %q", out)
			}
			s.logged("signal 15 (SIGTERM) received, exiting")
			s.logged("]  exit"[2:])
			s.noAlerts()
		})
	}
}

func exists(name string) bool { _, err := os.Lstat(name); return err == nil }

func TestDaemon(t *testing.T) {
	for name, config := range map[string]string{"master": head, "single": "master_process off;\n" + head} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, config+"fake_warning;\n").daemon()
			// It listens as soon as the command has returned.
			if got := s.ask("reply"); got != "one" {
				t.Errorf("reply %q", got)
			}
			if sid, _, _ := syscall.RawSyscall(syscall.SYS_GETSID, uintptr(s.pid()), 0, 0); int(sid) != s.pid() {
				t.Errorf("session %d of process %d", sid, s.pid())
			}
			if n := strings.Count(s.read("logs/error.log"), "[warn]"); n != 1 {
				t.Errorf("%d warnings logged", n)
			}
			pid := s.pid()
			s.signal(syscall.SIGQUIT)
			s.eventually("the end", func() bool { return !exists(s.path("logs/nginx.pid")) && gone(pid) })
			s.noAlerts()
		})
	}
}

// gone reports whether a process has ended with all its threads, reaped or not.
func gone(pid int) bool {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return true
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	const state, threads = 0, 17
	f := strings.Fields(rest)
	return f[state] == "Z" && f[threads] <= "1"
}

func TestStartFailures(t *testing.T) {
	for name, tt := range map[string]struct{ config, message string }{
		"unknown":  {"a;", "unknown directive \"a\" in DIR/conf/nginx.conf:6"},
		"init":     {"fake_init_error broken;", "broken"},
		"fault":    {"fake_init_error fault;", "init_by_lua error (13: Permission denied)"},
		"bind":     {"fake_listen unix:/nowhere/s;", "bind() to unix:/nowhere/s failed (2: No such file or directory)"},
		"log":      {"error_log /nowhere/e.log;", `open() "/nowhere/e.log" failed (2: No such file or directory)`},
		"path":     {"fake_path no/where;", `mkdir() "DIR/no/where" failed (2: No such file or directory)`},
		"pid":      {"pid no/pid;", `open() "DIR/no/pid" failed (2: No such file or directory)`},
		"few":      {"fake_listen unix:DIR/b; events { worker_connections 2; }", "2 worker_connections are not enough for 2 listening sockets"},
		"noevents": {"", `no "events" section in configuration`},
	} {
		for mode, first := range map[string]string{
			"daemon": "", "daemon single": "master_process off;", "master": "daemon off;", "single": "daemon off; master_process off;",
		} {
			t.Run(name+" "+mode, func(t *testing.T) {
				config := first + "\n" + head + tt.config
				if name == "few" || name == "noevents" {
					config = strings.Replace(config, "events { }", "", 1)
				}
				s := newSite(t, config)
				_, stderr, code := s.command()
				stderr, _, _ = strings.Cut(stderr, "moongate: ") // advice may follow
				level := "emerg"
				if name == "fault" {
					level = "error"
				}
				if want := "nginx: [" + level + "] " + tt.message + "\n"; code != 1 && code != 2 || stderr != want && level == "emerg" {
					t.Errorf("exit code %d, stderr %q, want %q", code, stderr, want)
				}
				log := strings.ReplaceAll(s.read("logs/error.log"), s.dir, "DIR")
				if !strings.Contains(log, "["+level+"] ") || !strings.Contains(log, ": "+tt.message+"\n") {
					t.Errorf("log %q", log)
				}
				if strings.Count(log, tt.message) != 1 || strings.Contains(log, "[alert]") {
					t.Errorf("log %q", log)
				}
				if exists(s.path("s")) || exists(s.path("logs/nginx.pid")) {
					t.Error("socket or pid file stay")
				}
			})
		}
	}
}

func TestReload(t *testing.T) {
	for name, config := range map[string]string{"master": forking, "single": alone} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, config).start()
			before := s.ask("pid")
			kept := s.dial("s")

			s.write("conf/nginx.conf", strings.ReplaceAll(config, "one", "two")+"fake_listen unix:DIR/t; error_log logs/more.log;")
			s.signal(syscall.SIGHUP)
			s.eventually("the new answer", func() bool { return s.ask("reply") == "two" })
			s.eventually("the new socket", func() bool { return exists(s.path("t")) })
			if got := s.dial("t").ask("reply"); got != "two" {
				t.Errorf("reply %q on the new socket", got)
			}
			if got := kept.ask("reply"); got != "two" {
				t.Errorf("reply %q on the old connection", got)
			}
			if s.ask("log to both"); !strings.Contains(s.read("logs/more.log"), "to both\n") {
				t.Error("the new log file is not written")
			}
			if got := s.ask("pid"); got != before {
				t.Errorf("served by %s, before by %s", got, before)
			}

			for _, bad := range []struct{ text, message string }{
				{"a;", `unknown directive "a" in `},
				{"fake_reload_error no;", "[emerg] "},
				{"fake_listen unix:/nowhere/s;", "bind() to unix:/nowhere/s failed (2:"},
			} {
				s.write("logs/error.log", "")
				s.write("conf/nginx.conf", strings.ReplaceAll(config, "one", "bad")+bad.text)
				s.signal(syscall.SIGHUP)
				s.logged(bad.message)
				if got := s.ask("reply"); got != "two" {
					t.Errorf("reply %q after %s", got, bad.text)
				}
			}
			s.write("logs/error.log", "")
			s.write("conf/nginx.conf", strings.ReplaceAll(config, "one", "three")+"pid logs/other.pid;")
			s.signal(syscall.SIGHUP)
			s.eventually("the third answer", func() bool { return s.ask("reply") == "three" })
			s.eventually("the new pid file", func() bool {
				return strings.TrimSpace(s.read("logs/other.pid")) == strconv.Itoa(s.cmd.Process.Pid) && s.pid() == 0
			})
			s.eventually("end of the second socket", func() bool { return !exists(s.path("t")) })
			s.cmd.Process.Signal(syscall.SIGTERM)
			s.ended()
			if exists(s.path("logs/other.pid")) {
				t.Error("the pid file stays")
			}
			s.noAlerts()
		})
	}
}

func TestReopen(t *testing.T) {
	for name, config := range map[string]string{"master": forking, "single": alone} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, config).start()
			s.ask("log before")
			os.Rename(s.path("logs/error.log"), s.path("logs/old.log"))
			s.signal(syscall.SIGUSR1)
			s.eventually("the new file", func() bool {
				return s.ask("log after") == "logged" && strings.Contains(s.read("logs/error.log"), "after\n")
			})
			if !strings.Contains(s.read("logs/old.log"), "before\n") {
				t.Error("the old file has lost a line")
			}
			s.eventually("stderr too", func() bool {
				return s.ask("print to stderr") == "printed" && strings.Contains(s.read("logs/error.log"), "to stderr\n")
			})
			s.noAlerts()
		})
	}
}

func TestGracefulQuit(t *testing.T) {
	s := newSite(t, forking).start()
	idle, busy := s.dial("s"), s.dial("s")
	idle.ask("reply")
	busy.ask("hold")
	s.signal(syscall.SIGQUIT)
	idle.closed()
	s.logged("gracefully shutting down")
	s.eventually("no listening", func() bool { return !exists(s.path("s")) })
	if got := busy.ask("reply"); got != "one" {
		t.Errorf("reply %q", got)
	}
	busy.closed()
	if code := s.ended(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	s.logged("exited with code 0")
	s.noAlerts()
}

func TestShutdownTimeout(t *testing.T) {
	s := newSite(t, forking+"worker_shutdown_timeout 10ms;").start()
	busy := s.dial("s")
	busy.ask("hold")
	s.signal(syscall.SIGQUIT)
	busy.closed()
	s.ended()
	s.noAlerts()
}

func TestTerminateWhileQuitting(t *testing.T) {
	s := newSite(t, forking).start()
	busy := s.dial("s")
	busy.ask("hold")
	s.signal(syscall.SIGQUIT)
	s.logged("gracefully shutting down")
	s.signal(syscall.SIGTERM)
	busy.closed()
	if code := s.ended(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestWorkerIsReplaced(t *testing.T) {
	s := newSite(t, forking).start()
	first := s.ask("pid")
	waiting := s.dial("s")
	// A configuration broken meanwhile must not matter.
	s.write("conf/nginx.conf", "broken")
	c := s.dial("s")
	c.Write([]byte("die\n"))
	c.closed()
	waiting.closed()
	second := s.ask("pid") // waits in the socket's queue meanwhile
	if second == first || s.ask("reply") != "one" {
		t.Errorf("served by %s, then %s", first, second)
	}
	s.logged("worker process " + first + " exited on signal 9")
	s.logged("start worker process " + second)
	s.signal(syscall.SIGTERM)
	s.ended()
}

func TestSignalsToTheWorker(t *testing.T) {
	s := newSite(t, forking).start()
	first, err := strconv.Atoi(s.ask("pid"))
	if err != nil || first == 0 {
		t.Fatal(first, err)
	}
	syscall.Kill(first, syscall.SIGHUP)
	s.logged("signal 1 (SIGHUP) received, ignoring")
	syscall.Kill(first, syscall.SIGQUIT)
	s.logged("worker process " + strconv.Itoa(first) + " exited with code 0")
	if s.ask("pid") == strconv.Itoa(first) {
		t.Error("the worker that has ended still serves")
	}
}

func TestWorkerEndsWithItsSupervisor(t *testing.T) {
	s := newSite(t, forking).start()
	worker, _ := strconv.Atoi(s.ask("pid"))
	s.cmd.Process.Kill()
	s.ended()
	s.eventually("the end of the worker", func() bool { return gone(worker) })
}

func TestEnvironment(t *testing.T) {
	t.Setenv("MG_KEPT", "kept value")
	t.Setenv("MG_DROPPED", "1")
	t.Setenv("TZ", "UTC")
	for name, config := range map[string]string{"master": forking, "single": alone} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, config+"env MG_KEPT; env MG_SET=x=y; env MG_ABSENT;").start()
			if got := s.ask("env"); got != "MG_KEPT=kept value MG_SET=x=y TZ=UTC" {
				t.Errorf("environment %q", got)
			}
		})
	}
}

func TestWorkersAndReusePort(t *testing.T) {
	s := newSite(t, "daemon off; events {} worker_processes 3; fake_listen SOCK; fake_listen 127.0.0.1:0 reuseport;").start()
	if got := s.ask("workers"); got != "3 4" {
		t.Errorf("workers and sockets: %s", got)
	}
}

func TestUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root may change to another account")
	}
	s := newSite(t, forking).start()
	if got := s.ask("uid"); strings.Contains(" "+got+" ", " 0 ") {
		t.Errorf("uid, gid, euid: %s", got)
	}
	// Reopening as that account works after the supervisor made the file its own.
	os.Remove(s.path("logs/error.log"))
	s.signal(syscall.SIGUSR1)
	s.eventually("the new log", func() bool {
		return s.ask("log x") == "logged" && strings.Contains(s.read("logs/error.log"), "x\n")
	})
	// A reload needs nothing that only root can read.
	os.Chmod(s.path("conf"), 0o700)
	os.Chmod(s.path("conf/nginx.conf"), 0o600)
	s.write("conf/more.conf", "fake_reply two;")
	os.Chmod(s.path("conf/more.conf"), 0o600)
	s.write("conf/nginx.conf", strings.Replace(forking, "fake_reply one;", "include m*.conf;", 1)+"error_log logs/root.log;")
	s.signal(syscall.SIGHUP)
	s.eventually("the new answer", func() bool { return s.ask("reply") == "two" })
	s.noAlerts()
}

// TestOpen: a worker gets files that only root may open, if the configuration was read from them and nobody else can
// have exchanged them.
func TestOpen(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root may change to another account")
	}
	s := newSite(t, strings.Replace(forking, "fake_reply one;", "include own/a*.conf;", 1))
	os.Chmod(s.dir, 0o777|os.ModeSticky)
	os.Mkdir(s.path("own"), 0o700)
	os.Chmod(s.path("conf"), 0o755)
	os.Rename(s.path("own"), s.path("conf/own"))
	own := s.path("conf/own")
	s.write("conf/own/a.conf", "fake_reply one;")
	s.write("conf/own/other", "secret")
	s.start()
	for _, c := range []struct {
		name, want string
		before     func()
	}{
		{"a.conf", "fake_reply one;", func() {}},
		{"a.conf", "fake_reply two;", func() { s.write("conf/own/a.conf", "fake_reply two;") }},
		{"other", "permission denied", func() {}},
		{"../own/a.conf", "permission denied", func() {}},
		{"a.conf", "permission denied", func() { os.Chmod(own, 0o777) }},
		{"a.conf", "secret", func() {
			os.Chmod(own, 0o711)
			os.Remove(own + "/a.conf")
			os.Symlink("other", own+"/a.conf")
		}},
		{"a.conf", "permission denied", func() { os.Lchown(own+"/a.conf", 65534, 65534) }},
		{"a.conf", "no such file or directory", func() {
			os.Remove(own + "/a.conf")
			os.Symlink("none", own+"/a.conf")
		}},
	} {
		c.before()
		if got := s.ask("open " + own + "/" + c.name); !strings.HasSuffix(got, c.want) {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	s.signal(syscall.SIGHUP)
	s.eventually("the reload to fail", func() bool { return strings.Contains(s.read("logs/error.log"), "[emerg]") })
	if got := s.ask("reply"); got != "one" {
		t.Error(got)
	}
}

func TestBinaryUpgrade(t *testing.T) {
	s := newSite(t, head).daemon()
	old := s.pid()
	oldWorker := s.ask("pid")
	s.signal(syscall.SIGUSR2)
	s.eventually("the new binary", func() bool { return exists(s.path("logs/nginx.pid.oldbin")) })
	young := s.another(old)
	t.Cleanup(func() { syscall.Kill(young, syscall.SIGKILL) })

	// While both run, neither starts a third.
	s.signal(syscall.SIGUSR2)
	s.logged("the changing binary signal is ignored: you should shutdown or terminate before either old or new binary's process")

	// The old one can let the new one serve alone, and take back over.
	syscall.Kill(old, syscall.SIGWINCH)
	s.logged("worker process " + oldWorker + " exited with code 0")
	for range 4 {
		if got := s.ask("pid"); got == oldWorker {
			t.Fatal("the old worker still serves")
		}
	}
	syscall.Kill(young, syscall.SIGTERM)
	s.eventually("the pid file back", func() bool {
		return !exists(s.path("logs/nginx.pid.oldbin")) && s.pid() == old
	})
	if !exists(s.path("s")) {
		t.Fatal("the socket went with the new binary")
	}
	if got := s.ask("reply"); got != "one" {
		t.Errorf("reply %q from the old binary", got)
	}

	// Once more, and this time for good.
	s.signal(syscall.SIGUSR2)
	s.eventually("the new binary", func() bool { return exists(s.path("logs/nginx.pid.oldbin")) })
	young2 := s.another(old)
	t.Cleanup(func() { syscall.Kill(young2, syscall.SIGKILL) })
	syscall.Kill(old, syscall.SIGQUIT)
	s.eventually("the end of the old binary", func() bool { return !exists(s.path("logs/nginx.pid.oldbin")) && gone(old) })
	if !exists(s.path("s")) || s.pid() != young2 {
		t.Fatal("the old binary took the socket or the pid file along")
	}
	if got := s.ask("reply"); got != "one" {
		t.Errorf("reply %q from the new binary", got)
	}
	s.signal(syscall.SIGTERM)
	s.eventually("the end", func() bool { return gone(young2) && !exists(s.path("s")) })
}

// TestBootLogAlert: that the file of -e cannot be opened is said once, whatever number of processes a start takes.
func TestBootLogAlert(t *testing.T) {
	s := newSite(t, head)
	_, stderr, code := s.command("-e", "no/e.log")
	if n := strings.Count(stderr, "could not open error log file"); code != 0 || n != 1 {
		t.Errorf("exit code %d, %d alerts: %s", code, n, stderr)
	}
	pid := s.pid()
	s.signal(syscall.SIGTERM)
	s.eventually("the end", func() bool { return gone(pid) })
}
