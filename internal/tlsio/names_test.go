package tlsio

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"testing"
)

func TestHasName(t *testing.T) {
	for _, c := range []struct {
		names []string
		cn    string
		host  string
		want  bool
	}{
		{[]string{"a.example"}, "", "a.example", true},
		{[]string{"A.Example"}, "", "a.eXample", true},
		{[]string{"a.example"}, "b.example", "b.example", false}, // the subject counts only without names
		{nil, "b.example", "b.example", true},
		{nil, "*.b.example", "x.b.example", true},
		{[]string{"*.example.org"}, "", "a.example.org", true},
		{[]string{"*.example.org"}, "", "example.org", false},
		{[]string{"*.example.org"}, "", "a.b.example.org", false},
		{[]string{"f*.example.org"}, "", "foo.example.org", true},
		{[]string{"f*.example.org"}, "", "bar.example.org", false},
		{[]string{"f*o.example.org"}, "", "fo.example.org", false},
		{[]string{"*.org"}, "", "example.org", false},
		{[]string{"*"}, "", "example", false},
		{[]string{"a.*.org"}, "", "a.b.org", false},
		{[]string{"**.example.org"}, "", "a.example.org", false},
		{[]string{"x*.example.org"}, "", "xn--abc.example.org", false},
		{[]string{"*.example.org"}, "", ".example.org", false},
		{[]string{""}, "", "", false},
		{nil, "", "a", false},
	} {
		cert := &x509.Certificate{DNSNames: c.names}
		if c.cn != "" {
			cert.Subject.Names = []pkix.AttributeTypeAndValue{{Type: commonName, Value: c.cn}}
		}
		if got := HasName(cert, c.host); got != c.want {
			t.Errorf("%v %q for %q: %v", c.names, c.cn, c.host, got)
		}
	}
}
