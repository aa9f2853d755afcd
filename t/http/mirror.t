use Test::Nginx::Socket 'no_plan';

no_root_location();
run_tests();

__DATA__

=== TEST 1: copies with method, arguments and body; their answers are nobody's
--- config
    location /in { mirror /copy/1; mirror /copy/2; content_by_lua_block { ngx.req.read_body() ngx.say("in: ", ngx.req.get_body_data()) } }
    location /copy {
        internal;
        content_by_lua_block {
            ngx.log(ngx.WARN, "copy: ", ngx.req.get_method(), " ", ngx.var.uri, " ", ngx.var.args, " ", ngx.var.request_body)
            ngx.say("nobody sees this")
        }
    }
--- request
POST /in?a=b
the body
--- response_body
in: the body
--- error_log
copy: POST /copy/1 a=b the body
copy: POST /copy/2 a=b the body



=== TEST 2: a slow copy holds up the next request of the connection, not the response
--- config
    location /in { mirror /copy; content_by_lua_block { ngx.say("in") } }
    location /copy { internal; content_by_lua_block { while not ngx.shared.d:get("go") do ngx.sleep(0.001) end ngx.shared.d:incr("n", 1, 0) } }
    location /count { content_by_lua_block { ngx.say(ngx.shared.d:get("n")) } }
    location / {
        content_by_lua_block {
            local s = ngx.socket.tcp()
            s:connect("127.0.0.1", $TEST_NGINX_SERVER_PORT)
            local function ask(uri) s:send("GET " .. uri .. " HTTP/1.1\r\nHost: x\r\n\r\n") end
            local function answer()
                repeat local h = s:receive() until h == ""
                local body = s:receive(tonumber(s:receive(), 16))
                s:receive(2) s:receive() s:receive()
                return body
            end
            ask("/in")
            ngx.print(answer())
            ask("/count")
            ngx.sleep(0.02)
            ngx.shared.d:set("go", true)
            ngx.print(answer())
        }
    }
--- http_config
    lua_shared_dict d 1m;
--- request
GET /
--- response_body
in
1



=== TEST 3: no body, none at all, an error of the copy
--- config
    mirror /copy;
    location /in { mirror_request_body off; content_by_lua_block { ngx.req.read_body() ngx.say("in: ", ngx.req.get_body_data()) } }
    location /off { mirror off; content_by_lua_block { ngx.say("off") } }
    location /copy {
        internal;
        content_by_lua_block { ngx.log(ngx.WARN, "copy for ", ngx.var.request_uri, ": [", ngx.var.request_body or "-", "]") ngx.exit(500) }
    }
    location / {
        mirror off;
        content_by_lua_block {
            for _, uri in ipairs { "/in", "/off" } do
                local s = ngx.socket.tcp()
                s:connect("127.0.0.1", $TEST_NGINX_SERVER_PORT)
                s:send("POST " .. uri .. " HTTP/1.0\r\nContent-Length: 4\r\n\r\nbody")
                ngx.print(s:receive("*a"):match("\r\n\r\n(.*)$"))
            end
        }
    }
--- request
GET /
--- response_body
in: body
off
--- error_log
copy for /in: [-]
--- no_error_log
copy for /off



=== TEST 4: off and on
--- config
    mirror /copy;
    mirror off;
--- must_die
--- error_log
"mirror" directive is duplicate in



=== TEST 5: a client that has its response and goes does not take the copy with it
--- config
    location /in { mirror /copy; content_by_lua_block { ngx.say("in") } }
    location /copy { internal; proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/slow; }
    location /slow {
        lua_check_client_abort on;
        content_by_lua_block {
            ngx.on_abort(function() ngx.shared.d:set("end", "cut off") ngx.exit(499) end)
            ngx.shared.d:set("begun", true)
            while not ngx.shared.d:get("gone") do ngx.sleep(0.01) end
            ngx.sleep(0.05)
            ngx.shared.d:set("end", "complete")
        }
    }
    location / {
        content_by_lua_block {
            local s, d = ngx.socket.tcp(), ngx.shared.d
            s:connect("127.0.0.1", $TEST_NGINX_SERVER_PORT)
            s:send("GET /in HTTP/1.1\r\nHost: x\r\n\r\n")
            ngx.say((s:receive()))
            while not d:get("begun") do ngx.sleep(0.01) end
            s:close()
            d:set("gone", true)
            while not d:get("end") do ngx.sleep(0.01) end
            ngx.say(d:get("end"))
        }
    }
--- http_config
    lua_shared_dict d 1m;
--- request
GET /
--- response_body
HTTP/1.1 200 OK
complete
--- no_error_log
prematurely closed
