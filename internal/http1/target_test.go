package http1

import "testing"

func TestSetTarget(t *testing.T) {
	for _, c := range []struct{ raw, uri, args, exten string }{
		{"/", "/", "", ""},
		{"/a.html", "/a.html", "", "html"},
		{"/a.d/b?x=1.c", "/a.d/b", "x=1.c", ""},
		{"/a//b/../c.txt", "/a/c.txt", "", "txt"},
		{"/%61+b?q#f", "/a+b", "q", ""},
		{"/x#frag?y", "/x", "", ""},
		{"/.", "/", "", ""},
	} {
		var m Message
		if st := m.SetTarget([]byte(c.raw)); st != Done {
			t.Errorf("%s: %v", c.raw, st)
			continue
		}
		if _, st := m.DecodeURI(nil, true); st != Done || string(m.URI) != c.uri || string(m.Args) != c.args || string(m.Exten) != c.exten {
			t.Errorf("%s: %v %q %q %q", c.raw, st, m.URI, m.Args, m.Exten)
		}
	}
	for _, raw := range []string{"", "*", "http://x/", "/a b", "/a\x00", "/a?b c", "/%20\r", "/\x7f"} {
		var m Message
		if st := m.SetTarget([]byte(raw)); st != ErrRequest {
			t.Errorf("%q: %v", raw, st)
		}
	}
}
