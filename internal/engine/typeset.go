package engine

import (
	"bytes"

	"moongate/internal/base/ascii"
	"moongate/internal/conf"
)

// TypeSet is a set of MIME types that a filter works on (gzip_types and its like).
type TypeSet struct {
	all   bool
	names map[string]struct{}
}

// ReadTypes reads a directive that lists MIME types, for conf.List; always are those that are in every set.
func ReadTypes(always ...string) func(c *conf.Cmd) ([]string, error) {
	return func(c *conf.Cmd) ([]string, error) {
		seen := map[string]bool{}
		for _, t := range always {
			seen[t] = true
		}
		if c.In&(c.In-1) != 0 { // the default of the row, which stands in no block
			return c.Args, nil
		}
		for _, t := range c.Args {
			if t == "*" {
				return []string{"*"}, nil
			}
			if t = string(ascii.AppendLower(nil, t)); seen[t] && !c.IsDefault() {
				c.Warnf("duplicate MIME type \"%s\"", t)
			}
			seen[t] = true
		}
		return c.Args, nil
	}
}

// NewTypeSet makes the set of what ReadTypes read.
func NewTypeSet(lists [][]string, always ...string) *TypeSet {
	s := &TypeSet{names: map[string]struct{}{}}
	for _, l := range append([][]string{always}, lists...) {
		for _, t := range l {
			if t == "*" {
				s.all = true
			}
			s.names[string(ascii.AppendLower(nil, t))] = struct{}{}
		}
	}
	return s
}

// Has reports whether a Content-Type, its parameters left aside, is in the set.
func (s *TypeSet) Has(contentType []byte) bool {
	if s.all {
		return true
	}
	if i := bytes.IndexByte(contentType, ';'); i >= 0 {
		contentType = bytes.TrimRight(contentType[:i], " ")
	}
	if len(contentType) == 0 {
		return false
	}
	if _, ok := s.names[string(contentType)]; ok {
		return true
	}
	var low [128]byte
	if len(contentType) > len(low) {
		return false
	}
	_, ok := s.names[string(ascii.AppendLower(low[:0], contentType))]
	return ok
}
