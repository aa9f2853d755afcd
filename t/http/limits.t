use Test::Nginx::Socket 'no_plan';

no_root_location();
run_tests();

__DATA__

=== TEST 1: 414 for a long request line
--- http_config
    large_client_header_buffers 2 1k;
    client_header_buffer_size 256;
--- config
    location / { return 200 "ok\n"; }
--- request eval
["GET /" . ("x" x 700), "GET /" . ("x" x 1100)]
--- error_code eval
[200, 414]



=== TEST 2: a long request line is logged
--- http_config
    large_client_header_buffers 2 1k;
--- config
    location / { return 200 "ok\n"; }
--- request eval
"GET /" . ("x" x 1100)
--- error_code: 414
--- error_log
client sent too long URI
--- log_level: info



=== TEST 3: 400 for a large header line, with its name
--- http_config
    large_client_header_buffers 2 1k;
--- config
    location / { return 200 "ok\n"; }
--- raw_request eval
"GET / HTTP/1.1\r\nHost: a\r\nX-Large: " . ("y" x 2000) . "\r\n\r\n"
--- error_code: 400
--- response_body_like: Request Header Or Cookie Too Large
--- error_log
client sent too long header line: "X-Large: yyy
--- log_level: info



=== TEST 4: error_page for 494
--- http_config
    large_client_header_buffers 2 1k;
--- config
    error_page 494 = /large;
    location /large { return 431 "too large\n"; }
--- raw_request eval
"GET / HTTP/1.1\r\nHost: a\r\nX-Large: " . ("y" x 2000) . "\r\n\r\n"
--- error_code: 431
--- response_body
too large



=== TEST 5: 408 without an answer for a head that does not come
--- http_config
    client_header_timeout 500ms;
--- config
    location / { return 200 "ok\n"; }
--- raw_request eval
"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHo"
--- ignore_response
--- error_log
client timed out
while reading client request headers
--- log_level: info



=== TEST 6: 501 for transfer encodings
--- config
    location / { return 200 "ok\n"; }
--- raw_request eval
[map { "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: $_\r\n\r\n" } ("gzip", "gzip, chunked", "identity")]
--- error_code eval
[501, 501, 501]
--- error_log
client sent unknown "Transfer-Encoding"
--- log_level: info



=== TEST 7: 411 for CONNECT and its like is 405, and TRACE
--- config
    location / { return 200 "ok\n"; }
--- raw_request eval
["TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", "CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n"]
--- error_code eval
[405, 405]



=== TEST 8: a client that goes in the middle of a head
--- config
    location / { return 200 "ok\n"; }
--- raw_request eval
"GET / HTTP/1.1\r\nHost: a"
--- shutdown: 1
--- ignore_response
--- error_log
client prematurely closed connection
while reading client request headers
--- log_level: info



=== TEST 9: invalid header names are ignored
--- config
    location / { return 200 "[$http_x_y]\n"; }
--- raw_request eval
"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX.Y: 1\r\nX-Y: 2\r\n\r\n"
--- response_body
[2]
--- error_log
client sent invalid header line: "X.Y: 1" while reading client request headers, client:
--- log_level: info



=== TEST 10: ignore_invalid_headers off lets them in
--- http_config
    ignore_invalid_headers off;
--- config
    location / { content_by_lua_block { ngx.say(ngx.req.raw_header():match("X.Y: %d"), ngx.req.get_headers()["x.y"]) } }
--- raw_request eval
"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX.Y: 1\r\n\r\n"
--- response_body
X.Y: 11



=== TEST 11: underscores_in_headers
--- http_config
    underscores_in_headers on;
--- config
    location / { return 200 "[$http_x_y]\n"; }
--- raw_request eval
"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX_Y: 1\r\n\r\n"
--- response_body
[1]



=== TEST 12: client_header_buffer_size is the first part of large heads
--- http_config
    client_header_buffer_size 64;
    large_client_header_buffers 4 512;
--- config
    location / { return 200 "$http_a|$http_b|$http_c\n"; }
--- more_headers eval
"A: " . ("1" x 300) . "\nB: " . ("2" x 300) . "\nC: 3"
--- request
GET /
--- response_body eval
("1" x 300) . "|" . ("2" x 300) . "|3\n"
