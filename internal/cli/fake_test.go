package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"

	"moongate/internal/app"
	"moongate/internal/base/nlog"
	"moongate/internal/conf"
	"moongate/internal/errlog"
	"moongate/internal/mod/core"
	"moongate/internal/plane"
)

// fakePlane serves lines instead of HTTP: a client says a word and is told
// something about the process. A connection is idle between two lines; after
// "hold" it is busy until its next line.
type fakePlane struct {
	mu        sync.Mutex
	params    *plane.Params
	listeners map[string]net.Listener
	conns     map[net.Conn]bool // busy
	closing   bool
	gone      sync.WaitGroup
}

type fakeConfig struct {
	socks               []plane.Socket
	reply               conf.Opt[string]
	initError, reloadEr conf.Opt[string]
}

var fakeLevel = conf.NewLevel[fakeConfig](conf.KindCore)

var fakeModule = conf.Module{Name: "fake", Directives: []conf.Directive{
	{Name: "fake_listen", In: conf.Main, Args: conf.Take12, Doc: "-", Set: conf.List(fakeLevel, func(c *conf.Cmd) (plane.Socket, error) {
		s := plane.Socket{Addr: c.Args[0], Type: syscall.SOCK_STREAM}
		s.Options.ReusePort = len(c.Args) > 1
		return s, nil
	}, func(f *fakeConfig) *[]plane.Socket { return &f.socks })},
	{Name: "fake_reply", In: conf.Main, Doc: "-", Set: conf.Slot(fakeLevel, conf.Str, func(f *fakeConfig) *conf.Opt[string] { return &f.reply })},
	{Name: "fake_init_error", In: conf.Main, Doc: "-", Set: conf.Slot(fakeLevel, conf.Str, func(f *fakeConfig) *conf.Opt[string] { return &f.initError })},
	{Name: "fake_reload_error", In: conf.Main, Doc: "-", Set: conf.Slot(fakeLevel, conf.Str, func(f *fakeConfig) *conf.Opt[string] { return &f.reloadEr })},
	{Name: "fake_path", In: conf.Main, Args: conf.Take1, Doc: "-", Set: conf.Func(func(c *conf.Cmd) error {
		plane.PathsIn(c.Config().Values).Add(c.Config().FullName(c.Args[0]))
		return nil
	})},
	{Name: "fake_warning", In: conf.Main, Doc: "-", Set: conf.Func(func(c *conf.Cmd) error { c.Warnf("a warning"); return nil })},
}}

var fakeProgram = &app.Program{
	Modules: []*conf.Module{&core.Module, &core.Events, &errlog.Module, &fakeModule},
	NewPlane: func() plane.Plane {
		return &fakePlane{listeners: map[string]net.Listener{}, conns: map[net.Conn]bool{}}
	},
	Arguments: func([]*conf.Module) []string { return []string{"--with-fake"} },
}

func (p *fakePlane) Sockets(cfg *conf.Config) []plane.Socket {
	return fakeLevel.Of(cfg.Core).socks
}

func (p *fakePlane) Init(pp *plane.Params) error {
	p.params = pp
	switch e := fakeLevel.Of(pp.Config.Core).initError; e.V {
	case "":
		return nil
	case "fault":
		return &plane.Fault{Level: nlog.Error, Msg: "init_by_lua error", Err: syscall.EACCES}
	default:
		return errors.New(e.V)
	}
}

func (p *fakePlane) Start() error { return p.listen() }

func (p *fakePlane) listen() error {
	keep := map[string]bool{}
	for _, s := range p.params.Sockets {
		keep[s.Key()] = true
		if p.listeners[s.Key()] != nil {
			continue
		}
		fd, err := syscall.Dup(s.FD)
		if err != nil {
			return err
		}
		l, err := net.FileListener(os.NewFile(uintptr(fd), s.Addr))
		if err != nil {
			return err
		}
		if u, ok := l.(*net.UnixListener); ok {
			u.SetUnlinkOnClose(false)
		}
		p.listeners[s.Key()] = l
		go p.accept(l)
	}
	for key, l := range p.listeners {
		if !keep[key] {
			l.Close()
			delete(p.listeners, key)
		}
	}
	return nil
}

func (p *fakePlane) accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		p.conns[c] = false
		p.gone.Add(1)
		p.mu.Unlock()
		go p.serve(c)
	}
}

func (p *fakePlane) setBusy(c net.Conn, busy bool) (goOn bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[c] = busy
	return busy || !p.closing
}

func (p *fakePlane) serve(c net.Conn) {
	defer p.gone.Done()
	defer c.Close()
	in := bufio.NewScanner(c)
	for in.Scan() {
		word, arg, _ := strings.Cut(in.Text(), " ")
		p.mu.Lock()
		pp := p.params
		p.mu.Unlock()
		switch word {
		case "reply":
			fmt.Fprintln(c, fakeLevel.Of(pp.Config.Core).reply.V)
		case "pid":
			fmt.Fprintln(c, os.Getpid())
		case "uid":
			fmt.Fprintln(c, os.Getuid(), os.Getgid(), os.Geteuid())
		case "env":
			fmt.Fprintln(c, strings.Join(os.Environ(), " "))
		case "open":
			fmt.Fprintln(c, opened(pp, arg))
		case "workers":
			fmt.Fprintln(c, pp.Workers, len(pp.Sockets))
		case "log":
			pp.Log.Log(nlog.Error, nil, nil, arg)
			fmt.Fprintln(c, "logged")
		case "print":
			fmt.Fprintln(os.Stderr, arg)
			fmt.Fprintln(c, "printed")
		case "die":
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
		case "hold":
			p.setBusy(c, true)
			fmt.Fprintln(c, "held")
			continue
		}
		if !p.setBusy(c, false) {
			return
		}
	}
}

// opened is what a file has, or why it cannot be had.
func opened(pp *plane.Params, name string) string {
	f, err := pp.Open(name)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	text, err := io.ReadAll(f)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func (p *fakePlane) Reload(pp *plane.Params, retired func()) error {
	if e := fakeLevel.Of(pp.Config.Core).reloadEr; e.IsSet {
		return errors.New(e.V)
	}
	p.mu.Lock()
	p.params = pp
	p.mu.Unlock()
	if err := p.listen(); err != nil {
		return err
	}
	go retired()
	return nil
}

func (p *fakePlane) Quit(ctx context.Context) {
	for _, l := range p.listeners {
		l.Close()
	}
	p.mu.Lock()
	p.closing = true
	for c, busy := range p.conns {
		if !busy {
			c.Close()
		}
	}
	p.mu.Unlock()
	done := make(chan struct{})
	go func() { p.gone.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
		p.Stop()
	}
}

func (p *fakePlane) Stop() {
	for _, l := range p.listeners {
		l.Close()
	}
	p.mu.Lock()
	p.closing = true
	for c := range p.conns {
		c.Close()
	}
	p.mu.Unlock()
	p.gone.Wait()
}
