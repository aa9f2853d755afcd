package examples

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"moongate/internal/cli/grpccmd"
	"moongate/internal/engine/enginetest"
	"moongate/internal/modules"
	"moongate/internal/testkit/cert"
)

// startGRPC serves a configuration of the gRPC example in a copy of its folder, where names of files begin at the prefix.
func startGRPC(t *testing.T, name string) *enginetest.Server {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("grpc")); err != nil {
		t.Fatal(err)
	}
	certificates(t, filepath.Join(dir, "tls"))
	text, err := os.ReadFile(filepath.Join("grpc/conf", name))
	if err != nil {
		t.Fatal(err)
	}
	conf := strings.NewReplacer("../", "", "logs/nginx.pid", "nginx.pid", "daemon           off;", "", "daemon    off;", "").Replace(string(text))
	return enginetest.StartIn(t, dir, modules.Set(), conf)
}

// certificates makes what the configuration names: an authority, and a certificate of it for localhost.
func certificates(t *testing.T, dir string) {
	t.Helper()
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	ca := cert.Authority(t, nil, "ca")
	leaf := cert.Issue(t, ca, "localhost")
	cert.WriteFile(t, dir, "ca.crt", cert.Chain(ca))
	cert.WriteFile(t, dir, "leaf.crt", cert.Chain(leaf))
	cert.WriteFile(t, dir, "leaf.key", cert.KeyPEM(t, leaf.Key))
}

func command(t *testing.T, args ...string) string {
	t.Helper()
	var out, errs strings.Builder
	if code := grpccmd.Main(args, strings.NewReader(""), &out, &errs); code != 0 {
		return errs.String()
	}
	return strings.Join(strings.Fields(out.String()), "")
}

func TestGRPC(t *testing.T) {
	s := startGRPC(t, "nginx.conf")
	addr := s.Addr("127.0.0.1:8080")
	for _, c := range []struct{ method, data, want string }{
		{"helloworld.Greeter/SayHello", `{"name":"Ann"}`, `{"message":"HelloAnn"}`},
		{"helloworld.Greeter/SayHello", `{}`, "INVALID_ARGUMENT: whom shall I greet?\n"},
		{"helloworld.Greeter/SayHelloEverywhere", `{"name":"Ann"}`, `{"message":"HelloAnn"}{"message":"BonjourAnn"}{"message":"HalloAnn"}{"message":"CiaoAnn"}`},
		{"helloworld.Chat/Join", `{"from":"Ann","text":"hi"}{"from":"Ann","text":"bye"}`, `{"from":"Ann","text":"hi"}{"from":"Ann","text":"bye"}`},
	} {
		if got := command(t, "call", addr, c.method, "-d", c.data); got != c.want {
			t.Errorf("%s %s: %s", c.method, c.data, got)
		}
	}
	if resp := s.Get("/v1/hello/Ann"); !strings.HasSuffix(strings.ReplaceAll(resp, " ", ""), `{"message":"HelloAnn"}`) {
		t.Error(resp)
	}
	// grpc-web, as a browser sends it
	resp := s.Request("POST", "/helloworld.Greeter/SayHello", "\x00\x00\x00\x00\x05\x0a\x03Ann", "Content-Type: application/grpc-web+proto", "Content-Length: 10")
	if !strings.Contains(resp, "Hello Ann") || !strings.Contains(resp, "grpc-status: 0") {
		t.Error(resp)
	}
}

func TestGRPCClient(t *testing.T) {
	s := startGRPC(t, "nginx.conf")
	out := request(t, s.Addr("127.0.0.1:8081"), "/greet?name=Ann")
	if !strings.Contains(out, "Hello Ann\n") {
		t.Error(out)
	}
	if out = request(t, s.Addr("127.0.0.1:8081"), "/greet"); !strings.HasPrefix(out, "HTTP/1.1 400 ") || !strings.Contains(out, "INVALID_ARGUMENT: whom shall I greet?") {
		t.Error(out)
	}
}

func TestGRPCMutualTLS(t *testing.T) {
	s := startGRPC(t, "mtls.conf")
	tls := filepath.Join(s.Dir, "tls")
	args := []string{"call", s.Addr("127.0.0.1:8043"), "helloworld.Greeter/SayHello", "-d", `{"name":"Ann"}`, "-tls", "-authority", "localhost", "-cacert", tls + "/ca.crt"}
	if got := command(t, append(args, "-cert", tls+"/leaf.crt", "-key", tls+"/leaf.key")...); got != `{"message":"HelloAnn"}` {
		t.Error(got)
	}
	if got := command(t, args...); !strings.Contains(got, "reflection: ") {
		t.Errorf("without a certificate: %s", got)
	}
}

func request(t *testing.T, addr, target string) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "GET "+target+" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
	b, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
