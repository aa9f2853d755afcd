use Test::Nginx::Socket 'no_plan';

run_tests();

__DATA__

=== TEST 1: wrong arguments of receiveuntil are told with the caller's line
--- config
    location /t {
        content_by_lua_block {
            local s = ngx.socket.tcp()
            local function try(...)
                local n, args = select("#", ...), { ... }
                local ok, err = pcall(function()
                    local r = s:receiveuntil(unpack(args, 1, n))
                end)
                ngx.say((err:gsub("^content_by_lua%(nginx.conf:%d+%):6: ", "")))
            end
            try()
            try(nil)
            try("x", 1)
            try("x", { inclusive = 1 })
        }
    }
--- request
GET /t
--- response_body
expecting 2 or 3 arguments (including the object), but got 1
bad argument #1 to 'receiveuntil' (string expected, got nil)
bad argument #2 to 'receiveuntil' (table expected, got number)
bad "inclusive" option value type: number



=== TEST 2: a peer that speaks no TLS
--- config
    location /t {
        content_by_lua_block {
            local s = ngx.socket.tcp()
            assert(s:connect("127.0.0.1", ngx.var.server_port))
            ngx.say(s:sslhandshake(nil, "localhost", false))
        }
    }
--- request
GET /t
--- response_body
nilhandshake failed
--- error_log
SSL_do_handshake() failed (SSL: error:0A00010B:SSL routines::wrong version number)



=== TEST 3: setoption takes numbers and booleans
--- config
    location /t {
        content_by_lua_block {
            local s = ngx.socket.tcp()
            assert(s:connect("127.0.0.1", ngx.var.server_port))
            for _, v in ipairs { true, 1, "1", "x", {} } do
                ngx.say(type(v), ": ", select(2, pcall(s.setoption, s, "keepalive", v)))
            end
            ngx.say(s:setoption("keepalive", false), " ", s:getoption("keepalive"))
        }
    }
--- request
GET /t
--- response_body
boolean: true
number: true
string: bad argument #3 to '?' (cannot convert 'string' to 'int')
string: bad argument #3 to '?' (cannot convert 'string' to 'int')
table: bad argument #3 to '?' (cannot convert 'table' to 'int')
true 0



=== TEST 4: a datagram that cannot be sent is logged
--- config
    location /t {
        content_by_lua_block {
            local s = ngx.socket.udp()
            assert(s:setpeername("127.0.0.1", ngx.var.server_port))
            ngx.say(s:send(("x"):rep(70000)))
        }
    }
--- request
GET /t
--- response_body
nilmessage too long
--- error_log
send() failed (90: Message too long)
