// Package luamod has the directives of the Lua module: it loads the code of the configuration, makes each worker's VM,
// and runs the code in its phases. What Lua code may call is in luaapi/...; how a handler runs, in luahost.
package luamod

import (
	"slices"

	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/luahost"
)

const (
	anyIf   = conf.HTTP | conf.Server | conf.Location | conf.LocationIf
	srvSide = conf.HTTP | conf.Server
)

// Module is the Lua module.
var Module = engine.Module{
	Module: conf.Module{Name: "lua", Directives: slices.Concat(setRows, codeRows(), mainRows, dictRows, locRows, socketRows, balancerRows)},
	Steps: []engine.Step{
		{Phase: engine.Rewrite, Active: postponed(rewriteOf, luahost.MainLevel, func(m *luahost.MainConf) bool { return m.RewriteNoPostpone.V }), Run: rewritePhase},
		{Phase: engine.Access, Active: postponed(accessOf, luahost.MainLevel, func(m *luahost.MainConf) bool { return m.AccessNoPostpone.V }), Run: access},
		{Phase: engine.Precontent, Active: has(func(c *luahost.Conf) *luahost.Handler { return c.Precontent }), Run: precontent},
		{Phase: engine.Log, Active: trims, Run: countPhase},
		{Phase: engine.Log, Active: has(func(c *luahost.Conf) *luahost.Handler { return c.Log }), Run: logPhase},
	},
	Setup:        setupTLS,
	Init:         initSnapshot,
	StartWorker:  startWorker,
	DrainWorker:  drainWorker,
	StopWorker:   stopWorker,
	ReloadWorker: takeOver,
	RetireWorker: retireWorker,
	TrimWorker:   trimWorker,
	CalmWorker:   calmWorker,
}

// Early runs server_rewrite_by_lua, which as in OpenResty comes before the server's rewrite directives, and the rewrite
// and access handlers before those of other modules, for rewrite_by_lua_no_postpone and access_by_lua_no_postpone; it
// stands first in the list of modules.
var Early = engine.Module{
	Module: conf.Module{Name: "lua_early"},
	Steps: []engine.Step{
		{Phase: engine.ServerRewrite, Active: has(func(c *luahost.Conf) *luahost.Handler { return c.ServerRewrite }), Run: serverRewrite},
		{Phase: engine.Rewrite, Active: early(rewriteOf, func(m *luahost.MainConf) bool { return m.RewriteNoPostpone.V }), Run: rewritePhase},
		{Phase: engine.Access, Active: early(accessOf, func(m *luahost.MainConf) bool { return m.AccessNoPostpone.V }), Run: access},
	},
}

// trims says that lua_malloc_trim counts requests: where there is Lua, or the directive.
func trims(s *conf.Scope) bool {
	m := luahost.MainLevel.Of(s)
	return m.MallocTrim.V > 0 && (m.Used || m.MallocTrim.IsSet)
}

func rewriteOf(c *luahost.Conf) *luahost.Handler { return c.Rewrite }
func accessOf(c *luahost.Conf) *luahost.Handler  { return c.Access }

func has(f func(*luahost.Conf) *luahost.Handler) func(*conf.Scope) bool {
	return func(s *conf.Scope) bool { return f(luahost.ConfOf(s)) != nil }
}

func postponed(f func(*luahost.Conf) *luahost.Handler, main *conf.Level[luahost.MainConf], no func(*luahost.MainConf) bool) func(*conf.Scope) bool {
	return func(s *conf.Scope) bool { return f(luahost.ConfOf(s)) != nil && !no(main.Of(s)) }
}

func early(f func(*luahost.Conf) *luahost.Handler, yes func(*luahost.MainConf) bool) func(*conf.Scope) bool {
	return func(s *conf.Scope) bool { return f(luahost.ConfOf(s)) != nil && yes(luahost.MainLevel.Of(s)) }
}
