package ssi

import (
	"bytes"
	"fmt"
	"testing"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		text string
		n    int
		want string
	}{
		{`<!--#echo var="a"-->rest`, 20, `echo var=a`},
		{`<!--# echo  var = 'a"' default="b\"c"   -->`, 43, `echo var=a" default=b\"c`},
		{`<!--#endif -->`, 14, `endif`},
		{`<!--#endif-->`, 13, `endif`},
		{`<!--#echo var="a"--`, 0, ``},
		{`<!--#echo var="a`, 0, ``},
		{`<!--#echo va`, 0, ``},
		{`<!--#`, 0, ``},
		{`<!--#echo var x="a"-->b`, 22, `unexpected "x" symbol after "var" parameter in "echo" SSI command`},
		{`<!--#echo var=a-->b`, 18, `unexpected "a" symbol before value of "var" parameter in "echo" SSI command`},
		{`<!--#echo var="0123456789abc"-->`, 32, `too long "0123456789a..." value of "var" parameter in "echo" SSI command`},
	} {
		var cmd command
		n, err := cmd.parse([]byte(c.text), 10)
		got := ""
		switch {
		case err != nil:
			got = err.Error()
		case n > 0:
			got = cmd.name
			for _, p := range cmd.params {
				got += fmt.Sprintf(" %s=%s", p.name, p.value)
			}
		}
		if n != c.n || got != c.want {
			t.Errorf("%s: %d, %s; want %d, %s", c.text, n, got, c.n, c.want)
		}
	}
}

// A command is read alike, however much of the body stands behind it, and not before it is whole.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`echo var="a\"" encoding='none' -->`))
	f.Add([]byte(`0 ="0000000000000000000\`)) // ends behind a backslash where it would be too long
	f.Fuzz(func(t *testing.T, text []byte) {
		b := append([]byte("<!--#"), text...)
		var whole command
		n, err := whole.parse(b, 20)
		if n > len(b) || n > 0 && !bytes.HasSuffix(b[:n], []byte("-->")) {
			t.Fatalf("%q: %d", b, n)
		}
		if n > 0 && err == nil {
			var exact command
			if m, err := exact.parse(b[:n], 20); m != n || err != nil {
				t.Fatalf("%q: %d, %v; want %d", b[:n], m, err, n)
			}
		}
	})
}
