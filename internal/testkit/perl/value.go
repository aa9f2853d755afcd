package perl

import (
	"fmt"
	"math"
	"sort"
	"strconv"
	"strings"

	"moongate/internal/testkit/pattern"
)

// Value is what a Perl scalar may hold: nil (undef), string (bytes), int,
// float64, *Array, *Hash, *Scalar, *Code, *File, *Object or *pattern.Regexp. The
// pointers are references.
type Value = any

// Array is a Perl array; as a Value it is a reference to one.
type Array struct{ Elems []Value }

// Hash is a Perl hash. Iteration is in key order, so that runs repeat.
type Hash struct{ M map[string]Value }

// Scalar is a variable.
type Scalar struct{ V Value }

// Object is a value of the host's with methods, such as a test block.
type Object struct {
	Class string
	// Call runs a method; an unknown name gets Perl's error.
	Call func(method string, args []Value) ([]Value, error)
}

// Code is a subroutine: a body parsed from source or a host function.
type Code struct {
	name   string
	body   *block
	scope  *scope
	pkg    string
	native Func
}

// Func is a host function called from Perl. list tells whether the caller wants a
// list. An error dies in the script.
type Func func(in *Interp, args []Value, list bool) ([]Value, error)

// NewHash returns an empty hash.
func NewHash() *Hash { return &Hash{M: map[string]Value{}} }

func (h *Hash) keys() []string {
	ks := make([]string, 0, len(h.M))
	for k := range h.M {
		ks = append(ks, k)
	}
	sort.Strings(ks)
	return ks
}

// Truth is Perl's notion of truth.
func Truth(v Value) bool {
	switch v := v.(type) {
	case nil:
		return false
	case string:
		return v != "" && v != "0"
	case int:
		return v != 0
	case float64:
		return v != 0
	}
	return true
}

// String is the value in string context; undef is empty.
func String(v Value) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case int:
		return strconv.Itoa(v)
	case float64:
		return formatFloat(v)
	case *pattern.Regexp:
		return v.String()
	}
	return fmt.Sprintf("%s(%p)", RefName(v), v)
}

// RefName is what ref() says: empty for what is no reference.
func RefName(v Value) string {
	switch v := v.(type) {
	case *Array:
		return "ARRAY"
	case *Hash:
		return "HASH"
	case *Code:
		return "CODE"
	case *Scalar:
		return "SCALAR"
	case *File:
		return "GLOB"
	case *pattern.Regexp:
		return "Regexp"
	case *Object:
		return v.Class
	}
	return ""
}

func formatFloat(f float64) string {
	if f == math.Trunc(f) && math.Abs(f) < 1e15 {
		return strconv.FormatInt(int64(f), 10)
	}
	switch {
	case math.IsInf(f, 1):
		return "Inf"
	case math.IsInf(f, -1):
		return "-Inf"
	case math.IsNaN(f):
		return "NaN"
	}
	s := strconv.FormatFloat(f, 'g', 15, 64)
	return strings.Replace(s, "e+0", "e+", 1)
}

// Number is the value in numeric context: the longest numeric prefix of a string.
func Number(v Value) float64 {
	switch v := v.(type) {
	case nil:
		return 0
	case int:
		return float64(v)
	case float64:
		return v
	case string:
		return numericPrefix(v)
	}
	return 1
}

func numericPrefix(s string) float64 {
	s = strings.TrimLeft(s, " \t\r\n\f")
	i := 0
	digits := func() (n int) {
		for i < len(s) && s[i] >= '0' && s[i] <= '9' {
			i++
			n++
		}
		return n
	}
	if i < len(s) && (s[i] == '-' || s[i] == '+') {
		i++
	}
	n := digits()
	if i < len(s) && s[i] == '.' {
		i++
		n += digits()
	}
	if n == 0 {
		return 0
	}
	if i < len(s) && (s[i] == 'e' || s[i] == 'E') {
		mark := i
		i++
		if i < len(s) && (s[i] == '-' || s[i] == '+') {
			i++
		}
		if digits() == 0 {
			i = mark
		}
	}
	f, _ := strconv.ParseFloat(s[:i], 64)
	return f
}

// integer is the value as an int, within what arithmetic on it can bear.
func integer(v Value) int {
	f := Number(v)
	switch {
	case math.IsNaN(f):
		return 0
	case f > 1<<52:
		return 1 << 52
	case f < -1<<52:
		return -1 << 52
	}
	return int(f)
}

// number makes an int where the result is whole, so that it prints as one.
func number(f float64) Value {
	if f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		return int(f)
	}
	return f
}

// Bool is Perl's value of a condition.
func Bool(b bool) Value {
	if b {
		return 1
	}
	return ""
}

// Elems is the list that v stands for: the elements of an array reference,
// nothing for undef, else v alone.
func Elems(v Value) []Value {
	switch v := v.(type) {
	case nil:
		return nil
	case *Array:
		return v.Elems
	}
	return []Value{v}
}
