use Test::Nginx::Socket 'no_plan';

no_root_location();
run_tests();

__DATA__

=== TEST 1: both Content-Length and Transfer-Encoding
--- config
    location / { return 200 "ok\n"; }
--- raw_request eval
"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
--- error_code: 400
--- error_log
client sent "Content-Length" and "Transfer-Encoding" headers at the same time
--- log_level: info



=== TEST 2: two lengths
--- config
    location / { return 200 "ok\n"; }
--- raw_request eval
[map { "POST / HTTP/1.1\r\nHost: a\r\n$_\r\n\r\nabcde" } ("Content-Length: 5\r\nContent-Length: 5", "Content-Length: 5\r\nContent-Length: 6")]
--- error_code eval
[400, 400]



=== TEST 3: lengths that are none
--- config
    location / { return 200 "ok\n"; }
--- raw_request eval
[map { "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: $_\r\n\r\n" } ("-1", "+5", "5x", "0x5", "5, 5", "99999999999999999999", "5 5")]
--- error_code eval
[400, 400, 400, 400, 400, 400, 400]
--- error_log
client sent invalid "Content-Length" header
--- log_level: info



=== TEST 4: two transfer encodings
--- config
    location / { return 200 "ok\n"; }
--- raw_request eval
"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
--- error_code: 400



=== TEST 5: Transfer-Encoding in HTTP/1.0
--- config
    location / { return 200 "ok\n"; }
--- raw_request eval
"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
--- error_code: 400
--- error_log
client sent HTTP/1.0 request with "Transfer-Encoding" header
--- log_level: info



=== TEST 6: a space before the colon
--- config
    location / { return 200 "ok [$http_x]\n"; }
--- raw_request eval
["GET / HTTP/1.1\r\nHost: a\r\nX : 1\r\n\r\n", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 5\r\n\r\nabcde"]
--- error_code eval
[400, 400]



=== TEST 7: folded lines
--- config
    location / { return 200 "ok [$http_x]\n"; }
--- raw_request eval
["GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n\t2\r\n\r\n"]
--- error_code eval
[400, 400]



=== TEST 8: control bytes in names and values
--- config
    location / { return 200 "ok\n"; }
--- raw_request eval
["GET / HTTP/1.1\r\nHost: a\r\nX\x01: 1\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nX: 1\x002\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nX\x00Y: 1\r\n\r\n"]
--- error_code eval
[400, 400, 400]



=== TEST 9: a bare CR
--- config
    location / { return 200 "ok [$http_x]\n"; }
--- raw_request eval
["GET / HTTP/1.1\rHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\rX: 1\r\n\r\n"]
--- error_code eval
[400, 400]



=== TEST 10: Host: none, two, empty, malformed
--- config
    location / { return 200 "[$host]\n"; }
--- raw_request eval
[map { "GET / HTTP/1.1\r\n${_}Connection: close\r\n\r\n" } ("", "Host: a\r\nHost: b\r\n", "Host: a\r\nHost: a\r\n", "Host: a/b\r\n", "Host: a b\r\n", "Host: ..\r\n", "Host: a..b\r\n", "Host: \x01\r\n")]
--- error_code eval
[400, 400, 400, 400, 400, 400, 400, 400]



=== TEST 11: HTTP/1.1 without Host, the log
--- config
    location / { return 200 "ok\n"; }
--- raw_request eval
"GET / HTTP/1.1\r\nConnection: close\r\n\r\n"
--- error_code: 400
--- error_log
client sent HTTP/1.1 request without "Host" header while reading client request headers
--- log_level: info



=== TEST 12: a request inside of a refused one is not served
--- config
    location / { return 200 "ok\n"; }
    location /smuggled { content_by_lua_block { ngx.log(ngx.ERR, "SMUGGLED") } }
--- raw_request eval
"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 40\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
--- error_code: 400
--- no_error_log
SMUGGLED



=== TEST 13: a body is not a request
--- config
    location / { return 200 "ok\n"; }
    location /smuggled { content_by_lua_block { ngx.log(ngx.ERR, "SMUGGLED") } }
--- pipelined_requests eval
["POST /\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n", "GET /"]
--- response_body eval
["ok\n", "ok\n"]
--- no_error_log
SMUGGLED



=== TEST 14: header lines without a name or a colon
--- config
    location / { return 200 "ok\n"; }
--- raw_request eval
["GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nno colon\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n: x\r\n\r\n"]
--- error_code eval
[400, 400]



=== TEST 15: faulty chunks of a body that is passed on as it comes are answered
--- config
    location /up { proxy_http_version 1.1; proxy_request_buffering off; proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/back; }
    location /back { return 200 "ok\n"; }
--- raw_request eval
"POST /up HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\ng\r\n"
--- error_code: 400
--- response_body_like: 400 Bad Request
--- error_log
client sent invalid chunked body



=== TEST 16: a chunk that is larger than bodies may be is not waited for
--- config
    location /up { client_max_body_size 1k; proxy_http_version 1.1; proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/back; }
    location /back { return 200 "ok\n"; }
--- raw_request eval
"POST /up HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3ff\r\nx"
--- error_code: 413
--- error_log
client intended to send too large chunked body: 3+1023 bytes
