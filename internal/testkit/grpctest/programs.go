package grpctest

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"moongate/internal/testkit"
)

// The programs of programs/go.mod.
const (
	Client = "google.golang.org/grpc/interop/client"
	Server = "google.golang.org/grpc/interop/server"
	HTTP2  = "google.golang.org/grpc/interop/http2"
	Peer   = "moongate/internal/testkit/grpctest/programs/peer"
)

// programs is the folder of that module.
func programs() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "programs")
}

// inModule runs the Go command in that module and gives its output.
func inModule(t testing.TB, args ...string) string {
	t.Helper()
	cmd := exec.Command("go", append([]string{"-C", programs()}, args...)...)
	var problem bytes.Buffer
	cmd.Stderr = &problem
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, &problem)
	}
	return strings.TrimSpace(string(out))
}

// Program is the file of a program; the Go command builds it when it is not in its cache.
func Program(t testing.TB, name string) string {
	t.Helper()
	return inModule(t, "tool", "-n", name)
}

// SourceOf is the folder that has a program's source.
func SourceOf(t testing.TB, name string) string {
	t.Helper()
	return inModule(t, "list", "-f", "{{.Dir}}", name)
}

// Run runs a program that ends by itself.
func Run(t testing.TB, file string, args ...string) {
	t.Helper()
	cmd := exec.Command(file, args...)
	cmd.Env = append(os.Environ(), "GRPC_GO_LOG_SEVERITY_LEVEL=info")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s %s: %v\n%s", filepath.Base(file), strings.Join(args, " "), err, out)
	}
}

// start runs a program until the test ends.
func start(t testing.TB, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
}

// RunServer runs grpc-go's server, with TLS by the files of dir unless dir is "", and gives its address.
func RunServer(t testing.TB, dir string) string {
	t.Helper()
	l := listen(t)
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close()
	args := []string{"-port", port}
	if dir != "" {
		args = append(args, "-use_tls", "-tls_cert_file", filepath.Join(dir, "server.pem"), "-tls_key_file", filepath.Join(dir, "server.key"))
	}
	start(t, exec.Command(Program(t, Server), args...))
	addr := "127.0.0.1:" + port
	testkit.Eventually(t, "grpc-go's server listens", func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return addr
}

// RunPeer runs the server of our own program, and gives its address.
func RunPeer(t testing.TB, args ...string) string {
	t.Helper()
	cmd := exec.Command(Program(t, Peer), append([]string{"-serve"}, args...)...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	start(t, cmd)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(fmt.Errorf("%s says no address: %w", Peer, err))
	}
	return strings.TrimSpace(line)
}
