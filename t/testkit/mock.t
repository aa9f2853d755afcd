=== TEST 1: a server of the mock section stands for an address of the configuration
--- config
    location /users/ {
        proxy_set_header X-Token $arg_token;
        proxy_pass http://users.internal:8081;
    }
--- mock
>>> users.internal:8081
location /users/ { return 200 "user $uri, token $http_x_token\n"; }
--- request
GET /users/7?token=abc
--- response_body
user /users/7, token abc
--- mock_requests
users.internal:8081 GET /users/7?token=abc
--- no_error_log
[error]



=== TEST 2: two of them, and Lua
--- http_config
    upstream both { server one:80; server two backup; }
--- config
    location /pass/ { proxy_next_upstream error non_idempotent; proxy_pass http://both; }
    location = /t {
        content_by_lua_block {
            local res = ngx.location.capture("/pass/x", {method = ngx.HTTP_POST, body = "abc"})
            ngx.say(res.status, " ", res.body)
        }
    }
--- mock
map $request_method $lower { POST post; default other; }
>>> one:80
return 444;
>>> two
location / {
    content_by_lua_block {
        ngx.req.read_body()
        ngx.status = 201
        ngx.print("two: ", ngx.var.lower, " ", ngx.req.get_body_data())
    }
}
--- request
GET /t
--- response_body
201 two: post abc
--- error_log
upstream prematurely closed connection



=== TEST 3: a stand-in for a service that does not speak HTTP
--- config
    location = /t {
        content_by_lua_block {
            local sock = ngx.socket.tcp()
            assert(sock:connect("redis.internal", 6379))
            sock:send("PING\r\n")
            ngx.say(sock:receive())
        }
    }
--- tcp_listen: redis.internal:6379
--- tcp_query eval: "PING\r\n"
--- tcp_reply eval: "+PONG\r\n"
--- request
GET /t
--- response_body
+PONG
