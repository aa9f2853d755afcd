use Test::Nginx::Socket 'no_plan';

run_tests();

__DATA__

=== TEST 1: a prefix is replaced by the URI of proxy_pass
--- config
    location /a/ { proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/back/; }
    location /back/ { return 200 "$request_method $request_uri $server_protocol $http_connection $http_host $http_x\n"; }
--- request
GET /a/b%20c/d?e=f
--- more_headers
X: y
--- response_body_like: ^GET /back/b%20c/d\?e=f HTTP/1\.0 close 127\.0\.0\.1:\d+ y$



=== TEST 2: the client's fields that are not passed on
--- config
    location /a { proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/back; }
    location /back { return 200 "[$http_te][$http_keep_alive][$http_upgrade][$http_expect]\n"; }
--- request
GET /a
--- more_headers
TE: trailers
Keep-Alive: 5
Upgrade: foo
--- response_body
[][][][]



=== TEST 3: proxy_set_header, and an empty value
--- config
    location /a { proxy_set_header X-A $uri; proxy_set_header X-B ""; proxy_set_header Host own; proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/back; }
    location /back { return 200 "$http_host [$http_x_a][$http_x_b][$http_connection]\n"; }
--- request
GET /a
--- more_headers
X-B: client
--- response_body
own [/a][][close]



=== TEST 4: a server that cannot be reached
--- config
    location /a { proxy_pass http://127.0.0.1:1/x; }
--- request
GET /a
--- error_code: 502
--- error_log eval
qr{connect\(\) failed \(111: Connection refused\) while connecting to upstream, client: 127\.0\.0\.1, server: localhost, request: "GET /a HTTP/1\.1", upstream: "http://127\.0\.0\.1:1/x", host: "localhost"}



=== TEST 5: the next server, and what the variables say of both
--- http_config
    upstream two { server 127.0.0.1:1; server 127.0.0.1:$TEST_NGINX_SERVER_PORT; }
--- config
    location /a { add_header X-Addr $upstream_addr; add_header X-Status $upstream_status; proxy_pass http://two/back; }
    location /back { return 200 "ok\n"; }
--- request
GET /a
--- response_body
ok
--- response_headers_like
X-Addr: 127\.0\.0\.1:1, 127\.0\.0\.1:\d+
X-Status: 502, 200



=== TEST 6: X-Accel-Redirect keeps some fields
--- config
    location /a { proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/back; }
    location /back { add_header X-Accel-Redirect /in?x=y; add_header Set-Cookie a=b; add_header X-Lost z; return 200 "no\n"; }
    location /in { internal; return 200 "inside $args\n"; }
--- request
GET /a
--- response_body
inside x=y
--- response_headers
Set-Cookie: a=b
X-Lost:



=== TEST 7: Location and cookies are rewritten
--- config
    location /a/ { proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/back/; proxy_cookie_path /back/ /a/; proxy_cookie_flags ~. secure; absolute_redirect off; }
    location /back/ { add_header Set-Cookie "k=v; Path=/back/x" always; return 302 http://127.0.0.1:$TEST_NGINX_SERVER_PORT/back/there; }
--- request
GET /a/
--- error_code: 302
--- response_headers
Location: /a/there
Set-Cookie: k=v; Path=/a/x; Secure



=== TEST 8: a chunked request goes up with a length
--- config
    location /a { proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/back; }
    location /back { content_by_lua_block { ngx.req.read_body() ngx.say(ngx.req.get_body_data(), " ", ngx.var.http_content_length, " ", ngx.var.http_transfer_encoding) } }
--- raw_request eval
"POST /a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n"
--- response_body
abcdefg 7 nil



=== TEST 9: a chunked request goes up as it comes
--- config
    location /a { proxy_request_buffering off; proxy_http_version 1.1; proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/back; }
    location /back { content_by_lua_block { ngx.req.read_body() ngx.say(ngx.req.get_body_data()) } }
--- raw_request eval
["POST /a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nabc\r\n", "4\r\ndefg\r\n0\r\n\r\n"]
--- raw_request_middle_delay: 0.1
--- response_body
abcdefg



=== TEST 10: a response that breaks off
--- config
    location /a { proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/back; }
    location /back { content_by_lua_block { ngx.header.content_length = 10 ngx.print("short") ngx.flush(true) ngx.exit(444) } }
    location /t { content_by_lua_block { local r = ngx.location.capture("/a") ngx.say(r.status, " ", r.body, " ", r.truncated) } }
--- request
GET /t
--- response_body
200 short true
--- error_log
upstream prematurely closed connection while reading upstream



=== TEST 11: a response that is none
--- config
    location /a { proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
--- tcp_listen: $TEST_NGINX_RAND_PORT_1
--- tcp_reply eval
"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
--- request
GET /a
--- error_code: 502
--- error_log
upstream sent "Content-Length" and "Transfer-Encoding" headers at the same time while reading response header from upstream



=== TEST 12: balancer_by_lua chooses and tries again
--- http_config
    upstream lua {
        server 0.0.0.1;
        balancer_by_lua_block {
            local b = require "ngx.balancer"
            local state, status = b.get_last_failure()
            if not state then
                assert(b.set_more_tries(1))
                assert(b.set_current_peer("127.0.0.1", 1))
            else
                ngx.ctx.seen = state .. " " .. status
                assert(b.set_current_peer("127.0.0.1", $TEST_NGINX_SERVER_PORT))
                assert(b.enable_keepalive())
            end
        }
    }
--- config
    location /a { proxy_pass http://lua/back; header_filter_by_lua_block { ngx.header.seen = ngx.ctx.seen } }
    location /back { return 200 "ok\n"; }
--- request eval
["GET /a", "GET /a"]
--- response_body eval
["ok\n", "ok\n"]
--- response_headers eval
["seen: failed 502", "seen: failed 502"]



=== TEST 13: an upstream without servers
--- http_config
    upstream none { }
--- config
--- must_die
--- error_log
no servers are inside upstream



=== TEST 14: proxy_limit_rate takes a size
--- config
    proxy_limit_rate x;
--- must_die
--- error_log
"proxy_limit_rate" directive invalid value in



=== TEST 15: proxy_headers_hash_max_size takes a number
--- config
    proxy_headers_hash_max_size x;
--- must_die
--- error_log
"proxy_headers_hash_max_size" directive invalid number in



=== TEST 16: X-Accel-Redirect without a URI
--- config
    location /a { proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/back; }
    location /back { add_header X-Accel-Redirect " "; return 200; }
--- request
GET /a
--- error_code: 404
