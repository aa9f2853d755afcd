// Command coverage compares what the binary knows with an inventory of what nginx and OpenResty have: directives, variables
// and Lua functions. It prints counts by importance and the names that are missing.
//
//	coverage --inventory DIR [--binary bin/moongate] [--missing core|common|all|none]
//
// The inventory is a folder of tab-separated tables with a line of headings; conformance/README.md says which. What the
// binary knows comes from `moongate dump directives|variables|lua`, whose first column is the name.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

func main() {
	inventory := flag.String("inventory", "", "`folder` of the tables")
	binary := flag.String("binary", "bin/moongate", "the server's `binary`")
	missing := flag.String("missing", "common", "list missing names up to the tier core, common or all; or none")
	flag.Parse()
	if *inventory == "" || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(os.Stdout, *inventory, *binary, *missing); err != nil {
		fmt.Fprintln(os.Stderr, "coverage:", err)
		os.Exit(1)
	}
}

func run(w io.Writer, inventory, binary, missing string) error {
	for _, kind := range kinds {
		known, err := dump(binary, kind.dump)
		if err != nil {
			return err
		}
		report := newReport(kind.title)
		for _, source := range kind.tables {
			rows, err := readTable(filepath.Join(inventory, source.file))
			if err != nil {
				return err
			}
			for _, r := range rows {
				if item, ok := source.item(r); ok {
					report.add(item, kind.has(known, item))
				}
			}
		}
		report.print(w, missing)
	}
	return nil
}

// row is one line of a table, by heading.
type row map[string]string

func readTable(path string) ([]row, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	rows := parseTable(text)
	if len(rows) == 0 {
		return nil, fmt.Errorf("%s: no rows", path)
	}
	return rows, nil
}

func parseTable(text []byte) []row {
	lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	headings := strings.Split(lines[0], "\t")
	var rows []row
	for _, line := range lines[1:] {
		r := row{}
		for i, cell := range strings.Split(line, "\t") {
			if i < len(headings) {
				r[headings[i]] = cell
			}
		}
		rows = append(rows, r)
	}
	return rows
}

// dump asks the binary for one of its lists.
func dump(binary, list string) ([]row, error) {
	var stderr bytes.Buffer
	cmd := exec.Command(binary, "dump", list)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s dump %s: %w: %s", binary, list, err, strings.TrimSpace(stderr.String()))
	}
	rows := parseTable(out)
	for _, r := range rows {
		if r["name"] == "" {
			return nil, fmt.Errorf("%s dump %s: the first column is not \"name\"", binary, list)
		}
	}
	return rows, nil
}
