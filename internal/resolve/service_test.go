package resolve_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"moongate/internal/netio"
	"moongate/internal/resolve"
	"moongate/internal/resolve/resolvetest"
)

// in runs f in a task of a loop of its own.
func in(t *testing.T, f func(l *netio.Loop)) {
	t.Helper()
	l, err := netio.NewLoop()
	if err != nil {
		t.Fatal(err)
	}
	l.Go(func() {
		defer l.Stop()
		f(l)
	})
	l.Run()
	l.Close()
}

const patience = int64(time.Minute)

func srv(priority, weight, port uint16, target string) resolvetest.SRV {
	return resolvetest.SRV{Priority: priority, Weight: weight, Port: port, Target: target}
}

func TestService(t *testing.T) {
	s := resolvetest.Start(t)
	s.Set("_http._tcp.a.test", resolvetest.Records{TTL: 30, SRV: []resolvetest.SRV{srv(1, 5, 8081, "h1.test"), srv(2, 0, 8082, "h2.test"), srv(1, 1, 8083, "nowhere.test")}})
	s.Set("_x._udp.a.test", resolvetest.Records{TTL: 30, CNAME: "_http._tcp.a.test"})
	s.Set("h1.test", resolvetest.Records{TTL: 60, Addrs: []string{"127.0.0.1", "::1"}})
	s.Set("h2.test", resolvetest.Records{TTL: 20, Addrs: []string{"127.0.0.2"}})
	s.Set("_bad._tcp.a.test", resolvetest.Records{Code: 2})
	s.Set("_none._tcp.a.test", resolvetest.Records{SRV: []resolvetest.SRV{srv(1, 1, 1, "nowhere.test")}})
	cfg := &resolve.Config{Servers: []netip.AddrPort{netip.MustParseAddrPort(s.Addr)}, IPv4: true, IPv6: true}
	in(t, func(l *netio.Loop) {
		r := resolve.For(l, cfg)
		for _, service := range []string{"http", "_x._udp"} {
			list, until, problems, err := r.Service(service, "a.test", l.Now()+patience)
			if err != nil {
				t.Fatal(err)
			}
			want := "[{127.0.0.1:8081 h1.test 1 5} {[::1]:8081 h1.test 1 5} {127.0.0.2:8082 h2.test 2 1}]"
			if got := fmt.Sprint(list); got != want {
				t.Errorf("%s: %s, want %s", service, got, want)
			}
			if left := until - l.Now(); left > int64(20*time.Second) || left <= 0 {
				t.Errorf("counts %d ns; the shortest time is 20 s", left)
			}
			if len(problems) != 1 || problems[0].Host != "nowhere.test" || problems[0].Err.Code != 3 {
				t.Errorf("problems %v", problems)
			}
		}
		for service, code := range map[string]int{"bad": 2, "missing": 3, "none": 3} {
			_, _, _, err := r.Service(service, "a.test", l.Now()+patience)
			if re, ok := err.(*resolve.Error); !ok || re.Code != code {
				t.Errorf("%s: %v, want %d", service, err, code)
			}
		}
	})
}

func TestLookupUntil(t *testing.T) {
	s := resolvetest.Start(t)
	s.Set("a.test", resolvetest.Records{TTL: 30, Addrs: []string{"127.0.0.1"}})
	cfg := &resolve.Config{Servers: []netip.AddrPort{netip.MustParseAddrPort(s.Addr)}, IPv4: true}
	in(t, func(l *netio.Loop) {
		r := resolve.For(l, cfg)
		name := []byte("A.test")
		for range 2 {
			list, until, err := r.LookupUntil(string(name), l.Now()+patience)
			if err != nil || len(list) != 1 || until <= l.Now() || until > l.Now()+int64(30*time.Second) {
				t.Errorf("%v %d %v", list, until-l.Now(), err)
			}
			copy(name, "a.TEST")
		}
		if n := s.Asked(); n != 1 {
			t.Errorf("asked %d times", n)
		}
	})
}
