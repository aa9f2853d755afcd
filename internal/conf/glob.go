package conf

import (
	"os"
	"sort"
	"strings"
)

// Glob lists the files that match a pattern, sorted bytewise, as the C library's glob
// does: a leading dot has to be matched by a dot, "[!a]" negates, an unclosed "[" is
// an ordinary byte. Directories that cannot be read match nothing.
func Glob(pattern string) []string {
	found := []string{""}
	if strings.HasPrefix(pattern, "/") {
		found[0] = "/"
	}
	parts := strings.FieldsFunc(pattern, func(r rune) bool { return r == '/' })
	for i, part := range parts {
		last := i == len(parts)-1
		var next []string
		for _, dir := range found {
			for _, name := range globIn(dir, part) {
				if !last {
					name += "/"
				}
				next = append(next, dir+name)
			}
		}
		found = next
	}
	sort.Strings(found)
	return found
}

// globIn lists the names in dir that match one component of a pattern.
func globIn(dir, part string) []string {
	if !strings.ContainsAny(part, "*?[") {
		if _, err := os.Lstat(dir + part); err != nil {
			return nil
		}
		return []string{part}
	}
	if dir == "" {
		dir = "."
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range entries {
		name := e.Name()
		if name[0] == '.' && part[0] != '.' {
			continue
		}
		if match(part, name) {
			names = append(names, name)
		}
	}
	return names
}

// match reports whether name matches one component of a pattern.
func match(pat, name string) bool {
	for pat != "" {
		switch pat[0] {
		case '*':
			for i := 0; i <= len(name); i++ {
				if match(pat[1:], name[i:]) {
					return true
				}
			}
			return false
		case '?':
			if name == "" {
				return false
			}
			pat, name = pat[1:], name[1:]
			continue
		case '[':
			if rest, in, ok := matchSet(pat, name); ok {
				if !in {
					return false
				}
				pat, name = rest, name[1:]
				continue
			}
		case '\\':
			if len(pat) > 1 {
				pat = pat[1:]
			}
		}
		if name == "" || name[0] != pat[0] {
			return false
		}
		pat, name = pat[1:], name[1:]
	}
	return name == ""
}

// matchSet matches the first byte of name with the set that pat begins with; ok is
// false where no set is closed.
func matchSet(pat, name string) (rest string, in, ok bool) {
	i := 1
	negated := i < len(pat) && (pat[i] == '!' || pat[i] == '^')
	if negated {
		i++
	}
	for first := true; i < len(pat); first = false {
		if pat[i] == ']' && !first {
			return pat[i+1:], name != "" && in != negated, true
		}
		if pat[i] == '\\' && i+1 < len(pat) {
			i++
		}
		lo, hi := pat[i], pat[i]
		if i+2 < len(pat) && pat[i+1] == '-' && pat[i+2] != ']' {
			hi = pat[i+2]
			i += 2
		}
		i++
		if name != "" && lo <= name[0] && name[0] <= hi {
			in = true
		}
	}
	return "", false, false
}
