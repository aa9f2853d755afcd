package memcached

import (
	"slices"

	"moongate/internal/base/nlog"
	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/http1"
	"moongate/internal/relay"
	"moongate/internal/upstream"
)

type memcConfig struct {
	common
	vars           vars
	allowed        []string // nil: all
	toLastModified conf.Opt[bool]
}

var memcLoc = conf.NewLevel[memcConfig](conf.KindLocation).OnMerge(func(parent, child *memcConfig, s *conf.Scope) error {
	if child.vars.key == nil {
		child.vars = parent.vars
	}
	if child.allowed == nil {
		child.allowed = parent.allowed
	}
	return child.merge("memc_", &parent.common, s)
})

// commands are the commands by their names.
var commands = map[string]command{
	"get": cmdGet, "set": cmdStore, "add": cmdStore, "replace": cmdStore, "append": cmdStore, "prepend": cmdStore,
	"delete": cmdDelete, "incr": cmdCount, "decr": cmdCount, "flush_all": cmdFlush, "stats": cmdStats, "version": cmdVersion,
}

const inIf = conf.Location | conf.LocationIf

// Memc is the memc family.
var Memc = engine.Module{
	Module: conf.Module{Name: "memc", Directives: append([]conf.Directive{
		{Name: "memc_pass", Syntax: "address", In: inIf, Args: conf.Take1, Set: conf.Func(readMemcPass),
			Doc: "Has a memcached server, or a group of them, carry out the command `$memc_cmd` and answers with the result. Without `$memc_cmd` GET gets, POST adds, PUT sets and DELETE deletes. Commands that store take `$memc_value` or else the request body."},
		{Name: "memc_cmds_allowed", Syntax: "command ...", In: conf.HTTPServerLocation | conf.LocationIf, Args: conf.OneMore, Set: conf.Func(readAllowed),
			Doc: "The commands that are carried out; others are refused with 403."},
		{Name: "memc_flags_to_last_modified", In: inIf, Default: "off", Set: conf.Slot(memcLoc, conf.Flag, func(c *memcConfig) *conf.Opt[bool] { return &c.toLastModified }),
			Doc: "Takes the flags of a value for its Last-Modified time, in seconds since the epoch."},
		{Name: "memc_ignore_client_abort", In: inIf, Default: "off", Set: conf.Slot(memcLoc, conf.Flag, func(c *memcConfig) *conf.Opt[bool] { return &c.IgnoreClientAbort }),
			Doc: "Whether the exchange with the server goes on when the client has gone."},
		{Name: "memc_next_upstream", Syntax: nextSyntax, In: conf.HTTPServerLocation, Default: "error timeout", Set: conf.Slot(memcLoc, nextType, func(c *memcConfig) *conf.Opt[uint32] { return &c.Next }),
			Doc: "The failures after which the next server is asked."},
		unsupported("memc_upstream_max_fails", "max_fails"),
		unsupported("memc_upstream_fail_timeout", "fail_timeout"),
	}, pick(relay.Rows("memc_", memcLoc, func(c *memcConfig) *relay.Conf { return &c.Conf }), "memc_", "connect_timeout", "send_timeout", "read_timeout", "buffer_size")...)},
	Vars: []engine.Var{
		unset("memc_cmd", "The command of memc_pass: get, set, add, replace, append, prepend, delete, incr, decr, flush_all, stats, version."),
		unset("memc_key", "The key of memc_pass."),
		unset("memc_value", "The value that memc_pass stores, or counts by."),
		unset("memc_flags", "The flags that memc_pass stores, or those of the value it got."),
		unset("memc_exptime", "After how many seconds what memc_pass stores is forgotten."),
	},
}

// unsupported is a directive that the memc module once had.
func unsupported(name, parameter string) conf.Directive {
	return conf.Directive{Name: name, Syntax: "value", In: conf.HTTPServerLocation, Args: conf.Take1, Doc: "Refused: see the parameter " + parameter + " of server.",
		Set: conf.Func(func(c *conf.Cmd) error {
			return c.Errorf("\"%s\" is not supported, use the \"%s\" parameter of the \"server\" directive inside the \"upstream\" block", name, parameter)
		})}
}

func readMemcPass(c *conf.Cmd) error {
	lc := memcLoc.Of(c.Scope)
	h := engine.HTTPOf(c)
	lc.vars = vars{cmd: h.Var("memc_cmd"), key: h.Var("memc_key"), value: h.Var("memc_value"), flags: h.Var("memc_flags"), exptime: h.Var("memc_exptime")}
	return lc.readPass(c, memc, true)
}

func readAllowed(c *conf.Cmd) error {
	lc := memcLoc.Of(c.Scope)
	lc.allowed = nil
	for _, a := range c.Args {
		if _, ok := commands[a]; !ok {
			return c.Errorf("Unknown memcached command \"%s\" used in \"memc_cmds_allowed\"", a)
		}
		lc.allowed = append(lc.allowed, a)
	}
	return nil
}

// memc is the handler of memc_pass.
func memc(r *engine.Request) engine.Status {
	c := memcLoc.Of(r.Scope)
	name, st := c.command(r)
	if st != engine.OK {
		return st
	}
	r.SetContentType()
	x := relay.New(r, &c.Conf, protocol{})
	e := exchangeOf(x)
	e.name, e.cmd, e.keyName = name, commands[name], "memc_key"
	if st := c.target(x); st != engine.OK {
		return st
	}
	if st := e.arguments(r, &c.vars); st != engine.OK {
		return st
	}
	e.toLastModified = c.toLastModified.V
	x.Scheme, x.NoBody = scheme, true
	return x.Run()
}

// command finds the command by the variable or the method.
func (c *memcConfig) command(r *engine.Request) (string, engine.Status) {
	name := ""
	if v, _ := r.Var(c.vars.cmd); len(v) > 0 {
		name = string(v)
		if _, ok := commands[name]; !ok {
			r.Logf(nlog.Error, "ngx_memc: unknown $memc_cmd \"%s\"", name)
			return "", 400
		}
	} else {
		switch r.Method {
		case http1.MethodGet, http1.MethodHead:
			name = "get"
		case http1.MethodPost:
			name = "add"
		case http1.MethodPut:
			name = "set"
		case http1.MethodDelete:
			name = "delete"
		default:
			r.Logf(nlog.Error, "ngx_memc: $memc_cmd variable not found for HTTP %s requests", r.MethodName)
			return "", 400
		}
		r.SetVar(c.vars.cmd, r.CopyString(name))
	}
	if c.allowed != nil && !slices.Contains(c.allowed, name) {
		r.Logf(nlog.Error, "ngx_memc: memcached command \"%s\" not allowed", name)
		return "", 403
	}
	return name, engine.OK
}

// target finds the server.
func (c *memcConfig) target(x *relay.Exchange) engine.Status {
	if c.template == nil {
		x.Group = c.group
		return engine.OK
	}
	text := string(c.template.Eval(x.R))
	if text == "" {
		x.R.Logf(nlog.Error, "memc: handler: empty \"memc_pass\" target")
		return 500
	}
	u, problem := upstream.ParseURL(text, 0, false)
	if problem != "" {
		x.R.Logf(nlog.Error, "memc: upstream \"%s\" not found", text)
		return 500
	}
	x.URL = &u
	return engine.OK
}

// arguments takes the variables of the command.
func (e *exchange) arguments(r *engine.Request, v *vars) engine.Status {
	e.key, _ = r.Var(v.key)
	e.hasKey = len(e.key) > 0
	if e.cmd == cmdStore || e.cmd == cmdFlush || e.cmd == cmdDelete {
		e.exptime, _ = r.Var(v.exptime)
		if !isNumber(e.exptime, 10) {
			r.Logf(nlog.Error, "variable \"$memc_exptime\" takes invalid value: %s", e.exptime)
			return 400
		}
	}
	switch e.cmd {
	case cmdGet:
		e.flagsTo = v.flags
	case cmdStore:
		e.flags, _ = r.Var(v.flags)
		if !isNumber(e.flags, 10) {
			r.Logf(nlog.Error, "variable \"$memc_flags\" takes invalid value: %s", e.flags)
			return 400
		}
		e.value, e.hasValue = r.Var(v.value)
	case cmdCount:
		e.value, e.hasValue = r.Var(v.value)
		if len(e.value) == 0 {
			r.Logf(nlog.Error, "the \"$memc_value\" variable is required for command \"%s\"", e.name)
			return 400
		}
		if !isNumber(e.value, 20) {
			r.Logf(nlog.Error, "variable \"$memc_value\" is invalid for incr/decr: %s", e.value)
			return 400
		}
	}
	return engine.OK
}

// isNumber reports whether b is digits, at most so many, or nothing.
func isNumber(b []byte, most int) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(b) <= most
}
