package app

import (
	"os"
	"strconv"
	"syscall"
	"unsafe"

	"moongate/internal/base/nlog"
	"moongate/internal/mod/core"
)

const (
	prSetDumpable = 4
	prioProcess   = 0
)

// setLimits does what nginx does first in a worker, while it is root.
func setLimits(c *core.Config, log *nlog.Logger) {
	if n := c.Priority; n != 0 {
		eachThread(func(tid int) {
			if err := syscall.Setpriority(prioProcess, tid, n); err != nil {
				log.Logf(nlog.Alert, nil, err, "setpriority(%d) failed", n)
			}
		})
	}
	if c.RlimitNofile.IsSet {
		n := uint64(c.RlimitNofile.V)
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: n, Max: n}); err != nil {
			log.Logf(nlog.Alert, nil, err, "setrlimit(RLIMIT_NOFILE, %d) failed", n)
		}
	}
	if c.RlimitCore.IsSet {
		n := uint64(c.RlimitCore.V)
		if err := syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{Cur: n, Max: n}); err != nil {
			log.Logf(nlog.Alert, nil, err, "setrlimit(RLIMIT_CORE, %d) failed", n)
		}
	}
	if set := c.Processors(); set != nil {
		eachThread(func(tid int) {
			_, _, no := syscall.RawSyscall(syscall.SYS_SCHED_SETAFFINITY, uintptr(tid), unsafe.Sizeof(*set), uintptr(unsafe.Pointer(set)))
			if no != 0 {
				log.Log(nlog.Alert, nil, no, "sched_setaffinity() failed")
			}
		})
	}
}

// dropPrivileges makes the process the account's, for good, and allows core
// files again, which that forbids.
func dropPrivileges(c *core.Config, log *nlog.Logger) bool {
	if c.User != nil && os.Geteuid() == 0 {
		if op, err := c.User.Assume(); err != nil {
			log.Logf(nlog.Emerg, nil, err, "%s failed", op)
			return false
		}
	}
	if _, _, no := syscall.RawSyscall(syscall.SYS_PRCTL, prSetDumpable, 1, 0); no != 0 {
		log.Log(nlog.Alert, nil, no, "prctl(PR_SET_DUMPABLE) failed")
	}
	if dir := c.WorkDir.V; dir != "" {
		if err := syscall.Chdir(dir); err != nil {
			log.Logf(nlog.Alert, nil, err, "chdir(\"%s\") failed", dir)
			return false
		}
	}
	return true
}

// eachThread calls f for the threads there are; later ones inherit from them.
func eachThread(f func(tid int)) {
	tasks, _ := os.ReadDir("/proc/self/task")
	for _, t := range tasks {
		if tid, err := strconv.Atoi(t.Name()); err == nil {
			f(tid)
		}
	}
}
