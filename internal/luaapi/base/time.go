package base

import (
	"time"

	"moongate/internal/lua"
	"moongate/internal/luahost"
)

var timeFuncs = []*lua.Func{
	{Name: "ngx.now", Doc: "The cached time in seconds since the epoch, with milliseconds.",
		Run: func(c *lua.Call) lua.Outcome { return c.ReturnNum(float64(wall(c)/1e6) / 1000) }},
	{Name: "ngx.time", Doc: "The cached time in whole seconds since the epoch.",
		Run: func(c *lua.Call) lua.Outcome { return c.ReturnNum(float64(wall(c) / 1e9)) }},
	{Name: "ngx.update_time", Doc: "Reads the clock again.",
		Run: func(c *lua.Call) lua.Outcome {
			if l := luahost.LoopOrNil(c); l != nil {
				l.RenewClock()
			}
			return c.Return()
		}},
	{Name: "ngx.today", Doc: "The local date: yyyy-mm-dd.",
		Run: func(c *lua.Call) lua.Outcome { return c.ReturnString(at(c).Format("2006-01-02")) }},
	{Name: "ngx.localtime", Doc: "The local time: yyyy-mm-dd hh:mm:ss.",
		Run: func(c *lua.Call) lua.Outcome { return c.ReturnString(at(c).Format("2006-01-02 15:04:05")) }},
	{Name: "ngx.utctime", Doc: "The time in UTC: yyyy-mm-dd hh:mm:ss.",
		Run: func(c *lua.Call) lua.Outcome { return c.ReturnString(at(c).UTC().Format("2006-01-02 15:04:05")) }},
}

// wall is the cached time in nanoseconds; before the worker runs, the clock's.
func wall(c *lua.Call) int64 {
	if l := luahost.LoopOrNil(c); l != nil {
		return l.Wall()
	}
	return time.Now().UnixNano()
}

func at(c *lua.Call) time.Time { return time.Unix(0, wall(c)) }
