package authbasic

import (
	"strings"
	"testing"
)

func TestAPR1(t *testing.T) { // hashes made with openssl passwd
	for _, c := range []struct{ password, hash string }{
		{"password", "$apr1$abcdefgh$FBwExRW4dCc8aL.OvjpIE1"},
		{"", "$apr1$xy$43..WIhbfuznGvwoCyUek/"},
	} {
		if got := string(appendAPR1(nil, []byte(c.password), []byte(c.hash))); got != c.hash {
			t.Errorf("%q: %s, want %s", c.password, got, c.hash)
		}
	}
}

func TestSHA(t *testing.T) {
	if got := string(appendSHA([]byte("{SHA}"), []byte("password"), nil)); got != "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=" {
		t.Error(got)
	}
	salted := string(appendSHA([]byte("{SSHA}"), []byte("secret"), []byte("salt")))
	if s := string(saltOf([]byte(strings.TrimPrefix(salted, "{SSHA}")))); s != "salt" {
		t.Errorf("salt of %s: %q", salted, s)
	}
	for _, bad := range []string{"", "x", "W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "****"} {
		if s := saltOf([]byte(bad)); len(s) != 0 {
			t.Errorf("salt of %q: %q", bad, s)
		}
	}
}

func TestFind(t *testing.T) {
	const file = "#a:commented\n\nab:one\r\na:two:more\nlast:three"
	for _, c := range []struct {
		user, hash string
		ok         bool
	}{
		{"a", "two", true}, {"ab", "one", true}, {"last", "three", true}, {"#a", "", false}, {"las", "", false}, {"b", "", false},
	} {
		hash, ok := find([]byte(file), []byte(c.user))
		if string(hash) != c.hash || ok != c.ok {
			t.Errorf("%s: %q %v", c.user, hash, ok)
		}
	}
	if _, ok := find(nil, []byte("a")); ok {
		t.Error("found in an empty file")
	}
}
