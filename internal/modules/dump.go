package modules

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"

	"moongate/internal/lua"
	"moongate/internal/luajit"
)

// DumpVariables lists the variables, one on a line, as tab-separated columns under a line of headings. A family is listed
// as http_NAME.
func DumpVariables(w io.Writer) error {
	b := bufio.NewWriter(w)
	fmt.Fprintln(b, "name\tchangeable\tmodule\tdoc")
	for _, m := range Set().Modules {
		for i := range m.Vars {
			v := &m.Vars[i]
			name, changeable := v.Name, "no"
			if v.Prefix {
				name += "NAME"
			}
			if v.Changeable || v.Set != nil {
				changeable = "yes"
			}
			row(b, name, changeable, m.Name, v.Doc)
		}
	}
	return b.Flush()
}

// LuaName is one name of the Lua API.
type LuaName struct {
	Name string // "ngx.say", "tcpsock:send", "ngx.semaphore.new"
	Kind string // function, property, object, constant; member: of a module written in Lua
	// Sig, In and Doc are those of the declaration; a member has none.
	Sig string
	In  lua.PhaseMask
	Doc string
	// Library is the name of the library that declares it, of the module for a member.
	Library string
}

// LuaNames lists the Lua API: what is declared, in the order of the libraries, and then what the Lua modules bring, which a
// VM is asked for.
func LuaNames() ([]LuaName, error) {
	libraries := LuaLibraries()
	var all []LuaName
	known := map[string]bool{}
	add := func(n LuaName) {
		if n.In == 0 {
			n.In = lua.Anywhere
		}
		if !known[n.Name] {
			known[n.Name] = true
			all = append(all, n)
		}
	}
	add(LuaName{"ngx.ctx", "property", "", lua.WithRequest, "A table that lives as long as the request.", "lua"})
	var required []string
	for _, l := range libraries {
		for _, f := range l.Funcs {
			add(LuaName{strings.TrimPrefix(f.Name, "@"), "function", f.Sig, f.In, f.Doc, l.Name})
		}
		for _, p := range l.Props {
			add(LuaName{"ngx." + p.Name, "property", "", p.In, p.Doc, l.Name})
		}
		for _, o := range l.Objects {
			add(LuaName{o.Name, "object", "", o.In, o.Doc, l.Name})
		}
		for _, c := range l.Consts {
			add(LuaName{c.Name, "constant", "", 0, "", l.Name})
		}
		for _, m := range l.Modules {
			required = append(required, m.Name)
		}
	}
	members, err := luaMembers(libraries, required)
	for _, m := range members {
		add(m)
	}
	return all, err
}

// walk returns the names below the tables of the API and below what require gives for its arguments, a line each: the name,
// a tab, what it is a member of.
const walk = `
local required, lines, seen = ..., {}, {}
local function go(name, t, of)
    if seen[t] then return end
    seen[t] = true
    for k, v in next, t do
        if type(k) == "string" and k:find("^%a[%w_]*$") then
            local full = name .. "." .. k
            lines[#lines + 1] = full .. "\t" .. of
            if type(v) == "table" then go(full, v, of) end
        end
    end
end
for _, name in ipairs{"ngx", "ndk", "coroutine"} do
    if type(_G[name]) == "table" then go(name, _G[name], name) end
end
local function load(name)
    local ok, m = pcall(require, name)
    if ok and type(m) == "table" then seen[m] = nil; go(name, m, name) end
end
for name in required:gmatch("%S+") do load(name) end
for name in pairs(package.preload) do load(name) end
go("ngx.shared.DICT", getmetatable(ngx.shared.DICT).__index, "ngx.shared")
table.sort(lines)
return table.concat(lines, "\n")
`

// leastDict is the size of a dictionary that is only looked at.
const leastDict = 64 << 10

func luaMembers(libraries []*lua.Library, required []string) ([]LuaName, error) {
	rt, err := lua.NewRuntime(lua.Options{Host: silent{}}, libraries...)
	if err != nil {
		return nil, err
	}
	vm, err := rt.NewVM()
	if err != nil {
		return nil, err
	}
	defer vm.Close()
	dict, err := luajit.OpenDict("DICT", leastDict)
	if err != nil {
		return nil, err
	}
	if err := vm.DefineDicts([]*luajit.Dict{dict}); err != nil {
		return nil, err
	}
	chunk, err := vm.Load(lua.NewCode(walk, "=dump"))
	if err != nil {
		return nil, err
	}
	var text string
	res := chunk.RunWith(nil, lua.PhaseInit,
		func(w *lua.Writer) { w.String(strings.Join(required, " ")) },
		func(c *lua.Call) { text = c.String(1) })
	if res.Status == lua.Failed {
		return nil, res.Err
	}
	var all []LuaName
	for line := range strings.SplitSeq(text, "\n") {
		if name, of, ok := strings.Cut(line, "\t"); ok {
			all = append(all, LuaName{Name: name, Kind: "member", Library: of})
		}
	}
	return all, nil
}

// silent is the host of a VM that is only looked at.
type silent struct{}

func (silent) Log(*lua.Context, lua.Level, string) {}
func (silent) Output(*lua.Context, []byte)         {}

// DumpLua lists the Lua API, as DumpVariables does the variables.
func DumpLua(w io.Writer) error {
	names, err := LuaNames()
	if err != nil {
		return err
	}
	slices.SortStableFunc(names, func(a, b LuaName) int { return strings.Compare(a.Name, b.Name) })
	b := bufio.NewWriter(w)
	fmt.Fprintln(b, "name\tkind\tsignature\tphases\tlibrary\tdoc")
	for _, n := range names {
		row(b, n.Name, n.Kind, n.Sig, n.Phases(), n.Library, n.Doc)
	}
	return b.Flush()
}

// Phases names where it may be used, by the directives' names.
func (n *LuaName) Phases() string {
	switch n.In {
	case lua.Anywhere:
		return "all"
	case lua.WithRequest:
		return "all but init_by_lua*"
	}
	var names []string
	for p := lua.Phase(1); lua.Anywhere.Has(p); p <<= 1 {
		if n.In.Has(p) {
			names = append(names, p.String())
		}
	}
	return strings.Join(names, ", ")
}

// row writes columns; an empty one is a dash.
func row(w io.Writer, columns ...string) {
	for i, c := range columns {
		if columns[i] = strings.Join(strings.Fields(c), " "); columns[i] == "" {
			columns[i] = "-"
		}
	}
	fmt.Fprintln(w, strings.Join(columns, "\t"))
}
