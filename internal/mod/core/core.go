// Package core has the directives of the process level and of events{}: how
// many workers, under which account, with which limits. It only reads them;
// the process (app) acts on them. What concerns C nginx alone, such as event
// methods of other systems, is accepted and has no effect.
package core

import (
	"os"
	"runtime"
	"strings"
	"time"

	"moongate/internal/base/units"
	"moongate/internal/conf"
	"moongate/internal/plane"
)

// Config is the process level. It is complete once the configuration is
// loaded.
type Config struct {
	Daemon          conf.Opt[bool]
	Master          conf.Opt[bool]
	Workers         int // worker_processes
	Connections     int // worker_connections
	PID             conf.Opt[string]
	LockFile        conf.Opt[string]
	WorkDir         conf.Opt[string] // "" stays
	RlimitNofile    conf.Opt[int]
	RlimitCore      conf.Opt[int64]
	ShutdownTimeout conf.Opt[time.Duration]
	DebugPoints     conf.Opt[string]
	Priority        int
	Affinity        []CPUSet // empty: any processor
	AffinityAuto    bool
	User            *Account // nil unless root, who serves under another account
	Env             []string // "NAME" or "NAME=value"
	DebugConn       []plane.DebugNet
	Pools           []Pool

	TimerResolution  conf.Opt[time.Duration]
	PcreJIT          conf.Opt[bool]
	QuicBPF          conf.Opt[bool]
	CacheInheritable conf.Opt[bool]

	Use         string // "" is the system's best
	MultiAccept conf.Opt[bool]
	AcceptMutex conf.Opt[bool]
	AcceptDelay conf.Opt[time.Duration]
	EpollEvents conf.Opt[int]
	AIORequests conf.Opt[int]

	// Seen already, of directives with hand-written setters.
	eventsSeen, workersSet, connSet, userSet, engine bool
}

// Pool is a thread_pool.
type Pool struct {
	Name     string
	Threads  int
	MaxQueue int
}

var level = conf.NewLevel(conf.KindCore, func(c *Config) {
	c.Workers, c.Connections = 1, 512
}).OnInit(complete)

// Of returns the process level of a configuration.
func Of(cfg *conf.Config) *Config { return level.Of(cfg.Core) }

// OldPID is where the pid file goes while a new binary takes over.
func (c *Config) OldPID() string { return c.PID.V + ".oldbin" }

// slot stores a value at the process level.
func slot[V any](typ conf.Type[V], field func(*Config) *conf.Opt[V]) conf.Setter {
	return conf.Slot(level, typ, field)
}

// fn is a hand-written setter at the process level.
func fn(f func(c *conf.Cmd, t *Config) error) conf.Setter {
	return conf.Func(func(c *conf.Cmd) error { return f(c, level.Of(c.Scope)) })
}

// Module has the rows.
var Module = conf.Module{Name: "core", Directives: []conf.Directive{
	{Name: "daemon", In: conf.Main, Default: "on",
		Set: slot(conf.Flag, func(c *Config) *conf.Opt[bool] { return &c.Daemon }),
		Doc: "Detaches from the terminal. The command returns when the server listens."},
	{Name: "master_process", In: conf.Main, Default: "on",
		Set: slot(conf.Flag, func(c *Config) *conf.Opt[bool] { return &c.Master }),
		Doc: "Runs a supervisor that holds the listening sockets, acts on signals and restarts the process that serves. Off means one process does everything, for development."},
	{Name: "worker_processes", Syntax: "number | auto", In: conf.Main, Default: "1", Args: conf.Take1, Set: fn(setWorkers),
		Doc: "Number of workers. Each has a Lua VM, an event loop and connections of its own; they share one process. `auto` means one for each processor."},
	{Name: "user", Syntax: "user [group]", In: conf.Main, Default: "nobody nobody", Args: conf.Take12, Set: fn(setUser),
		Doc: "Account and group that the workers serve under when the server is started as root."},
	{Name: "pid", Syntax: "file", In: conf.Main, Default: "logs/nginx.pid",
		Set: slot(conf.Path, func(c *Config) *conf.Opt[string] { return &c.PID }),
		Doc: "File that holds the number of the process to send signals to."},
	{Name: "lock_file", Syntax: "file", In: conf.Main, Default: "logs/nginx.lock",
		Set: slot(conf.Path, func(c *Config) *conf.Opt[string] { return &c.LockFile }),
		Doc: "Accepted; no lock file is needed."},
	{Name: "env", Syntax: "variable[=value]", In: conf.Main, Default: "TZ", Args: conf.Take1, Set: fn(setEnv),
		Doc: "Keeps an environment variable for the workers, or sets it. All others but `TZ` are removed."},
	{Name: "working_directory", Syntax: "directory", In: conf.Main,
		Set: slot(conf.Str, func(c *Config) *conf.Opt[string] { return &c.WorkDir }),
		Doc: "Current directory of the workers: where core files go."},
	{Name: "worker_rlimit_nofile", In: conf.Main,
		Set: slot(conf.Number, func(c *Config) *conf.Opt[int] { return &c.RlimitNofile }),
		Doc: "Limit on open files (`RLIMIT_NOFILE`) of the process that serves."},
	{Name: "worker_rlimit_core", In: conf.Main,
		Set: slot(conf.Offset, func(c *Config) *conf.Opt[int64] { return &c.RlimitCore }),
		Doc: "Limit on the size of a core file (`RLIMIT_CORE`) of the process that serves."},
	{Name: "worker_priority", Syntax: "number", In: conf.Main, Default: "0", Args: conf.Take1, Set: fn(setPriority),
		Doc: "Scheduling priority of the workers, as with `nice`: -20 to 20."},
	{Name: "worker_cpu_affinity", Syntax: "cpumask ... | auto [cpumask]", In: conf.Main, Args: conf.OneMore, Set: fn(setAffinity),
		Doc: "Processors the workers may run on, as bit masks with processor 0 on the right. Workers share a process, so all of them may use the processors of all masks."},
	{Name: "worker_shutdown_timeout", In: conf.Main, Since: "1.11.11",
		Set: slot(conf.Msec, func(c *Config) *conf.Opt[time.Duration] { return &c.ShutdownTimeout }),
		Doc: "Longest time a graceful shutdown waits for connections before it closes them. Without it there is no limit."},
	{Name: "timer_resolution", In: conf.Main,
		Set: slot(conf.Msec, func(c *Config) *conf.Opt[time.Duration] { return &c.TimerResolution }),
		Doc: "Accepted; reading the time costs no system call."},
	{Name: "debug_points", In: conf.Main,
		Set: slot(conf.Enum(conf.Case("stop", "stop"), conf.Case("abort", "abort")), func(c *Config) *conf.Opt[string] { return &c.DebugPoints }),
		Doc: "Accepted; internal errors are logged with their stack."},
	{Name: "load_module", Syntax: "file", In: conf.Main, Since: "1.9.11", Args: conf.Take1, Set: fn(loadModule),
		Doc: "Accepted: modules of nginx cannot be loaded, the usual ones are built in."},
	{Name: "pcre_jit", In: conf.Main, Default: "off", Since: "1.1.12",
		Set: slot(conf.Flag, func(c *Config) *conf.Opt[bool] { return &c.PcreJIT }),
		Doc: "Compiles the regular expressions of the configuration to machine code."},
	{Name: "thread_pool", Syntax: "name threads=number [max_queue=number]", In: conf.Main, Since: "1.7.11",
		Default: "default threads=32 max_queue=65536", Args: conf.Take23, Set: fn(setPool),
		Doc: "Names a pool of threads for reading files. Accepted; such reads never hold up a worker."},
	{Name: "ssl_engine", Syntax: "device", In: conf.Main, Args: conf.Take1, Set: fn(setEngine),
		Doc: "Accepted with a warning: there are no OpenSSL engines."},
	{Name: "ssl_object_cache_inheritable", In: conf.Main, Default: "on", Since: "1.27.4",
		Set: slot(conf.Flag, func(c *Config) *conf.Opt[bool] { return &c.CacheInheritable }),
		Doc: "Lets certificates and keys that did not change survive a reload."},
	{Name: "quic_bpf", In: conf.Main, Default: "off", Since: "1.25.0",
		Set: slot(conf.Flag, func(c *Config) *conf.Opt[bool] { return &c.QuicBPF }),
		Doc: "Accepted; QUIC packets reach their connection without it."},
	{Name: "google_perftools_profiles", Syntax: "file", In: conf.Main, Args: conf.Take1, Set: conf.Ignore(),
		Doc: "Accepted; see the profiles of the Go runtime."},
}}

func setWorkers(c *conf.Cmd, t *Config) error {
	if t.workersSet {
		return c.Duplicate()
	}
	t.workersSet = true
	if c.Args[0] == "auto" {
		t.Workers = runtime.NumCPU()
		return nil
	}
	n, ok := units.Number(c.Args[0])
	if !ok {
		return c.Bad("invalid value")
	}
	t.Workers = int(n)
	return nil
}

func setUser(c *conf.Cmd, t *Config) error {
	if t.userSet {
		return c.Duplicate()
	}
	if os.Geteuid() != 0 {
		c.Warnf(`the "user" directive makes sense only if the master process runs with super-user privileges, ignored`)
		return nil
	}
	t.userSet = true
	var err error
	if t.User, err = lookup(c.Args[0], c.Args[len(c.Args)-1]); err != nil {
		return c.Errorf("%s", err)
	}
	return nil
}

func setEnv(c *conf.Cmd, t *Config) error {
	t.Env = append(t.Env, c.Args[0])
	return nil
}

func setPriority(c *conf.Cmd, t *Config) error {
	if t.Priority != 0 {
		return c.Duplicate()
	}
	s := c.Args[0]
	minus := strings.HasPrefix(s, "-")
	if minus || strings.HasPrefix(s, "+") {
		s = s[1:]
	}
	n, ok := units.Number(s)
	if !ok {
		return c.Bad("invalid number")
	}
	t.Priority = int(n)
	if minus {
		t.Priority = -t.Priority
	}
	return nil
}

func loadModule(c *conf.Cmd, _ *Config) error {
	if c.Scope.Children != nil {
		return c.Bad("is specified too late")
	}
	c.Noticef("load_module \"%s\" ignored: modules are built in", c.Args[0])
	return nil
}

func setPool(c *conf.Cmd, t *Config) error {
	p := Pool{Name: c.Args[0], MaxQueue: 65536}
	for _, have := range t.Pools {
		if have.Name == p.Name {
			return c.Errorf("duplicate thread pool \"%s\"", p.Name)
		}
	}
	for _, arg := range c.Args[1:] {
		name, value, _ := strings.Cut(arg, "=")
		n, ok := units.Number(value)
		switch name {
		case "threads":
			if p.Threads = int(n); !ok || n == 0 {
				return c.Errorf("invalid threads value \"%s\"", arg)
			}
		case "max_queue":
			if p.MaxQueue = int(n); !ok {
				return c.Errorf("invalid max_queue value \"%s\"", arg)
			}
		}
	}
	if p.Threads == 0 {
		return c.Errorf("\"%s\" must have \"threads\" parameter", c.Name)
	}
	t.Pools = append(t.Pools, p)
	return nil
}

func setEngine(c *conf.Cmd, t *Config) error {
	if t.engine {
		return c.Duplicate()
	}
	t.engine = true
	c.Warnf("\"ssl_engine\" is not supported, ignored")
	return nil
}

// Workers is the number of workers a configuration is served by.
func Workers(cfg *conf.Config) int {
	c := Of(cfg)
	if !c.Master.V {
		return 1 // as nginx: one process is one worker
	}
	return max(c.Workers, 1)
}
