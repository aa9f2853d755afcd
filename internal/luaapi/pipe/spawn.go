package pipe

import (
	"bytes"
	"math/bits"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"moongate/internal/base/nlog"
	"moongate/internal/lua"
	"moongate/internal/luahost"
	"moongate/internal/netio"
)

const shell = "/bin/sh"

// order is what spawn was asked for.
type order struct {
	args   []string
	env    []string // nil: ours
	merge  bool
	buffer int
}

func runSpawn(c *lua.Call) lua.Outcome {
	if luahost.HolderOf(c) == nil { // init_by_lua has one with lua_phase_limits off
		return c.Errorf("API disabled in the current context")
	}
	p := &proc{w: luahost.EngineWorker(c), early: c.Phase() == lua.PhaseInit, timeouts: [4]int64{10000, 10000, 10000, 10000}}
	o := order{buffer: 4096}
	if why := o.readArgs(c); why != "" {
		return c.Errorf("%s", why)
	}
	if c.Bool(2) {
		if c.Type(2) != lua.Table {
			return c.Errorf("attempt to index local 'opts' (a %s value)", c.Type(2))
		}
		opts, err := c.Pack(2)
		if err != nil {
			return c.Fail(err)
		}
		if why := o.readOptions(p, opts); why != "" {
			return c.Errorf("%s", why)
		}
	}
	if why := p.start(&o); why != "" {
		return c.ReturnNilErr(why)
	}
	merge := 0
	if o.merge {
		merge = 1
	}
	p.debugf("lua pipe spawn process:%X pid:%d merge_stderr:%d buffer_size:%d", p.id(), p.pid, merge, o.buffer)
	luahost.HolderOf(c).Hold(&p.held, p)
	c.Push().Object("process", p)
	return c.Return()
}

func (o *order) readArgs(c *lua.Call) string {
	switch c.Type(1) {
	case lua.Str:
		o.args = []string{shell, "-c", c.String(1)}
		return ""
	case lua.Table:
	default:
		return "bad args arg: table expected, got " + luaType(c.Type(1))
	}
	t, err := c.Pack(1)
	if err != nil {
		return err.Error()
	}
	for i := 1; ; i++ {
		v := t.Index(i)
		if v.IsNil() {
			break
		}
		o.args = append(o.args, cString(luahost.ValueText(v)))
	}
	if len(o.args) == 0 {
		return "bad args arg: non-empty table expected"
	}
	return ""
}

// luaType is the name that Lua's type function gives.
func luaType(t lua.Type) string {
	if t == lua.None {
		return "nil"
	}
	return t.String()
}

// cString is what C sees of a string.
func cString(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}

func (o *order) readOptions(p *proc, opts lua.Packed) string {
	o.merge = opts.Get("merge_stderr").Bool()
	if v := opts.Get("buffer_size"); v.Bool() {
		if v.Type != lua.Number && v.Type != lua.Str || !(v.Num() >= 1) || v.Num() > 1<<30 {
			return "bad buffer_size option"
		}
		o.buffer = v.Int()
	}
	if v := opts.Get("environ"); v.Bool() {
		if v.Type != lua.Table {
			return "bad environ option: table expected, got " + v.Type.String()
		}
		if why := o.readEnv(v.Table()); why != "" {
			return why
		}
	}
	for i, name := range timeoutNames {
		v := opts.Get(name)
		if !v.Bool() {
			continue
		}
		if why := p.setTimeout(i, v.Num(), v.Type == lua.Number); why != "" {
			return why
		}
	}
	return ""
}

func (o *order) readEnv(t lua.Packed) string {
	for i := 1; ; i++ {
		v := t.Index(i)
		if v.IsNil() {
			return ""
		}
		at := "bad value at index " + strconv.Itoa(i) + " of environ option: "
		if v.Type != lua.Str {
			return at + "string expected, got " + v.Type.String()
		}
		if bytes.IndexByte(v.Str(), '=') < 1 {
			return at + "'name=[value]' format expected, got '" + v.String() + "'"
		}
		o.env = append(o.env, cString(v.Str()))
	}
}

// start makes the pipes and the process.
func (p *proc) start(o *order) string {
	var theirs [3]int
	var ours []int
	closeTheirs := func(n int) {
		for _, fd := range theirs[:n] {
			syscall.Close(fd)
		}
	}
	streams := 3
	if p.merged = o.merge; o.merge {
		streams = 2
	}
	for i := range streams {
		var fds [2]int
		if err := syscall.Pipe2(fds[:], syscall.O_CLOEXEC); err != nil {
			closeTheirs(i)
			p.closeEnds(ours)
			return "pipe failed: " + nlog.Strerror(err.(syscall.Errno))
		}
		mine := fds[0]
		theirs[i] = fds[1]
		if i == 0 {
			mine, theirs[i] = fds[1], fds[0]
		}
		ours = append(ours, mine)
	}
	pid, err := o.fork(p.log(), theirs)
	closeTheirs(streams)
	if err != nil {
		p.closeEnds(ours)
		return "fork failed: " + errText(err)
	}
	p.pid = pid
	freeProcessors(pid)
	p.watch()
	for i, fd := range ours {
		e := &end{open: true}
		p.std[i] = e
		err := syscall.SetNonblock(fd, true)
		if err == nil {
			err = p.w.Loop.AddTo(&e.fd, fd, nil)
		}
		if err != nil {
			e.open = false
			p.closeEnds(ours[i:])
			p.destroy()
			return errText(err)
		}
		if i > 0 {
			e.buf = make([]byte, 0, o.buffer)
		}
	}
	return ""
}

func (p *proc) closeEnds(fds []int) {
	for _, fd := range fds {
		syscall.Close(fd)
	}
}

func errText(err error) string {
	if no, ok := err.(syscall.Errno); ok {
		return nlog.Strerror(no)
	}
	return err.Error()
}

// fork starts the program with the descriptors as its standard streams. When it cannot be executed, the error is
// logged and a process ends with status 1, as if it had failed to become the program.
func (o *order) fork(log *nlog.Logger, fds [3]int) (int, error) {
	files := []uintptr{uintptr(fds[0]), uintptr(fds[1]), uintptr(fds[2])}
	call := "execvpe"
	env := o.env
	if env == nil {
		call, env = "execvp", os.Environ()
	}
	if o.merge {
		files[2] = files[1]
	}
	attr := &syscall.ProcAttr{Env: env, Files: files}
	path, err := lookPath(o.args[0])
	var pid int
	if err == nil {
		pid, err = syscall.ForkExec(path, o.args, attr)
		if err == syscall.ENOEXEC {
			pid, err = syscall.ForkExec(shell, append([]string{shell, path}, o.args[1:]...), attr)
		}
	}
	switch err {
	case nil:
		return pid, nil
	case syscall.EAGAIN, syscall.ENOMEM, syscall.EMFILE, syscall.ENFILE:
		return 0, err
	}
	log.Logf(nlog.Error, nil, err, "lua pipe child %s() failed while executing %s", call, o.args[0])
	return syscall.ForkExec(shell, []string{shell, "-c", "exit 1"}, attr)
}

// lookPath finds a program as execvp does: without a PATH, where the system has its programs.
func lookPath(name string) (string, error) {
	if strings.IndexByte(name, '/') >= 0 {
		return name, nil // the kernel says what is wrong with it
	}
	dirs, ok := os.LookupEnv("PATH")
	if !ok {
		dirs = "/bin:/usr/bin"
	}
	err := syscall.ENOENT
	if name == "" {
		return "", err
	}
	for _, dir := range filepath.SplitList(dirs) {
		path := filepath.Join(dir, name)
		st, no := os.Stat(path)
		switch {
		case no != nil || st.IsDir():
		case st.Mode()&0o111 == 0:
			err = syscall.EACCES
		default:
			return path, nil
		}
	}
	return "", err
}

// freeProcessors lets the process run on every processor when its worker is tied to some (worker_cpu_affinity).
func freeProcessors(pid int) {
	var set [16]uint64
	size, addr := unsafe.Sizeof(set), uintptr(unsafe.Pointer(&set))
	if _, _, no := syscall.RawSyscall(syscall.SYS_SCHED_GETAFFINITY, uintptr(pid), size, addr); no != 0 {
		return
	}
	n := 0
	for _, w := range set {
		n += bits.OnesCount64(w)
	}
	if n >= runtime.NumCPU() {
		return
	}
	for i := range set {
		set[i] = ^uint64(0)
	}
	syscall.RawSyscall(syscall.SYS_SCHED_SETAFFINITY, uintptr(pid), size, addr)
}

const sysPidfdOpen = 434

// child waits for the end of a process; it stays in the loop when the object is gone.
type child struct {
	fd netio.FD
	p  *proc
}

// watch has the loop reap the process when it ends.
func (p *proc) watch() {
	c := &child{p: p}
	fd, _, no := syscall.RawSyscall(sysPidfdOpen, uintptr(p.pid), 0, 0)
	if no == 0 {
		if p.w.Loop.AddTo(&c.fd, int(fd), c) == nil {
			p.child = c
			return
		}
		syscall.Close(int(fd))
	}
	loop, pid := p.w.Loop, p.pid // a kernel without descriptors of processes
	go func() {
		var st syscall.WaitStatus
		for {
			if _, err := syscall.Wait4(pid, &st, 0, nil); err != syscall.EINTR {
				break
			}
		}
		loop.Post(func() { p.ended(st) })
	}()
}

// reap waits for a process that was killed, when the loop will not be there to hear of its end.
func (p *proc) reap() {
	var st syscall.WaitStatus
	for {
		if _, err := syscall.Wait4(p.pid, &st, 0, nil); err != syscall.EINTR {
			break
		}
	}
	p.child.fd.Close()
	p.ended(st)
}

// Ready implements netio.Handler.
func (c *child) Ready(f *netio.FD) {
	var st syscall.WaitStatus
	pid, err := syscall.Wait4(c.p.pid, &st, syscall.WNOHANG, nil)
	if pid == 0 && err == nil || err == syscall.EINTR {
		return
	}
	f.Close()
	c.p.ended(st)
}

// ended notes how the process has ended and wakes who waits for it.
func (p *proc) ended(st syscall.WaitStatus) {
	p.dead = true
	p.status = st.ExitStatus()
	if st.Signaled() {
		p.signal, p.status = true, int(st.Signal())
	}
	if p.w == nil {
		return
	}
	p.log().Logf(nlog.Notice, nil, nil, "signal %d (SIGCHLD) received from %d", int(syscall.SIGCHLD), p.pid)
	if p.waiter != nil {
		p.debugf("lua pipe resume process:%X waiting for %d", p.id(), p.pid)
		p.w.Loop.Ready(p.waiter)
	}
}

// sendSignal sends a signal to the process, which was not reaped: its number is still its own.
func (p *proc) sendSignal(sig int) string {
	switch err := syscall.Kill(p.pid, syscall.Signal(sig)); err {
	case nil:
		return ""
	case syscall.EINVAL:
		return "invalid signal"
	case syscall.ESRCH:
		return "exited"
	default:
		return errText(err)
	}
}
