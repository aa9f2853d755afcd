package splitclients

import (
	"fmt"
	"strings"
	"testing"

	"moongate/internal/engine"
	"moongate/internal/engine/enginetest"
	"moongate/internal/mod/corevars"
	"moongate/internal/mod/rewrite"
)

func set() *engine.Set {
	return &engine.Set{Modules: []*engine.Module{&corevars.Module, &Module, &rewrite.Module}}
}

func TestMurmur2(t *testing.T) {
	for s, want := range map[string]uint32{"": 0, "a": 0x92685f5e, "ab": 0x1aa14063, "abc": 0x13577c9b, "abcd": 0x26873021, "hello, world": 0x4b4c9d80} {
		if got := murmur2([]byte(s)); got != want {
			t.Errorf("%q: %#x, want %#x", s, got, want)
		}
	}
}

func TestShares(t *testing.T) {
	s := enginetest.Start(t, set(), `split_clients $arg_v $x { 25% a; 0.5% b; 50.25% c; * d; }
		split_clients "$arg_v" $y { 30% a; 70% b; }
		split_clients $arg_v $z { 10% a; }
		server { listen 127.0.0.1:8080; location / { return 200 "$x$y$z"; } }`)
	counts := map[byte]int{}
	for i := range 400 {
		body := enginetest.Body(s.Get(fmt.Sprintf("/?v=%d", i)))
		counts[body[0]]++
		counts[body[1]-32]++
		h := murmur2(fmt.Append(nil, i))
		for j, limit := range []float64{.25, .3, .1} {
			if below := float64(h) < limit*(1<<32)-1; below != (len(body) > j && body[j] == 'a') {
				t.Errorf("%d: hash %d gives %q", i, h, body)
			}
		}
	}
	if counts['a']+counts['b']+counts['c']+counts['d'] != 400 || counts['A']+counts['B'] != 400 || counts['c'] < 150 || counts['d'] < 50 {
		t.Errorf("%v", counts)
	}
}

func TestErrors(t *testing.T) {
	for text, want := range map[string]string{
		`split_clients $uri x { }`:                    `invalid variable name "x"`,
		`split_clients $uri $x { 1 a; }`:              `invalid percent value "1"`,
		`split_clients $uri $x { 0% a; }`:             `invalid percent value "0%"`,
		`split_clients $uri $x { 1.234% a; }`:         `invalid percent value "1.234%"`,
		`split_clients $uri $x { % a; }`:              `invalid percent value "%"`,
		`split_clients $uri $x { 60% a; 40.01% b; }`:  `percent total is greater than 100%`,
		`split_clients $uri $x { 60% a; * c; 1% b; }`: `percent total is greater than 100%`,
	} {
		_, err := enginetest.Load(t, set(), text+" server { }", nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}
