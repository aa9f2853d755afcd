package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"moongate/internal/conf"
	"moongate/internal/lua"
	"moongate/internal/modules"
)

func TestPagesAreCurrent(t *testing.T) {
	want, err := manual()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join("..", "..", "..", "docs", "reference")
	files, err := filepath.Glob(filepath.Join(dir, "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		if want[filepath.Base(path)] == nil {
			t.Errorf("%s describes no module: run make reference", path)
		}
	}
	for name, text := range want {
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || string(got) != string(text) {
			t.Errorf("docs/reference/%s is not what the declarations say: run make reference", name)
		}
	}
}

func TestEveryDirectiveIsDocumented(t *testing.T) {
	for _, m := range modules.Conf() {
		for i := range m.Directives {
			if d := &m.Directives[i]; strings.TrimSpace(d.Doc) == "" {
				t.Errorf("module %s: %s has no documentation", m.Name, d.Name)
			}
		}
	}
}

func TestPages(t *testing.T) {
	one := conf.Module{Name: "one", Directives: []conf.Directive{
		{Name: "b", In: conf.HTTP, Set: conf.Ignore(), Args: conf.Take1, Doc: "Does b."},
		{Name: "a", In: conf.Server, Set: conf.Ignore(), Args: conf.Take1, Doc: "Does a."},
	}}
	got, err := pages([]*conf.Module{&one, {Name: "empty"}})
	if err != nil || len(got) != 2 {
		t.Fatalf("%d pages, %v", len(got), err)
	}
	if !strings.Contains(string(got["one.md"]), "Does b.") {
		t.Errorf("one.md:\n%s", got["one.md"])
	}
	rows := "| `a` | server | [one](one.md) |\n| `b` | http | [one](one.md) |\n"
	if !strings.HasSuffix(string(got["README.md"]), rows) {
		t.Errorf("README.md:\n%s", got["README.md"])
	}
	if _, err := pages([]*conf.Module{&one, &one}); err == nil {
		t.Error("no error for two modules of one name")
	}

	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "gone.md"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := write(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "gone.md")); err == nil {
		t.Error("a page of no module stays")
	}
}

func TestLuaAPI(t *testing.T) {
	page := string(luaAPI([]modules.LuaName{
		{Name: "ngx.a", Kind: "function", Sig: "n:number, m?:string -> ok, err", In: lua.Anywhere, Doc: "Does a."},
		{Name: "ngx.b", Kind: "function", In: lua.PhaseMask(lua.PhaseLog | lua.PhaseSet)},
		{Name: "ngx.c", Kind: "property", In: lua.WithRequest},
		{Name: "ngx.Z", Kind: "constant"},
		{Name: "ngx.Y", Kind: "constant"},
		{Name: "ngx.re.opt", Kind: "member"},
	}))
	for _, want := range []string{
		"## ngx.a\n\n- **Call:** `ngx.a(n:number, m?:string) -> ok, err`\n- **Phases:** all\n\nDoes a.\n",
		"## ngx.b\n\n- **Call:** `ngx.b()`\n- **Phases:** set_by_lua\\*, log_by_lua\\*\n",
		"## ngx.c\n\n- **Phases:** all but init_by_lua\\*\n",
		"## Constants\n\n`ngx.Y`\n`ngx.Z`\n\n## From Lua modules\n\n`ngx.re.opt`\n",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("not in the page: %q\n%s", want, page)
		}
	}
}
