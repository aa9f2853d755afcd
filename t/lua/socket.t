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
