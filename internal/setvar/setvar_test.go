package setvar

import "testing"

func TestNames(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range Funcs {
		if seen[f.Name] || f.Do == nil || f.Doc == "" {
			t.Errorf("%s: declared twice, or without a function or a word about it", f.Name)
		}
		seen[f.Name] = true
		if (Lookup(f.Name) != nil) != f.Lua {
			t.Errorf("%s: Lua %v", f.Name, f.Lua)
		}
	}
}
