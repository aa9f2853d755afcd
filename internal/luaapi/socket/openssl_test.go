package socket_test

import (
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"net"
	"path/filepath"
	"testing"

	"moongate/internal/engine/enginetest"
	"moongate/internal/modules"
	"moongate/internal/testkit"
)

// What lua-resty-openssl asks for a socket's TLS: the server's certificate, the cipher suite and the protocol, as OpenSSL
// tells them.
func TestOpenSSLOfSocket(t *testing.T) {
	if found, _ := filepath.Glob("/usr/lib/*/libssl.so.3"); found == nil {
		t.Skip("no libssl of OpenSSL 3 on this machine")
	}
	testkit.LeakCheck(t)
	pair, _ := certificate(t)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go echo(l)
	s := enginetest.Start(t, modules.Set(), fmt.Sprintf(`
		location / {
			lua_ssl_protocols TLSv1.2;
			content_by_lua_block {
				local ffi = require "ffi"
				local aux = require "resty.openssl.auxiliary.nginx_c"
				pcall(ffi.cdef, [[
					void *SSL_get1_peer_certificate(const SSL *s);
					int i2d_X509(void *x, unsigned char **out);
					void X509_free(void *x);
					const char *SSL_get_version(const SSL *s);
					const SSL *SSL_get_session(const SSL *s);
					const void *SSL_SESSION_get0_cipher(const void *s);
					const char *SSL_CIPHER_get_name(const void *c);
				]])
				local s = ngx.socket.tcp()
				ngx.say(aux.get_socket_ssl(s))
				assert(s:connect("127.0.0.1", %d))
				ngx.say(aux.get_socket_ssl(s))
				assert(s:sslhandshake(false))
				for i = 1, 3 do
					local ssl = assert(aux.get_socket_ssl(s))
					local x = ffi.C.SSL_get1_peer_certificate(ssl)
					local out = ffi.new("unsigned char *[1]")
					local n = ffi.C.i2d_X509(x, out)
					if i == 3 then
						ngx.say((ffi.string(out[0], n):gsub(".", function(c) return ("%%02x"):format(c:byte()) end)))
						ngx.say(ffi.string(ffi.C.SSL_get_version(ssl)), " ", ffi.string(ffi.C.SSL_CIPHER_get_name(ffi.C.SSL_SESSION_get0_cipher(ffi.C.SSL_get_session(ssl)))))
					end
					ffi.C.X509_free(x)
					ssl = nil
					collectgarbage()
				end
				ngx.say(aux.get_req_ssl())
			}
		}`, l.Addr().(*net.TCPAddr).Port))
	suite := "ECDHE-ECDSA-AES128-GCM-SHA256"
	if _, rsa := pair.PrivateKey.(interface{ Size() int }); rsa {
		suite = "ECDHE-RSA-AES128-GCM-SHA256"
	}
	want := "nilclosed\nnilno TLS on this socket\n" + hex.EncodeToString(pair.Certificate[0]) + "\nTLSv1.2 " + suite +
		"\nnilnot supported: TLS is not OpenSSL's here\n"
	if got := enginetest.Body(s.Raw("GET / HTTP/1.0\r\n\r\n")); got != want {
		t.Errorf("%q\nwant %q\n%s", got, want, s.ErrorLog())
	}
}
