package lua

import (
	"fmt"
	"strings"
)

var sigLetters = map[string]byte{
	"string": 's', "number": 'n', "integer": 'i', "boolean": 'b', "table": 't', "function": 'f', "thread": 'c', "any": 'a',
}

// parseSig compiles a signature's parameters for C: type letter, 1 when optional, class number.
func parseSig(sig string, classes map[string]int) ([]byte, error) {
	params, _, _ := strings.Cut(sig, "->")
	var out []byte
	for _, p := range strings.Split(params, ",") {
		p = strings.TrimSpace(p)
		if p == "" && strings.TrimSpace(params) == "" {
			break
		}
		if p == "..." {
			break
		}
		name, typ, ok := strings.Cut(p, ":")
		name, optional := strings.CutSuffix(strings.TrimSpace(name), "?")
		typ = strings.TrimSpace(typ)
		if !ok || name == "" {
			return nil, fmt.Errorf("bad parameter %q", p)
		}
		row := []byte{0, 0, 0}
		if optional {
			row[1] = 1
		}
		if class, isClass := strings.CutPrefix(typ, "@"); isClass {
			if classes[class] == 0 {
				return nil, fmt.Errorf("unknown class %q", class)
			}
			row[0], row[2] = 'o', byte(classes[class])
		} else if row[0] = sigLetters[typ]; row[0] == 0 {
			return nil, fmt.Errorf("unknown type %q", typ)
		}
		out = append(out, row...)
	}
	return out, nil
}
