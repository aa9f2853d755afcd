use Test::Nginx::Socket 'no_plan';

no_root_location();
run_tests();

__DATA__

=== TEST 1: a page for several statuses
--- config
    error_page 403 404 /err.html;
    location /a { return 403; }
    location /b { return 404; }
    location = /err.html { return 200 "page for $status\n"; }
--- request eval
["GET /a", "GET /b"]
--- error_code eval
[403, 404]
--- response_body eval
["page for 403\n", "page for 404\n"]



=== TEST 2: another status
--- config
    error_page 404 =200 /ok;
    error_page 500 =503 /busy;
    location /a { return 404; }
    location /b { return 500; }
    location = /ok { return 200 "fine\n"; }
    location = /busy { return 200 "busy\n"; }
--- request eval
["GET /a", "GET /b"]
--- error_code eval
[200, 503]



=== TEST 3: the status of the page itself
--- config
    error_page 404 = /own;
    location /a { return 404; }
    location = /own { return 202 "own\n"; }
--- request
GET /a
--- error_code: 202
--- response_body
own



=== TEST 4: a redirect to elsewhere
--- config
    error_page 404 http://elsewhere.test/x;
    error_page 405 =301 https://elsewhere.test/y;
    location /a { return 404; }
    location /b { return 405; }
--- request eval
["GET /a", "GET /b"]
--- error_code eval
[302, 301]
--- response_headers eval
["Location: http://elsewhere.test/x", "Location: https://elsewhere.test/y"]



=== TEST 5: a named location, the URI stays
--- config
    error_page 404 @fallback;
    location /a { return 404; }
    location @fallback { return 200 "$uri $request_method\n"; }
--- request
POST /a/b
body
--- error_code: 404
--- response_body
/a/b POST



=== TEST 6: the page is asked for with GET
--- config
    error_page 405 /page;
    location /a { return 405; }
    location = /page { content_by_lua_block { ngx.say(ngx.req.get_method()) } }
--- request
POST /a
body
--- error_code: 405
--- response_body
GET



=== TEST 7: variables in the page's URI
--- config
    error_page 404 /e$uri?code=$status;
    location /a { return 404; }
    location /e { return 200 "$uri $args\n"; }
--- request
GET /a
--- error_code: 404
--- response_body
/e/a code=404



=== TEST 8: without recursive_error_pages an error of the page is final
--- config
    error_page 404 /p1;
    error_page 403 /p2;
    location /a { return 404; }
    location = /p1 { return 403; }
    location = /p2 { return 200 "second\n"; }
--- request
GET /a
--- error_code: 403
--- response_body_like: 403 Forbidden



=== TEST 9: with it, the error has a page, too
--- config
    recursive_error_pages on;
    error_page 404 = /p1;
    error_page 403 = /p2;
    location /a { return 404; }
    location = /p1 { return 403; }
    location = /p2 { return 200 "second\n"; }
--- request
GET /a
--- response_body
second



=== TEST 10: a page that is missing
--- config
    error_page 403 /none.html;
    location /a { return 403; }
    location / { root html; }
--- request
GET /a
--- error_code: 404
--- error_log
none.html" failed (2: No such file or directory)



=== TEST 11: levels: a location with pages of its own does not see those of the server
--- config
    error_page 404 /server;
    location /a { error_page 403 /x; return 404; }
    location /b { return 404; }
    location = /server { return 200 "server's\n"; }
--- request eval
["GET /a", "GET /b"]
--- error_code eval
[404, 404]
--- response_body_like eval
["404 Not Found", "server's"]



=== TEST 12: built-in pages
--- config
    location ~ ^/(\d+)$ { content_by_lua_block { ngx.exit(tonumber(ngx.var[1])) } }
--- request eval
[map { "GET /$_" } (400, 401, 402, 403, 404, 405, 406, 409, 410, 411, 413, 416, 429, 500, 501, 502, 503, 504, 507)]
--- error_code eval
[400, 401, 402, 403, 404, 405, 406, 409, 410, 411, 413, 416, 429, 500, 501, 502, 503, 504, 507]
--- response_body_like eval
[map { "<title>$_ " } (400, 401, 402, 403, 404, 405, 406, 409, 410, 411, 413, 416, 429, 500, 501, 502, 503, 504, 507)]



=== TEST 13: msie_padding makes short pages long for old browsers
--- config
    location /a { return 404; }
--- more_headers
User-Agent: Mozilla/4.0 (compatible; MSIE 6.0)
--- request
GET /a
--- error_code: 404
--- response_body_like: a padding to disable MSIE



=== TEST 14: values that error_page refuses
--- config
    error_page 200 /x;
--- must_die
--- error_log
value "200" must be between 300 and 599 in



=== TEST 15: 499 cannot have a page
--- config
    error_page 499 /x;
--- must_die
--- error_log
invalid value "499" in



=== TEST 16: server_tokens off
--- config
    server_tokens off;
    location /a { return 404; }
--- request
GET /a
--- error_code: 404
--- response_body_unlike: /\d
--- raw_response_headers_unlike: Server: \w+/
