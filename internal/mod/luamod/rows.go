package luamod

import (
	"time"

	"moongate/internal/base/units"
	"strings"

	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/lua"
	"moongate/internal/luahost"
)

// place is a phase's three directives: code as a string, in a block, or in a file.
type place struct {
	name   string
	in     conf.Context
	forms  string // of "string block file"
	doc    string
	target func(c *conf.Cmd) **luahost.Handler
}

func loc(f func(*luahost.Conf) **luahost.Handler) func(*conf.Cmd) **luahost.Handler {
	return func(c *conf.Cmd) **luahost.Handler { return f(luahost.Level.Of(c.Scope)) }
}

func mainOf(f func(*luahost.MainConf) **luahost.Handler) func(*conf.Cmd) **luahost.Handler {
	return func(c *conf.Cmd) **luahost.Handler { return f(luahost.MainLevel.Of(c.Scope)) }
}

var places = []place{
	{"init_by_lua", conf.HTTP, "string block file", "Runs Lua when the configuration is loaded, before the workers start.", mainOf(func(c *luahost.MainConf) **luahost.Handler { return &c.Init })},
	{"init_worker_by_lua", conf.HTTP, "string block file", "Runs Lua when a worker starts.", mainOf(func(c *luahost.MainConf) **luahost.Handler { return &c.InitWorker })},
	{"exit_worker_by_lua", conf.HTTP, "block file", "Runs Lua when a worker ends.", mainOf(func(c *luahost.MainConf) **luahost.Handler { return &c.ExitWorker })},
	{"server_rewrite_by_lua", srvSide, "block file", "Runs Lua before a location is chosen.", loc(func(c *luahost.Conf) **luahost.Handler { return &c.ServerRewrite })},
	{"rewrite_by_lua", anyIf, "string block file", "Runs Lua in the rewrite phase, after the directives of the rewrite module.", loc(func(c *luahost.Conf) **luahost.Handler { return &c.Rewrite })},
	{"access_by_lua", anyIf, "string block file", "Runs Lua in the access phase, after the other access modules.", loc(func(c *luahost.Conf) **luahost.Handler { return &c.Access })},
	{"precontent_by_lua", anyIf, "block file", "Runs Lua before the content is made.", loc(func(c *luahost.Conf) **luahost.Handler { return &c.Precontent })},
	{"content_by_lua", conf.Location | conf.LocationIf, "string block file", "Makes the response with Lua.", content},
	{"header_filter_by_lua", anyIf, "string block file", "Runs Lua on the response head.", loc(func(c *luahost.Conf) **luahost.Handler { return &c.HeaderFilter })},
	{"body_filter_by_lua", anyIf, "string block file", "Runs Lua on each piece of the response body.", loc(func(c *luahost.Conf) **luahost.Handler { return &c.BodyFilter })},
	{"balancer_by_lua", conf.Upstream, "block file", "Chooses the server of each try with Lua: see ngx.balancer.", balancerOf},
	{"ssl_client_hello_by_lua", srvSide, "block file", "Runs Lua when the first message of a TLS client has come: it may choose the versions of TLS, or refuse. See ngx.ssl.clienthello.", loc(func(c *luahost.Conf) **luahost.Handler { return &c.ClientHello })},
	{"ssl_certificate_by_lua", srvSide, "block file", "Chooses the certificate for a TLS client with Lua. See ngx.ssl.", loc(func(c *luahost.Conf) **luahost.Handler { return &c.Certificate })},
	{"ssl_session_fetch_by_lua", conf.HTTP, "block file", "Looks a TLS session up with Lua, by its number. See ngx.ssl.session.", loc(func(c *luahost.Conf) **luahost.Handler { return &c.SessionFetch })},
	{"ssl_session_store_by_lua", conf.HTTP, "block file", "Keeps a new TLS session with Lua.", loc(func(c *luahost.Conf) **luahost.Handler { return &c.SessionStore })},
	{"proxy_ssl_certificate_by_lua", conf.Location | conf.LocationIf, "block file", "Chooses the certificate for an upstream server that asks for one with Lua. See ngx.ssl.proxysslcert.", proxyCert},
	{"proxy_ssl_verify_by_lua", conf.Location | conf.LocationIf, "block file", "Judges the certificate of an upstream server with Lua. See ngx.ssl.proxysslverify.", proxyVerify},
	{"log_by_lua", anyIf, "string block file", "Runs Lua when the request is over.", loc(func(c *luahost.Conf) **luahost.Handler { return &c.Log })},
}

func content(c *conf.Cmd) **luahost.Handler {
	engine.LocationOf(c.Scope).Handler = contentPhase
	return &luahost.Level.Of(c.Scope).Content
}

func codeRows() []conf.Directive {
	var rows []conf.Directive
	for _, p := range places {
		if strings.Contains(p.forms, "string") {
			rows = append(rows, conf.Directive{Name: p.name, Syntax: "lua-script", In: p.in, Args: conf.Take1, Doc: p.doc + " Prefer the form with a block.",
				Set: conf.Func(func(c *conf.Cmd) error { return p.set(c, c.Args[0], false) })})
		}
		rows = append(rows,
			conf.Directive{Name: p.name + "_block", Syntax: "{ lua-script }", In: p.in, Args: conf.NoArgs | conf.Block, Doc: p.doc,
				Set: conf.Func(func(c *conf.Cmd) error { return p.set(c, c.Body, false) })},
			conf.Directive{Name: p.name + "_file", Syntax: "path", In: p.in, Args: conf.Take1, Doc: p.doc + " The code is in a file, of source or bytecode.",
				Set: conf.Func(func(c *conf.Cmd) error { return p.set(c, c.Args[0], true) })})
	}
	return rows
}

// set stores the handler of a directive. With -t code that cannot be compiled is warned of; in service OpenResty only finds
// out when it is to run.
func (p place) set(c *conf.Cmd, text string, file bool) error {
	if err := p.store(c, text, file); err != nil {
		return err
	}
	if h := *p.target(c); h.Code != nil && (c.Config().Test || luahost.Development) {
		if err := h.Code.Check(); err != nil {
			c.Warnf("%s", err)
		}
	}
	return nil
}

func (p place) store(c *conf.Cmd, text string, file bool) error {
	t := p.target(c)
	if *t != nil {
		return c.Duplicate()
	}
	m := luahost.MainLevel.Of(c.Scope)
	m.Used = true
	switch p.name {
	case "rewrite_by_lua", "access_by_lua", "precontent_by_lua", "content_by_lua", "server_rewrite_by_lua":
		m.Captures = true
	}
	if text == "" && !file && c.Name == p.name {
		return c.Errorf("invalid location config: no runnable Lua code")
	}
	if file && strings.HasPrefix(p.name, "ssl_") { // no request whose variables there might be
		*t = &luahost.Handler{Name: c.Name, Code: lua.NewFile(c.Config().FullName(text))}
		return nil
	}
	if !file {
		*t = &luahost.Handler{Name: p.name, Code: lua.NewCode(text, c.ChunkName(p.name))}
		return nil
	}
	tpl, err := engine.CompileArg(c, text)
	if err != nil {
		return err
	}
	if tpl.IsLiteral() {
		*t = &luahost.Handler{Name: c.Name, Code: lua.NewFile(c.Config().FullName(text))}
		return nil
	}
	*t = &luahost.Handler{Name: c.Name, File: tpl}
	return nil
}

func flagRow(name string, in conf.Context, def, doc string, f func(*luahost.Conf) *conf.Opt[bool]) conf.Directive {
	return conf.Directive{Name: name, In: in, Default: def, Set: conf.Slot(luahost.Level, conf.Flag, f), Doc: doc}
}

// codeCache is a flag that warns of what it costs.
var codeCache = conf.NewType("on | off", conf.Take1, func(c *conf.Cmd) (bool, error) {
	on, err := conf.Flag.Parse(c)
	if err == nil && !on {
		if !luahost.Development {
			c.Alertf("lua_code_cache is off; this will hurt performance")
		}
	}
	return on, err
})

var locRows = []conf.Directive{
	{Name: "lua_code_cache", In: anyIf, Default: "on", Set: conf.Slot(luahost.Level, codeCache, func(c *luahost.Conf) *conf.Opt[bool] { return &c.CodeCache }),
		Doc: "Whether Lua code is kept between requests; off makes a fresh VM for each request, for development."},
	flagRow("lua_need_request_body", anyIf, "off", "Reads the request body before the code of the rewrite, access or content phase runs.", func(c *luahost.Conf) *conf.Opt[bool] { return &c.NeedRequestBody }),
	flagRow("lua_use_default_type", anyIf, "on", "Whether responses made by Lua have default_type as their Content-Type unless the code sets one.", func(c *luahost.Conf) *conf.Opt[bool] { return &c.DefaultType }),
	flagRow("lua_http10_buffering", anyIf, "on", "Gathers responses to HTTP/1.0 clients so that they have a Content-Length.", func(c *luahost.Conf) *conf.Opt[bool] { return &c.HTTP10Buffering }),
	flagRow("lua_transform_underscores_in_response_headers", anyIf, "on", "Makes hyphens of the underscores in names of response headers that Lua sets.", func(c *luahost.Conf) *conf.Opt[bool] { return &c.TransformUnderscores }),
	flagRow("lua_upstream_skip_openssl_default_verify", conf.Location|conf.LocationIf, "off", "Leaves the judgement of upstream servers' certificates to proxy_ssl_verify_by_lua alone.", func(c *luahost.Conf) *conf.Opt[bool] { return &c.SkipDefaultVerify }),
	flagRow("lua_check_client_abort", anyIf, "off", "Watches whether the client closes its connection while Lua code waits.", func(c *luahost.Conf) *conf.Opt[bool] { return &c.CheckClientAbort }),
}

func mainFlag(name, def, doc string, f func(*luahost.MainConf) *conf.Opt[bool]) conf.Directive {
	return conf.Directive{Name: name, In: conf.HTTP, Default: def, Set: conf.Slot(luahost.MainLevel, conf.Flag, f), Doc: doc}
}

func mainInt(name, def, doc string, f func(*luahost.MainConf) *conf.Opt[int]) conf.Directive {
	return conf.Directive{Name: name, In: conf.HTTP, Default: def, Set: conf.Slot(luahost.MainLevel, conf.Number, f), Doc: doc}
}

var mainRows = []conf.Directive{
	{Name: "lua_package_path", In: conf.HTTP, Set: conf.Slot(luahost.MainLevel, conf.Str, func(c *luahost.MainConf) *conf.Opt[string] { return &c.PackagePath }),
		Doc: "Where require looks for Lua modules: templates separated by semicolons; an empty one stands for the default path, $prefix for the server prefix."},
	{Name: "lua_package_cpath", In: conf.HTTP, Set: conf.Slot(luahost.MainLevel, conf.Str, func(c *luahost.MainConf) *conf.Opt[string] { return &c.PackageCpath }),
		Doc: "Where require looks for Lua modules written in C."},
	{Name: "lua_load_resty_core", In: conf.HTTP, Args: conf.Take1, Default: "on", Set: conf.Func(func(c *conf.Cmd) error {
		c.Warnf("lua_load_resty_core is deprecated (the lua-resty-core library is required since ngx_lua v0.10.16)")
		return nil
	}), Doc: "Accepted for compatibility: the functions of lua-resty-core are built in."},
	mainFlag("rewrite_by_lua_no_postpone", "off", "Runs rewrite_by_lua before the directives of the rewrite module.", func(c *luahost.MainConf) *conf.Opt[bool] { return &c.RewriteNoPostpone }),
	mainFlag("access_by_lua_no_postpone", "off", "Runs access_by_lua before the other access modules.", func(c *luahost.MainConf) *conf.Opt[bool] { return &c.AccessNoPostpone }),
	mainFlag("precontent_by_lua_no_postpone", "off", "Runs precontent_by_lua before the other modules of its phase.", func(c *luahost.MainConf) *conf.Opt[bool] { return &c.PrecontentNoPostpone }),
	mainFlag("lua_sa_restart", "on", "Accepted for compatibility: interrupted system calls are always restarted.", func(c *luahost.MainConf) *conf.Opt[bool] { return &c.SaRestart }),
	mainFlag("lua_phase_limits", "on", "off lets every phase wait: sockets, sleeps and subrequests then work in init, filter and log phases too.", func(c *luahost.MainConf) *conf.Opt[bool] { return &c.PhaseLimits }),
	{Name: "lua_worker_stall_threshold", In: conf.HTTP, Args: conf.Take1, Syntax: "time", Default: "0", Doc: "Lua code that runs for longer without waiting is logged with its stack, and counted; 0 looks for none. All requests of its worker wait meanwhile.",
		Set: conf.Slot(luahost.MainLevel, conf.Msec, func(c *luahost.MainConf) *conf.Opt[time.Duration] { return &c.StallThreshold })},
	mainInt("lua_regex_cache_max_entries", "1024", "The number of patterns with the option o that each worker keeps compiled.", func(c *luahost.MainConf) *conf.Opt[int] { return &c.RegexCacheMax }),
	mainInt("lua_regex_match_limit", "0", "The effort one match may take; 0 is the default of PCRE2.", func(c *luahost.MainConf) *conf.Opt[int] { return &c.RegexMatchLimit }),
	mainInt("lua_thread_cache_max_entries", "1024", "The number of idle coroutines each worker keeps.", func(c *luahost.MainConf) *conf.Opt[int] { return &c.ThreadCacheMax }),
	mainInt("lua_malloc_trim", "1000", "Gives unused memory of Lua and C back after that many requests; 0 never does. Idle workers do it anyway.", func(c *luahost.MainConf) *conf.Opt[int] { return &c.MallocTrim }),
	mainInt("lua_max_pending_timers", "1024", "The number of timers that may wait.", func(c *luahost.MainConf) *conf.Opt[int] { return &c.MaxPendingTimers }),
	mainInt("lua_max_running_timers", "256", "The number of timers that may run at one time.", func(c *luahost.MainConf) *conf.Opt[int] { return &c.MaxRunningTimers }),
	mainInt("lua_worker_thread_vm_pool_size", "10", "The number of VMs for ngx.run_worker_thread.", func(c *luahost.MainConf) *conf.Opt[int] { return &c.WorkerThreadPool }),
	{Name: "lua_capture_error_log", In: conf.HTTP, Set: conf.Slot(luahost.MainLevel, capturedSize, func(c *luahost.MainConf) *conf.Opt[int64] { return &c.CaptureErrorLog }),
		Doc: "Keeps the last error log lines in memory for ngx.errlog."},
}

// capturedSize is a size of at least one page.
var capturedSize = conf.NewType("size", conf.Take1, func(c *conf.Cmd) (int64, error) {
	n, ok := units.Size(c.Args[0])
	if !ok || n < luahost.MinCaptured {
		return 0, c.Errorf("invalid capture error log size \"%s\", minimum size is %d", c.Args[0], luahost.MinCaptured)
	}
	return n, nil
})
