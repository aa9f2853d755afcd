package runner

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"moongate/internal/testkit/perl"
	"moongate/internal/testkit/server"
)

// settings is what a prelude decides for its file.
type settings struct {
	repeat         int
	workers        int
	connections    int
	master         bool
	logLevel       string
	serverName     string
	serverAddr     string
	preamble       string
	noRootLocation bool
	env            []string
	accumulate     bool // check the whole error log in every repetition
	timeout        time.Duration
	hup            bool
	skipAll        string
	preprocess     []*perl.Code
	bodyChecks     []*perl.Code
	cleanup        []*perl.Code
}

func defaultSettings(o *Options) settings {
	return settings{repeat: 1, workers: 1, connections: 64, logLevel: "debug", serverName: "localhost",
		serverAddr: "127.0.0.1", timeout: o.Timeout}
}

func firstArg(args []perl.Value) perl.Value {
	if len(args) > 0 {
		return args[0]
	}
	return nil
}

// setter defines a function that sets when called with an argument and returns
// the current value.
func (f *fileRun) setter(name string, get func() perl.Value, set func(v perl.Value)) {
	f.in.Define(name, func(_ *perl.Interp, args []perl.Value, _ bool) ([]perl.Value, error) {
		if len(args) > 0 {
			set(args[0])
		}
		return []perl.Value{get()}, nil
	})
}

func (f *fileRun) action(name string, do func()) {
	f.in.Define(name, func(*perl.Interp, []perl.Value, bool) ([]perl.Value, error) {
		do()
		return nil, nil
	})
}

func (f *fileRun) value(name string, v perl.Value) {
	f.in.Define(name, func(*perl.Interp, []perl.Value, bool) ([]perl.Value, error) { return []perl.Value{v}, nil })
}

func (f *fileRun) portUsed(name string, free func(port int) bool) {
	f.in.Define(name, func(_ *perl.Interp, args []perl.Value, _ bool) ([]perl.Value, error) {
		return []perl.Value{perl.Bool(!free(int(perl.Number(firstArg(args)))))}, nil
	})
}

func (f *fileRun) collect(name string, into *[]*perl.Code) {
	f.in.Define(name, func(_ *perl.Interp, args []perl.Value, _ bool) ([]perl.Value, error) {
		if c, ok := firstArg(args).(*perl.Code); ok {
			*into = append([]*perl.Code{c}, *into...)
		}
		return nil, nil
	})
}

// define makes the framework's functions known to the prelude.
func (f *fileRun) define() {
	s := &f.set
	intSetter := func(name string, p *int) {
		f.setter(name, func() perl.Value { return *p }, func(v perl.Value) { *p = int(perl.Number(v)) })
	}
	textSetter := func(name string, p *string) {
		f.setter(name, func() perl.Value { return *p }, func(v perl.Value) { *p = perl.String(v) })
	}
	intSetter("repeat_each", &s.repeat)
	intSetter("workers", &s.workers)
	intSetter("worker_connections", &s.connections)
	textSetter("log_level", &s.logLevel)
	textSetter("server_name", &s.serverName)
	textSetter("server_addr", &s.serverAddr)
	textSetter("config_preamble", &s.preamble)
	f.setter("timeout", func() perl.Value { return s.timeout.Seconds() }, func(v perl.Value) {
		if d, err := parseTime(v); err == nil {
			s.timeout = d
		}
	})
	f.setter("master_process_enabled", func() perl.Value { return onOff(s.master) }, func(v perl.Value) { s.master = perl.Truth(v) })
	f.action("master_on", func() { s.master = true })
	f.action("master_off", func() { s.master = false })
	f.action("no_root_location", func() { s.noRootLocation = true })
	f.action("check_accum_error_log", func() { s.accumulate = true })
	f.action("use_hup", func() { s.hup = true })
	for _, name := range []string{"no_long_string", "no_shuffle", "no_diff", "run_tests", "no_nginx_manager", "server_port_for_client"} {
		f.action(name, func() {})
	}
	f.value("blocks", len(f.src.Blocks))
	f.value("server_port", f.port)
	f.value("server_root", string(f.root))
	f.value("html_dir", f.root.HTML())
	f.portUsed("is_tcp_port_used", server.Free)
	f.portUsed("is_udp_port_used", server.FreeUDP)
	f.collect("add_block_preprocessor", &s.preprocess)
	f.collect("add_response_body_check", &s.bodyChecks)
	f.collect("add_cleanup_handler", &s.cleanup)
	f.collect("add_test_cleanup_handler", &s.cleanup)
	f.in.Define("env_to_nginx", func(_ *perl.Interp, args []perl.Value, _ bool) ([]perl.Value, error) {
		for _, a := range args {
			s.env = append(s.env, perl.String(a))
		}
		return nil, nil
	})
	f.in.Define("plan", func(_ *perl.Interp, args []perl.Value, _ bool) ([]perl.Value, error) { return nil, f.plan(args) })
	f.in.Define("bail_out", func(_ *perl.Interp, args []perl.Value, _ bool) ([]perl.Value, error) {
		return nil, fmt.Errorf("bail out: %s", perl.String(firstArg(args)))
	})
	f.in.Use = func(module string, args []perl.Value) error {
		if strings.HasPrefix(module, "Test::") && !strings.HasPrefix(module, "Test::Nginx::Util") {
			return f.plan(args)
		}
		return nil
	}
}

// plan looks for skip_all; how many tests a file plans does not matter here, they
// are counted.
func (f *fileRun) plan(args []perl.Value) error {
	for i := 0; i+1 < len(args); i += 2 {
		if perl.String(args[i]) == "skip_all" {
			f.set.skipAll = perl.String(args[i+1])
			return perl.ErrStop
		}
	}
	return nil
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

// parseTime reads "200ms", "2s" or seconds.
func parseTime(v perl.Value) (time.Duration, error) {
	s := strings.TrimSpace(perl.String(v))
	unit := time.Second
	if t, ok := strings.CutSuffix(s, "ms"); ok {
		s, unit = t, time.Millisecond
	} else if t, ok := strings.CutSuffix(s, "s"); ok {
		s = t
	}
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("bad time %q", perl.String(v))
	}
	return time.Duration(n * float64(unit)), nil
}
