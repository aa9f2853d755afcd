// Package errlog is the Lua module ngx.errlog: error log lines as Lua writes them, and those kept by
// lua_capture_error_log.
package errlog

import (
	"moongate/internal/base/nlog"
	"moongate/internal/lua"
	"moongate/internal/luahost"
)

// Library declares the module.
var Library = lua.Library{
	Name: "errlog", Doc: "The error log: ngx.errlog.",
	Funcs:   []*lua.Func{setLevel, take, logs, sysLevel, raw},
	Consts:  []lua.Const{{Name: "ngx.errlog.version", Value: luahost.CoreVersion}},
	Modules: []lua.Module{{Name: "ngx.errlog", Table: "ngx.errlog", Private: true}},
}

const notSet = `directive "lua_capture_error_log" is not set`

var setLevel = &lua.Func{
	Name: "ngx.errlog.set_filter_level", Doc: "Keeps lines of this level and of graver ones from now on.",
	Run: func(c *lua.Call) lua.Outcome {
		if !c.Bool(1) {
			return c.ReturnNilErr(`missing "level" argument`)
		}
		if !c.IsNumber(1) {
			return c.TypeError(1, "number")
		}
		kept := luahost.CapturedLog()
		if kept == nil {
			return c.ReturnNilErr(notSet)
		}
		if l := c.Int(1); l < int(nlog.Stderr) || l > int(nlog.Debug) {
			return c.ReturnNilErr("bad log level: " + string(luahost.Text(c, 1)))
		}
		kept.SetLevel(nlog.Level(c.Int(1)))
		return c.ReturnBool(true)
	},
}

// take gives one line: level, time and text; nothing when there is none, or false and why there cannot be any.
var take = &lua.Func{Name: "ngx.errlog._take", Doc: "Part of ngx.errlog.get_logs.", Run: func(c *lua.Call) lua.Outcome {
	kept := luahost.CapturedLog()
	if kept == nil {
		return c.ReturnFalseErr(notSet)
	}
	level, at, line, ok := kept.Take()
	if ok {
		w := c.Push()
		w.Int(int(level))
		w.Num(at)
		w.Str(line)
	}
	return c.Return()
}}

var logs = &lua.Func{
	Name: "ngx.errlog.get_logs", Tier: lua.Lua,
	Doc: "Takes up to so many kept lines, 10 by default: a table, possibly the one given, with level, time and text of each.",
	Source: `
local take, new_tab = package.loaded.moongate_errlog._take, require "table.new"
package.loaded.moongate_errlog._take = nil
return function(max, logs)
	max = max or 10
	logs = logs or new_tab(max * 3 + 1, 0)
	local n = 0
	for _ = 1, max do
		local level, time, line = take()
		if level == false then
			return nil, time
		end
		if not level then
			break
		end
		logs[n + 1], logs[n + 2], logs[n + 3] = level, time, line
		n = n + 3
	end
	if max > 0 then
		logs[n + 1] = nil
	end
	return logs
end`,
}

var sysLevel = &lua.Func{
	Name: "ngx.errlog.get_sys_filter_level", Doc: "The level of error_log in force.",
	Run: func(c *lua.Call) lua.Outcome { return c.ReturnInt(int(min(luahost.Logger(c).Level(), nlog.Debug))) },
}

var raw = &lua.Func{
	Name: "ngx.errlog.raw_log", Doc: "Writes a line to the error log as it is.",
	Run: func(c *lua.Call) lua.Outcome {
		if c.Type(1) != lua.Number {
			return c.Errorf("bad argument #1 to 'raw_log' (must be a number)")
		}
		if c.Type(2) != lua.Str {
			return c.Errorf("bad argument #2 to 'raw_log' (must be a string)")
		}
		if l := c.Int(1); l < int(nlog.Stderr) || l > int(nlog.Debug) {
			return c.Errorf("bad log level")
		}
		luahost.Logger(c).Log(nlog.Level(c.Int(1)), luahost.Source(c), nil, c.String(2))
		return c.Return()
	},
}
