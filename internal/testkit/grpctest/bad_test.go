package grpctest_test

import (
	"net"
	"slices"
	"testing"

	testpb "google.golang.org/grpc/interop/grpc_testing"

	"moongate/internal/engine/enginetest"
	"moongate/internal/http2"
	"moongate/internal/modules"
	"moongate/internal/testkit"
	"moongate/internal/testkit/grpctest"
)

// badCase is what the server of one of the official cases of bad peers does. What the client has to make of it is checked by
// grpc-go's program, or the Lua client's case of the same name; good is what the server has to see.
type badCase struct {
	settings []http2.Setting
	play     grpctest.Play
	good     func(t *testing.T, s *grpctest.BadServer)
}

// unassigned is an error code that HTTP/2 has not: the program wants the status UNKNOWN when data is cut, and that is what
// grpc-go makes of such codes only.
const unassigned http2.ErrCode = 0x20

// reset makes an answer that ends before its time, behind what play has sent.
func reset(code http2.ErrCode, play func(c *grpctest.BadConn, id uint32, in *testpb.SimpleRequest)) badCase {
	return badCase{play: func(c *grpctest.BadConn, id uint32, in *testpb.SimpleRequest) bool {
		play(c, id, in)
		c.Reset(id, code)
		return true
	}}
}

var badCases = map[string]badCase{
	"goaway": {
		play: func(c *grpctest.BadConn, id uint32, in *testpb.SimpleRequest) bool {
			c.Answer(id, in)
			c.GoAway(id, http2.NoError)
			return true
		},
		good: func(t *testing.T, s *grpctest.BadServer) {
			if s.Conns() != 2 || s.Calls() != 2 {
				t.Errorf("%d calls over %d connections", s.Calls(), s.Conns())
			}
		},
	},
	"rst_after_header": reset(http2.NoError, func(c *grpctest.BadConn, id uint32, _ *testpb.SimpleRequest) { c.Head(id) }),
	"rst_during_data": reset(unassigned, func(c *grpctest.BadConn, id uint32, in *testpb.SimpleRequest) {
		c.Head(id)
		m := grpctest.Message(in)
		c.Data(id, m[:len(m)/2], nil)
	}),
	"rst_after_data": reset(http2.NoError, func(c *grpctest.BadConn, id uint32, in *testpb.SimpleRequest) {
		c.Head(id)
		c.Data(id, grpctest.Message(in), nil)
	}),
	"ping": {
		play: func(c *grpctest.BadConn, id uint32, in *testpb.SimpleRequest) bool {
			c.Ping()
			c.Head(id)
			c.Ping()
			c.Data(id, grpctest.Message(in), c.Ping)
			c.OK(id)
			return true
		},
		good: func(t *testing.T, s *grpctest.BadServer) {
			testkit.Eventually(t, "all pings are answered", func() bool { return s.Pings() == 0 })
		},
	},
	"max_streams": {
		settings: []http2.Setting{{ID: http2.MaxConcurrentStreams, Value: 1}},
		play: func(c *grpctest.BadConn, id uint32, in *testpb.SimpleRequest) bool {
			c.Answer(id, in)
			return true
		},
		good: func(t *testing.T, s *grpctest.BadServer) {
			if s.Most() > 1 || s.Calls() != 16 {
				t.Errorf("%d calls, %d streams at once", s.Calls(), s.Most())
			}
		},
	},
}

// bad runs a case one way: the client is told the address of the server.
func bad(t *testing.T, c badCase, way string, client func(t *testing.T, addr string)) {
	t.Run(way, func(t *testing.T) {
		s := grpctest.Bad(t, c.play, c.settings...)
		client(t, s.Addr)
		if c.good != nil && !t.Failed() {
			c.good(t, s)
		}
	})
}

func negative(t *testing.T, name, addr string) {
	_, port, _ := net.SplitHostPort(addr)
	grpctest.Run(t, grpctest.Program(t, grpctest.HTTP2), "-server_host", "127.0.0.1", "-server_port", port, "-test_case", name)
}

// TestBadPeers are the cases of grpc-go's http2 program: the program and our bad server alone, which shows that the server
// does what the case is about; the program through grpc_pass; and the client in Lua.
func TestBadPeers(t *testing.T) {
	all := cases(t, grpctest.HTTP2)
	if len(all) < len(badCases) {
		t.Errorf("only %v", all)
	}
	slices.Sort(all)
	for _, name := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := badCases[name]
			if c.play == nil {
				t.Fatal("the program has a case that is not known here")
			}
			bad(t, c, "direct", func(t *testing.T, addr string) { negative(t, name, addr) })
			bad(t, c, "proxy", func(t *testing.T, addr string) {
				s := enginetest.Start(t, modules.Set(), `http2 on; client_max_body_size 0; error_log logs/error.log info;
					upstream u { server `+addr+`; keepalive 4; } server { listen 127.0.0.1:8080; location / { grpc_pass u; } }`)
				logged(t, s)
				negative(t, name, s.Addr("127.0.0.1:8080"))
			})
			bad(t, c, "Lua", func(t *testing.T, addr string) {
				dir := t.TempDir()
				grpctest.Files(t, dir)
				lua(t, enginetest.StartIn(t, dir, modules.Set(), luaClient), dir, addr, "", []string{name})
			})
		})
	}
}
