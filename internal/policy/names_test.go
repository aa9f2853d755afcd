package policy

import (
	"go/ast"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// named finds `package.Name` and `package.Type.Member` in a document.
var named = regexp.MustCompile("`([a-z][a-z0-9]*)\\.([A-Za-z]\\w*)(?:\\.([A-Za-z]\\w*))?(?:\\(\\))?`")

// What the documents name exists: a name whose first part is one of our packages is declared there.
func TestNamesInDocuments(t *testing.T) {
	declared := map[string]bool{}
	files := tree(t)
	for _, f := range files {
		if filepath.Ext(f.path) == ".go" && !strings.HasSuffix(f.path, "_test.go") {
			file, _ := parse(t, f.path, f.text)
			declare(declared, file)
		}
	}
	for _, f := range files {
		if filepath.Ext(f.path) != ".md" || strings.HasPrefix(f.path, "docs/reference/") {
			continue
		}
		for _, m := range named.FindAllStringSubmatch(string(f.text), -1) {
			name := m[1] + "." + m[2]
			if m[3] != "" {
				name += "." + m[3]
			}
			if declared[m[1]] && !declared[name] {
				t.Errorf("%s names %s, which is not declared", f.path, name)
			}
		}
	}
}

// declare enters the package of a file, and its functions, methods, types, fields, constants and variables.
func declare(declared map[string]bool, file *ast.File) {
	pkg := file.Name.Name
	if pkg == "main" {
		return
	}
	declared[pkg] = true
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			name := d.Name.Name
			if d.Recv != nil {
				name = receiver(d.Recv.List[0].Type) + "." + name
			}
			declared[pkg+"."+name] = true
		case *ast.GenDecl:
			for _, s := range d.Specs {
				switch s := s.(type) {
				case *ast.ValueSpec:
					for _, n := range s.Names {
						declared[pkg+"."+n.Name] = true
					}
				case *ast.TypeSpec:
					declareType(declared, pkg+"."+s.Name.Name, s.Type)
				}
			}
		}
	}
}

func declareType(declared map[string]bool, name string, typ ast.Expr) {
	declared[name] = true
	var members *ast.FieldList
	switch typ := typ.(type) {
	case *ast.StructType:
		members = typ.Fields
	case *ast.InterfaceType:
		members = typ.Methods
	default:
		return
	}
	for _, f := range members.List {
		for _, n := range f.Names {
			declared[name+"."+n.Name] = true
		}
	}
}

func receiver(typ ast.Expr) string {
	switch typ := typ.(type) {
	case *ast.StarExpr:
		return receiver(typ.X)
	case *ast.IndexExpr:
		return receiver(typ.X)
	case *ast.IndexListExpr:
		return receiver(typ.X)
	case *ast.Ident:
		return typ.Name
	}
	return ""
}

func TestDeclare(t *testing.T) {
	file, _ := parse(t, "a.go", []byte("package a\ntype T[V any] struct{ F int }\nfunc (t *T[V]) M() {}\ntype I interface{ N() }\nvar V, W int\nfunc f() {}"))
	declared := map[string]bool{}
	declare(declared, file)
	for _, name := range []string{"a", "a.T", "a.T.F", "a.T.M", "a.I.N", "a.V", "a.W", "a.f"} {
		if !declared[name] {
			t.Errorf("%s was not found", name)
		}
	}
	if len(declared) != 9 {
		t.Errorf("found %v", declared)
	}
}
