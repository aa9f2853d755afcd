package luamod

import (
	"moongate/internal/base/units"
	"moongate/internal/conf"
	"moongate/internal/lua"
	"moongate/internal/luahost"
	"moongate/internal/luajit"
)

var dictRows = []conf.Directive{
	{Name: "lua_shared_dict", Syntax: "name size", In: conf.HTTP, Args: conf.Take2, Set: conf.Func(readDict),
		Doc: "Makes ngx.shared.NAME: a dictionary of at least 8k which all workers share and which survives a reload."},
}

// minDict is the size below which nginx refuses a dictionary.
const minDict = 8 << 10

func readDict(c *conf.Cmd) error {
	m := luahost.MainLevel.Of(c.Scope)
	name, size := c.Args[0], c.Args[1]
	if name == "" {
		return c.Errorf("invalid lua shared dict name \"%s\"", name)
	}
	n, ok := units.Size(size)
	if !ok || n < minDict {
		return c.Errorf("invalid lua shared dict size \"%s\"", size)
	}
	for _, d := range m.SharedDicts {
		if d.Name != name {
			continue
		}
		if d.Size != n {
			return c.Errorf("the size %d of shared memory zone \"%s\" conflicts with already declared size %d", n, name, d.Size)
		}
		return c.Errorf("lua_shared_dict \"%s\" is already defined as \"%s\"", name, name)
	}
	m.SharedDicts = append(m.SharedDicts, luahost.SharedDict{Name: name, Size: n})
	m.Used = true
	return nil
}

// defineDicts gives a VM its shared dictionaries.
func defineDicts(vm *lua.VM, m *luahost.MainConf) error {
	var dicts []*luajit.Dict
	for _, d := range m.SharedDicts {
		dict, err := luajit.OpenDict(d.Name, d.Size)
		if err != nil {
			for _, o := range dicts {
				o.Release()
			}
			return err
		}
		dicts = append(dicts, dict)
	}
	return vm.DefineDicts(dicts)
}
