use Test::Nginx::Socket 'no_plan';

no_root_location();

our $Http = q{
    lua_shared_dict d 1m;
    log_format cache "fetch=$srcache_fetch_status store=$srcache_store_status expire=$srcache_expire";
};
our $Cache = q{
    srcache_response_cache_control on;
    location /cache {
        content_by_lua_block {
            local d, key = ngx.shared.d, ngx.var.query_string
            if ngx.req.get_method() == "PUT" then
                ngx.req.read_body()
                d:set(key, ngx.req.get_body_data())
                d:set("length", ngx.req.get_headers()["Content-Length"])
                return ngx.exit(201)
            end
            local v = d:get(key)
            if not v then return ngx.exit(404) end
            ngx.print(v)
        }
    }
    location /stored { content_by_lua_block { ngx.print((ngx.shared.d:get(ngx.var.query_string) or "nothing"):gsub("\r", "$"), "") } }
    location /put { content_by_lua_block { ngx.shared.d:set(ngx.var.arg_k, ngx.unescape_uri(ngx.var.arg_v)) ngx.say("put") } }
    add_header X-Cache "$srcache_fetch_status $srcache_store_status/$srcache_expire" always;
    access_log logs/cache.log cache;
};

run_tests();

__DATA__

=== TEST 1: a miss is stored, then it is a hit
--- http_config eval: $::Http
--- config eval
"$::Cache" . '
    location /in {
        srcache_fetch GET /cache $uri;
        srcache_store PUT /cache $uri;
        default_type text/css;
        set $n 0;
        content_by_lua_block { ngx.header["X-N"] = ngx.shared.d:incr("n", 1, 0) ngx.header["Set-Cookie"] = "a=b" ngx.say("body ", ngx.shared.d:get("n")) }
    }
'
--- request eval
["GET /in", "GET /in", "HEAD /in", "GET /stored?/in", "GET /stored?length", "POST /in\nx"]
--- response_body eval
["body 1\n", "body 1\n", "", "HTTP/1.1 200 OK\$\nContent-Type: text/css\$\nX-N: 1\$\n\$\nbody 1\n", "58", "body 2\n"]
--- response_headers eval
["X-Cache: MISS STORE/60", "X-Cache: HIT BYPASS/\nContent-Length: 7\nContent-Type: text/css\nX-N: 1\n!Set-Cookie", "Content-Length: 7", "", "", "X-Cache: BYPASS BYPASS/"]
--- no_error_log
[error]



=== TEST 2: a file, conditions and ranges
--- http_config eval: $::Http
--- config eval
"$::Cache" . '
    location /in/ { alias html/; etag on; srcache_fetch GET /cache?$uri; srcache_store PUT /cache $uri; }
'
--- user_files
>>> a.txt 200001010000.00
0123456789
--- request eval
["GET /in/a.txt", "GET /in/a.txt", "GET /in/a.txt"]
--- more_headers eval
["", "Range: bytes=2-4", "If-Modified-Since: Sat, 01 Jan 2000 00:00:00 GMT"]
--- error_code eval
[200, 206, 304]
--- response_body eval
["0123456789\n", "234", ""]
--- response_headers eval
["X-Cache: MISS STORE/60\nLast-Modified: Sat, 01 Jan 2000 00:00:00 GMT", "X-Cache: HIT BYPASS/\nContent-Range: bytes 2-4/11", "X-Cache: HIT BYPASS/"]



=== TEST 3: ranges are stored when they shall be
--- http_config eval: $::Http
--- config eval
"$::Cache" . '
    location /no/ { alias html/; srcache_store PUT /cache $uri; }
    location /in/ { alias html/; srcache_fetch GET /cache $uri$http_range; srcache_store PUT /cache $uri$http_range; srcache_store_ranges on; srcache_store_hide_header ETag; srcache_store_hide_header Last-Modified; }
'
--- user_files
>>> a.txt
0123456789
--- request eval
["GET /no/a.txt", "GET /stored?/no/a.txt", "GET /in/a.txt", "GET /stored?/in/a.txtbytes=2-4", "GET /in/a.txt"]
--- more_headers
Range: bytes=2-4
--- error_code eval
[206, 200, 206, 200, 206]
--- response_body eval
["234", "nothing", "234", "HTTP/1.1 206 OK\$\nContent-Type: text/plain\$\nX-SRCache-Allow-Ranges: 1\$\nContent-Range: bytes 2-4/11\$\n\$\n234", "234"]



=== TEST 4: what the response forbids
--- http_config eval: $::Http
--- config eval
"$::Cache" . '
    location /in { srcache_fetch GET /cache $request_uri; srcache_store PUT /cache $request_uri; srcache_max_expire 1h;
        content_by_lua_block { ngx.header["Cache-Control"] = ngx.var.arg_c ngx.header["Expires"] = ngx.var.arg_e and ngx.http_time(ngx.time() + ngx.var.arg_e) ngx.say("x") } }
    location /all { srcache_store PUT /cache $request_uri; srcache_store_private on; srcache_store_no_store on; srcache_store_no_cache on;
        content_by_lua_block { ngx.header["Cache-Control"] = "private, no-store, no-cache" ngx.say("x") } }
    location /never { srcache_store PUT /cache $request_uri; srcache_response_cache_control off;
        content_by_lua_block { ngx.header["Cache-Control"] = "private" ngx.say("x") } }
'
--- request eval
["GET /in?c=private", "GET /in?c=No-Store", "GET /in?c=no-cache", "GET /in?c=max-age=0", "GET /in?c=max-age=30", "GET /in?c=max-age=9999", "GET /in?c=max-age=x", "GET /in?e=-5", "GET /in?e=100", "GET /all", "GET /never"]
--- response_headers eval
[("X-Cache: MISS BYPASS/") x 4, "X-Cache: MISS STORE/30", "X-Cache: MISS STORE/3600", "X-Cache: MISS BYPASS/", "X-Cache: MISS BYPASS/", "X-Cache: MISS STORE/100", "X-Cache: BYPASS STORE/60", "X-Cache: BYPASS STORE/60"]



=== TEST 5: what the request forbids
--- http_config eval: $::Http
--- config eval
"$::Cache" . '
    location /in { srcache_fetch GET /cache $uri; srcache_store PUT /cache $uri; srcache_request_cache_control on; echo x; }
'
--- request eval
["GET /in", "GET /in", "GET /in"]
--- more_headers eval
["Cache-Control: no-cache, no-store", "Pragma: no-cache", "X: y"]
--- response_headers eval
["X-Cache: BYPASS BYPASS/", "X-Cache: BYPASS STORE/60", "X-Cache: HIT BYPASS/"]



=== TEST 6: skips, statuses, sizes, methods
--- http_config eval: $::Http
--- config eval
"$::Cache" . '
    location /skip { srcache_fetch GET /cache $uri; srcache_store PUT /cache $uri; srcache_fetch_skip $arg_f; srcache_store_skip $arg_s; echo x; }
    location /late { set $s 0; srcache_store PUT /cache $uri; srcache_store_skip $s; content_by_lua_block { ngx.say("x") ngx.var.s = 1 } }
    location /gone { srcache_store PUT /cache $uri; content_by_lua_block { ngx.status = 410 ngx.say("x") } }
    location /410 { srcache_store PUT /cache $uri; srcache_store_statuses 410 200; content_by_lua_block { ngx.status = 410 ngx.say("x") } }
    location /302 { srcache_fetch GET /cache $uri; srcache_store PUT /cache $uri; content_by_lua_block { ngx.redirect("/there") } }
    location /size { srcache_store PUT /cache $uri; srcache_store_max_size 50; content_by_lua_block { ngx.header["Content-Length"] = 41 ngx.say("0123456789012345678901234567890123456789") } }
    location /big { srcache_store PUT /cache $uri; srcache_store_max_size 80; echo 0123456789012345678901234567890123456789; }
    location /post { srcache_fetch GET /cache $uri; srcache_store PUT /cache $uri; srcache_methods POST; echo_read_request_body; echo_request_body; }
'
--- request eval
["GET /skip?f=1&s=true", "GET /skip?f=0&s=0", "GET /skip?f=0", "GET /late", "GET /stored?/late", "GET /gone", "GET /410", "GET /302", "GET /302", "GET /size", "GET /big", "GET /stored?/big", "POST /post\nx=1", "POST /post\nx=2"]
--- error_code eval
[200, 200, 200, 200, 200, 410, 410, 302, 302, 200, 200, 200, 200, 200]
--- response_headers eval
["X-Cache: BYPASS BYPASS/", "X-Cache: MISS STORE/60", "X-Cache: HIT BYPASS/", "X-Cache: BYPASS STORE/60", "", "X-Cache: BYPASS BYPASS/", "X-Cache: BYPASS STORE/60", "X-Cache: MISS STORE/60", "X-Cache: HIT BYPASS/", "X-Cache: BYPASS BYPASS/", "X-Cache: BYPASS STORE/60", "", "X-Cache: MISS STORE/60", "X-Cache: HIT BYPASS/"]
--- response_body_like eval
["x", "x", "x", "x", "nothing", "x", "x", "302 Found", "302 Found", "0", "0", "nothing", "x=1", "x=1"]



=== TEST 7: encoded responses
--- config
    location /cache { return 201; }
    location /in { srcache_store PUT /cache; add_header X-Cache $srcache_store_status; content_by_lua_block { ngx.header["Content-Encoding"] = "x" ngx.say("x") } }
--- request
GET /in
--- response_headers
X-Cache: BYPASS
--- error_log
srcache_store skipped due to response header "Content-Encoding: x" (maybe you forgot to disable compression on the backend?)



=== TEST 8: encoded responses that are wanted
--- config
    location /cache { return 201; }
    location /in { srcache_store PUT /cache; srcache_ignore_content_encoding on; add_header X-Cache $srcache_store_status; content_by_lua_block { ngx.header["Content-Encoding"] = "x" ngx.say("x") } }
--- request
GET /in
--- response_headers
X-Cache: STORE
--- no_error_log
[warn]
[error]



=== TEST 9: a head without an end
--- config
    location /cache { content_by_lua_block { ngx.print("HTTP/1.1 200 OK\r\nA: b\r\n") } }
    location /in { srcache_fetch GET /cache; srcache_header_buffer_size 30; echo own; }
--- request
GET /in
--- response_body
own
--- error_log
srcache_fetch: cache sent truncated status line or headers



=== TEST 10: no head at all
--- config
    location /cache { content_by_lua_block { ngx.print("nonsense and more") } }
    location /in { srcache_fetch GET /cache; srcache_header_buffer_size 30; echo own; }
--- request
GET /in
--- response_body
own
--- error_log
srcache_fetch: cache sent invalid status line



=== TEST 11: a header that is too long
--- config
    location /cache { content_by_lua_block { ngx.print("HTTP/1.1 200 OK\r\nX-Long-Long: bbbbbbbbbbbbbbbbbbbbbbb\r\n\r\nx") } }
    location /in { srcache_fetch GET /cache; srcache_header_buffer_size 30; echo own; }
--- request
GET /in
--- response_body
own
--- error_log
srcache_fetch: header buffer overflown (maybe you should consider increasing srcache_header_buffer_size?)



=== TEST 12: an empty body
--- config
    location /cache { content_by_lua_block { ngx.print("HTTP/1.1 200 OK\r\n\r\n") } }
    location /in { srcache_fetch GET /cache; echo own; }
--- request
GET /in
--- response_headers
Content-Length: 0
--- response_body



=== TEST 13: the cache refuses
--- config
    location /cache { return 503; }
    location /in { srcache_fetch GET /cache; srcache_store PUT /cache; echo x; }
--- request
GET /in
--- response_body
x
--- error_log
srcache_store subrequest failed: rc=503 status=0



=== TEST 14: the cache is asked only when the request may come in
--- http_config eval: $::Http
--- config eval
"$::Cache" . '
    location /in { satisfy any; deny all; srcache_fetch GET /cache $uri; srcache_store PUT /cache $uri; echo x; }
'
--- request eval
["GET /put?k=/in&v=HTTP/1.1%20200%20OK%0d%0a%0d%0asecret", "GET /in"]
--- error_code eval
[200, 403]
--- response_body_like eval
["put", "403 Forbidden"]



=== TEST 15: log, and a large body in pieces
--- http_config eval: $::Http
--- config eval
"$::Cache" . '
    location /in { srcache_fetch GET /cache $uri; srcache_store PUT /cache $uri; content_by_lua_block { for i = 1, 100 do ngx.print(("x"):rep(1000)) ngx.flush(true) end } }
    location /log { content_by_lua_block { local f = io.open(ngx.config.prefix() .. "/logs/cache.log") ngx.print(f:read("*a")) } access_log off; }
'
--- request eval
["GET /in", "GET /in", "GET /log"]
--- response_body eval
["x" x 100000, "x" x 100000, "fetch=MISS store=STORE expire=60\nfetch=HIT store=BYPASS expire=-\n"]



=== TEST 16: a method there is not
--- config
    location /in { srcache_store FETCH /cache; }
--- must_die
--- error_log
srcache_store specifies bad HTTP method FETCH



=== TEST 17: a status that is no number
--- config
    location /in { srcache_store_statuses 200 ok; }
--- must_die
--- error_log
status code "ok" is an invalid number
