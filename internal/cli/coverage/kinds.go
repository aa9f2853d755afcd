package main

import "strings"

// item is one thing of the inventory.
type item struct {
	name   string
	group  string // the module that has it there
	tier   string
	stream bool
}

// table is where items come from; item returns false for a row that is none of ours.
type table struct {
	file string
	item func(r row) (item, bool)
}

// kind is one part of the report.
type kind struct {
	title  string
	dump   string
	tables []table
	has    func(known []row, it item) bool
}

var kinds = []kind{
	{"Directives", "directives", []table{
		{"nginx_directives.tsv", func(r row) (item, bool) {
			return item{r["name"], r["module"], r["tier"], r["subsystem"] == "stream"}, true
		}},
		{"lua_directives.tsv", func(r row) (item, bool) {
			return item{r["name"], "lua", "core", false}, true
		}},
		{"companion_modules.tsv", func(r row) (item, bool) {
			return item{r["name"], r["module"], r["tier"], false}, true
		}},
		{"stream_lua.tsv", func(r row) (item, bool) {
			return item{r["name"], "stream lua", "common", true}, r["kind"] == "directive"
		}},
	}, hasDirective},
	{"Variables", "variables", []table{
		{"nginx_variables.tsv", func(r row) (item, bool) {
			return item{strings.TrimPrefix(r["name"], "$"), r["module"], r["tier"], r["subsystem"] == "stream"}, true
		}},
	}, hasVariable},
	{"Lua functions", "lua", []table{
		{"lua_api.tsv", func(r row) (item, bool) {
			// A row with other words than names tells of behaviour.
			prose := strings.Contains(r["name"], " ") && !strings.Contains(r["name"], ": ")
			return item{r["name"], r["module"], "core", false}, !prose
		}},
	}, hasFunction},
}

// hasDirective looks for a row of the same name and side: a directive of stream{} is another one than its namesake of
// http{}, and belongs to a module whose name begins with stream or may stand in stream{} besides.
func hasDirective(known []row, it item) bool {
	for _, r := range known {
		if r["name"] != it.name {
			continue
		}
		ofStream := strings.HasPrefix(r["module"], "stream")
		if !it.stream && !ofStream || it.stream && (ofStream || strings.Contains(r["contexts"], "stream")) {
			return true
		}
	}
	return false
}

// hasVariable takes a name with a variable part (http_NAME) for known when the binary lists the same prefix, whatever it
// calls the part: http_NAME, http_*, http_; and one of such a family (http_host) too.
func hasVariable(known []row, it item) bool {
	for _, r := range known {
		p := prefix(r["name"])
		if p == prefix(it.name) || p != r["name"] && strings.HasPrefix(it.name, p) {
			return true
		}
	}
	return false
}

func prefix(name string) string {
	name = strings.TrimPrefix(name, "$")
	for _, part := range []string{"NAME", "*"} {
		if head, ok := strings.CutSuffix(name, "_"+part); ok {
			return head + "_"
		}
	}
	return name
}

// hasFunction compares names in one form (plain). An item may be several names of one module, "ngx.ssl: A B": all must be
// there.
func hasFunction(known []row, it item) bool {
	module, names, several := strings.Cut(it.name, ": ")
	if !several {
		return hasName(known, it.name)
	}
	for name := range strings.FieldsSeq(names) {
		if name != "..." && !strings.HasSuffix(name, "*") && !hasName(known, name) && !hasName(known, module+"."+name) {
			return false
		}
	}
	return true
}

func hasName(known []row, name string) bool {
	for _, r := range known {
		if plain(r["name"]) == plain(name) {
			return true
		}
	}
	return false
}

// plain writes methods with a dot and leaves out what stands for any key: ngx.var.NAME is ngx.var. A process is proc in the
// inventory.
func plain(name string) string {
	name = strings.ReplaceAll(name, ":", ".")
	if rest, ok := strings.CutPrefix(name, "process."); ok {
		name = "proc." + rest
	}
	for _, key := range []string{".NAME", ".HEADER", ".DIRECTIVE"} {
		name = strings.TrimSuffix(name, key)
	}
	return name
}
