use Test::Nginx::Socket 'no_plan';

no_root_location();
run_tests();

__DATA__

=== TEST 1: capture: status, body, headers
--- config
    location /t { content_by_lua_block { local r = ngx.location.capture("/s?x=1") ngx.say(r.status, " ", r.body, r.header["X-S"], " ", r.truncated) } }
    location /s { content_by_lua_block { ngx.status = 201 ngx.header["X-S"] = "yes" ngx.print("sub ", ngx.var.arg_x, " ") } }
--- request
GET /t
--- response_body
201 sub 1 yes false



=== TEST 2: capture: method, body, args, vars, ctx
--- config
    location /t {
        set $v outer;
        content_by_lua_block {
            local ctx = {}
            local r = ngx.location.capture("/s", { method = ngx.HTTP_POST, body = "posted", args = { a = 1 }, vars = { v = "given" }, ctx = ctx })
            ngx.say(r.body, " ", ctx.back, " ", ngx.var.v)
        }
    }
    location /s { set $v $v; content_by_lua_block { ngx.req.read_body() ngx.ctx.back = "ctx" ngx.print(ngx.req.get_method(), " ", ngx.req.get_body_data(), " ", ngx.var.args, " ", ngx.var.v) } }
--- request
GET /t
--- response_body
POST posted a=1 given ctx outer



=== TEST 3: share_all_vars and copy_all_vars
--- config
    location /share { set $v 1; content_by_lua_block { ngx.location.capture("/s", { share_all_vars = true }) ngx.say(ngx.var.v) } }
    location /copy { set $v 1; content_by_lua_block { local r = ngx.location.capture("/s", { copy_all_vars = true }) ngx.say(ngx.var.v, " ", r.body) } }
    location /s { content_by_lua_block { ngx.var.v = ngx.var.v + 1 ngx.print(ngx.var.v) } }
--- request eval
["GET /share", "GET /copy"]
--- response_body eval
["2\n", "1 2\n"]



=== TEST 4: capture_multi keeps the order
--- config
    location /t { content_by_lua_block { local a, b, c = ngx.location.capture_multi({ { "/s?n=1&d=0.02" }, { "/s?n=2&d=0" }, { "/s?n=3&d=0.01", { method = ngx.HTTP_HEAD } } }) ngx.say(a.body, b.body, "[", c.body, "]", c.status) } }
    location /s { content_by_lua_block { ngx.sleep(tonumber(ngx.var.arg_d)) ngx.print(ngx.var.arg_n) } }
--- request
GET /t
--- response_body
12[]200



=== TEST 5: captures in captures
--- config
    location ~ ^/t(\d) { content_by_lua_block { local n = tonumber(ngx.var[1]) if n == 0 then ngx.print("end") else ngx.print(n, ngx.location.capture("/t" .. n - 1).body) end } }
--- request
GET /t4
--- response_body: 4321end



=== TEST 6: a subrequest that fails
--- config
    location /t { content_by_lua_block { local r = ngx.location.capture("/bad") ngx.say(r.status) local n = ngx.location.capture("/none") ngx.say(n.status) } }
    location /bad { content_by_lua_block { error("bad") } }
    location /none { return 404; }
--- request
GET /t
--- response_body
500
404



=== TEST 7: static files are captured whole, whatever range the client wants
--- config
    location /t { content_by_lua_block { local r = ngx.location.capture("/f.txt") ngx.print(r.status, " ", r.body) } }
    location / { root html; }
--- user_files
>>> f.txt
file's text
--- more_headers
Range: bytes=0-1
--- request
GET /t
--- response_body
200 file's text



=== TEST 8: captures in rewrite and access
--- config
    location /t {
        rewrite_by_lua_block { ngx.ctx.r = ngx.location.capture("/s?1").body }
        access_by_lua_block { ngx.ctx.a = ngx.location.capture("/s?2").body }
        content_by_lua_block { ngx.say(ngx.ctx.r, ngx.ctx.a) }
    }
    location /s { return 200 "<$args>"; }
--- request
GET /t
--- response_body
<1><2>



=== TEST 9: the request's body is the subrequest's when it is to be forwarded
--- config
    location /sub {
        content_by_lua_block {
            ngx.req.read_body()
            ngx.print(ngx.req.get_method(), " ", ngx.req.get_body_data(), ".")
        }
    }
    location /t {
        content_by_lua_block {
            ngx.req.read_body()
            for _, o in ipairs {
                {}, {always_forward_body = true}, {method = ngx.HTTP_GET, always_forward_body = true}, {method = ngx.HTTP_POST}, {method = ngx.HTTP_PUT},
                {method = ngx.HTTP_POST, body = "own", always_forward_body = true},
            } do
                ngx.say(ngx.location.capture("/sub", o).body)
            end
        }
    }
--- request
POST /t
whole body
--- response_body
GET nil.
GET whole body.
GET whole body.
POST whole body.
PUT whole body.
POST own.



=== TEST 10: subrequests end with the handler that waits for them
--- config
    location /sub {
        content_by_lua_block {
            if ngx.var.arg_nest then
                ngx.location.capture_multi{{"/sub"}, {"/sub"}}
            else
                local s = ngx.socket.tcp()
                s:connect("127.0.0.1", ngx.var.server_port)
                s:receive()
            end
            ngx.log(ngx.ERR, "goes on")
        }
    }
    location /t {
        content_by_lua_block {
            ngx.thread.spawn(function() ngx.sleep(0.001) ngx.exit(444) end)
            ngx.thread.spawn(function() ngx.location.capture("/sub") end)
            ngx.location.capture_multi{{"/sub"}, {"/sub?nest=1"}, {"/sub"}}
            ngx.log(ngx.ERR, "main goes on")
        }
        log_by_lua_block { ngx.log(ngx.WARN, "logged") }
    }
--- request
GET /t
--- ignore_response
--- wait: 0.01
--- error_log
logged
--- no_error_log
goes on
[error]



=== TEST 11: a captured response is the status, not its error_page
--- config
    error_page 403 404 /page.html;
    location = /page.html { return 200 "page"; }
    location /forbidden { return 403; }
    location /t {
        content_by_lua_block {
            for _, u in ipairs { "/forbidden", "/missing" } do
                local r = ngx.location.capture(u)
                ngx.say(r.status, " ", #r.body, " ", r.truncated)
            end
        }
    }
--- request
GET /t
--- response_body
403 0 true
404 0 true



=== TEST 12: the head of a subrequest tells of its own body
--- config
    location /sub {
        content_by_lua_block {
            ngx.req.read_body()
            ngx.say(ngx.req.get_headers()["content-length"], " ", ngx.req.get_body_data())
        }
    }
    location /t {
        content_by_lua_block {
            ngx.req.read_body()
            ngx.print(ngx.location.capture("/sub").body)
            ngx.print(ngx.location.capture("/sub", { method = ngx.HTTP_POST }).body)
            ngx.print(ngx.location.capture("/sub", { always_forward_body = true }).body)
            ngx.print(ngx.location.capture("/sub", { body = "own" }).body)
        }
    }
--- raw_request eval
["POST /t HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
"POST /t HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"]
--- response_body eval
["nil nil\n5 hello\n5 hello\n3 own\n", "nil nil\n5 hello\n5 hello\n3 own\n"]



=== TEST 13: they do not begin when it has ended
--- config
    location /sub {
        content_by_lua_block {
            if ngx.var.arg_nest then
                ngx.location.capture_multi{{"/sub"}, {"/sub"}}
            else
                local s = ngx.socket.tcp()
                s:connect("127.0.0.1", ngx.var.server_port)
                s:receive()
            end
            ngx.log(ngx.ERR, "goes on")
        }
    }
    location /t {
        content_by_lua_block {
            ngx.thread.spawn(function() ngx.sleep(0) ngx.exit(444) end)
            ngx.thread.spawn(function() ngx.location.capture("/sub") end)
            ngx.location.capture_multi{{"/sub"}, {"/sub?nest=1"}, {"/sub"}}
            ngx.log(ngx.ERR, "main goes on")
        }
        log_by_lua_block { ngx.log(ngx.WARN, "logged") }
    }
--- request
GET /t
--- ignore_response
--- wait: 0.01
--- error_log
logged
--- no_error_log
goes on
[error]
