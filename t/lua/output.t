use Test::Nginx::Socket 'no_plan';

no_root_location();
run_tests();

__DATA__

=== TEST 1: print, say: types and tables
--- config
    location / {
        content_by_lua_block {
            ngx.print(1, " ", 2.5, " ", true, " ", nil, " ", "s\n")
            ngx.say({ "a", { 1, { "b" } }, 2 }, "|", ngx.null)
            ngx.say()
            ngx.print()
            ngx.say(1e15, " ", -0.5, " ", 1e100)
        }
    }
--- request
GET /
--- response_body
1 2.5 true nil s
a1b2|null

1e+15 -0.5 1e+100



=== TEST 2: what cannot be printed
--- config
    location /f { content_by_lua_block { ngx.say(pcall(ngx.say, function() end)) } }
    location /t { content_by_lua_block { ngx.say(pcall(ngx.say, { x = 1 })) } }
    location /n { content_by_lua_block { ngx.say({ false, true }) } }
--- request eval
["GET /f", "GET /t", "GET /n"]
--- response_body eval
["falsebad argument #1 to '?' (string, number, boolean, nil, ngx.null, or array table expected, but got function)\n", "falsebad argument #1 to '?' (non-array table found)\n", "falsetrue\n"]



=== TEST 3: flush, eof, headers_sent
--- config
    location / {
        content_by_lua_block {
            ngx.say(ngx.headers_sent)
            ngx.flush(true)
            ngx.say(ngx.headers_sent)
            ngx.say(ngx.eof())
            local ok, err = ngx.say("late")
            ngx.log(ngx.WARN, "late: ", ok, " ", err)
        }
    }
--- request
GET /
--- response_body_like
^false
true
--- error_log
late: nil seen eof



=== TEST 4: send_headers, then a header is too late
--- config
    location / {
        content_by_lua_block {
            ngx.header.X = "1"
            ngx.say(ngx.send_headers())
            ngx.header.X = "2"
        }
    }
--- request
GET /
--- response_headers
X: 1
--- error_log
attempt to set ngx.header.HEADER after sending out response headers



=== TEST 5: status
--- config
    location / { content_by_lua_block { ngx.status = 201 ngx.say(ngx.status) } }
    location /late { content_by_lua_block { ngx.say("x") ngx.flush(true) ngx.status = 201 } }
--- request
GET /
--- error_code: 201
--- response_body
201



=== TEST 6: a HEAD request has the head only
--- config
    location / { content_by_lua_block { ngx.header.content_length = 5 ngx.print("hello") } }
--- request
HEAD /
--- response_headers
Content-Length: 5
--- response_body:



=== TEST 7: nothing said is an empty answer
--- config
    location / { content_by_lua_block { } }
--- request
GET /
--- response_body:
--- error_code: 200



=== TEST 8: much output
--- config
    location / { content_by_lua_block { for i = 1, 2000 do ngx.print(string.rep("x", 100)) end } }
--- request
GET /
--- response_body eval
"x" x 200000



=== TEST 9: lua_use_default_type off
--- config
    default_type text/x-own;
    location /on { content_by_lua_block { ngx.say("x") } }
    location /off { lua_use_default_type off; content_by_lua_block { ngx.say("x") } }
--- request eval
["GET /on", "GET /off"]
--- response_headers eval
["Content-Type: text/x-own", "!Content-Type"]



=== TEST 10: HTTP/1.0 and lua_http10_buffering
--- config
    location / { content_by_lua_block { ngx.print("ab") ngx.print("cd") } }
--- raw_request eval
"GET / HTTP/1.0\r\n\r\n"
--- response_headers
Content-Length: 4
--- response_body: abcd
