package modules

import (
	"crypto/tls"
	"io"
	"strings"
	"testing"

	"moongate/internal/engine/enginetest"
	"moongate/internal/testkit/cert"
)

// TestPipesInHandshakes starts processes in the hooks of handshakes, ours with clients and ours with servers, and when a worker
// begins and ends, with lua_phase_limits off; t/lua/phaselimits.t has the other phases.
func TestPipesInHandshakes(t *testing.T) {
	dir := t.TempDir()
	cert.Authority(t, nil, "localhost").Write(t, dir, "tls")
	s := enginetest.StartIn(t, dir, Set(), `
		events { }
		http {
			lua_phase_limits off;
			lua_shared_dict said 100k;
			init_by_lua_block {
				ngx.shared.said:flush_all()
				function run(where)
					local p = assert(require "ngx.pipe".spawn({"cat"}))
					p:write(where)
					p:shutdown("stdin")
					local got = p:stdout_read_all()
					if p:wait() and got == where then ngx.shared.said:set(where, true) end
				end
			}
			init_worker_by_lua_block { run "init_worker" }
			exit_worker_by_lua_block { run "exit_worker" ngx.log(ngx.ERR, "exit_worker: ", ngx.shared.said:get "exit_worker") }
			ssl_certificate tls.pem;
			ssl_certificate_key tls.key;
			ssl_session_tickets off;
			ssl_protocols TLSv1.2;
			ssl_session_store_by_lua_block { run "ssl_session_store" }
			server {
				listen 127.0.0.1:8080 ssl;
				ssl_client_hello_by_lua_block { run "ssl_client_hello" }
				ssl_certificate_by_lua_block { run "ssl_certificate" }
				location / {
					content_by_lua_block {
						local names = ngx.shared.said:get_keys()
						table.sort(names)
						ngx.print(table.concat(names, " "))
					}
				}
				location /proxy {
					proxy_pass https://127.0.0.1:8081/;
					proxy_ssl_verify on;
					proxy_ssl_trusted_certificate tls.pem;
					proxy_ssl_name localhost;
					proxy_ssl_certificate_by_lua_block { run "proxy_ssl_certificate" }
					proxy_ssl_verify_by_lua_block { run "proxy_ssl_verify" require "ngx.ssl.proxysslverify".set_verify_result(0) }
				}
			}
			server { listen 127.0.0.1:8081 ssl; ssl_verify_client optional_no_ca; location / { return 200 "behind"; } }
		}`)
	conf := &tls.Config{InsecureSkipVerify: true, ClientSessionCache: tls.NewLRUClientSessionCache(4), MaxVersion: tls.VersionTLS12}
	get := func(uri string) string {
		t.Helper()
		c, err := tls.Dial("tcp", s.Addr(""), conf)
		if err != nil {
			t.Fatal(err, s.ErrorLog())
		}
		defer c.Close()
		io.WriteString(c, "GET "+uri+" HTTP/1.0\r\n\r\n")
		b, _ := io.ReadAll(c)
		return string(b)
	}
	if got := get("/proxy"); !strings.HasSuffix(got, "behind") {
		t.Fatal(got, s.ErrorLog())
	}
	want := "init_worker proxy_ssl_certificate proxy_ssl_verify ssl_certificate ssl_client_hello ssl_session_store"
	if got := enginetest.Body(get("/")); got != want {
		t.Errorf("got %q\nwant %q\n%s", got, want, s.ErrorLog())
	}
	s.Plane.Stop()
	if !strings.Contains(s.ErrorLog(), "exit_worker: true") {
		t.Error(s.ErrorLog())
	}
}
