package modules

import (
	"strings"
	"testing"
)

func TestDumps(t *testing.T) {
	var variables, lua strings.Builder
	if err := DumpVariables(&variables); err != nil {
		t.Fatal(err)
	}
	if err := DumpLua(&lua); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ text, line string }{
		{variables.String(), "name\tchangeable\tmodule\tdoc"},
		{variables.String(), "\nuri\tno\t"},
		{variables.String(), "\nhttp_NAME\tno\t"},
		{lua.String(), "name\tkind\tsignature\tphases\tlibrary\tdoc"},
		{lua.String(), "\nngx.say\tfunction\t"},
		{lua.String(), "\nngx.ctx\t"},
		{lua.String(), "\nngx.OK\tconstant\t"},
		{lua.String(), "\ncoroutine.wrap\tmember\t-\tall\tcoroutine\t-"},
	} {
		if !strings.Contains("\n"+c.text, c.line) {
			t.Errorf("no line %q in:\n%.2000s", c.line, c.text)
		}
	}
	for _, text := range []string{variables.String(), lua.String()} {
		lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
		for _, line := range lines {
			if strings.Count(line, "\t") != strings.Count(lines[0], "\t") {
				t.Errorf("columns: %q", line)
			}
		}
	}
}
