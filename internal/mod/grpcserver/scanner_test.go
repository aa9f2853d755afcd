package grpcserver

import (
	"encoding/json"
	"testing"
)

// TestScanner finds the end of values that come whole and byte by byte.
func TestScanner(t *testing.T) {
	for _, c := range []struct {
		text     string
		n        int
		complete bool
	}{
		{`{"a":[1,{"b":"}\"]"}]} {"next":1}`, 22, true},
		{`{"a":"\\"}x`, 10, true},
		{`"str,\"ing",`, 11, true},
		{`[1,[2]],3`, 7, true},
		{`12,`, 2, true},
		{`true{`, 4, true},
		{`null"`, 4, true},
		{`12`, 2, false},
		{`}`, 1, true},
		{`{"a"`, 4, false},
		{`"a\"`, 4, false},
		{``, 0, false},
	} {
		var whole, bytewise scanner
		n, complete := whole.end([]byte(c.text))
		if n != c.n || complete != c.complete {
			t.Errorf("%s: %d %t, want %d %t", c.text, n, complete, c.n, c.complete)
		}
		for i := range len(c.text) + 1 {
			if n, complete = bytewise.end([]byte(c.text[:i])); complete {
				break
			}
		}
		if n != c.n || complete != c.complete {
			t.Errorf("%s, byte by byte: %d %t, want %d %t", c.text, n, complete, c.n, c.complete)
		}
	}
}

// What is a JSON value has its end where it ends.
func FuzzScanner(f *testing.F) {
	f.Add([]byte(`{"a":[1,{"b":"}\"]"}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var v json.RawMessage
		if json.Unmarshal(b, &v) != nil || b[0] == ' ' || b[0] == '\n' || b[0] == '\t' || b[0] == '\r' {
			return
		}
		var s scanner
		n, complete := s.end(append(b, ' '))
		if !complete || !json.Valid(b[:n]) {
			t.Errorf("%q: %d", b, n)
		}
	})
}
