package blocks

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"moongate/internal/testkit/pattern"
	"moongate/internal/testkit/perl"
)

// filterOrder is the list of filters of a section: the default ones, then its own;
// -name takes one away, +name moves it to the end.
func filterOrder(own []string) []string {
	order := []string{"norm", "trim"}
	var last []string
	for _, f := range own {
		switch f[0] {
		case '-':
			order = slices.DeleteFunc(order, func(have string) bool { return have == f[1:] })
		case '+':
			last = append(last, f[1:])
		default:
			order = append(order, f)
		}
	}
	return append(order, last...)
}

// Value runs the section's filters over its text and returns what the section
// holds: a string, or for eval whatever the expression yields (the first value of
// a list).
func (s *Section) Value(in *perl.Interp, path string) (perl.Value, error) {
	vals := []perl.Value{s.Raw}
	for _, f := range filterOrder(s.Filters) {
		name, arg, hasArg := strings.Cut(f, "=")
		var err error
		switch name {
		case "eval":
			vals, err = in.Eval(single(vals), path, s.Line)
		case "regexp":
			vals, err = regexpFilter(single(vals), arg)
		case "read_file":
			var text []byte
			text, err = os.ReadFile(inDir(in.Dir, strings.TrimSuffix(single(vals), "\n")))
			vals = []perl.Value{string(text)}
		default:
			fn, ok := filters[name]
			if !ok {
				return nil, &Error{path, s.Line, fmt.Sprintf("section %q: unknown filter %q", s.Name, name)}
			}
			vals = fn(vals, unescapeArg(arg), hasArg)
		}
		if err != nil {
			return nil, fmt.Errorf("section %q: %w", s.Name, err)
		}
	}
	if len(vals) == 0 {
		return nil, nil
	}
	return vals[0], nil
}

func inDir(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

func single(vals []perl.Value) string {
	var b strings.Builder
	for _, v := range vals {
		b.WriteString(perl.String(v))
	}
	return b.String()
}

// unescapeArg resolves \s and the usual escapes in the argument of a filter.
func unescapeArg(s string) string {
	return strings.NewReplacer(`\s`, " ", `\n`, "\n", `\t`, "\t", `\r`, "\r").Replace(s)
}

func regexpFilter(text, flags string) ([]perl.Value, error) {
	if strings.Contains(strings.TrimSuffix(text, "\n"), "\n") {
		if flags == "" {
			flags = "xism"
		}
	} else {
		text = strings.TrimSuffix(text, "\n")
	}
	re, err := pattern.Compile(text, flags)
	return []perl.Value{re}, err
}

type filter func(vals []perl.Value, arg string, hasArg bool) []perl.Value

// each makes a filter of a function on one string.
func each(fn func(s, arg string) string) filter {
	return func(vals []perl.Value, arg string, _ bool) []perl.Value {
		out := make([]perl.Value, len(vals))
		for i, v := range vals {
			out[i] = v
			if perl.RefName(v) == "" {
				out[i] = fn(perl.String(v), arg)
			}
		}
		return out
	}
}

var filters = map[string]filter{
	"norm": each(func(s, _ string) string {
		return strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\r", "\n")
	}),
	"trim":    each(func(s, _ string) string { return trim(s) }),
	"chomp":   each(func(s, _ string) string { return strings.TrimSuffix(s, "\n") }),
	"unchomp": each(func(s, _ string) string { return s + "\n" }),
	"chop":    each(func(s, _ string) string { return s[:max(0, len(s)-1)] }),
	"append":  each(func(s, arg string) string { return s + arg }),
	"prepend": each(func(s, arg string) string { return arg + s }),
	"quote":   each(func(s, _ string) string { return strconv.Quote(s) }),
	"escape":  each(func(s, _ string) string { return unescape(s) }),
	"lc":      each(func(s, _ string) string { return strings.ToLower(s) }),
	"uc":      each(func(s, _ string) string { return strings.ToUpper(s) }),
	"base64_encode": each(func(s, _ string) string {
		enc := base64.StdEncoding.EncodeToString([]byte(s))
		var b strings.Builder
		for ; len(enc) > 76; enc = enc[76:] {
			b.WriteString(enc[:76] + "\n")
		}
		if enc != "" {
			b.WriteString(enc + "\n")
		}
		return b.String()
	}),
	"base64_decode": each(func(s, _ string) string {
		dec, _ := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(s), ""))
		return string(dec)
	}),
	"lines": func(vals []perl.Value, _ string, _ bool) (out []perl.Value) {
		for _, l := range strings.SplitAfter(single(vals), "\n") {
			if l != "" {
				out = append(out, l)
			}
		}
		return out
	},
	"array": func(vals []perl.Value, _ string, _ bool) []perl.Value {
		return []perl.Value{&perl.Array{Elems: vals}}
	},
	"split": func(vals []perl.Value, arg string, hasArg bool) (out []perl.Value) {
		sep := pattern.MustCompile(`\s+`, "")
		if body, ok := strings.CutPrefix(arg, "/"); hasArg && ok {
			if re, err := pattern.Compile(strings.TrimSuffix(body, "/"), ""); err == nil {
				sep = re
			}
		} else if hasArg {
			sep = pattern.MustCompile(pattern.Quote(arg), "")
		}
		s, at := single(vals), 0
		for at <= len(s) {
			m := sep.Find(s, at)
			if m == nil || m[1] == m[0] {
				break
			}
			out = append(out, s[at:m[0]])
			at = m[1]
		}
		if at < len(s) {
			out = append(out, s[at:])
		}
		return out
	},
	"join": func(vals []perl.Value, arg string, _ bool) []perl.Value {
		texts := make([]string, len(vals))
		for i, v := range vals {
			texts[i] = perl.String(v)
		}
		return []perl.Value{strings.Join(texts, arg)}
	},
	"reverse": func(vals []perl.Value, _ string, _ bool) []perl.Value {
		slices.Reverse(vals)
		return vals
	},
	"sort": func(vals []perl.Value, _ string, _ bool) []perl.Value {
		slices.SortStableFunc(vals, func(a, b perl.Value) int { return strings.Compare(perl.String(a), perl.String(b)) })
		return vals
	},
	"head": func(vals []perl.Value, arg string, _ bool) []perl.Value {
		return vals[:min(len(vals), count(arg))]
	},
	"tail": func(vals []perl.Value, arg string, _ bool) []perl.Value {
		return vals[max(0, len(vals)-count(arg)):]
	},
}

func count(arg string) int {
	if n, err := strconv.Atoi(arg); err == nil && n > 0 {
		return n
	}
	return 1
}

// trim drops blank lines in front and white space behind the last newline but
// one: a text ends with exactly one newline if it had any.
func trim(s string) string {
	for {
		line, rest, ok := strings.Cut(s, "\n")
		if !ok || strings.Trim(line, " \t") != "" {
			break
		}
		s = rest
	}
	end := len(strings.TrimRight(s, " \t\r\n\f\v"))
	if i := strings.IndexByte(s[end:], '\n'); i >= 0 {
		return s[:end+i+1]
	}
	return s
}

// unescape resolves backslash escapes as in a double-quoted string.
func unescape(s string) string {
	return strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\t`, "\t", `\r`, "\r", `\0`, "\x00", `\e`, "\x1b").Replace(s)
}
