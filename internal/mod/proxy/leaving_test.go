package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"moongate/internal/engine/enginetest"
	"moongate/internal/modules"
	"moongate/internal/testkit/poll"
)

// TestClientLeavesCheck is about a client that goes away while auth_request asks a server: that is no answer of the
// server, and nobody waits for ours.
func TestClientLeavesCheck(t *testing.T) {
	asked := make(chan bool, 1)
	up := scripted(t, func(_ net.Conn, br *bufio.Reader) {
		if _, err := http.ReadRequest(br); err == nil {
			asked <- true
			br.ReadByte()
		}
	})
	s := enginetest.Start(t, modules.Set(), fmt.Sprintf(`log_format st "$uri $status $body_bytes_sent"; access_log logs/access.log st; error_log logs/error.log info;
		server { listen 127.0.0.1:8080;
		location / { auth_request /auth; proxy_pass http://%s; }
		location = /auth { proxy_pass http://%s; } }`, up, up))
	conn := s.Dial()
	io.WriteString(conn, "GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
	<-asked
	conn.Close()
	if !poll.Until(time.Minute, func() bool { return s.File("logs/access.log") == "/x 499 0\n" }) {
		t.Errorf("access log %q", s.File("logs/access.log"))
	}
	if log := s.ErrorLog(); strings.Contains(log, "unexpected status") || strings.Count(log, "\n") != 1 {
		t.Errorf("log %q", log)
	}
}
