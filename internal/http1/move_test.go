package http1

import "testing"

func TestMoved(t *testing.T) {
	from, to, other := []byte("GET /uri HTTP/1.1"), []byte("GET /uri HTTP/1.1"), []byte("/uri")
	for _, tt := range []struct {
		b     []byte
		moves bool
	}{{from[4:8], true}, {from, true}, {from[4:4], true}, {other, false}, {nil, false}, {to[4:8], false}} {
		got := Moved(tt.b, from, to)
		if string(got) != string(tt.b) || (got == nil) != (tt.b == nil) {
			t.Errorf("%q becomes %q", tt.b, got)
		}
		if cap(got) > 0 && len(got) > 0 {
			old := from[4]
			from[4] = '#'
			if moved := string(got) == string(Moved(tt.b, nil, nil)); !moved && !tt.moves {
				t.Errorf("%q has moved", tt.b)
			}
			from[4] = old
			if same := &got[0] == &tt.b[0]; same == tt.moves {
				t.Errorf("%q: moved is %v", tt.b, !same)
			}
		}
	}
}

// A parsed head can follow its bytes, and its parser keeps none of the old ones.
func TestMove(t *testing.T) {
	const head = "GET http://host:1/a%20b.c?d=e HTTP/1.1\r\nHost: Host\r\nX: y\r\n\r\n"
	from := []byte(head)
	var p RequestParser
	p.Reset()
	if _, st := p.Parse(from, &DefaultLimits); st != Done {
		t.Fatal(st)
	}
	uri, _ := p.DecodeURI(nil, true)
	to := []byte(head)
	p.Move(from, to)
	for i := range from {
		from[i] = '#'
	}
	m := &p.Message
	if string(m.RequestLine) != head[:38] || string(m.MethodName) != "GET" || string(m.LineHost) != "host:1" || string(m.Args) != "d=e" ||
		string(m.Protocol) != "HTTP/1.1" || string(m.List[0].Name) != "Host" || string(m.List[1].Value) != "y" || string(uri) != "/a b.c" || p.base != nil {
		t.Errorf("%q %q %q %q %q %v", m.RequestLine, m.MethodName, m.LineHost, m.Args, m.Protocol, m.List)
	}
}
