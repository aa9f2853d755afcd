package report

import (
	"fmt"
	"strconv"
	"strings"
)

const (
	maxDiffLines = 400 // above, only the first difference is shown
	maxShown     = 400 // bytes of a text in a message
)

// Diff tells how got differs from want: as a line diff where both have several
// lines, else both texts around the first difference.
func Diff(want, got string) string {
	a, b := splitLines(want), splitLines(got)
	if len(a)+len(b) > 2 && len(a) < maxDiffLines && len(b) < maxDiffLines && printable(want) && printable(got) {
		return "--- expected\n+++ got\n" + strings.Join(lineDiff(a, b), "\n")
	}
	at := 0
	for at < len(want) && at < len(got) && want[at] == got[at] {
		at++
	}
	text := fmt.Sprintf("expected: %s\n     got: %s", around(want, at), around(got, at))
	if at > 0 || len(want) > maxShown || len(got) > maxShown {
		text += fmt.Sprintf("\nthey differ at byte %d; expected %d bytes, got %d", at, len(want), len(got))
	}
	return text
}

func printable(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' && r != '\r' || r == 0x7f || r == '\uFFFD' }) < 0
}

// around quotes the part of s near the offset.
func around(s string, at int) string {
	if len(s) <= maxShown {
		return strconv.Quote(s)
	}
	from := max(0, min(at-80, len(s)-maxShown))
	q := strconv.Quote(s[from:min(len(s), from+maxShown)])
	if from > 0 {
		q = "..." + q
	}
	if from+maxShown < len(s) {
		q += "..."
	}
	return q
}

func splitLines(s string) []string {
	if s == "" {
		return nil
	}
	lines := strings.SplitAfter(s, "\n")
	if lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	return lines
}

// show makes line ends other than a plain newline visible.
func show(l string) string {
	text, ended := strings.CutSuffix(l, "\n")
	text = strings.ReplaceAll(text, "\r", `\r`)
	if !ended {
		text += ` \ no newline`
	}
	return text
}

// lineDiff is the shortest edit of a into b, with all common lines: test bodies
// are short.
func lineDiff(a, b []string) (out []string) {
	lcs := make([][]int, len(a)+1) // length of the longest common rest
	for i := range lcs {
		lcs[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				lcs[i][j] = lcs[i+1][j+1] + 1
			} else {
				lcs[i][j] = max(lcs[i+1][j], lcs[i][j+1])
			}
		}
	}
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			out = append(out, " "+show(a[i]))
			i++
			j++
		case i < len(a) && (j == len(b) || lcs[i+1][j] >= lcs[i][j+1]):
			out = append(out, "-"+show(a[i]))
			i++
		default:
			out = append(out, "+"+show(b[j]))
			j++
		}
	}
	return out
}

// Tail returns the last lines of a log for a failure message, debug lines left
// out.
func Tail(lines []string, n int) string {
	var keep []string
	for i := len(lines) - 1; i >= 0 && len(keep) < n; i-- {
		if !strings.Contains(lines[i], "[debug]") {
			l := strings.TrimRight(lines[i], "\n")
			if len(l) > maxShown {
				l = l[:maxShown] + "..."
			}
			keep = append(keep, "  "+l)
		}
	}
	for i, j := 0, len(keep)-1; i < j; i, j = i+1, j-1 {
		keep[i], keep[j] = keep[j], keep[i]
	}
	return strings.Join(keep, "\n")
}
