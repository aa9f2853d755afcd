package conf

import "testing"

func TestContextString(t *testing.T) {
	tests := []struct {
		in   Context
		want string
	}{
		{Main, "main"},
		{InRequest, "http, server, location, if in location"},
		{HTTP | Stream | Server | StreamServer, "http, server, stream"},
		{Stream | StreamServer, "stream, server"},
		{StreamUpstream, "upstream"},
		{Upstream | StreamUpstream, "upstream"},
	}
	for _, tt := range tests {
		if got := tt.in.String(); got != tt.want {
			t.Errorf("%b = %q, want %q", tt.in, got, tt.want)
		}
	}
}

func TestArity(t *testing.T) {
	tests := []struct {
		a       Arity
		text    string
		accepts string // of 0 to 8 arguments
	}{
		{NoArgs, "0", "100000000"},
		{Take1, "1", "010000000"},
		{Take12 | Take4, "1-2,4", "011010000"},
		{Take123 | Block, "1-3 {}", "011100000"},
		{FlagArg, "flag", "010000000"},
		{OneMore, "1+", "011111111"},
		{TwoMore, "2+", "001111111"},
		{Any | Block, "any {}", "111111111"},
		{Take7, "7", "000000010"},
	}
	for _, tt := range tests {
		if got := tt.a.String(); got != tt.text {
			t.Errorf("String() = %q, want %q", got, tt.text)
		}
		for n := 0; n < len(tt.accepts); n++ {
			if got := tt.a.accepts(n); got != (tt.accepts[n] == '1') {
				t.Errorf("%s accepts %d: %v", tt.text, n, got)
			}
		}
	}
}
