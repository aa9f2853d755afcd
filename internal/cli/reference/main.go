// Command reference writes the manual in docs/reference from the declarations of the features: a page per module, and an
// index. `make reference` runs it; a test says when the pages no longer agree with the declarations.
package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"moongate/internal/conf"
	"moongate/internal/modules"
)

func main() {
	if err := write(filepath.Join("docs", "reference")); err != nil {
		fmt.Fprintln(os.Stderr, "reference:", err)
		os.Exit(1)
	}
}

// write replaces the pages in dir.
func write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	pages, err := pages(modules.Conf())
	if err != nil {
		return err
	}
	old, err := filepath.Glob(filepath.Join(dir, "*.md"))
	if err != nil {
		return err
	}
	for _, path := range old {
		if pages[filepath.Base(path)] == nil {
			if err := os.Remove(path); err != nil {
				return err
			}
		}
	}
	for name, text := range pages {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// pages returns the text of every page by file name.
func pages(all []*conf.Module) (map[string][]byte, error) {
	pages := map[string][]byte{}
	for _, m := range all {
		if len(m.Directives) == 0 {
			continue
		}
		var page bytes.Buffer
		if err := conf.Reference(&page, m); err != nil {
			return nil, err
		}
		name := m.Name + ".md"
		if pages[name] != nil {
			return nil, fmt.Errorf("two modules are called %s", m.Name)
		}
		pages[name] = page.Bytes()
	}
	pages["README.md"] = index(all)
	return pages, nil
}

// index lists the directives by name, each with the pages that have it.
func index(all []*conf.Module) []byte {
	var b bytes.Buffer
	b.WriteString("# Reference\n\nMade from the declarations by `make reference`; do not edit.\n\n" +
		"## Directives\n\n| directive | contexts | module |\n| --- | --- | --- |\n")
	var lines []string
	for _, m := range all {
		for i := range m.Directives {
			d := &m.Directives[i]
			lines = append(lines, fmt.Sprintf("| `%s` | %s | [%s](%s.md) |\n", d.Name, d.In, m.Name, m.Name))
		}
	}
	slices.Sort(lines)
	b.WriteString(strings.Join(slices.Compact(lines), ""))
	return b.Bytes()
}
