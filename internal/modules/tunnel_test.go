package modules

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	nethttp "net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"moongate/internal/engine/enginetest"
	"moongate/internal/testkit"
)

// tunnelBackend takes upgrades and sends back what comes; a line "end" ends the connection.
func tunnelBackend(t *testing.T) string {
	return testkit.Listen(t, func(c net.Conn) {
		br := bufio.NewReader(c)
		if _, err := nethttp.ReadRequest(br); err != nil {
			return
		}
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: test\r\nConnection: Upgrade\r\nX-Answer: of the server\r\n\r\nfirst\n")
		for {
			line, err := br.ReadString('\n')
			if err != nil || line == "end\n" {
				return
			}
			io.WriteString(c, line)
		}
	}).String()
}

const tunnelSite = `
	worker_processes 1;
	error_log logs/error.log info;
	events { worker_connections 2048; }
	http {
		log_format tunnel "$request_method|$request_uri|$uri|$arg_a|$http_x_client|$status|$sent_http_x_answer|$upstream_http_x_answer|$upstream_status|$body_bytes_sent|$upstream_bytes_sent";
		server {
			listen 127.0.0.1:8080;
			access_log logs/tunnel.log tunnel;
			proxy_http_version 1.1;
			proxy_set_header Upgrade $http_upgrade;
			proxy_set_header Connection Upgrade;
			location /open { proxy_pass http://%[1]s; }
			location /brief { proxy_pass http://%[1]s; proxy_read_timeout 20ms; }
		}
	}`

// tunnelTo opens one and reads the first line of the server; more follows the request's head at once.
func tunnelTo(t *testing.T, addr, uri, more string) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(time.Minute))
	io.WriteString(c, "GET "+uri+" HTTP/1.1\r\nHost: localhost\r\nUpgrade: test\r\nConnection: Upgrade\r\nX-Client: of the client\r\n\r\n"+more)
	br := bufio.NewReader(c)
	r, err := nethttp.ReadResponse(br, nil)
	if err != nil || r.StatusCode != 101 {
		t.Fatalf("%v, %v", r, err)
	}
	expectLine(t, br, "first\n")
	return c, br
}

func expectLine(t *testing.T, br *bufio.Reader, want string) {
	t.Helper()
	if got, err := br.ReadString('\n'); got != want || err != nil {
		t.Fatalf("%q, %v; want %q", got, err, want)
	}
}

// TestTunnel: upgraded connections carry bytes both ways, and are logged with what their heads said, though these have moved.
func TestTunnel(t *testing.T) {
	dir := t.TempDir()
	s := enginetest.StartIn(t, dir, Set(), fmt.Sprintf(tunnelSite, tunnelBackend(t)))
	logged := func(want string) {
		t.Helper()
		testkit.Eventually(t, want, func() bool {
			b, _ := os.ReadFile(filepath.Join(dir, "logs", "tunnel.log"))
			return strings.Contains(string(b), want)
		})
	}
	t.Run("the server ends", func(t *testing.T) {
		c, br := tunnelTo(t, s.Addr(""), "/open/server?a=b", "early\n")
		expectLine(t, br, "early\n")
		for range 3 {
			io.WriteString(c, "again\n")
			expectLine(t, br, "again\n")
		}
		io.WriteString(c, "end\n")
		if _, err := br.ReadByte(); err != io.EOF {
			t.Errorf("%v, want the end", err)
		}
		logged("GET|/open/server?a=b|/open/server|b|of the client|101|of the server|of the server|101|30|")
	})
	t.Run("the client ends", func(t *testing.T) {
		c, br := tunnelTo(t, s.Addr(""), "/open/%63lient?a=c", "")
		io.WriteString(c, "again\n")
		expectLine(t, br, "again\n")
		c.Close()
		logged("GET|/open/%63lient?a=c|/open/client|c|of the client|101|of the server|of the server|101|12|")
	})
	t.Run("nobody says anything", func(t *testing.T) {
		_, br := tunnelTo(t, s.Addr(""), "/brief", "")
		if _, err := br.ReadByte(); err != io.EOF {
			t.Errorf("%v, want the end", err)
		}
		testkit.Eventually(t, "the line", func() bool {
			return strings.Contains(s.ErrorLog(), "upstream timed out (110: Connection timed out) while proxying upgraded connection")
		})
	})
	t.Run("much at once", func(t *testing.T) {
		c, br := tunnelTo(t, s.Addr(""), "/open/much", "")
		line := bytes.Repeat([]byte("x"), 1000)
		line[999] = '\n'
		const lines = 20_000 // more than sockets hold: both sides have to wait
		go func() {
			all := bytes.Repeat(line, lines)
			c.Write(all)
		}()
		for i := range lines {
			if got, err := br.ReadSlice('\n'); err != nil || !bytes.Equal(got, line) {
				t.Fatalf("line %d: %d bytes, %v", i, len(got), err)
			}
		}
	})
}

// TestTunnelsHaveNoTasks: those that nobody uses hold no goroutine of their worker.
func TestTunnelsHaveNoTasks(t *testing.T) {
	s := enginetest.StartIn(t, t.TempDir(), Set(), fmt.Sprintf(tunnelSite, tunnelBackend(t)))
	const many = 300
	for range many {
		c, br := tunnelTo(t, s.Addr(""), "/open", "")
		io.WriteString(c, "again\n")
		expectLine(t, br, "again\n")
	}
	stacks := make([]byte, 16<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	if n := bytes.Count(stacks, []byte("netio.(*Loop).newTask.func")); n >= many/2 {
		t.Errorf("%d tasks for %d tunnels", n, many)
	}
}
