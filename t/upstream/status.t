use Test::Nginx::Socket::Lua 'no_plan';

run_tests();

__DATA__

=== TEST 1: servers that Lua chooses are counted too
--- http_config
    upstream u {
        server 0.0.0.1;
        balancer_by_lua_block { assert(require "ngx.balancer".set_current_peer("127.0.0.1", ngx.var.server_port)) }
    }
--- config
    location /p { proxy_pass http://u/ok; }
    location /ok { return 200 ok; }
    location /status { status_page json; }
    location /t { content_by_lua_block {
        for i = 1, 3 do ngx.location.capture("/p") end
        local state = require "cjson".decode(ngx.location.capture("/status").body)
        for _, s in ipairs(state.upstreams[1].servers) do
            ngx.say(s.address:gsub(ngx.var.server_port, "PORT"), " ", s.chosen, " ", s.requests, " ", s.responses["2xx"], " ", s.active_connections)
        end
    } }
--- request
GET /t
--- response_body
127.0.0.1:PORT true 3 3 0
0.0.0.1:80 nil 0 0 0



=== TEST 2: only who is allowed sees the status
--- config
    location /status { status_page; deny all; }
    location /metrics { prometheus_metrics; deny all; }
--- request eval
["GET /status", "GET /metrics"]
--- error_code eval
[403, 403]



=== TEST 3: metrics of zones
--- config
    status_zone front;
    location /ok { return 200 ok; }
    location /metrics { prometheus_metrics; status_zone off; }
--- request eval
["GET /ok", "GET /metrics"]
--- response_body_like eval
["ok", qr/^moongate_zone_requests_total\{zone="front"\} 1$/m]
