package grpctest_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"moongate/internal/engine/enginetest"
	"moongate/internal/modules"
	"moongate/internal/testkit/grpctest"
)

// notRun are the cases of grpc-go's client that no test here makes, and why.
var notRun = map[string]string{
	"compute_engine_creds":               "asks Google's metadata server for a token",
	"service_account_creds":              "needs the key of a Google account",
	"jwt_token_creds":                    "needs the key of a Google account",
	"per_rpc_creds":                      "needs the key of a Google account",
	"oauth2_auth_token":                  "needs the key of a Google account",
	"google_default_credentials":         "needs a Google account",
	"compute_engine_channel_credentials": "runs on Google's machines only",
}

// cases are those that the source of a program has: the values of its flag test_case.
func cases(t *testing.T, program string) (list []string) {
	t.Helper()
	pkgs, err := filepath.Glob(filepath.Join(grpctest.SourceOf(t, program), "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range pkgs {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			sw, ok := n.(*ast.SwitchStmt)
			if !ok {
				return true
			}
			if star, ok := sw.Tag.(*ast.StarExpr); !ok || fmt.Sprint(star.X) != "testCase" {
				return true
			}
			for _, c := range sw.Body.List {
				for _, x := range c.(*ast.CaseClause).List {
					value, err := strconv.Unquote(x.(*ast.BasicLit).Value)
					if err != nil {
						t.Fatal(err)
					}
					list = append(list, value)
				}
			}
			return false
		})
	}
	return list
}

// runCases are the cases of grpc-go's client that can be made here. There is none but these and those of notRun.
func runCases(t *testing.T) []string {
	all := cases(t, grpctest.Client)
	for name := range notRun {
		if !slices.Contains(all, name) {
			t.Errorf("notRun has %s, which is no case", name)
		}
	}
	all = slices.DeleteFunc(all, func(c string) bool { return notRun[c] != "" })
	if len(all) < 19 {
		t.Errorf("only %d cases: %v", len(all), all)
	}
	return all
}

// arguments are those of a case besides its name.
func arguments(name string) []string {
	if strings.HasPrefix(name, "orca") { // the balancing policy that the case looks for
		return []string{"-service_config_json", `{"loadBalancingConfig": [{"test_backend_metrics_load_balancer": {}}]}`}
	}
	return nil
}

// client makes all cases with grpc-go's program, over TLS when dir is not "".
func client(t *testing.T, addr, dir string, names []string) {
	program := grpctest.Program(t, grpctest.Client)
	_, port, _ := net.SplitHostPort(addr)
	args := []string{"-server_host", "127.0.0.1", "-server_port", port, "-soak_overall_timeout_seconds", "60", "-soak_per_iteration_max_acceptable_latency_ms", "60000"}
	if dir != "" {
		args = append(args, "-use_tls", "-use_test_ca", "-ca_file", filepath.Join(dir, "ca.pem"), "-server_host_override", "localhost")
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			grpctest.Run(t, program, slices.Concat(args, []string{"-test_case", name}, arguments(name))...)
		})
	}
}

// clientWithCertificate makes all cases with our program of grpc-go's functions: grpc-go's has no certificates.
func clientWithCertificate(t *testing.T, addr, dir string, names []string) {
	program := grpctest.Program(t, grpctest.Peer)
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			grpctest.Run(t, program, append([]string{"-addr", addr, "-ca", filepath.Join(dir, "ca.pem"), "-cert", filepath.Join(dir, "client.pem"),
				"-key", filepath.Join(dir, "client.key"), "-test_case", name}, arguments(name)...)...)
		})
	}
}

func mutual(dir string) []string {
	return []string{"-ca", filepath.Join(dir, "ca.pem"), "-cert", filepath.Join(dir, "server.pem"), "-key", filepath.Join(dir, "server.key")}
}

// logged shows the error log of a test that has failed.
func logged(t *testing.T, s *enginetest.Server) {
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(s.ErrorLog())
		}
	})
}

// TestProxy is grpc-go's client through grpc_pass to grpc-go's server.
func TestProxy(t *testing.T) {
	dir := t.TempDir()
	grpctest.Files(t, dir)
	all := runCases(t)
	s := enginetest.StartIn(t, dir, modules.Set(), fmt.Sprintf(`
		upstream plain { server %s; keepalive 8; }
		upstream secure { server %s; keepalive 8; }
		upstream mutual { server %s; keepalive 8; }
		upstream named { server %s; keepalive 8; }
		http2 on; client_max_body_size 0; error_log logs/error.log info;
		grpc_ssl_verify on; grpc_ssl_trusted_certificate ca.pem; grpc_ssl_name localhost; grpc_ssl_server_name on;
		ssl_certificate server.pem; ssl_certificate_key server.key;
		server { listen 127.0.0.1:8080; location / { grpc_pass grpc://plain; } }
		server { listen 127.0.0.1:8081 ssl; location / { grpc_pass grpcs://secure; } }
		server { listen 127.0.0.1:8082 ssl; ssl_verify_client on; ssl_client_certificate ca.pem;
			location / { grpc_pass grpcs://mutual; grpc_ssl_certificate client.pem; grpc_ssl_certificate_key client.key; } }
		server { listen 127.0.0.1:8083; listen 127.0.0.1:8084 ssl; location / { grpc_pass grpc://named; } }`,
		grpctest.RunServer(t, ""), grpctest.RunServer(t, dir), grpctest.RunPeer(t, mutual(dir)...), grpctest.RunPeer(t)))
	logged(t, s)
	// grpc-go's server does not tell its name, which this case asks for: its own client fails with it.
	const named = "pick_first_unary"
	most := slices.DeleteFunc(slices.Clone(all), func(c string) bool { return c == named })
	t.Run("cleartext", func(t *testing.T) {
		client(t, s.Addr("127.0.0.1:8080"), "", most)
		client(t, s.Addr("127.0.0.1:8083"), "", []string{named})
	})
	t.Run("TLS", func(t *testing.T) {
		client(t, s.Addr("127.0.0.1:8081"), dir, most)
		client(t, s.Addr("127.0.0.1:8084"), dir, []string{named})
	})
	t.Run("mTLS", func(t *testing.T) { clientWithCertificate(t, s.Addr("127.0.0.1:8082"), dir, all) })
}

// TestServer is grpc-go's client and a server in Lua.
func TestServer(t *testing.T) {
	dir := t.TempDir()
	grpctest.Files(t, dir)
	const services = `grpc_service grpc.testing.TestService testservice; grpc_service xds.service.orca.v3.OpenRcaService testservice;`
	s := enginetest.StartIn(t, dir, modules.Set(), `
		lua_package_path "$prefix/?.lua;;";
		grpc_proto_path .; grpc_proto interop.pb orca.proto;
		http2 on; ssl_certificate server.pem; ssl_certificate_key server.key; error_log logs/error.log info;
		server { listen 127.0.0.1:8080; `+services+` }
		server { listen 127.0.0.1:8081 ssl; `+services+` }
		server { listen 127.0.0.1:8082 ssl; ssl_client_certificate ca.pem; ssl_verify_client on; `+services+` }`)
	logged(t, s)
	all := runCases(t)
	t.Run("cleartext", func(t *testing.T) { client(t, s.Addr("127.0.0.1:8080"), "", all) })
	t.Run("TLS", func(t *testing.T) { client(t, s.Addr("127.0.0.1:8081"), dir, all) })
	t.Run("mTLS", func(t *testing.T) { clientWithCertificate(t, s.Addr("127.0.0.1:8082"), dir, all) })
}

const luaClient = `lua_package_path "$prefix/?.lua;;";
	server { listen 127.0.0.1:8080; location / { content_by_lua_block {
		local ok, err = require("interop_client").run(ngx.var.arg_case, ngx.req.get_uri_args())
		ngx.say(ok and "ok" or tostring(err)) } } }`

// lua makes cases with the client in Lua.
func lua(t *testing.T, s *enginetest.Server, dir, addr, tls string, names []string) {
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			resp := s.Get("/?case=" + name + "&addr=" + url.QueryEscape(addr) + tls + "&dir=" + url.QueryEscape(dir))
			if !strings.Contains(resp, "\nok\n") {
				t.Errorf("%s\n%s", resp, s.ErrorLog())
			}
		})
	}
}

// TestClient is the client in Lua and grpc-go's server: the cases of grpc-go's client, and those of our own.
func TestClient(t *testing.T) {
	dir := t.TempDir()
	grpctest.Files(t, dir)
	own := strings.Fields("compressed concurrent too_large bad_request reflection resty")
	all := runCases(t)
	plain, secure, withCert, named := grpctest.RunServer(t, ""), grpctest.RunServer(t, dir), grpctest.RunPeer(t, mutual(dir)...), grpctest.RunPeer(t)
	reflecting := grpctest.Serve(t, nil)
	s := enginetest.StartIn(t, dir, modules.Set(), `upstream group { server `+plain+`; } upstream ours { server `+reflecting+`; } `+luaClient)
	for _, way := range []struct{ name, addr, tls string }{{"cleartext", plain, ""}, {"TLS", secure, "&tls=on"}, {"upstream", "group", ""}} {
		t.Run(way.name, func(t *testing.T) {
			lua(t, s, dir, way.addr, way.tls, slices.DeleteFunc(slices.Clone(all), func(c string) bool { return c == "pick_first_unary" }))
		})
	}
	t.Run("pick_first", func(t *testing.T) { lua(t, s, dir, named, "", []string{"pick_first_unary"}) })
	t.Run("mTLS", func(t *testing.T) { lua(t, s, dir, withCert, "&tls=mutual", all) })
	t.Run("more", func(t *testing.T) { lua(t, s, dir, "ours", "", own) })
	t.Run("more with mTLS", func(t *testing.T) {
		lua(t, s, dir, grpctest.Serve(t, grpctest.TLS(t, dir, "server", true)), "&tls=mutual", own)
	})
}
