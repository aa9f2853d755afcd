package policy

import (
	"fmt"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

const module = "moongate/"

// layering is layers.txt, parsed.
type layering struct {
	names    []string
	patterns map[string][]string // layer name -> package patterns
	allowed  map[[2]string]bool  // importer, imported
}

func parseLayers(text string) (*layering, error) {
	l := &layering{patterns: map[string][]string{}, allowed: map[[2]string]bool{}}
	for n, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		head, tail, ok := strings.Cut(line, ":")
		words := strings.Fields(head)
		switch {
		case ok && len(words) == 2 && words[0] == "layer":
			l.names = append(l.names, words[1])
			l.patterns[words[1]] = strings.Fields(tail)
		case ok && len(words) == 3 && words[0] == "allow" && strings.TrimSpace(tail) != "":
			l.allowed[[2]string{words[1], words[2]}] = true
		default:
			return nil, fmt.Errorf("line %d: want \"layer NAME: PATH ...\" or \"allow A B: reason\"", n+1)
		}
	}
	return l, nil
}

// layer returns the index of the layer of pkg (a path without the module), -1 when no pattern has it.
func (l *layering) layer(pkg string) int {
	for i, name := range l.names {
		for _, pattern := range l.patterns[name] {
			if matches(pattern, pkg) {
				return i
			}
		}
	}
	return -1
}

func matches(pattern, pkg string) bool {
	if deep, ok := strings.CutSuffix(pattern, "/..."); ok {
		return strings.HasPrefix(pkg, deep+"/")
	}
	ok, err := path.Match(pattern, pkg)
	return ok && err == nil
}

// check returns what is wrong with one import, "" when nothing is.
func (l *layering) check(importer, imported string) string {
	a, b := l.layer(importer), l.layer(imported)
	switch {
	case a < 0:
		return fmt.Sprintf("package %s has no layer: name it in layers.txt", importer)
	case b < 0:
		return fmt.Sprintf("package %s has no layer: name it in layers.txt", imported)
	case l.allowed[[2]string{importer, imported}]:
		return ""
	case l.names[b] == "beside":
		return fmt.Sprintf("%s imports %s, which is for tests", importer, imported)
	case a < b:
		return fmt.Sprintf("%s (layer %s) imports %s of the layer %s above it", importer, l.names[a], imported, l.names[b])
	case a == b && !sameTool(l.names[a], importer, imported):
		return fmt.Sprintf("%s imports %s of its own layer %s", importer, imported, l.names[a])
	}
	return ""
}

// sameTool permits what belongs together at the top: parts of one tool, and commands that share a package.
func sameTool(layer, importer, imported string) bool {
	return layer == "tools" || layer == "main" || strings.HasPrefix(importer, imported+"/") || strings.HasPrefix(imported, importer+"/")
}

// place turns an import path into the form of layers.txt: without the module, and without internal/.
func place(importPath string) string {
	return strings.TrimPrefix(strings.TrimPrefix(importPath, module), "internal/")
}

func TestLayers(t *testing.T) {
	text, err := os.ReadFile("layers.txt")
	if err != nil {
		t.Fatal(err)
	}
	l, err := parseLayers(string(text))
	if err != nil {
		t.Fatalf("layers.txt: %v", err)
	}
	for _, p := range packages(t) {
		if l.layer(place(p.path)) < 0 {
			t.Errorf("package %s has no layer: name it in layers.txt", p.path)
			continue
		}
		for _, imported := range p.imports {
			if !strings.HasPrefix(imported, module) {
				continue
			}
			if wrong := l.check(place(p.path), place(imported)); wrong != "" {
				t.Error(wrong)
			}
		}
	}
}

// Core packages are the project's own: what they import from outside is the standard library and golang.org/x/sys.
func TestCoreIsOwn(t *testing.T) {
	text, err := os.ReadFile("layers.txt")
	if err != nil {
		t.Fatal(err)
	}
	l, err := parseLayers(string(text))
	if err != nil {
		t.Fatal(err)
	}
	top := slices.Index(l.names, "engine")
	for _, p := range packages(t) {
		at := l.layer(place(p.path))
		if at < 0 || at > top {
			continue
		}
		for _, imported := range p.imports {
			first, _, _ := strings.Cut(imported, "/")
			outside := strings.Contains(first, ".")
			if outside && !strings.HasPrefix(imported, "golang.org/x/sys/") {
				t.Errorf("%s imports %s; core packages have no dependencies", p.path, imported)
			}
			if l.names[at] == "base" && strings.HasPrefix(imported, module) {
				t.Errorf("%s imports %s; base packages import the standard library only", p.path, imported)
			}
		}
	}
}

func TestModuleList(t *testing.T) {
	listed := map[string]bool{}
	text, err := os.ReadFile("modules.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(text), "\n") {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		name, purpose, _ := strings.Cut(line, ":")
		if strings.TrimSpace(purpose) == "" {
			t.Errorf("modules.txt: %s: say what it is for", name)
		}
		listed[name] = true
	}
	out := goList(t, "-m", "-f", "{{if not (or .Main .Indirect)}}{{.Path}}{{end}}", "all")
	for _, name := range strings.Fields(out) {
		if !listed[name] {
			t.Errorf("go.mod requires %s: name it in modules.txt, with what it is for", name)
		}
		delete(listed, name)
	}
	for name := range listed {
		t.Errorf("modules.txt: go.mod does not require %s", name)
	}
}

type listedPackage struct {
	path    string
	imports []string
}

func packages(t *testing.T) []listedPackage {
	t.Helper()
	var all []listedPackage
	for _, line := range strings.Split(goList(t, "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./..."), "\n") {
		if words := strings.Fields(line); len(words) > 0 {
			all = append(all, listedPackage{words[0], words[1:]})
		}
	}
	if len(all) < 2 {
		t.Fatal("go list found no packages")
	}
	return all
}

func goList(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list"}, args...)...)
	cmd.Dir = root
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list %s: %v", strings.Join(args, " "), err)
	}
	return string(out)
}

func TestLayerRules(t *testing.T) {
	l, err := parseLayers("layer base: base/*\nlayer mid: conf vars\nlayer top: mod/* app\nlayer tools: cli/...\nlayer beside: policy\nallow vars conf: because")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ importer, imported, wrong string }{
		{"conf", "base/units", ""},
		{"base/units", "conf", "layer mid above it"},
		{"base/units", "base/ascii", "of its own layer base"},
		{"vars", "conf", ""},
		{"conf", "vars", "of its own layer mid"},
		{"mod/proxy", "mod/gzip", "of its own layer top"},
		{"app", "app/upgrade", "app/upgrade has no layer"},
		{"cli/a", "cli/b/c", ""},
		{"cli/a", "policy", "which is for tests"},
		{"conf", "nowhere", "nowhere has no layer"},
	} {
		got := l.check(c.importer, c.imported)
		if (c.wrong == "") != (got == "") || !strings.Contains(got, c.wrong) {
			t.Errorf("%s imports %s: %q, want %q in it", c.importer, c.imported, got, c.wrong)
		}
	}
	for _, text := range []string{"layer", "allow a b:", "layr base: x", "allow a b"} {
		if _, err := parseLayers(text); err == nil {
			t.Errorf("parseLayers(%q): no error", text)
		}
	}
}
