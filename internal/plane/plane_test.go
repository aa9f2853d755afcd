package plane

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"moongate/internal/base/nlog"
)

func TestSockaddrRoundTrip(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:80", "127.0.0.1:8080", "[::]:443", "[::1]:1", "unix:/run/x.sock"} {
		s := Socket{Addr: addr}
		sa, _, err := s.Sockaddr()
		if err != nil || AddrOf(sa) != addr {
			t.Errorf("%s: %q %v", addr, AddrOf(sa), err)
		}
	}
	if _, _, err := (&Socket{Addr: "localhost:80"}).Sockaddr(); err == nil {
		t.Error("a name is not an address")
	}
}

func TestPathsMake(t *testing.T) {
	dir := t.TempDir()
	values := map[any]any{}
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "no", "b")
	PathsIn(values).Add(a)
	PathsIn(values).Add(a)
	uid := -1
	if os.Getuid() == 0 {
		uid = 65534
	}
	if err := PathsIn(values).Make(uid); err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(a)
	if err != nil || st.Mode().Perm() != 0o700 || uid != -1 && int(st.Sys().(*syscall.Stat_t).Uid) != uid {
		t.Errorf("%v %v", st, err)
	}
	PathsIn(values).Add(b)
	err = PathsIn(values).Make(uid)
	pe, ok := err.(*os.PathError)
	if !ok || pe.Op != "mkdir" || pe.Path != b {
		t.Errorf("%v", err)
	}
}

func TestFaultText(t *testing.T) {
	f := &Fault{Level: nlog.Crit, Msg: "open() \"x\" failed", Err: syscall.EACCES}
	if f.Error() != `open() "x" failed (13: Permission denied)` {
		t.Error(f)
	}
}
