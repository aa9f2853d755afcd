package policy

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// How long a file may be. A longer one holds more than one idea.
const (
	maxGoLines = 800
	maxCLines  = 1500
)

func TestFileLength(t *testing.T) {
	for _, f := range tree(t) {
		limit := map[string]int{".go": maxGoLines, ".lua": maxGoLines, ".c": maxCLines, ".h": maxCLines}[filepath.Ext(f.path)]
		if n := bytes.Count(f.text, []byte("\n")); limit > 0 && n > limit {
			t.Errorf("%s has %d lines, more than %d: is it one idea?", f.path, n, limit)
		}
	}
}

func TestSource(t *testing.T) {
	documented := map[string]bool{}
	directories := map[string]bool{}
	for _, f := range tree(t) {
		if filepath.Ext(f.path) != ".go" {
			continue
		}
		if formatted, err := format.Source(f.text); err == nil && !bytes.Equal(formatted, f.text) {
			t.Errorf("%s: not formatted (gofmt)", f.path)
		}
		file, fset := parse(t, f.path, f.text)
		for _, wrong := range checkSource(f.path, file, fset) {
			t.Error(wrong)
		}
		if dir := filepath.Dir(f.path); !strings.HasSuffix(f.path, "_test.go") {
			directories[dir] = true
			documented[dir] = documented[dir] || packageComment(file)
		}
	}
	for dir := range directories {
		if !documented[dir] {
			t.Errorf("%s: no package comment (role, invariants)", dir)
		}
	}
}

func parse(t *testing.T, path string, text []byte) (*ast.File, *token.FileSet) {
	t.Helper()
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, path, text, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	return file, fset
}

func packageComment(file *ast.File) bool {
	doc := file.Doc.Text()
	return strings.HasPrefix(doc, "Package "+file.Name.Name+" ") || strings.HasPrefix(doc, "Command ")
}

// checkSource returns what is wrong with one Go file.
func checkSource(path string, file *ast.File, fset *token.FileSet) []string {
	var wrong []string
	say := func(n ast.Node, format string, args ...any) {
		wrong = append(wrong, fmt.Sprintf("%s:%d: ", path, fset.Position(n.Pos()).Line)+fmt.Sprintf(format, args...))
	}
	bubble := false
	for _, imp := range file.Imports {
		switch imp.Path.Value {
		case `"C"`:
			if !strings.HasPrefix(path, "internal/luajit/") {
				say(imp, `import "C": only internal/luajit sees C`)
			}
		case `"testing/synctest"`:
			bubble = true
		}
	}
	feature := strings.HasPrefix(path, "internal/mod/") || strings.HasPrefix(path, "internal/luaapi/")
	test := strings.HasSuffix(path, "_test.go") || strings.HasPrefix(path, "internal/testkit/")
	for _, decl := range file.Decls {
		if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" && feature {
			say(f, "func init: features are declared as data and listed in internal/modules")
		}
	}
	if !test {
		return wrong
	}
	ast.Inspect(file, func(n ast.Node) bool {
		// What another process does can only be polled for; the one place to do so has a name.
		if f, ok := n.(*ast.FuncDecl); ok && f.Name.Name == "eventually" {
			return false
		}
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		sel, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		on, _ := sel.X.(*ast.Ident)
		switch {
		case on == nil:
		case on.Name == "time" && sel.Sel.Name == "Sleep" && !bubble:
			say(n, "time.Sleep in a test: wait for the event itself, or use testkit.Eventually")
		case sel.Sel.Name == "SkipNow", sel.Sel.Name == "Skip" && len(call.Args) == 0:
			say(n, "%s.%s without a reason", on.Name, sel.Sel.Name)
		}
		return true
	})
	return wrong
}

func TestSourceRules(t *testing.T) {
	for _, c := range []struct{ path, text, wrong string }{
		{"internal/conf/a.go", "package conf\nimport \"C\"", "only internal/luajit"},
		{"internal/luajit/a.go", "package luajit\nimport \"C\"", ""},
		{"internal/mod/gzip/a.go", "package gzip\nfunc init() {}", "func init"},
		{"internal/mod/gzip/a.go", "package gzip\nfunc (m M) init() {}", ""},
		{"internal/conf/a.go", "package conf\nfunc init() {}", ""},
		{"internal/conf/a_test.go", "package conf\nfunc f() { time.Sleep(1) }", "time.Sleep"},
		{"internal/conf/a_test.go", "package conf\nfunc (s *S) eventually() { time.Sleep(1) }", ""},
		{"internal/conf/a.go", "package conf\nfunc f() { time.Sleep(1) }", ""},
		{"internal/conf/a_test.go", "package conf\nimport \"testing/synctest\"\nfunc f() { time.Sleep(1) }", ""},
		{"internal/conf/a_test.go", "package conf\nfunc f() { t.SkipNow() }", "t.SkipNow without a reason"},
		{"internal/conf/a_test.go", "package conf\nfunc f() { b.Skip() }", "b.Skip without a reason"},
		{"internal/conf/a_test.go", "package conf\nfunc f() { t.Skip(\"no network namespace here\") }", ""},
	} {
		file, fset := parse(t, c.path, []byte(c.text))
		got := strings.Join(checkSource(c.path, file, fset), "\n")
		if (c.wrong == "") != (got == "") || !strings.Contains(got, c.wrong) {
			t.Errorf("%s %q: %q, want %q in it", c.path, c.text, got, c.wrong)
		}
	}
	for text, want := range map[string]bool{
		"// Package a does.\npackage a": true, "// Command a does.\npackage main": true, "package a": false, "// a\npackage a": false,
	} {
		if file, _ := parse(t, "a.go", []byte(text)); packageComment(file) != want {
			t.Errorf("packageComment(%q) = %v", text, !want)
		}
	}
}
