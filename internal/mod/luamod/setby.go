package luamod

import (
	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/lua"
	"moongate/internal/luahost"
	"moongate/internal/mod/rewrite"
)

// inScript are the blocks that have a script of the rewrite module, which set_by_lua is a part of.
const inScript = conf.Server | conf.Location | conf.ServerIf | conf.LocationIf

var setRows = []conf.Directive{
	{Name: "set_by_lua", Syntax: "$variable lua-script [argument ...]", In: inScript, Args: conf.TwoMore, Set: conf.Func(readSet),
		Doc: "Assigns what Lua code returns to a variable, at its place among the directives of the rewrite module. Prefer the form with a block."},
	{Name: "set_by_lua_block", Syntax: "$variable { lua-script }", In: inScript, Args: conf.Take1 | conf.Block, Set: conf.Func(readSetBlock),
		Doc: "Assigns what Lua code returns to a variable, at its place among the directives of the rewrite module."},
	{Name: "set_by_lua_file", Syntax: "$variable path [argument ...]", In: inScript, Args: conf.TwoMore, Set: conf.Func(readSetFile),
		Doc: "Assigns what Lua code of a file returns to a variable; the arguments are in ngx.arg."},
}

func readSet(c *conf.Cmd) error {
	return defineSet(c, &luahost.Handler{Code: lua.NewCode(c.Args[1], c.ChunkName("set_by_lua"))}, c.Args[2:])
}

func readSetBlock(c *conf.Cmd) error {
	return defineSet(c, &luahost.Handler{Code: lua.NewCode(c.Body, c.ChunkName("set_by_lua"))}, nil)
}

func readSetFile(c *conf.Cmd) error {
	tpl, err := engine.CompileArg(c, c.Args[1])
	if err != nil {
		return err
	}
	h := &luahost.Handler{File: tpl}
	if tpl.IsLiteral() {
		h = &luahost.Handler{Code: lua.NewFile(c.Config().FullName(c.Args[1]))}
	}
	return defineSet(c, h, c.Args[2:])
}

func defineSet(c *conf.Cmd, h *luahost.Handler, args []string) error {
	luahost.MainLevel.Of(c.Scope).Used = true
	return rewrite.DefineSet(c, c.Args[0], args, func(r *engine.Request, args [][]byte) ([]byte, engine.Status) {
		x := luahost.Of(r)
		x.SetArgs = append(x.SetArgs[:0], args...)
		val, ok := luahost.RunSet(r, h.For(r))
		if !ok {
			return nil, 500
		}
		return val, engine.OK
	})
}
