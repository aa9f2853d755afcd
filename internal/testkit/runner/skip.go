package runner

import (
	"fmt"
	"strconv"
	"strings"

	"moongate/internal/testkit/pattern"
	"moongate/internal/testkit/perl"
)

// canonical makes "1.27.1" the number 1.027001 that versions are compared as; a
// letter (OpenSSL 1.1.1k) adds digits.
func canonical(version string) string {
	letter := ""
	if n := len(version); n > 0 && version[n-1] >= 'a' && version[n-1] <= 'z' {
		letter = fmt.Sprintf("%03d", version[n-1]-'a')
		version = version[:n-1]
	}
	parts := strings.Split(version, ".")
	num := func(i int) int {
		if i >= len(parts) {
			return 0
		}
		n, _ := strconv.Atoi(parts[i])
		return n
	}
	return fmt.Sprintf("%d.%03d%03d%s", num(0), num(1), num(2), letter)
}

func compare(have, op, want string) bool {
	a, _ := strconv.ParseFloat(canonical(have), 64)
	b, _ := strconv.ParseFloat(canonical(want), 64)
	switch op {
	case "<":
		return a < b
	case "<=":
		return a <= b
	case ">":
		return a > b
	case ">=":
		return a >= b
	}
	return false
}

var (
	skipSpec   = pattern.MustCompile(`^\s*(\d+)\s*:\s*([<>]=?)\s*(\d+\.\d+\.\d+[a-z]?)(?:\s*:\s*(.*))?\s*$`, "s")
	skipSpec2  = pattern.MustCompile(`^\s*(\d+)\s*:\s*([<>]=?)\s*(\d+\.\d+\.\d+)\s*(or|and)\s*([<>]=?)\s*(\d+\.\d+\.\d+)(?:\s*:\s*(.*))?\s*$`, "s")
	todoSpec   = pattern.MustCompile(`^\s*([<>]=?)\s*(\d+\.\d+\.\d+)(?:\s*:\s*(.*))?\s*$`, "s")
	codeSpec   = pattern.MustCompile(`^\s*(\d+)\s*:\s*(.*)`, "s")
	unsuitable = []struct{ section, reason string }{
		{"curl_error", "the runner does not use curl"},
		{"http3", "HTTP/3 requests are not supported by the runner"},
	}
)

func groups(re *pattern.Regexp, s string) []string {
	m := re.Find(s, 0)
	if m == nil {
		return nil
	}
	out := make([]string, len(m)/2)
	for i := range out {
		if m[2*i] >= 0 {
			out[i] = s[m[2*i]:m[2*i+1]]
		}
	}
	return out
}

// skipReason evaluates the sections that may skip a block; empty: it runs.
func (t *test) skipReason() (string, error) {
	for _, u := range unsuitable {
		if t.has(u.section) {
			return u.reason, nil
		}
	}
	b := t.f.r.binary
	if g := groups(codeSpec, t.text("skip_eval")); g != nil {
		vals, err := t.f.in.Eval(g[2], t.f.src.Path, t.src.Line)
		if err != nil {
			return "", fmt.Errorf("skip_eval: %w", err)
		}
		if len(vals) > 0 && perl.Truth(vals[len(vals)-1]) {
			return "skip_eval", nil
		}
	}
	if t.has("skip_nginx") {
		g := groups(skipSpec, t.text("skip_nginx"))
		if g == nil {
			return "", fmt.Errorf("invalid skip_nginx: %s", t.text("skip_nginx"))
		}
		if compare(b.Version, g[2], g[3]) {
			return because(g[4], "nginx version "+g[2]+" "+g[3]), nil
		}
	}
	if t.has("skip_nginx2") {
		g := groups(skipSpec2, t.text("skip_nginx2"))
		if g == nil {
			return "", fmt.Errorf("invalid skip_nginx2: %s", t.text("skip_nginx2"))
		}
		x, y := compare(b.Version, g[2], g[3]), compare(b.Version, g[5], g[6])
		if x && y || g[4] == "or" && (x || y) {
			return because(g[7], "nginx version "+b.Version), nil
		}
	}
	return t.skipOther()
}

func (t *test) skipOther() (string, error) {
	b := t.f.r.binary
	if t.has("skip_openssl") {
		g := groups(skipSpec, t.text("skip_openssl"))
		switch {
		case g == nil:
			return "", fmt.Errorf("invalid skip_openssl: %s", t.text("skip_openssl"))
		case b.OpenSSL == "":
			return because(g[4], "not built with OpenSSL"), nil
		case compare(b.OpenSSL, g[2], g[3]):
			return because(g[4], "OpenSSL version "+g[2]+" "+g[3]), nil
		}
	}
	if t.has("todo_nginx") {
		g := groups(todoSpec, t.text("todo_nginx"))
		if g == nil {
			return "", fmt.Errorf("invalid todo_nginx: %s", t.text("todo_nginx"))
		}
		if compare(b.Version, g[1], g[2]) {
			return "to do: " + because(g[3], "various reasons"), nil
		}
	}
	if t.has("todo") {
		g := groups(codeSpec, t.text("todo"))
		if g == nil {
			return "", fmt.Errorf("invalid todo: %s", t.text("todo"))
		}
		return "to do: " + because(strings.TrimSpace(g[2]), "various reasons"), nil
	}
	return "", nil
}

func because(reason, otherwise string) string {
	if reason == "" {
		return otherwise
	}
	return reason
}
