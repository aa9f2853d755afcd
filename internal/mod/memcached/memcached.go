// Package memcached answers requests from memcached servers: memcached_pass, which gets values, and memc_pass of OpenResty's
// memc module, which can store, count and delete as well. Both write one command and read its answer; the exchange around
// that is package relay's.
package memcached

import (
	"slices"
	"strings"

	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/http1"
	"moongate/internal/relay"
	"moongate/internal/upstream"
)

// common is what both directives have.
type common struct {
	relay.Conf
	group    *relay.Group
	template *engine.Template // of an address with variables, else nil
}

type config struct {
	common
	gzipFlag conf.Opt[int]
}

var loc = conf.NewLevel[config](conf.KindLocation).OnMerge(func(parent, child *config, s *conf.Scope) error {
	return child.merge("memcached_", &parent.common, s)
})

// vars are the variables that commands are made of; they get slots when the configuration names them.
type vars struct{ cmd, key, value, flags, exptime *engine.Var }

// Module is the memcached family.
var Module = engine.Module{
	Module: conf.Module{Name: "memcached", Directives: append([]conf.Directive{
		{Name: "memcached_pass", Syntax: "address", In: conf.Location | conf.LocationIf, Args: conf.Take1, Set: conf.Func(func(c *conf.Cmd) error {
			return loc.Of(c.Scope).readPass(c, get, false)
		}), Doc: "Answers with the value that a memcached server, or a group of them, has under the key `$memcached_key`."},
		{Name: "memcached_gzip_flag", Syntax: "flag", In: conf.HTTPServerLocation, Set: conf.Slot(loc, conf.Number, func(c *config) *conf.Opt[int] { return &c.gzipFlag }),
			Doc: "Values with this flag are sent with \"Content-Encoding: gzip\"."},
		{Name: "memcached_next_upstream", Syntax: nextSyntax, In: conf.HTTPServerLocation, Default: "error timeout", Set: conf.Slot(loc, nextType, func(c *config) *conf.Opt[uint32] { return &c.Next }),
			Doc: "The failures after which the next server is asked."},
	}, pick(relay.Rows("memcached_", loc, func(c *config) *relay.Conf { return &c.Conf }), "memcached_",
		"bind", "socket_keepalive", "connect_timeout", "send_timeout", "read_timeout", "buffer_size", "next_upstream_tries", "next_upstream_timeout")...)},
	Vars: []engine.Var{unset("memcached_key", "The key that memcached_pass asks for; it is set with `set`.")},
}

// unset is a variable that has no value until one is assigned.
func unset(name, doc string) engine.Var {
	return engine.Var{Name: name, Changeable: true, NoCache: true, Doc: doc, Get: func(*engine.Request, *engine.Var) ([]byte, bool) { return nil, false }}
}

// pick gives some of the directives that all protocols have.
func pick(rows []conf.Directive, prefix string, names ...string) []conf.Directive {
	return slices.DeleteFunc(rows, func(d conf.Directive) bool { return !slices.Contains(names, strings.TrimPrefix(d.Name, prefix)) })
}

const nextSyntax = "error | timeout | invalid_response | not_found | off ..."

var nextType = relay.NextType(nextSyntax, map[string]string{"error": "error", "timeout": "timeout", "invalid_response": "invalid_header", "not_found": "http_404", "off": "off"})

// readPass reads memcached_pass and memc_pass.
func (c *common) readPass(cmd *conf.Cmd, h engine.Handler, variables bool) error {
	if c.group != nil || c.template != nil {
		return cmd.Duplicate()
	}
	l := engine.LocationOf(cmd.Scope)
	l.Handler = h
	if n := len(l.Name); n > 0 && l.Name[n-1] == '/' {
		l.AutoRedirect = true
	}
	if variables {
		t, err := engine.CompileArg(cmd, cmd.Args[0])
		if err != nil {
			return err
		}
		if !t.IsLiteral() {
			c.template = t
			return nil
		}
	}
	u, problem := upstream.ParseURL(cmd.Args[0], 0, false)
	if problem != "" {
		return cmd.Errorf("%s in upstream \"%s\"", problem, cmd.Args[0])
	}
	var err error
	c.group, err = relay.Add(cmd, u)
	return err
}

func (c *common) merge(prefix string, parent *common, s *conf.Scope) error {
	if c.group == nil && c.template == nil {
		c.group, c.template = parent.group, parent.template
	}
	c.Buffers.V = conf.Buffers{Num: 8, Size: c.BufferSize.V}
	c.ForceRanges.V = true
	c.Intercept.V, c.Intercept404 = true, true
	return c.Complete(prefix, &parent.Conf, s, []string{"Date", "Server"})
}

// get is the handler of memcached_pass.
func get(r *engine.Request) engine.Status {
	if r.Method&(http1.MethodGet|http1.MethodHead) == 0 {
		return 405
	}
	if st := r.DiscardBody(); st != engine.OK {
		return st
	}
	r.SetContentType()
	c := loc.Of(r.Scope)
	x := relay.New(r, &c.Conf, protocol{})
	e := exchangeOf(x)
	e.cmd, e.name = cmdGet, "get"
	e.gzipFlag = int64(c.gzipFlag.V)
	e.keyName = "memcached_key"
	e.key, _ = r.Var(r.FindVar(e.keyName))
	e.hasKey = len(e.key) > 0
	x.Group, x.Scheme, x.NoBody = c.group, scheme, true
	return x.Run()
}

const scheme = "memcached://"
