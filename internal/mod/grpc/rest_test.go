package grpc_test

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"moongate/internal/engine/enginetest"
	"moongate/internal/modules"
	"moongate/internal/testkit"
)

var both = &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}

// talk sends a message and gets it back.
func talk(st grpc.ClientStream, text string) error {
	out := &testgrpc.SimpleResponse{}
	if err := st.SendMsg(&testgrpc.SimpleResponse{Username: text}); err != nil {
		return err
	}
	if err := st.RecvMsg(out); err != nil {
		return err
	}
	if out.Username != text {
		return fmt.Errorf("%q", out.Username)
	}
	return nil
}

// exchanging counts the goroutines that pass something on.
func exchanging() int {
	buf := make([]byte, 4<<20)
	return strings.Count(string(buf[:runtime.Stack(buf, true)]), "relay.(*Exchange).Run(") + strings.Count(string(buf), "relay.(*Exchange).runMuxPump(")
}

// TestRest: silent streams have no task, and nothing else about them is different.
func TestRest(t *testing.T) {
	before := exchanging() // those of servers that have been stopped
	over := make(chan error, 300)
	addr := handled(t, func(st grpc.ServerStream) error {
		for {
			var in testgrpc.SimpleResponse
			if err := st.RecvMsg(&in); err == io.EOF {
				return nil
			} else if err != nil {
				over <- err
				return err
			}
			if in.Username == "fail" {
				return status.Error(codes.DataLoss, "as asked")
			}
			if err := st.SendMsg(&in); err != nil {
				return err
			}
		}
	})
	s := start(t, `upstream u { server %s; keepalive 2; }
		log_format calls "$uri $status $grpc_status $grpc_request_messages/$grpc_response_messages $upstream_status";
		access_log logs/access.log calls;
		server { listen 127.0.0.1:8080; http2_max_concurrent_streams 1000;
			location / { grpc_pass u; }
			location /silent. { grpc_pass u; grpc_read_timeout 3s; }
			location /mute. { grpc_pass u; client_body_timeout 3s; }
			location /late. { rewrite_by_lua_block { ngx.req.set_header("grpc-timeout", "3S") } grpc_pass u; } }`, addr)
	cc := dial(t, s.Addr("127.0.0.1:8080"))
	open := func(ctx context.Context, method string) grpc.ClientStream {
		t.Helper()
		st, err := cc.NewStream(ctx, both, method)
		if err == nil {
			err = talk(st, "first")
		}
		if err != nil {
			t.Fatal(err)
		}
		return st
	}
	logged := func(want string) {
		t.Helper()
		testkit.Eventually(t, want, func() bool { return strings.Contains(s.File("logs/access.log"), want) })
	}

	var streams []grpc.ClientStream
	for range 100 {
		streams = append(streams, open(t.Context(), "/svc/Talk"))
	}
	testkit.Eventually(t, "tasks end", func() bool { return exchanging() <= before })
	for range 2 {
		for _, st := range streams {
			if err := talk(st, strings.Repeat("again", 10000)); err != nil {
				t.Fatal(err)
			}
		}
	}
	testkit.Eventually(t, "tasks end again", func() bool { return exchanging() <= before })
	for i, st := range streams {
		want := codes.OK
		if i%2 == 1 {
			want = codes.DataLoss
			st.SendMsg(&testgrpc.SimpleResponse{Username: "fail"})
		} else {
			st.CloseSend()
		}
		if err := st.RecvMsg(&testgrpc.SimpleResponse{}); err != io.EOF && status.Code(err) != want {
			t.Error(err)
		}
	}
	logged("/svc/Talk 200 0 3/3 200\n")
	logged("/svc/Talk 200 15 4/3 200\n")

	ctx, cancel := context.WithCancel(t.Context())
	open(ctx, "/svc/Cancel")
	testkit.Eventually(t, "rest", func() bool { return exchanging() <= before })
	cancel()
	if err := <-over; status.Code(err) != codes.Canceled {
		t.Errorf("the server of a client that has gone: %v", err)
	}
	logged("/svc/Cancel 200 - 1/1 200\n")

	for _, c := range []struct {
		method string
		code   codes.Code
		line   string
	}{
		{"/silent.svc/Talk", codes.Internal, "upstream timed out (110: Connection timed out) while reading upstream"},
		{"/mute.svc/Talk", codes.Internal, ""},         // a client that is too slow is not mentioned
		{"/late.svc/Talk", codes.DeadlineExceeded, ""}, // the server knows the deadline as well: either may be first
	} {
		st := open(t.Context(), c.method)
		if err := st.RecvMsg(&testgrpc.SimpleResponse{}); status.Code(err) != c.code {
			t.Errorf("%s: %v", c.method, err)
		}
		<-over
		testkit.Eventually(t, c.line, func() bool { return strings.Contains(s.ErrorLog(), c.line) })
	}
	cc.Close()
	testkit.Eventually(t, "no request is left", func() bool { return exchanging() <= before })
}

// TestRestReload: a silent stream goes on with the configuration it began with, which is given up when it has ended.
func TestRestReload(t *testing.T) {
	before := exchanging()
	addr := handled(t, func(st grpc.ServerStream) error {
		for {
			var in testgrpc.SimpleResponse
			if err := st.RecvMsg(&in); err == io.EOF {
				return nil
			} else if err != nil {
				return err
			}
			if err := st.SendMsg(&in); err != nil {
				return err
			}
		}
	})
	const text = `http2 on; upstream u { server %s; keepalive 2; }
		server { listen 127.0.0.1:8080; location / { add_header X-Config %d; grpc_pass u; } }`
	s := enginetest.Start(t, modules.Set(), fmt.Sprintf(text, addr, 1))
	cc := dial(t, s.Addr("127.0.0.1:8080"))
	for i := range 3 {
		st, err := cc.NewStream(t.Context(), both, "/svc/Talk")
		if err == nil {
			err = talk(st, "before")
		}
		if err != nil {
			t.Fatal(err)
		}
		testkit.Eventually(t, "rest", func() bool { return exchanging() <= before })
		if err := s.Reload(fmt.Sprintf(text, addr, i+2)); err != nil {
			t.Fatal(err)
		}
		if err := talk(st, "after"); err != nil {
			t.Fatal(err)
		}
		if md, _ := st.Header(); fmt.Sprint(md["x-config"]) != fmt.Sprint([]int{i + 1}) {
			t.Errorf("%v, reload %d", md, i+1)
		}
		st.CloseSend()
		if err := st.RecvMsg(&testgrpc.SimpleResponse{}); err != io.EOF {
			t.Error(err)
		}
	}
}
