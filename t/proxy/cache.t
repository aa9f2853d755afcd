use Test::Nginx::Socket 'no_plan';

run_tests();

__DATA__

=== TEST 1: a miss, then hits, with the whole head
--- http_config
    proxy_cache_path cache keys_zone=one:1m levels=1:2;
--- config
    location /a {
        proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/back;
        proxy_cache one; proxy_cache_valid 1m;
        add_header X-Cache "$upstream_cache_status [$upstream_addr] [$upstream_http_x_n]";
    }
    location /back { add_header X-N "$connection_requests"; add_header ETag '"v"'; return 200 "$request_method $request_uri\n"; }
--- request eval
["GET /a", "GET /a", "HEAD /a", "GET /ab"]
--- response_headers_like eval
["X-Cache: MISS \\[127.0.0.1:\\d+\\] \\[1\\]", "X-Cache: HIT \\[\\] \\[1\\]", "X-Cache: HIT \\[\\] \\[1\\]", "X-Cache: MISS.*"]
--- response_body eval
["GET /back\n", "GET /back\n", "", "GET /backb\n"]



=== TEST 2: what the head says of keeping it
--- http_config
    proxy_cache_path cache keys_zone=one:1m;
--- config
    location /a {
        proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/back;
        proxy_cache one; proxy_cache_valid 1m;
        add_header X-Cache $upstream_cache_status;
    }
    location /back {
        add_header Cache-Control $arg_cc; add_header Expires $arg_ex; add_header X-Accel-Expires $arg_xa; add_header Set-Cookie $arg_sc; add_header Vary $arg_v;
        return 200 "$arg_cc\n";
    }
--- request eval
[map { ("GET /a?$_", "GET /a?$_") } "cc=private", "cc=no-store", "cc=max-age=0", "cc=max-age=900", "cc=max-age=x", "ex=never", "xa=0", "cc=private&xa=500", "xa=500&cc=private", "xa=\@1", "sc=a", "v=*", "cc=max-age=0,s-maxage=500"]
--- response_headers eval
[map { ("X-Cache: MISS", "X-Cache: $_") } "MISS", "MISS", "MISS", "HIT", "MISS", "MISS", "MISS", "HIT", "HIT", "EXPIRED", "MISS", "MISS", "HIT"]



=== TEST 3: fields that are not looked at
--- http_config
    proxy_cache_path cache keys_zone=one:1m;
--- config
    location /a {
        proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/back;
        proxy_cache one; proxy_cache_valid 1m;
        proxy_ignore_headers Cache-Control Expires X-Accel-Expires Set-Cookie Vary;
        add_header X-Cache $upstream_cache_status;
    }
    location /back { add_header Cache-Control private; add_header Expires never; add_header X-Accel-Expires 0; add_header Set-Cookie a; add_header Vary *; return 200 "x\n"; }
--- request eval
["GET /a", "GET /a"]
--- response_headers eval
["X-Cache: MISS", "X-Cache: HIT"]



=== TEST 4: proxy_cache_bypass and proxy_no_cache
--- http_config
    proxy_cache_path cache keys_zone=one:1m;
--- config
    location /a {
        proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/back$arg_n;
        proxy_cache one; proxy_cache_valid 1m; proxy_cache_key "$upstream_cache_key$uri";
        proxy_cache_bypass $arg_b; proxy_no_cache $arg_n $arg_m;
        add_header X-Cache $upstream_cache_status;
    }
    location /back { return 200 "$http_x\n"; }
--- request eval
["GET /a?m=1", "GET /a", "GET /a", "GET /a?b=1&m=1", "GET /a", "GET /a?b=1", "GET /a"]
--- more_headers eval
["X: 1", "X: 2", "X: 3", "X: 4", "X: 5", "X: 6", "X: 7"]
--- response_headers eval
["X-Cache: MISS", "X-Cache: MISS", "X-Cache: HIT", "X-Cache: BYPASS", "X-Cache: HIT", "X-Cache: BYPASS", "X-Cache: HIT"]
--- response_body eval
["1\n", "2\n", "2\n", "4\n", "2\n", "6\n", "6\n"]



=== TEST 5: statuses and methods
--- http_config
    proxy_cache_path cache keys_zone=one:1m;
--- config
    location /a {
        proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/back;
        proxy_cache one; proxy_cache_valid 404 1m; proxy_cache_methods POST; proxy_cache_key $request_method$request_uri$request_body;
        add_header X-Cache "$upstream_cache_status" always;
    }
    location /back { if ($arg_s) { return 404 "none\n"; } return 200 "there\n"; }
--- request eval
["GET /a?s=1", "GET /a?s=1", "GET /a", "GET /a", "POST /a?s=1\nx=1", "POST /a?s=1\nx=1", "POST /a?s=1\nx=2", "PUT /a?s=1\nx"]
--- response_headers eval
["X-Cache: MISS", "X-Cache: HIT", "X-Cache: MISS", "X-Cache: MISS", "X-Cache: MISS", "X-Cache: HIT", "X-Cache: MISS", "!X-Cache"]
--- error_code eval
[404, 404, 200, 200, 404, 404, 404, 404]



=== TEST 6: ranges and conditions are answered from what is kept
--- http_config
    proxy_cache_path cache keys_zone=one:1m;
--- config
    location /a {
        proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/back.txt;
        proxy_cache one; proxy_cache_valid 1m; if_modified_since before;
        add_header X-Cache $upstream_cache_status;
    }
--- user_files
>>> back.txt
0123456789
--- request eval
["GET /a", "GET /a", "GET /a", "GET /a", "GET /a"]
--- more_headers eval
["Range: bytes=2-4", "Range: bytes=5-6", "If-Modified-Since: Fri, 31 Dec 2100 23:59:59 GMT", "If-None-Match: \"x\"", "Range: bytes=50-"]
--- error_code eval
[206, 206, 304, 200, 416]
--- response_headers eval
["X-Cache: MISS", "X-Cache: HIT", "X-Cache: HIT", "X-Cache: HIT", "!X-Nothing"]
--- response_body_like eval
["^234\$", "^56\$", "^\$", "^0123456789\$", "416"]



=== TEST 7: Lua captures of what is kept, and filters on it
--- http_config
    proxy_cache_path cache keys_zone=one:1m;
--- config
    location = /t {
        content_by_lua_block {
            for i = 1, 3 do
                local r = ngx.location.capture("/a")
                ngx.say(r.status, " ", r.header["X-Filter"], " ", r.body, " ", r.truncated)
            end
        }
    }
    location /a {
        proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/back;
        proxy_cache one; proxy_cache_valid 1m;
        header_filter_by_lua_block { ngx.header["X-Filter"] = ngx.var.upstream_cache_status; ngx.header.content_length = nil }
        body_filter_by_lua_block { ngx.arg[1] = ngx.arg[1]:upper() }
    }
    location /back { return 200 "text"; }
--- request
GET /t
--- response_body
200 MISS TEXT false
200 HIT TEXT false
200 HIT TEXT false



=== TEST 8: a cache that a variable names
--- http_config
    proxy_cache_path cache keys_zone=one:1m;
--- config
    location /a {
        proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/back;
        proxy_cache $arg_c; proxy_cache_valid 1m; proxy_cache_key $uri;
        add_header X-Cache $upstream_cache_status always;
    }
    location /back { return 200 "text\n"; }
--- request eval
["GET /a?c=one", "GET /a?c=one", "GET /a?c=off", "GET /a", "GET /a?c=two"]
--- response_headers eval
["X-Cache: MISS", "X-Cache: HIT", "!X-Cache", "!X-Cache", "!X-Cache"]
--- error_code eval
[200, 200, 200, 200, 500]



=== TEST 9: X-Accel-Redirect is not kept, error_page answers for kept errors
--- http_config
    proxy_cache_path cache keys_zone=one:1m;
--- config
    location /a {
        proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/back;
        proxy_cache one; proxy_cache_valid any 1m; proxy_intercept_errors on; error_page 404 /sorry;
        add_header X-Cache $upstream_cache_status;
    }
    location /sorry { add_header X-Cache $upstream_cache_status always; return 404 "sorry\n"; }
    location /there { return 200 "there\n"; }
    location /back { if ($arg_x) { add_header X-Accel-Redirect /there; return 200 "no\n"; } return 404 "no\n"; }
--- request eval
["GET /a?x=1", "GET /a?x=1", "GET /a", "GET /a"]
--- response_body eval
["there\n", "there\n", "sorry\n", "sorry\n"]
--- response_headers eval
["!X-Cache", "!X-Cache", "X-Cache: MISS", "X-Cache: HIT"]
--- error_code eval
[200, 200, 404, 404]



=== TEST 10: a response in parts, each kept
--- http_config
    proxy_cache_path cache keys_zone=one:1m;
--- config
    location /a {
        slice 4;
        proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/back.txt;
        proxy_cache one; proxy_cache_valid 206 1m; proxy_cache_key $uri$slice_range;
        proxy_set_header Range $slice_range;
        add_header X-Cache $upstream_cache_status;
    }
--- user_files
>>> back.txt
0123456789abcdef
--- request eval
["GET /a", "GET /a", "GET /a"]
--- more_headers eval
["Range: bytes=5-6", "Range: bytes=4-9", ""]
--- response_headers eval
["X-Cache: MISS", "X-Cache: HIT", "X-Cache: MISS"]
--- response_body_like eval
["^56\$", "^456789\$", "^0123456789abcdef\$"]
--- error_code eval
[206, 206, 200]



=== TEST 11: a key that is too long
--- http_config
    proxy_cache_path cache keys_zone=one:1m;
--- config
    location /a {
        proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/back;
        proxy_cache one; proxy_cache_valid 1m; proxy_buffer_size 1k; proxy_buffers 4 1k; proxy_busy_buffers_size 2k;
        add_header X-Cache $upstream_cache_status;
    }
    location /back { return 200 "text\n"; }
--- request eval
["GET /a?" . ("x" x 1000), "GET /a?" . ("x" x 1000)]
--- response_body eval
["text\n", "text\n"]
--- error_log
proxy_buffer_size 1024 is not enough for cache key, it should be increased to at least 2048



=== TEST 12: proxy_cache_min_uses
--- http_config
    proxy_cache_path cache keys_zone=one:1m;
--- config
    location /a {
        proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/back;
        proxy_cache one; proxy_cache_valid 1m; proxy_cache_min_uses 3;
        add_header X-Cache $upstream_cache_status;
    }
    location /back { return 200 "text\n"; }
--- request eval
["GET /a", "GET /a", "GET /a", "GET /a"]
--- response_headers eval
["X-Cache: MISS", "X-Cache: MISS", "X-Cache: MISS", "X-Cache: HIT"]



=== TEST 13: a server's answer that nothing has changed
--- http_config
    proxy_cache_path cache keys_zone=one:1m;
--- config
    location /a {
        proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/back.txt;
        proxy_cache one; proxy_cache_revalidate on; proxy_ignore_headers X-Accel-Expires; proxy_cache_valid 1m;
        proxy_cache_bypass $arg_b;
        add_header X-Cache "$upstream_cache_status $upstream_status";
    }
    location /b {
        proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/back.txt;
        proxy_cache one; proxy_cache_revalidate on; proxy_cache_valid 1m;
        add_header X-Cache "$upstream_cache_status $upstream_status";
    }
    location /back.txt { add_header X-Accel-Expires @1; }
--- user_files
>>> back.txt
0123456789
--- request eval
["GET /b", "GET /b", "GET /b"]
--- response_headers eval
["X-Cache: MISS 200", "X-Cache: REVALIDATED 304", "X-Cache: REVALIDATED 304"]
--- response_body eval
["0123456789\n", "0123456789\n", "0123456789\n"]
