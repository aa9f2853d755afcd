package grpc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthgrpc "google.golang.org/grpc/health/grpc_health_v1"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"moongate/internal/engine/enginetest"
	"moongate/internal/modules"
	"moongate/internal/testkit"
	"moongate/internal/testkit/grpctest"
)

// handled runs a server whose every method is f, and gives its address.
func handled(t testing.TB, f func(s grpc.ServerStream) error) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer(grpc.UnknownServiceHandler(func(_ any, st grpc.ServerStream) error { return f(st) }))
	go s.Serve(l)
	t.Cleanup(s.Stop)
	return l.Addr().String()
}

func dial(t testing.TB, addr string) *grpc.ClientConn {
	cc, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cc.Close() })
	return cc
}

func start(t testing.TB, text string, args ...any) *enginetest.Server {
	return enginetest.Start(t, modules.Set(), fmt.Sprintf("http2 on; error_log logs/error.log info;\n"+text, args...))
}

// post is a call over HTTP/1, whose fields and trailers the test sees as they are.
func post(s *enginetest.Server, uri, fields, body string) string {
	return s.Raw("POST " + uri + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTE: trailers\r\nContent-Type: application/grpc\r\nContent-Length: " +
		fmt.Sprint(len(body)) + "\r\n" + fields + "\r\n" + body)
}

const oneMessage = "\x00\x00\x00\x00\x02\x08\x01"

func TestDeadline(t *testing.T) {
	type seen struct {
		deadline bool
		left     time.Duration
		err      error
	}
	ended := make(chan seen, 64)
	var began atomic.Int64
	addr := handled(t, func(st grpc.ServerStream) error {
		began.Add(1)
		when, ok := st.Context().Deadline()
		left := time.Until(when)
		if md, _ := metadata.FromIncomingContext(st.Context()); len(md["begin"]) > 0 {
			if err := st.SendMsg(&testgrpc.SimpleResponse{Username: "first"}); err != nil {
				return err
			}
		}
		<-st.Context().Done()
		ended <- seen{ok, left, st.Context().Err()}
		return nil
	})
	s := start(t, `upstream u { server %s; keepalive 2; }
		server { listen 127.0.0.1:8080; location / { grpc_pass u; } location /off { grpc_pass u; grpc_timeout_header off; grpc_read_timeout 20ms; } }`, addr)

	// On a busy machine a short deadline may pass before the server has the call: then a longer one is given.
	got := ""
	for limit := 50; ; limit *= 2 {
		got = post(s, "/svc/Slow", fmt.Sprintf("grpc-timeout: %dm\r\n", limit), oneMessage)
		if !strings.HasPrefix(enginetest.Status(got), "200") || enginetest.Header(got, "grpc-status") != "4" || enginetest.Header(got, "Content-Type") != "application/grpc" {
			t.Fatalf("before the head: %q", got)
		}
		if began.Load() > 0 || limit > 10_000 {
			break
		}
	}
	testkit.Eventually(t, "a call ends at the server", func() bool { return len(ended) > 0 })
	if e := <-ended; e.err == nil || !e.deadline || e.left > time.Minute {
		t.Errorf("the server saw %+v", e)
	}
	for limit := 50; ; limit *= 2 {
		got = post(s, "/svc/Slow", fmt.Sprintf("grpc-timeout: %dm\r\nbegin: 1\r\n", limit), oneMessage)
		if strings.Contains(got, "first") || limit > 10_000 || !strings.HasPrefix(enginetest.Status(got), "200") {
			break
		}
	}
	if !strings.Contains(got, "first") || !strings.Contains(got, "grpc-status: 4\r\ngrpc-message: deadline exceeded\r\n") {
		t.Errorf("after the head: %q", got)
	}
	if got = post(s, "/off/Slow", "grpc-timeout: 9S\r\n", oneMessage); !strings.HasPrefix(enginetest.Status(got), "504") {
		t.Errorf("without: %q", got)
	}
	testkit.Eventually(t, "all calls end at the server", func() bool { return int64(len(ended))+1 == began.Load() })
}

// TestDeadlineOfTries: each server is told what is left of the deadline, and waiting before a further try ends with it.
func TestDeadlineOfTries(t *testing.T) {
	silent := testkit.Listen(t, func(c net.Conn) { io.Copy(io.Discard, c) })
	var calls atomic.Int64
	left := make(chan time.Duration, 1)
	addr := handled(t, func(st grpc.ServerStream) error {
		calls.Add(1)
		when, _ := st.Context().Deadline()
		left <- time.Until(when)
		return status.Error(codes.Unavailable, "busy")
	})
	s := start(t, `upstream u { server %s; server %s; keepalive 2; } upstream busy { server %[2]s; keepalive 2; }
		server { listen 127.0.0.1:8080; grpc_read_timeout 200ms; grpc_next_upstream timeout non_idempotent;
			location / { grpc_pass u; }
			location /busy { grpc_pass busy; grpc_retry_on unavailable; grpc_retry_tries 5; grpc_retry_backoff 1h; } }`, silent, addr)
	for range 2 { // the first may meet either server
		post(s, "/svc/Call", "grpc-timeout: 60S\r\n", oneMessage)
		if d := <-left; d < 59800*time.Millisecond {
			break
		} else if calls.Load() == 2 {
			t.Errorf("%v are left after a server was silent for 200 ms", d)
		}
	}
	calls.Store(0)
	got := ""
	for limit := 50; calls.Load() == 0 && limit < 10_000; limit *= 2 { // a short one may pass before the server has the call
		got = post(s, "/busy/Call", fmt.Sprintf("grpc-timeout: %dm\r\n", limit), oneMessage)
	}
	if enginetest.Header(got, "grpc-status") != "4" || calls.Load() != 1 {
		t.Errorf("%d calls, %q", calls.Load(), got)
	}
}

func TestRetry(t *testing.T) {
	var calls atomic.Int64
	addr := handled(t, func(st grpc.ServerStream) error {
		n := calls.Add(1)
		var in testgrpc.SimpleRequest
		if err := st.RecvMsg(&in); err != nil {
			return err
		}
		if n%3 != 0 {
			return status.Error(codes.Unavailable, "busy")
		}
		return st.SendMsg(&testgrpc.SimpleResponse{Username: fmt.Sprint("try ", n)})
	})
	s := start(t, `upstream u { server %s; keepalive 2; }
		log_format calls "$uri $status $grpc_status:$grpc_message $grpc_request_messages/$grpc_response_messages $upstream_status";
		access_log logs/access.log calls;
		server { listen 127.0.0.1:8080; grpc_retry_backoff 1ms 2ms;
			location /two { grpc_pass u; grpc_retry_on unavailable resource-exhausted; grpc_retry_tries 2; }
			location /one { grpc_pass u; grpc_retry_on unavailable; }
			location /other { grpc_pass u; grpc_retry_on internal; grpc_retry_tries 5; }
			location /broke { grpc_pass u; grpc_retry_on unavailable; grpc_retry_tries 5; grpc_retry_budget 0%% 0; }
			location /off { grpc_pass u; } }`, addr)
	for _, c := range []struct {
		uri   string
		from  int64
		calls int64
		want  string
		log   string
	}{
		{"/two", 0, 3, "try 3", "200 0: 1/1 200, 200, 200"},
		{"/one", 0, 2, "grpc-status: 14", "200 14:busy 1/0 200, 200"},
		{"/other", 0, 1, "grpc-status: 14", "200 14:busy 1/0 200"},
		{"/broke", 0, 1, "grpc-status: 14", "200 14:busy 1/0 200"},
		{"/off", 0, 1, "grpc-status: 14", "200 14:busy 1/0 200"},
		{"/off", 2, 1, "try 3", "200 0: 1/1 200"},
	} {
		calls.Store(c.from)
		got := post(s, c.uri+"/Call", "", oneMessage)
		if n := calls.Load() - c.from; n != c.calls || !strings.Contains(strings.ToLower(got), c.want) {
			t.Errorf("%s: %d calls, %q", c.uri, n, got)
		}
		lines := strings.Split(strings.TrimSpace(s.File("logs/access.log")), "\n")
		if last := lines[len(lines)-1]; last != c.uri+"/Call "+c.log {
			t.Errorf("logged %q, want %q", last, c.uri+"/Call "+c.log)
		}
	}
}

// TestErrorPage is how people turn errors of the gateway into statuses.
func TestErrorPage(t *testing.T) {
	s := start(t, `server { listen 127.0.0.1:8080; location / { grpc_pass %s; error_page 502 = /error502grpc; }
		location = /error502grpc { internal; default_type application/grpc; add_header grpc-status 14; add_header grpc-message "unavailable"; return 204; } }`, testkit.Refused(t))
	got := post(s, "/svc/Any", "", oneMessage)
	if !strings.HasPrefix(enginetest.Status(got), "204") || enginetest.Header(got, "grpc-status") != "14" || enginetest.Header(got, "grpc-message") != "unavailable" {
		t.Errorf("got %q", got)
	}
}

func TestBadAddresses(t *testing.T) {
	for text, want := range map[string]string{
		`location / { grpc_pass 127.0.0.1; }`:                            `no port in upstream "127.0.0.1"`,
		`location / { grpc_pass grpc://h:0; }`:                           `invalid port in upstream "h:0"`,
		`location / { grpc_pass 127.0.0.1:1; grpc_pass 127.0.0.1:1; }`:   `"grpc_pass" directive is duplicate`,
		`location / { grpc_pass 127.0.0.1:1; grpc_retry_backoff x; }`:    `invalid value "x"`,
		`location / { grpc_pass 127.0.0.1:1; grpc_retry_budget 5; }`:     `invalid value "5"`,
		`location / { grpc_pass 127.0.0.1:1; grpc_retry_on sometimes; }`: `invalid value "sometimes"`,
	} {
		_, err := enginetest.Load(t, modules.Set(), text, nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

// TestDuplex lets both sides of many calls on one connection go on independently, with messages larger than windows.
func TestDuplex(t *testing.T) {
	addr := handled(t, func(st grpc.ServerStream) error {
		for {
			var in testgrpc.SimpleResponse
			if err := st.RecvMsg(&in); errors.Is(err, io.EOF) {
				return nil
			} else if err != nil {
				return err
			}
			if err := st.SendMsg(&in); err != nil {
				return err
			}
		}
	})
	s := start(t, `upstream u { server %s; keepalive 1; } client_max_body_size 0;
		server { listen 127.0.0.1:8080; location / { grpc_pass u; } }`, addr)
	cc := dial(t, s.Addr("127.0.0.1:8080"))
	var wait sync.WaitGroup
	for i := range 40 {
		wait.Go(func() {
			st, err := cc.NewStream(context.Background(), &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/svc/Echo")
			if err != nil {
				t.Error(err)
				return
			}
			size := []int{1, 100, 70_000, 600_000}[i%4]
			for n := range 5 {
				want := fmt.Sprint(i, n, strings.Repeat("x", size))
				var out testgrpc.SimpleResponse
				if err := errors.Join(st.SendMsg(&testgrpc.SimpleResponse{Username: want}), st.RecvMsg(&out)); err != nil || out.Username != want {
					t.Errorf("stream %d, message %d: %v, %d bytes of %d", i, n, err, len(out.Username), len(want))
					return
				}
			}
			st.CloseSend()
			if err := st.RecvMsg(&testgrpc.SimpleResponse{}); err != io.EOF {
				t.Errorf("the end of stream %d: %v", i, err)
			}
		})
	}
	wait.Wait()
}

// TestHealthCheck takes a server that says NOT_SERVING out of its group.
func TestHealthCheck(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv, checks := grpc.NewServer(), health.NewServer()
	healthgrpc.RegisterHealthServer(srv, checks)
	testgrpc.RegisterTestServiceServer(srv, grpctest.Service{})
	checks.SetServingStatus("shop", healthgrpc.HealthCheckResponse_NOT_SERVING)
	go srv.Serve(l)
	t.Cleanup(srv.Stop)
	s := start(t, `upstream u { zone u 64k; server %s; keepalive 2; panic_threshold 0; health_check grpc service=shop interval=5ms unhealthy_threshold=1 healthy_threshold=1; }
		upstream none { zone none 64k; server %s; health_check grpc service=nobody interval=5ms unhealthy_threshold=1; }
		server { listen 127.0.0.1:8080; location / { grpc_pass u; } location /status { status_page json; } }`, l.Addr(), l.Addr())
	tc := testgrpc.NewTestServiceClient(dial(t, s.Addr("127.0.0.1:8080")))
	until := func(want codes.Code) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		for {
			_, err := tc.EmptyCall(ctx, &testgrpc.Empty{})
			if status.Code(err) == want {
				return
			}
			if ctx.Err() != nil {
				t.Fatalf("%v, want %v\n%s", err, want, s.ErrorLog())
			}
		}
	}
	until(codes.Unavailable)
	if page := s.Get("/status"); !strings.Contains(page, "NOT_SERVING") || !strings.Contains(page, "grpc-status 5") {
		t.Errorf("the status page says %s", page)
	}
	checks.SetServingStatus("shop", healthgrpc.HealthCheckResponse_SERVING)
	until(codes.OK)
}

// TestCancelled lets clients give calls up at any moment: the server's side of each ends, and nothing is left behind.
func TestCancelled(t *testing.T) {
	var running atomic.Int64
	addr := handled(t, func(st grpc.ServerStream) error {
		running.Add(1)
		defer running.Add(-1)
		var in testgrpc.SimpleResponse
		for st.RecvMsg(&in) == nil {
			if err := st.SendMsg(&in); err != nil {
				return err
			}
		}
		<-st.Context().Done()
		return st.Context().Err()
	})
	s := start(t, `upstream u { server %s; keepalive 2; } client_max_body_size 0;
		server { listen 127.0.0.1:8080; location / { grpc_pass u; } location /alone { grpc_pass %s; } }`, addr, addr)
	var wait sync.WaitGroup
	for i := range 16 {
		cc := dial(t, s.Addr("127.0.0.1:8080"))
		wait.Go(func() {
			for n := range 60 {
				method := "/svc/Echo"
				if i%4 == 0 {
					method = "/alone/Echo"
				}
				ctx, cancel := context.WithTimeout(context.Background(), time.Duration(n*i%7)*300*time.Microsecond)
				st, err := cc.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method)
				m := &testgrpc.SimpleResponse{Username: strings.Repeat("x", n*n*10)}
				for err == nil && ctx.Err() == nil {
					if err = st.SendMsg(m); err == nil && n%2 == 0 {
						err = st.RecvMsg(m)
					}
				}
				cancel()
			}
		})
	}
	wait.Wait()
	for end := time.Now().Add(time.Minute); running.Load() > 0; {
		if time.Now().After(end) {
			t.Fatalf("%d calls go on at the server", running.Load())
		}
		s.Get("/none")
	}
	if log := s.ErrorLog(); strings.Contains(log, "panic") || strings.Contains(log, "[alert]") || strings.Contains(log, "[crit]") {
		t.Error(log)
	}
}
