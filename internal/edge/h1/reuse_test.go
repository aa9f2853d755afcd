package h1_test

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"moongate/internal/engine"
	"moongate/internal/engine/enginetest"
)

// TestConnectionsAreReused has connections follow one another in the same memory, and nothing of one shows in the next.
func TestConnectionsAreReused(t *testing.T) {
	var seen []*engine.Conn
	about := func(r *engine.Request) engine.Status {
		c := r.Conn
		seen = append(seen, c)
		return r.SendText(r.Copy([]byte(fmt.Sprintf("%d %d %s %s", c.Requests, c.Sent, c.Remote.String(), c.LocalAddr().String()))))
	}
	keep := func(r *engine.Request) engine.Status {
		seen = append(seen, r.Conn)
		r.Conn.Values = map[any]any{1: 2}
		return r.SendText([]byte("kept"))
	}
	s := enginetest.Start(t, handlers(map[string]engine.Handler{"about": about, "keep": keep}), `location / { about; } location /keep { keep; }`)
	ask := func(uri string, before int) string {
		c := s.Dial()
		defer c.Close()
		io.WriteString(c, strings.Repeat("GET / HTTP/1.1\r\nHost: a\r\n\r\n", before)+"GET "+uri+" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		b, err := io.ReadAll(c)
		if err != nil {
			t.Fatal(err)
		}
		all := string(b)
		body := all[strings.LastIndex(all, "\r\n\r\n")+4:]
		mine := c.(*net.TCPConn)
		return strings.Replace(body, mine.LocalAddr().String()+" "+mine.RemoteAddr().String(), "addresses", 1)
	}
	if got := ask("/", 2); !strings.HasPrefix(got, "3 ") || !strings.HasSuffix(got, " addresses") {
		t.Errorf("third request: %q", got)
	}
	for range 3 {
		if got := ask("/", 0); got != "1 0 addresses" {
			t.Errorf("a connection begins with %q", got)
		}
	}
	ask("/keep", 0)
	ask("/", 0)
	s.Do(func(*engine.Worker) {
		for i, c := range seen[1:7] {
			if c != seen[0] {
				t.Errorf("request %d: the connection is not the first one's memory", i+1)
			}
		}
		if seen[7] == seen[6] {
			t.Error("a connection that modules keep something with was reused")
		}
	})
}
