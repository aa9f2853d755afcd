// Package plane is the contract between the life of the process (app) and what
// serves inside it, the data plane (engine). It holds types only, so that
// neither has to know the other.
//
// One Plane lives in one process. With a supervisor (master_process on) that
// is the worker process, else the only one. The calls come one at a time, in
// this order:
//
//	Init, Start, any number of Reload, then Quit or Stop (or Quit, then Stop)
//
// except that Stop may come while Quit has not returned, and Sockets may come
// at any time, also in a process that never calls Init.
package plane

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"time"

	"moongate/internal/base/nlog"
	"moongate/internal/conf"
)

// Plane serves what a configuration says.
type Plane interface {
	// Sockets lists what cfg listens on, in order of the configuration. The
	// supervisor asks too, and opens them while it is root.
	Sockets(cfg *conf.Config) []Socket

	// Init builds the first snapshot (init_by_lua runs here, still as root) but
	// serves nothing. Sockets, log files and directories are open.
	Init(p *Params) error

	// Start serves the snapshot of Init with p.Workers workers. Privileges have
	// been dropped. Everything that must have run before the first request has
	// run when it returns.
	Start() error

	// Reload builds a snapshot of p beside the running one and swaps: new
	// requests meet the new one. After an error the old one goes on as if
	// nothing had been. retired is called once, from any goroutine, when nothing
	// uses the old snapshot any more; its log files are closed then.
	// Sockets which p.Sockets no longer lists are left alone from now on; the
	// process closes them when Reload has returned.
	Reload(p *Params, retired func()) error

	// Quit stops accepting, closes the sockets and idle connections, and returns
	// when all others and the timers that keep a worker alive have ended. When
	// ctx ends before that, it closes what is left.
	Quit(ctx context.Context)

	// Stop drops every connection and returns when the workers have ended
	// (exit_worker_by_lua has run).
	Stop()
}

// Params is one load of the configuration, ready to serve.
type Params struct {
	Config      *conf.Config
	Sockets     []Socket     // those of the plane's Sockets, open
	Workers     int          // worker_processes; only Init heeds it
	Connections int          // worker_connections, for each worker
	Log         *nlog.Logger // of the process level
	Shutdown    time.Duration
	DebugConn   []DebugNet // debug_connection
	Worker      bool       // there is a supervisor: the parent process
	UID, GID    int        // the account served under; -1 when it stays the own one

	// Open opens a file that the configuration was read from, also one that only the supervisor may open; it blocks. Nil
	// without a supervisor.
	Open func(name string) (*os.File, error)
}

// DebugNet is one debug_connection: clients whose connections log debug lines
// whatever the level is.
type DebugNet struct {
	Unix bool
	Net  netip.Prefix
}

// ErrLogged says that the reason has been logged already.
var ErrLogged = errors.New("already logged")

// Fault is an error with a level of its own; every other error is logged as
// [emerg].
type Fault struct {
	Level nlog.Level
	Msg   string
	Err   error // system error number to append, or nil
}

// Error is the message as it is logged.
func (f *Fault) Error() string {
	if f.Err == nil {
		return f.Msg
	}
	return f.Msg + " " + nlog.ErrText(f.Err)
}
