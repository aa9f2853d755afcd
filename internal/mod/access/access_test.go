package access_test

import (
	"net/netip"
	"strings"
	"testing"

	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/engine/enginetest"
	"moongate/internal/mod/access"
	"moongate/internal/mod/corevars"
)

// from has the request come from the address in its arguments, and answers what nobody refuses.
var from = engine.Module{Module: conf.Module{Name: "from"}, Steps: []engine.Step{
	{Phase: engine.PostRead, Run: func(r *engine.Request) engine.Status {
		if string(r.Args) == "unix" {
			r.Conn.Remote = engine.Addr{Unix: true}
		} else {
			r.Conn.Remote = engine.Addr{IP: netip.AddrPortFrom(netip.MustParseAddr(string(r.Args)), 1)}
		}
		return engine.Declined
	}},
	{Phase: engine.Content, Run: func(r *engine.Request) engine.Status { return r.SendText([]byte("in")) }},
}}

func set() *engine.Set {
	return &engine.Set{Modules: []*engine.Module{&corevars.Module, &access.Module, &from}}
}

func TestRules(t *testing.T) {
	s := enginetest.Start(t, set(), `
		location /none { }
		location /first { allow 10.0.0.1; deny 10.0.0.0/8; allow 2001:db8::/32; deny all; }
		location /last { deny 10.0.0.1; }
		location /unix { deny unix:; }
		location /six { deny 2001:db8::1; }
		location /outer { deny all; location /outer/in { } location /outer/own { allow all; } }
		location /any { satisfy any; deny all; }
		location /zero { deny 0.0.0.0/0; }
		location /except { limit_except GET { deny all; } }`)
	for _, c := range []struct {
		uri string
		in  bool
	}{
		{"/none?10.0.0.1", true},
		{"/first?10.0.0.1", true}, {"/first?10.0.0.2", false}, {"/first?11.0.0.1", false}, {"/first?2001:db8::5", true}, {"/first?::1", false},
		{"/first?::ffff:10.0.0.1", true}, {"/first?::ffff:10.0.0.2", false}, {"/first?unix", false},
		{"/last?10.0.0.1", false}, {"/last?10.0.0.2", true}, {"/last?::1", true}, {"/last?unix", true},
		{"/unix?unix", false}, {"/unix?10.0.0.1", true},
		{"/six?2001:db8::1", false}, {"/six?::ffff:10.0.0.1", true}, {"/six?10.0.0.1", true},
		{"/outer?10.0.0.1", false}, {"/outer/in?10.0.0.1", false}, {"/outer/own?10.0.0.1", true},
		{"/any?10.0.0.1", false}, {"/zero?10.0.0.1", false}, {"/zero?::1", true},
		{"/except?10.0.0.1", true},
	} {
		if got := enginetest.Status(s.Get(c.uri)); (got == "200 OK") != c.in {
			t.Errorf("%s: %s", c.uri, got)
		}
	}
	if got := enginetest.Status(s.Request("POST", "/except?10.0.0.1", "", "Content-Length: 0", "Host: a")); got != "403 Forbidden" {
		t.Errorf("limit_except: %s", got)
	}
	if n := strings.Count(s.ErrorLog(), "access forbidden by rule, client: 10.0.0.1, server: localhost, request: \"GET /any?10.0.0.1"); n != 1 {
		t.Errorf("satisfy any is logged %d times", n)
	}
}

func TestErrors(t *testing.T) {
	for text, want := range map[string]string{
		"deny;":              `invalid number of arguments in "deny" directive`,
		"deny 1.2.3;":        `invalid parameter "1.2.3"`,
		"deny 1.2.3.4/33;":   `invalid parameter "1.2.3.4/33"`,
		"deny 1.2.3.4/x;":    `invalid parameter "1.2.3.4/x"`,
		"allow fe80::1%lo;":  `invalid parameter "fe80::1%lo"`,
		"allow ::1/129;":     `invalid parameter "::1/129"`,
		"allow unix:/x;":     `invalid parameter "unix:/x"`,
		"allow localhost;":   `invalid parameter "localhost"`,
		"allow 1.2.3.4 all;": `invalid number of arguments in "allow" directive`,
	} {
		_, err := enginetest.Load(t, set(), text, nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	var warnings []string
	if _, err := enginetest.Load(t, set(), "deny 10.0.0.1/8;", &warnings); err != nil || len(warnings) != 1 || !strings.Contains(warnings[0], "[warn] low address bits of 10.0.0.1/8 are meaningless in ") {
		t.Errorf("%v, %v", warnings, err)
	}
}
