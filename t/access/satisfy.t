use Test::Nginx::Socket 'no_plan';

no_root_location();
run_tests();

__DATA__

=== TEST 1: networks, IPv6, all
--- config
    location /in { allow 127.0.0.0/8; deny all; content_by_lua_block { ngx.say("in") } }
    location /out { deny 127.0.0.1; allow all; content_by_lua_block { ngx.say("in") } }
    location /six { allow ::1; deny all; content_by_lua_block { ngx.say("in") } }
    location /rest { deny 192.0.2.0/24; content_by_lua_block { ngx.say("in") } }
--- request eval
["GET /in", "GET /out", "GET /six", "GET /rest"]
--- error_code eval
[200, 403, 403, 200]



=== TEST 2: unix: means sockets of files
--- http_config
    server { listen unix:$TEST_NGINX_HTML_DIR/a.sock; location / { allow unix:; deny all; content_by_lua_block { ngx.say("unix") } } }
--- config
    location /tcp { allow unix:; deny all; content_by_lua_block { ngx.say("in") } }
    location / {
        content_by_lua_block {
            local s = ngx.socket.tcp()
            assert(s:connect("unix:$TEST_NGINX_HTML_DIR/a.sock"))
            s:send("GET / HTTP/1.0\r\n\r\n")
            ngx.print(s:receive("*a"):match("\r\n\r\n(.*)$"))
        }
    }
--- request eval
["GET /", "GET /tcp"]
--- error_code eval
[200, 403]
--- response_body_like eval
["^unix\n\$", "403"]



=== TEST 3: rules are inherited unless the location has its own
--- config
    deny all;
    location /own { allow all; content_by_lua_block { ngx.say("in") } }
    location /none { content_by_lua_block { ngx.say("in") } }
--- request eval
["GET /own", "GET /none"]
--- error_code eval
[200, 403]



=== TEST 4: satisfy all asks everybody
--- config
    location / { satisfy all; allow all; access_by_lua_block { ngx.exit(401) } content_by_lua_block { ngx.say("in") } }
--- request
GET /
--- error_code: 401



=== TEST 5: satisfy any: the refusal of the last one
--- config
    location / { satisfy any; deny all; access_by_lua_block { ngx.exit(401) } content_by_lua_block { ngx.say("in") } }
--- request
GET /
--- error_code: 401



=== TEST 6: limit_except: methods, and what it has for them
--- config
    location / { limit_except GET POST { deny all; } content_by_lua_block { ngx.say(ngx.req.get_method()) } }
--- request eval
["GET /", "HEAD /", "POST /\nx", "PUT /\nx", "DELETE /"]
--- error_code eval
[200, 200, 200, 403, 403]



=== TEST 7: an error page for those who are refused
--- config
    error_page 403 = /sorry;
    location /t { deny all; }
    location /sorry { allow all; return 200 "sorry\n"; }
--- request
GET /t
--- response_body
sorry



=== TEST 8: a mask with more than its network
--- config
    allow 10.1.2.3/8;
    location / { return 200 "x\n"; }
--- request
GET /
--- response_body
x
--- error_log
low address bits of 10.1.2.3/8 are meaningless in



=== TEST 9: an address that is none
--- config
    allow 10.1.2;
--- must_die
--- error_log
invalid parameter "10.1.2" in



=== TEST 10: a method that limit_except does not know
--- config
    location / { limit_except NONSENSE { deny all; } }
--- must_die
--- error_log
invalid method "NONSENSE" in
