use Test::Nginx::Socket 'no_plan';

no_root_location();
run_tests();

__DATA__

=== TEST 1: a page is compressed for those who ask
--- config
    gzip on;
    gzip_min_length 1;
    default_type text/html;
    location / { return 200 "hello hello hello hello\n"; }
--- raw_request eval
[map { "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n$_\r\n" } ("Accept-Encoding: gzip\r\n", "Accept-Encoding: deflate, gzip;q=0.5\r\n", "Accept-Encoding: gzip;q=0\r\n", "Accept-Encoding: identity\r\n", "")]
--- response_headers eval
["Content-Encoding: gzip\n!Content-Length", "Content-Encoding: gzip", "!Content-Encoding", "!Content-Encoding", "!Content-Encoding"]



=== TEST 2: types, lengths and versions that are not compressed
--- config
    gzip on;
    gzip_types text/plain;
    gzip_min_length 20;
    location /short { default_type text/plain; return 200 "short\n"; }
    location /png { default_type image/png; return 200 "0123456789012345678901234567890\n"; }
    location /plain { default_type text/plain; return 200 "0123456789012345678901234567890\n"; }
--- raw_request eval
[map { "GET $_\r\nHost: a\r\nConnection: close\r\nAccept-Encoding: gzip\r\n\r\n" } ("/short HTTP/1.1", "/png HTTP/1.1", "/plain HTTP/1.1", "/plain HTTP/1.0")]
--- response_headers eval
["!Content-Encoding", "!Content-Encoding", "Content-Encoding: gzip", "!Content-Encoding"]



=== TEST 3: gzip_http_version and gzip_vary
--- config
    gzip on;
    gzip_http_version 1.0;
    gzip_vary on;
    gzip_min_length 1;
    default_type text/html;
    location / { return 200 "x\n"; }
--- raw_request eval
["GET / HTTP/1.0\r\nAccept-Encoding: gzip\r\n\r\n", "GET / HTTP/1.0\r\n\r\n"]
--- response_headers eval
["Content-Encoding: gzip\nVary: Accept-Encoding", "!Content-Encoding\nVary: Accept-Encoding"]



=== TEST 4: gzip_disable
--- config
    gzip on;
    gzip_min_length 1;
    gzip_disable "old.*browser" msie6;
    default_type text/html;
    location / { return 200 "x\n"; }
--- raw_request eval
[map { "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAccept-Encoding: gzip\r\nUser-Agent: $_\r\n\r\n" } ("old sad browser", "Mozilla/4.0 (compatible; MSIE 6.0;)", "Mozilla/4.0 (compatible; MSIE 6.0; SV1)", "new")]
--- response_headers eval
["!Content-Encoding", "!Content-Encoding", "Content-Encoding: gzip", "Content-Encoding: gzip"]



=== TEST 5: proxied requests
--- config
    gzip on;
    gzip_min_length 1;
    default_type text/html;
    location /none { return 200 "x\n"; }
    location /any { gzip_proxied any; return 200 "x\n"; }
    location /auth { gzip_proxied auth; return 200 "x\n"; }
--- raw_request eval
[map { "GET /$_ HTTP/1.1\r\nHost: a\r\nConnection: close\r\nVia: 1.1 proxy\r\nAccept-Encoding: gzip\r\n\r\n" } ("none", "any", "auth")]
--- response_headers eval
["!Content-Encoding", "Content-Encoding: gzip", "!Content-Encoding"]



=== TEST 6: a strong tag becomes a weak one
--- config
    gzip on;
    gzip_min_length 1;
    location / { root html; }
--- user_files
>>> f.html 199801171935.33
text
--- more_headers
Accept-Encoding: gzip
--- request
GET /f.html
--- response_headers
ETag: W/"34c10805-5"
Content-Encoding: gzip
!Accept-Ranges



=== TEST 7: what Lua says is compressed piece by piece
--- config
    gzip on;
    gzip_types text/plain;
    location / { default_type text/plain; content_by_lua_block { for i = 1, 100 do ngx.say("line ", i) ngx.flush(true) end } }
    location /check {
        content_by_lua_block {
            local s = ngx.socket.tcp()
            assert(s:connect("127.0.0.1", ngx.var.server_port))
            s:send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAccept-Encoding: gzip\r\n\r\n")
            local all = s:receive("*a")
            ngx.say(all:match("Content%-Encoding: gzip") ~= nil, " ", all:match("\r\n\r\n%x+\r\n\31\139") ~= nil)
        }
    }
--- request
GET /check
--- response_body
true true



=== TEST 8: a body that is already encoded stays
--- config
    gzip on;
    gzip_min_length 1;
    location / { default_type text/html; content_by_lua_block { ngx.header["Content-Encoding"] = "br" ngx.say("xxxxxxxx") } }
--- more_headers
Accept-Encoding: gzip
--- request
GET /
--- response_headers
Content-Encoding: br
--- response_body
xxxxxxxx



=== TEST 9: levels are checked
--- config
    gzip_comp_level 10;
--- must_die
--- error_log
value must be between 1 and 9 in
