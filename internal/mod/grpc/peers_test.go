package grpc_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"moongate/internal/http2"
	"moongate/internal/testkit/grpctest"
)

// TestBadPeers is about servers that misbehave, besides the official cases, which grpctest has.
func TestBadPeers(t *testing.T) {
	request := &testgrpc.SimpleRequest{ResponseSize: 10, Payload: &testgrpc.Payload{Body: make([]byte, 10)}}
	through := func(t *testing.T, play grpctest.Play) testgrpc.TestServiceClient {
		s := start(t, `upstream u { server %s; keepalive 4; } client_max_body_size 0;
			server { listen 127.0.0.1:8080; location / { grpc_pass u; } }`, grpctest.Bad(t, play).Addr)
		return testgrpc.NewTestServiceClient(dial(t, s.Addr("127.0.0.1:8080")))
	}
	fails := func(t *testing.T, tc testgrpc.TestServiceClient, want ...codes.Code) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		out, err := tc.UnaryCall(ctx, request)
		if out != nil {
			t.Error("there is an answer")
		}
		for _, w := range want {
			if status.Code(err) == w {
				return
			}
		}
		t.Errorf("%v, want one of %v", err, want)
	}
	t.Run("refused", func(t *testing.T) {
		var n atomic.Int64
		tc := through(t, func(c *grpctest.BadConn, id uint32, in *testgrpc.SimpleRequest) bool {
			if n.Add(1) == 1 {
				c.Reset(id, http2.RefusedStream)
			} else {
				c.Answer(id, in)
			}
			return true
		})
		if _, err := tc.UnaryCall(t.Context(), request); err != nil {
			t.Error(err)
		}
	})
	t.Run("calm", func(t *testing.T) {
		fails(t, through(t, func(c *grpctest.BadConn, id uint32, in *testgrpc.SimpleRequest) bool {
			c.Reset(id, http2.EnhanceYourCalm)
			return true
		}), codes.Unavailable)
	})
	t.Run("calm behind the head", func(t *testing.T) {
		headSeen := make(chan struct{})
		tc := through(t, func(c *grpctest.BadConn, id uint32, in *testgrpc.SimpleRequest) bool {
			c.Head(id)
			c.Data(id, grpctest.Message(in), nil)
			c.Flush()
			<-headSeen
			c.Reset(id, http2.EnhanceYourCalm)
			return true
		})
		s, err := tc.StreamingOutputCall(t.Context(), &testgrpc.StreamingOutputCallRequest{})
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Recv()
		close(headSeen)
		if err == nil {
			_, err = s.Recv()
		}
		if status.Code(err) != codes.ResourceExhausted {
			t.Error(err)
		}
	})
	t.Run("truncated", func(t *testing.T) {
		fails(t, through(t, func(c *grpctest.BadConn, id uint32, in *testgrpc.SimpleRequest) bool {
			c.Head(id)
			c.Data(id, grpctest.Message(in)[:10], nil)
			return false
		}), codes.Internal, codes.Unknown)
	})
}

// TestNoCallIsLost lets a server say GOAWAY over and over while many calls are under way: those that it has not looked
// at are made again.
func TestNoCallIsLost(t *testing.T) {
	bad := grpctest.Bad(t, func(c *grpctest.BadConn, id uint32, in *testgrpc.SimpleRequest) bool {
		c.Answer(id, in)
		if id >= 41 {
			c.GoAway(id, http2.NoError)
		}
		return true
	})
	s := start(t, `upstream u { server %s; keepalive 4; }
		server { listen 127.0.0.1:8080; location / { grpc_pass u; } }`, bad.Addr)
	tc := testgrpc.NewTestServiceClient(dial(t, s.Addr("127.0.0.1:8080")))
	var wait sync.WaitGroup
	for range 20 {
		wait.Go(func() {
			for range 20 {
				if _, err := tc.UnaryCall(t.Context(), &testgrpc.SimpleRequest{ResponseSize: 10, Payload: &testgrpc.Payload{Body: make([]byte, 10)}}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wait.Wait()
	if n := bad.Conns(); n < 5 {
		t.Errorf("%d connections", n)
	}
	if t.Failed() {
		t.Log(s.ErrorLog())
	}
}
