use Test::Nginx::Socket 'no_plan';

no_root_location();
run_tests();

__DATA__

=== TEST 1: ngx.header: set, several, delete, read
--- config
    location / {
        content_by_lua_block {
            ngx.header["X-One"] = 1
            ngx.header.x_two = { "a", "b" }
            ngx.header["X-Gone"] = "x"
            ngx.header["X-Gone"] = nil
            ngx.header.content_type = "text/x-own"
            ngx.say(ngx.header["x-one"], " ", ngx.header["X-Gone"], " ", type(ngx.header.x_two), " ", ngx.header.content_type)
        }
    }
--- request
GET /
--- response_headers
X-One: 1
X-Two: a, b
!X-Gone
Content-Type: text/x-own
--- response_body
1 nil table text/x-own



=== TEST 2: ngx.req.get_headers: cases, underscores, several lines, raw
--- config
    location / {
        content_by_lua_block {
            local h, raw = ngx.req.get_headers(), ngx.req.get_headers(0, true)
            ngx.say(h["x-a"], " ", h.X_A, " ", h.x_a, " ", table.concat(h["X-M"], "+"), " ", raw["X-A"], " ", raw["x-a"], " ", h.none)
        }
    }
--- more_headers
X-A: 1
X-M: 2
X-M: 3
--- request
GET /
--- response_body
1 1 1 2+3 1 nil nil



=== TEST 3: get_headers with a limit
--- config
    location / { content_by_lua_block { local h, err = ngx.req.get_headers(2) local n = 0 for _ in pairs(h) do n = n + 1 end ngx.say(n, " ", err) } }
--- more_headers
A: 1
B: 2
--- request
GET /
--- response_body
2 truncated



=== TEST 4: set_header, clear_header
--- config
    location / {
        rewrite_by_lua_block {
            ngx.req.set_header("X-New", "1")
            ngx.req.set_header("X-Many", { "a", "b" })
            ngx.req.clear_header("X-Old")
            ngx.req.set_header("Host", "other.test")
        }
        content_by_lua_block { ngx.say(ngx.var.http_x_new, " ", ngx.var.http_x_old, " ", ngx.var.http_x_many, " ", ngx.var.host, " ", ngx.var.http_host) }
    }
--- more_headers
X-Old: 1
--- request
GET /
--- response_body
1 nil a, b other.test other.test



=== TEST 5: ngx.resp.get_headers
--- config
    location / { content_by_lua_block { ngx.header["X-A"] = "1" ngx.header.foo = { "b", "c" } local h = ngx.resp.get_headers() ngx.say(h["x-a"], " ", h.x_a, " ", table.concat(h.foo, ","), " ", h["content-type"]) } }
--- request
GET /
--- response_body
1 1 b,c nil



=== TEST 6: line ends in values are escaped
--- config
    location / { content_by_lua_block { ngx.header["X-A"] = "a\r\nX-Injected: 1" ngx.header["X-B\r\nY"] = "1" ngx.say("x") } }
--- request
GET /
--- response_headers
X-A: a%0D%0AX-Injected: 1
!X-Injected



=== TEST 7: raw_header and the request line
--- config
    location / { content_by_lua_block { ngx.print(ngx.req.raw_header(true):gsub("\r", ""), "|", ngx.req.http_version(), "|", ngx.req.get_method()) } }
--- raw_request eval
"GET /x HTTP/1.0\r\nA: b\r\n\r\n"
--- response_body eval
"A: b\n\n|1|GET"



=== TEST 8: cookies in and out
--- config
    location / { content_by_lua_block { ngx.header["Set-Cookie"] = { "a=1", "b=2" } ngx.say(ngx.var.cookie_x, ngx.var.http_cookie) } }
--- more_headers
Cookie: x=1; y=2
--- request
GET /
--- raw_response_headers_like
Set-Cookie: a=1\r
Set-Cookie: b=2\r
--- response_body
1x=1; y=2
