use Test::Nginx::Socket 'no_plan';

no_root_location();
run_tests();

__DATA__

=== TEST 1: add_header: for good statuses, or always
--- config
    add_header X-Good yes;
    add_header X-Always yes always;
    location /ok { return 200 "x\n"; }
    location /moved { return 301 /; }
    location /bad { return 404; }
--- request eval
["GET /ok", "GET /moved", "GET /bad"]
--- error_code eval
[200, 301, 404]
--- response_headers eval
["X-Good: yes\nX-Always: yes", "X-Good: yes\nX-Always: yes", "!X-Good\nX-Always: yes"]



=== TEST 2: a level with add_header of its own does not inherit
--- config
    add_header X-Server 1;
    location /own { add_header X-Loc $uri; return 200 "x\n"; }
    location /in { return 200 "x\n"; }
--- request eval
["GET /own", "GET /in"]
--- response_headers eval
["X-Loc: /own\n!X-Server", "X-Server: 1\n!X-Loc"]



=== TEST 3: an empty value adds nothing
--- config
    location / { add_header X-Empty $arg_x; return 200 "x\n"; }
--- request eval
["GET /?x=1", "GET /"]
--- response_headers eval
["X-Empty: 1", "!X-Empty"]



=== TEST 4: expires: after, epoch, max, off, negative
--- config
    location /after { expires 1h; return 200 "x\n"; }
    location /epoch { expires epoch; return 200 "x\n"; }
    location /max { expires max; return 200 "x\n"; }
    location /off { expires off; return 200 "x\n"; }
    location /neg { expires -1; return 200 "x\n"; }
--- request eval
["GET /after", "GET /epoch", "GET /max", "GET /off", "GET /neg"]
--- response_headers eval
["Cache-Control: max-age=3600", "Cache-Control: no-cache\nExpires: Thu, 01 Jan 1970 00:00:01 GMT", "Cache-Control: max-age=315360000\nExpires: Thu, 31 Dec 2037 23:55:55 GMT", "!Cache-Control\n!Expires", "Cache-Control: no-cache"]



=== TEST 5: expires by a variable
--- http_config
    map $arg_t $when { default off; a 60; b epoch; }
--- config
    location / { expires $when; return 200 "x\n"; }
--- request eval
["GET /?t=a", "GET /?t=b", "GET /"]
--- response_headers eval
["Cache-Control: max-age=60", "Cache-Control: no-cache", "!Cache-Control"]



=== TEST 6: Cache-Control of add_header besides that of expires
--- config
    location / { expires 60; add_header Cache-Control private; return 200 "x\n"; }
--- request
GET /
--- response_headers_like
Cache-Control: max-age=60, private



=== TEST 7: Last-Modified may be set and removed
--- config
    location /set { add_header Last-Modified "Sat, 17 Jan 1998 19:35:33 GMT"; return 200 "x\n"; }
    location /del { root html; add_header Last-Modified ""; }
--- user_files
>>> del/f
x
--- request eval
["GET /set", "GET /del/f"]
--- response_headers eval
["Last-Modified: Sat, 17 Jan 1998 19:35:33 GMT", "!Last-Modified"]



=== TEST 8: add_trailer on chunked responses
--- config
    location / { add_trailer X-Sum $arg_s; content_by_lua_block { ngx.say("body") } }
    location /check {
        content_by_lua_block {
            local s = ngx.socket.tcp()
            assert(s:connect("127.0.0.1", ngx.var.server_port))
            s:send("GET /?s=42 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            ngx.print(s:receive("*a"):match("\r\n\r\n(.*)$"))
        }
    }
--- request
GET /check
--- response_body eval
"5\r\nbody\n\r\n0\r\nX-Sum: 42\r\n\r\n"



=== TEST 9: the time of expires is checked
--- config
    location / { expires sometime; }
--- must_die
--- error_log
invalid value in



=== TEST 10: server_tokens: a text of its own, with variables, on error pages too
--- config
    server_tokens "gate ($arg_v)";
    location /ok { return 200 "x\n"; }
    location /bad { return 404; }
--- request eval
["GET /ok?v=7", "GET /bad?v=8"]
--- error_code eval
[200, 404]
--- response_headers eval
["Server: gate (7)", "Server: gate (8)"]
--- response_body_like eval
["^x\$", "<hr><center>gate \\(8\\)</center>"]



=== TEST 11: server_tokens: no text, no header; nor when a variable would make two fields of it
--- config
    location /none { server_tokens ""; return 200 "x\n"; }
    location /two { server_tokens $uri; return 200 "x\n"; }
--- request eval
["GET /none", "GET /two%0d%0aX-Made:%20up", "GET /two"]
--- response_headers eval
["!Server", "!Server\n!X-Made", "Server: /two"]
