package http1

import "testing"

func TestBasicAuth(t *testing.T) {
	for value, want := range map[string]string{
		"Basic dXNlcjpwYXNz":   "user pass",
		"basic   dXNlcjpwYTpz": "user pa:s",
		"Basic dXNlcjo=":       "user ",
		"Basic dXNlcjo":        "user ",
		"Basic dXNlcg==":       "-", // no colon
		"Basic OnBhc3M=":       "-", // no user
		"Basic !!!!":           "-",
		"Basic dXNl\ncjpw":     "-",
		"Basic ":               "-",
		"Basic":                "-",
		"Bearer dXNlcjpwYXNz":  "-",
		"":                     "-",
	} {
		user, password, ok := BasicAuth(nil, []byte(value))
		got := string(user) + " " + string(password)
		if !ok {
			got = "-"
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", value, got, want)
		}
	}
}
