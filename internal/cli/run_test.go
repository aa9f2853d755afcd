package cli

import (
	"flag"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRunArguments(t *testing.T) {
	for line, want := range map[string]string{
		"":                   " ",
		"site":               " site",
		"-l 8081 site":       "127.0.0.1:8081 site",
		"site -l 0.0.0.0:80": "0.0.0.0:80 site",
		"-l unix:/x":         "unix:/x ",
		"one two":            "one folder",
	} {
		s := &runSite{}
		set := flag.NewFlagSet("run", flag.ContinueOnError)
		set.StringVar(&s.listen, "l", "", "")
		dir, err := s.parse(set, strings.Fields(line))
		got := s.listen + " " + dir
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
}

func TestListenable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	busy := l.Addr().String()
	_, port, _ := net.SplitHostPort(busy)
	dir := t.TempDir()
	os.Mkdir(filepath.Join(dir, "conf"), 0o755)
	for _, c := range []struct{ listen, conf, want string }{
		{busy, "", "another program listens on " + busy + " already: end it, or choose another address with -l"},
		{"127.0.0.1:0", "", ""},
		{"[::1]:0", "", ""},
		{"unix:/tmp/x", "", ""},
		{"nonsense", "", "-l nonsense: an address to listen on is 127.0.0.1:8080, or a port alone"},
		{"127.0.0.1", "", "-l 127.0.0.1: an address"},
		{"127.0.0.1:80000", "", "-l 127.0.0.1:80000: an address"},
		{"", "server { listen " + port + "; }", "another program listens on " + busy + " already: end it, or change \"listen\" in " + dir},
		{"", "server {\n  listen 127.0.0.1:" + port + " ssl; }", "another program"},
		{"", "server {\n  # listen " + port + ";\n listen 0; }", ""},
	} {
		s, in := &runSite{listen: c.listen}, ""
		if c.conf != "" {
			in = dir
			if err := os.WriteFile(filepath.Join(dir, "conf/nginx.conf"), []byte(c.conf), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		err := s.listenable(in)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.HasPrefix(err.Error(), c.want)) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
