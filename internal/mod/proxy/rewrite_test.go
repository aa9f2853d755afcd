package proxy

import (
	"fmt"
	"strings"
	"testing"

	"moongate/internal/engine"
	"moongate/internal/http1"
	"moongate/internal/upstream"
)

func TestAddressesOfProxyPass(t *testing.T) {
	for _, c := range []struct {
		url, scheme string
		want        vars
	}{
		{"http://a.example", "http://", vars{"a.example", "80", ""}},
		{"HTTP://a.example/", "http://", vars{"a.example", "80", "/"}},
		{"https://a.example/x?y", "https://", vars{"a.example", "443", "/x?y"}},
		{"http://a.example:80/", "http://", vars{"a.example", "80", "/"}},
		{"https://a.example:443/", "https://", vars{"a.example", "443", "/"}},
		{"http://a.example:443/", "http://", vars{"a.example:443", "443", "/"}},
		{"http://[::1]:8080", "http://", vars{"[::1]:8080", "8080", ""}},
		{"http://unix:/tmp/s:/u", "http://", vars{"localhost", "", "/u"}},
		{"ftp://a", "", vars{}},
		{"http:/a", "", vars{}},
		{"http", "", vars{}},
	} {
		scheme, rest, port := splitScheme(c.url)
		if scheme != c.scheme {
			t.Errorf("%s: scheme %q", c.url, scheme)
			continue
		}
		if scheme == "" {
			continue
		}
		u, problem := upstream.ParseURL(rest, port, true)
		if got := varsOf(&u, port); problem != "" || got != c.want {
			t.Errorf("%s: %+v, %s, want %+v", c.url, got, problem, c.want)
		}
	}
}

func TestDefaultRewrite(t *testing.T) {
	for _, c := range []struct{ text, uri, location, pattern, to string }{
		{"http://u/back/", "/back/", "/front/", "http://u/back/", "/front/"},
		{"http://u", "", "/front/", "http://u/", "/"},
		{"http://u/", "/", "/", "http://u/", "/"},
	} {
		tg := &target{text: c.text, vars: vars{uri: c.uri}, location: len(c.location)}
		w := tg.defaultRewrite(&engine.Location{Name: c.location})
		if w.pattern.Text != c.pattern || w.to.Text != c.to {
			t.Errorf("%s: %q to %q", c.text, w.pattern.Text, w.to.Text)
		}
	}
}

func cookieText(attrs []attr) string {
	var parts []string
	for _, a := range attrs {
		p := string(a.key)
		if a.hasVal {
			p += "=" + string(a.val)
		}
		if a.gone {
			p = "-" + p
		}
		parts = append(parts, p)
	}
	return strings.Join(parts, "|")
}

func TestParseCookie(t *testing.T) {
	for in, want := range map[string]string{
		"a=b":                       "a=b",
		"a=b; Path=/; Secure":       "a=b|Path=/|Secure",
		"a=b=c;path = /x ;HttpOnly": "a=b=c|path=/x|HttpOnly",
		"a":                         "a",
		"":                          "",
		";;":                        "||",
		"a=;=b":                     "a=|=b",
	} {
		if got := cookieText(parseCookie([]byte(in))); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func FuzzParseCookie(f *testing.F) {
	for _, s := range []string{"a=b; Path=/", ";", "=;=", "a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		attrs := parseCookie([]byte(s))
		if len(attrs) != 1+strings.Count(s, ";") {
			t.Errorf("%q: %d attributes", s, len(attrs))
		}
		for _, a := range attrs {
			if strings.ContainsRune(string(a.key), '=') || !a.hasVal && len(a.val) > 0 {
				t.Errorf("%q: %q=%q", s, a.key, a.val)
			}
		}
	})
}

func TestCookieFlags(t *testing.T) {
	for _, c := range []struct {
		cookie, flags, want string
		edited              bool
	}{
		{"a=b", "secure", "a=b|Secure", true},
		{"a=b; secure", "secure", "a=b|secure", true},
		{"a=b; Secure; HttpOnly", "nosecure nohttponly", "a=b|-Secure|-HttpOnly", true},
		{"a=b", "nosecure", "a=b", true},
		{"a=b; SameSite=None", "samesite=strict", "a=b|SameSite=Strict", true},
		{"a=b; samesite=Lax", "samesite=lax", "a=b|samesite=Lax", true},
		{"a=b; SameSite=None", "nosamesite", "a=b|-SameSite=None", true},
		{"a=b", "samesite=LAX httponly", "a=b|SameSite=Lax|HttpOnly", true},
		{"a=b", "samesite=other", "a=b", false},
		{"a=b", "samesite", "a=b", false},
		{"a=b", "unknown", "a=b", false},
	} {
		var f flagRule
		for w := range strings.FieldsSeq(c.flags) {
			f.flags = append(f.flags, engine.Literal(w))
		}
		attrs, edited := f.edit(nil, parseCookie([]byte(c.cookie)))
		if got := cookieText(attrs); got != c.want || edited != c.edited {
			t.Errorf("%q with %q: %q, %v", c.cookie, c.flags, got, edited)
		}
	}
}

func TestFieldSet(t *testing.T) {
	var s fieldSet
	for _, n := range []string{"Host", "x-own", "Content-Length"} {
		s.add(n)
	}
	for name, want := range map[string]bool{"host": true, "HOST": true, "X-Own": true, "content-length": true, "X-Other": false, "X-Own2": false, "Accept": false} {
		h := header(name)
		if s.has(&h) != want {
			t.Errorf("%s: %v", name, !want)
		}
	}
	if got := fmt.Sprint(len(s.other)); got != "1" {
		t.Errorf("%s names are not known", got)
	}
}

func header(name string) http1.Header {
	return http1.Header{Name: []byte(name), ID: http1.LookupHeader([]byte(name))}
}
