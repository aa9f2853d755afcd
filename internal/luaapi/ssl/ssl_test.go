package ssl_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"moongate/internal/engine/enginetest"
	"moongate/internal/modules"
	"moongate/internal/testkit"
	"moongate/internal/testkit/cert"
)

// site is a server in a folder with certificates: server (elliptic), rsa, ca, client (of ca), stranger (of nobody).
type site struct {
	*enginetest.Server
	dir                       string
	ca, client, stranger, rsa *cert.Pair
}

func newSite(t testing.TB) *site {
	s := &site{dir: t.TempDir()}
	responder := func(c *x509.Certificate) { c.OCSPServer = []string{"http://ocsp.example/" + c.Subject.CommonName} }
	s.ca = cert.Authority(t, nil, "ca")
	s.client = cert.Issue(t, s.ca, "client", responder)
	s.stranger = cert.Issue(t, nil, "stranger")
	s.rsa = cert.For(t, cert.NewRSA(t), s.ca, "rsa")
	for name, p := range map[string]*cert.Pair{"server": cert.Issue(t, s.ca, "server"), "ca": s.ca, "client": s.client, "stranger": s.stranger, "rsa": s.rsa} {
		p.Write(t, s.dir, name)
	}
	return s
}

// start runs the http block's text, with the function slurp for Lua.
func (s *site) start(t testing.TB, text string) {
	s.Server = enginetest.StartIn(t, s.dir, modules.Set(), `
	error_log logs/error.log info;
	lua_shared_dict sessions 1m;
	init_by_lua_block {
		function slurp(name) local f = assert(io.open("`+s.dir+`/" .. name)); local text = f:read("*a"); f:close(); return text end
		ssl, hello, session, ocsp = require "ngx.ssl", require "ngx.ssl.clienthello", require "ngx.ssl.session", require "ngx.ocsp"
	}
	`+text)
}

// server is one with the certificate "server".
func server(text string) string {
	return "server { listen 127.0.0.1:8080 ssl; server_name server; ssl_certificate server.pem; ssl_certificate_key server.key;\n" + text + "\n}\n"
}

func (s *site) get(t testing.TB, c *tls.Config, uri string) (body string, state tls.ConnectionState, err error) {
	t.Helper()
	c.InsecureSkipVerify = true
	if c.ServerName == "" {
		c.ServerName = "server"
	}
	tc := tls.Client(s.Dial(), c)
	defer tc.Close()
	if err = tc.Handshake(); err != nil {
		return "", state, err
	}
	fmt.Fprintf(tc, "GET %s HTTP/1.1\r\nHost: server\r\nConnection: close\r\n\r\n", uri)
	b, err := io.ReadAll(tc)
	return enginetest.Body(string(b)), tc.ConnectionState(), err
}

func (s *site) shown(t testing.TB, c *tls.Config) string {
	t.Helper()
	_, st, err := s.get(t, c, "/")
	if err != nil {
		return err.Error()
	}
	return st.PeerCertificates[0].Subject.CommonName
}

// TestCertificate: code that waits chooses the certificate, in each of the forms it may have one in.
func TestCertificate(t *testing.T) {
	for name, code := range map[string]string{
		"rsa": `assert(ssl.clear_certs())
			assert(ssl.set_der_cert(assert(ssl.cert_pem_to_der(slurp "rsa.pem"))))
			assert(ssl.set_der_priv_key(assert(ssl.priv_key_pem_to_der(slurp "rsa.key"))))`,
		"client": `assert(ssl.clear_certs())
			assert(ssl.set_cert(assert(ssl.parse_pem_cert(slurp "client.pem"))))
			assert(ssl.set_priv_key(assert(ssl.parse_pem_priv_key(slurp "client.key"))))`,
		"stranger": `assert(ssl.set_cert(assert(ssl.parse_der_cert(assert(ssl.cert_pem_to_der(slurp "stranger.pem"))))))
			assert(ssl.set_priv_key(assert(ssl.parse_der_priv_key(assert(ssl.priv_key_pem_to_der(slurp "stranger.key"))))))`,
		"server": `local ok, err = ssl.set_der_cert("rubbish")
			assert(ok == nil and err == "d2i_X509_bio() failed", err)
			ok, err = ssl.set_der_priv_key("rubbish")
			assert(ok == nil and err == "d2i_PrivateKey_bio() failed", err)
			ok, err = ssl.parse_pem_cert("rubbish")
			assert(ok == nil and err == "PEM_read_bio_X509_AUX() failed", err)
			ok, err = ssl.set_cert(nil)
			assert(ok == nil and err == "invalid certificate chain", err)
			for _, f in ipairs { ssl.set_cert, ssl.set_priv_key, ssl.verify_client } do
				for _, v in ipairs { "rubbish", 1, true, {}, 1ULL } do
					ok, err = pcall(f, v)
					assert(not ok and err:find("to 'void *'", 1, true), err)
				end
			end`,
	} {
		s := newSite(t)
		s.start(t, server(`ssl_certificate_by_lua_block { ngx.sleep(0.001) `+code+` } return 204;`))
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			if got := s.shown(t, &tls.Config{MaxVersion: version}); got != name {
				t.Errorf("%s, version %x: %s\n%s", name, version, got, s.ErrorLog())
			}
		}
	}
}

// TestCertificateRefusals: what ends a handshake, and what the log says of it.
func TestCertificateRefusals(t *testing.T) {
	for _, c := range []struct{ code, log, alert string }{
		{`ngx.exit(ngx.ERROR)`, "cert cb error", "internal error"},
		{`ngx.sleep(0.001) ngx.exit(ngx.ERROR)`, "cert cb error", "internal error"},
		{`error("on purpose")`, "lua entry thread aborted: runtime error: ssl_certificate_by_lua(nginx.conf", "internal error"},
		{`ngx.location.capture("/")`, "API disabled in the context of ssl_certificate_by_lua*, context", "internal error"},
		{`ssl.clear_certs()`, "no shared cipher", "handshake failure"},
	} {
		s := newSite(t)
		s.start(t, server(`ssl_certificate_by_lua_block { `+c.code+` } return 204;`))
		if got := s.shown(t, &tls.Config{}); !strings.Contains(got, c.alert) {
			t.Errorf("%s: %s", c.code, got)
		}
		if c.log == "API disabled in the context of ssl_certificate_by_lua*, context" {
			c.log = "context: ssl_certificate_by_lua*, client: 127.0.0.1, server: 127.0.0.1:"
		}
		testkit.Eventually(t, "the log has "+c.log, func() bool { return strings.Contains(s.ErrorLog(), c.log) })
	}
}

// TestInformation: what is known of a connection, in a handshake and in requests; ngx.ctx is that of the handshake.
func TestInformation(t *testing.T) {
	s := newSite(t)
	s.start(t, server(`
		ssl_client_hello_by_lua_block {
			ngx.ctx.name = hello.get_client_hello_server_name()
			assert(#assert(hello.get_client_hello_ciphers()) > 3)
			assert(#assert(hello.get_client_hello_ext_present()) > 3)
			assert(hello.get_client_hello_ext(0xfefe) == nil)
			assert(hello.get_client_hello_ext(43))
			ngx.ctx.versions = table.concat(hello.get_supported_versions(), " ")
			assert(hello.set_protocols { "TLSv1.2" })
			local ok, err = hello.set_protocols { "TLSv9" }
			assert(ok == nil and err == "invalid protocols failed")
		}
		ssl_certificate_by_lua_block {
			local addr, kind = ssl.raw_client_addr()
			ngx.log(ngx.WARN, "known: ", ngx.ctx.name, ", ", ngx.ctx.versions, ", ", ssl.server_name(), ", ", ssl.get_tls1_version_str(), ", ", #ssl.get_client_random(), ", ", kind, " ", #addr, ", ", (ssl.raw_server_addr()):byte(1),
				", ", ngx.get_phase(), ", ", #ssl.get_req_shared_ssl_ciphers() > 0)
			local ok, err = pcall(hello.get_client_hello_server_name)
			assert(not ok and err:find("API disabled in the current context", 1, true))
		}
		location / { content_by_lua_block {
			ngx.ctx.own = true
			ngx.log(ngx.WARN, "inherited: ", ngx.ctx.name, " ", ngx.ctx.own, " ", rawget(ngx.ctx, "name"))
			ngx.print(ssl.server_name(), " ", ssl.get_tls1_version_str(), " ", #ssl.get_client_random(), " ", ssl.get_client_random(0), " ", #ssl.get_server_random(), " ",
				ssl.get_client_random() ~= ssl.get_server_random(), " ", #(ssl.export_keying_material(20, "label") or ""), " ", (select(2, ssl.get_req_ssl_pointer())))
		} }`)+"server { listen 127.0.0.1:8081; location / { content_by_lua_block { ngx.print((select(2, ssl.server_name()))) } } }")
	body, st, err := s.get(t, &tls.Config{}, "/")
	if err != nil || st.Version != tls.VersionTLS12 {
		t.Fatalf("version %x, %v\n%s", st.Version, err, s.ErrorLog())
	}
	if want := "server TLSv1.2 32 32 32 true 20 not supported: TLS is not OpenSSL's here"; !strings.Contains(body, want) {
		t.Errorf("%q", body)
	}
	if log := s.ErrorLog(); !strings.Contains(log, "inherited: server true nil,") {
		t.Error(log)
	}
	if log := s.ErrorLog(); !strings.Contains(log, "known: server, TLSv1.2 TLSv1.3, server, TLSv1.2, 32, inet 4, 127, ssl_cert, true") {
		t.Error(log)
	}
}

// TestSessions: Lua keeps sessions of TLS 1.2 and gives them back by number.
func TestSessions(t *testing.T) {
	s := newSite(t)
	s.start(t, `
		ssl_session_store_by_lua_block { ngx.shared.sessions:set(session.get_session_id(), session.get_serialized_session()) }
		ssl_session_fetch_by_lua_block {
			ngx.sleep(0.001)
			local data = ngx.shared.sessions:get(session.get_session_id())
			if data then assert(session.set_serialized_session(data)) end
			local ok, err = session.set_serialized_session("garbage")
			assert(ok == nil and err == "failed to de-serialize session")
		}`+server(`ssl_session_tickets off;
		location / { return 200 $ssl_session_reused$ssl_session_id; }
		location /forget { content_by_lua_block { ngx.print(#ngx.shared.sessions:get_keys()) ngx.shared.sessions:flush_all() } }`))
	c := &tls.Config{MaxVersion: tls.VersionTLS12, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
	first, _, err := s.get(t, c, "/")
	if err != nil {
		t.Fatal(err, s.ErrorLog())
	}
	if second, _, err := s.get(t, c, "/"); err != nil || first[0] != '.' || second != "r"+first[1:] || len(second) != 65 {
		t.Errorf("%q, %q, %v", first, second, err)
	}
	if n, _, _ := s.get(t, c, "/forget"); !strings.Contains(n, "1") {
		t.Errorf("%q sessions are kept", n)
	}
	if third, _, err := s.get(t, c, "/"); err != nil || third[0] != '.' {
		t.Errorf("a forgotten session is resumed: %q, %v", third, err)
	}
}

// TestStoreWaits: with lua_phase_limits off the keeping of a session may wait, too; without, it says what lifts the limit.
func TestStoreWaits(t *testing.T) {
	for _, limits := range []string{"on", "off"} {
		s := newSite(t)
		s.start(t, server(`ssl_session_tickets off;
		location / { content_by_lua_block { ngx.print(ngx.shared.sessions:get("said")) } }`)+`
		server { listen 127.0.0.1:8081; location / { return 200 stored; } }
		lua_phase_limits `+limits+`;
		ssl_session_store_by_lua_block {
			ngx.sleep(0.001)
			local sock = ngx.socket.tcp()
			assert(sock:connect(("127.0.0.1:8081"):match("(.*):(.*)")))
			assert(sock:send("GET / HTTP/1.0\r\n\r\n"))
			ngx.shared.sessions:set("said", sock:receive("*a"):match("[^\n]*$"))
		}`)
		c := &tls.Config{MaxVersion: tls.VersionTLS12, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
		body, _, err := s.get(t, c, "/")
		switch log := s.ErrorLog(); {
		case limits == "off" && (err != nil || !strings.Contains(body, "\nstored\r")):
			t.Errorf("%q, %v\n%s", body, err, log)
		case limits == "on" && (!strings.Contains(body, "\nnil\r") || !strings.Contains(log, "API disabled in the context of ssl_session_store_by_lua*") || !strings.Contains(log, "\"lua_phase_limits off\" lifts this")):
			t.Errorf("%q, %v\n%s", body, err, log)
		}
	}
}

// TestVerifyClient: a certificate is asked for per connection, and judged by the authority given.
func TestVerifyClient(t *testing.T) {
	s := newSite(t)
	s.start(t, server(`
		ssl_certificate_by_lua_block { assert(ssl.verify_client(assert(ssl.parse_pem_cert(slurp "ca.pem")), 1)) }
		return 200 $ssl_client_verify;`))
	for _, c := range []struct {
		by   *cert.Pair
		want string
	}{{nil, "NONE"}, {s.client, "SUCCESS"}, {s.stranger, "FAILED:self-signed certificate"}} {
		conf := &tls.Config{}
		if c.by != nil {
			pair := c.by.TLS()
			conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
		}
		if got, _, err := s.get(t, conf, "/"); err != nil || got != c.want {
			t.Errorf("%q, %v, want %q", got, err, c.want)
		}
	}
}

// TestOCSP: requests, responses, and a response that goes along.
func TestOCSP(t *testing.T) {
	s := newSite(t)
	resp, err := ocsp.CreateResponse(s.ca.Cert, s.ca.Cert, ocsp.Response{Status: ocsp.Good, SerialNumber: s.client.Cert.SerialNumber, ThisUpdate: time.Now(), NextUpdate: time.Now().Add(time.Hour)}, s.ca.Key)
	if err != nil {
		t.Fatal(err)
	}
	cert.WriteFile(t, s.dir, "resp.der", resp)
	cert.WriteFile(t, s.dir, "chain.pem", cert.Chain(s.client, s.ca))
	s.start(t, server(`
		ssl_certificate_by_lua_block {
			local chain = assert(ssl.cert_pem_to_der(slurp "chain.pem"))
			assert(ocsp.get_ocsp_responder_from_der_chain(chain) == "http://ocsp.example/client")
			local url, err = ocsp.get_ocsp_responder_from_der_chain(chain, 8)
			assert(url == "http://o" and err == "truncated")
			assert(#assert(ocsp.create_ocsp_request(chain)) > 50)
			local ok, err = ocsp.create_ocsp_request(chain, 5)
			assert(ok == nil and err:find("output buffer too small: ", 1, true))
			ok, err = ocsp.create_ocsp_request(assert(ssl.cert_pem_to_der(slurp "client.pem")))
			assert(ok == nil and err == "no issuer certificate in chain")
			local ok, next = ocsp.validate_ocsp_response(slurp "resp.der", chain)
			assert(ok and next > ngx.time())
			ok, err = ocsp.validate_ocsp_response("rubbish", chain)
			assert(ok == nil and err == "d2i_OCSP_RESPONSE() failed", err)
			assert(ocsp.set_ocsp_status_resp(slurp "resp.der"))
		}
		return 204;`))
	_, st, err := s.get(t, &tls.Config{}, "/")
	if err != nil || !bytes.Equal(st.OCSPResponse, resp) {
		t.Errorf("%d bytes, %v\n%s", len(st.OCSPResponse), err, s.ErrorLog())
	}
}

// TestMutual: sockets show certificates and trust stores of their own; without them they are refused, or refuse.
func TestMutual(t *testing.T) {
	s := newSite(t)
	s.start(t, server(`
		ssl_client_certificate ca.pem; ssl_verify_client on;
		return 200 "hello $ssl_client_s_dn";`)+`
	server { listen 127.0.0.1:8081;
		lua_ssl_trusted_certificate ca.pem;
		location / { content_by_lua_block {
			local ffi = require "ffi"
			local sock = ngx.socket.tcp()
			assert(sock:connect("127.0.0.1", ngx.var.arg_port))
			if ngx.var.arg_cert then
				local name = ngx.var.arg_cert
				assert(sock:setclientcert(assert(ssl.parse_pem_cert(slurp(name .. ".pem"))), assert(ssl.parse_pem_priv_key(slurp(name .. ".key")))))
			end
			if ngx.var.arg_key then
				ngx.print((select(2, sock:setclientcert(assert(ssl.parse_pem_cert(slurp "client.pem")), assert(ssl.parse_pem_priv_key(slurp "ca.key"))))))
				return
			end
			local ok, err = sock:sslhandshake(nil, ngx.var.arg_name or "server", true)
			if not ok then ngx.print(err) return end
			sock:send("GET / HTTP/1.0\r\nHost: server\r\n\r\n")
			ngx.print(sock:receive("*a"))
		} }
	}`)
	_, port, _ := strings.Cut(s.Addr("127.0.0.1:8080"), ":")
	for args, want := range map[string]string{
		"&cert=client": "hello CN=client", "": "400 Bad Request", "&cert=stranger": "400 Bad Request",
		"&cert=client&name=else": "certificate host mismatch", "&key=1": "SSL_use_PrivateKey() failed",
	} {
		if got := s.plain(t, "/?port="+port+args); !strings.Contains(got, want) {
			t.Errorf("%q: %q, want %q\n%s", args, got, want, s.ErrorLog())
		}
	}
}

// plain requests a URI of the server without TLS, at port 8081.
func (s *site) plain(t testing.TB, uri string) string {
	t.Helper()
	c, err := net.Dial("tcp", s.Addr("127.0.0.1:8081"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "GET %s HTTP/1.0\r\nHost: x\r\n\r\n", uri)
	b, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestProxy: code chooses what an upstream server is shown, and judges it.
func TestProxy(t *testing.T) {
	s := newSite(t)
	cert := `
		proxy_ssl_certificate_by_lua_block {
			ngx.sleep(0.001)
			local m = require "ngx.ssl.proxysslcert"
			assert(m.set_cert(assert(ssl.parse_pem_cert(slurp "client.pem"))))
			assert(m.set_priv_key(assert(ssl.parse_pem_priv_key(slurp "client.key"))))
			ngx.log(ngx.WARN, "phase ", ngx.get_phase(), ", ", require("ngx.proxyssl").get_tls1_version_str())
		}`
	pass := "proxy_pass https://127.0.0.1:8080; proxy_ssl_session_reuse off;"
	verify := "proxy_ssl_verify on; proxy_ssl_name server; proxy_ssl_trusted_certificate ca.pem;"
	s.start(t, server(`ssl_client_certificate ca.pem; ssl_verify_client on; return 200 "hello $ssl_client_s_dn";`)+`
	server { listen 127.0.0.1:8081;
		location /none { `+pass+` }
		location /cert { `+pass+cert+` }
		location /refused { `+pass+cert+verify+` proxy_ssl_verify_by_lua_block { ngx.exit(ngx.ERROR) } }
		location /result { `+pass+cert+verify+` proxy_ssl_verify_by_lua_block {
			local m = require "ngx.ssl.proxysslverify"
			assert(m.get_verify_result() == 0 and m.get_verify_cert() ~= nil)
			assert(m.set_verify_result(23))
		} }
		location /good { `+pass+cert+verify+` proxy_ssl_verify_by_lua_block { ngx.sleep(0.001) } }
		location /skip { `+pass+cert+` proxy_ssl_verify on; proxy_ssl_name server; proxy_ssl_trusted_certificate stranger.pem;
			lua_upstream_skip_openssl_default_verify on; proxy_ssl_verify_by_lua_block { ngx.log(ngx.WARN, "skipped") } }
	}`)
	for uri, want := range map[string]string{"/none": "400 Bad Request", "/cert": "hello CN=client", "/refused": "502 Bad Gateway", "/result": "502 Bad Gateway", "/good": "hello CN=client", "/skip": "hello CN=client"} {
		if got := s.plain(t, uri); !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", uri, got, want)
		}
	}
	log := s.ErrorLog()
	for _, want := range []string{"phase proxy_ssl_cert, TLSv1.3", "certificate verify failed", "upstream SSL certificate verify error: (23:certificate revoked)", "skipped"} {
		if !strings.Contains(log, want) {
			t.Errorf("no %q in:\n%s", want, log)
		}
	}
}

// TestFFI: libraries find OpenResty's functions and libcrypto's in ffi.C, and the objects are libcrypto's.
func TestFFI(t *testing.T) {
	s := newSite(t)
	s.start(t, server(`
		ssl_certificate_by_lua_block {
			local ffi = require "ffi"
			ffi.cdef [[
				int ngx_http_lua_ffi_cert_pem_to_der(const unsigned char *pem, size_t pem_len, unsigned char *der, char **err);
				int ngx_http_lua_ffi_ssl_clear_certs(void *r, char **err);
				int ngx_http_lua_ffi_ssl_set_der_certificate(void *r, const char *data, size_t len, char **err);
				void *ngx_http_lua_ffi_parse_pem_priv_key(const unsigned char *pem, size_t pem_len, char **err);
				int ngx_http_lua_ffi_set_priv_key(void *r, void *cdata, char **err);
				void ngx_http_lua_ffi_free_priv_key(void *cdata);
			]]
			local err = ffi.new("char *[1]")
			local r = require("resty.core.base").get_request()
			local C = ffi.C
			assert(C.ngx_http_lua_ffi_ssl_clear_certs(nil, err) == -1 and ffi.string(err[0]) == "bad request")
			assert(C.ngx_http_lua_ffi_ssl_clear_certs(r, err) == 0)
			local pem = slurp "rsa.pem"
			local out = ffi.new("unsigned char[?]", #pem)
			local n = C.ngx_http_lua_ffi_cert_pem_to_der(pem, #pem, out, err)
			assert(n > 0 and C.ngx_http_lua_ffi_ssl_set_der_certificate(r, ffi.cast("char *", out), n, err) == 0)
			local key = slurp "rsa.key"
			local p = C.ngx_http_lua_ffi_parse_pem_priv_key(key, #key, err)
			assert(p ~= nil and C.ngx_http_lua_ffi_set_priv_key(r, p, err) == 0)
			C.ngx_http_lua_ffi_free_priv_key(p)
		}
		return 204;`))
	if got := s.shown(t, &tls.Config{}); got != "rsa" {
		t.Errorf("%s\n%s", got, s.ErrorLog())
	}
}

// TestUpstreamName: the third argument of set_current_peer is the name TLS asks for, but not in place of proxy_ssl_name.
func TestUpstreamName(t *testing.T) {
	s := newSite(t)
	s.start(t, `
	upstream chosen { server 0.0.0.1; balancer_by_lua_block {
		assert(require("ngx.balancer").set_current_peer("127.0.0.1", ngx.var.arg_port, ngx.var.arg_name))
	} }`+server("return 200 name=$ssl_server_name;")+`
	server { listen 127.0.0.1:8081;
		proxy_ssl_server_name on;
		location /to { proxy_pass https://chosen; }
		location /fixed { proxy_pass https://chosen; proxy_ssl_name fixed.host; }
	}`)
	_, port, _ := strings.Cut(s.Addr("127.0.0.1:8080"), ":")
	for uri, want := range map[string]string{"/to?name=some.host&port=": "name=some.host", "/to?port=": "name=chosen", "/fixed?name=some.host&port=": "name=fixed.host"} {
		if got := s.plain(t, uri+port); !strings.HasSuffix(got, want) {
			t.Errorf("%s: %q, want %s\n%s", uri, got, want, s.ErrorLog())
		}
	}
}

// TestUpstreamTLSOff: balancer_by_lua may speak without TLS to a server of a location that would.
func TestUpstreamTLSOff(t *testing.T) {
	s := newSite(t)
	s.start(t, `
	upstream plain { server 0.0.0.1; balancer_by_lua_block {
		local b = require "ngx.balancer"
		assert(b.set_current_peer("127.0.0.1", ngx.var.arg_port))
		assert(b.set_upstream_tls(false))
		assert(b.set_upstream_tls(true))
		assert(b.set_upstream_tls(false))
	} }`+server("return 204;")+`
	server { listen 127.0.0.1:8081;
		location /to { proxy_pass https://plain/here; }
		location /here { return 200 "without TLS"; }
	}`)
	_, port, _ := strings.Cut(s.Addr("127.0.0.1:8081"), ":")
	if got := s.plain(t, "/to?port="+port); !strings.Contains(got, "without TLS") {
		t.Errorf("%q\n%s", got, s.ErrorLog())
	}
}
