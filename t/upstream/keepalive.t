use Test::Nginx::Socket::Lua 'no_plan';

run_tests();

__DATA__

=== TEST 1: an idle connection is used again, whichever location asks
--- http_config
    upstream u { server 127.0.0.1:$TEST_NGINX_SERVER_PORT; keepalive 4; }
--- config
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    location /a { proxy_pass http://u/back; }
    location /b { proxy_pass http://u/back; }
    location /back { return 200 "$connection $connection_requests"; }
    location /t { content_by_lua_block {
        local first
        for _, uri in ipairs{ "/a", "/b", "/a" } do
            local conn, n = ngx.location.capture(uri).body:match("(%d+) (%d+)")
            first = first or conn
            ngx.say(conn == first, " ", n)
        end
    } }
--- request
GET /t
--- response_body
true 1
true 2
true 3



=== TEST 2: with local, by the location that made it only
--- http_config
    upstream u { server 127.0.0.1:$TEST_NGINX_SERVER_PORT; keepalive 4 local; }
--- config
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    location /a { proxy_pass http://u/back; }
    location /b { proxy_pass http://u/back; }
    location /back { return 200 "$connection $connection_requests"; }
    location /t { content_by_lua_block {
        local first
        for _, uri in ipairs{ "/a", "/b", "/a", "/b" } do
            local conn, n = ngx.location.capture(uri).body:match("(%d+) (%d+)")
            first = first or conn
            ngx.say(conn == first, " ", n)
        end
    } }
--- request
GET /t
--- response_body
true 1
false 1
true 2
false 2



=== TEST 3: keepalive_requests, and none with 0
--- http_config
    upstream two { server 127.0.0.1:$TEST_NGINX_SERVER_PORT; keepalive 4; keepalive_requests 2; }
    upstream none { server 127.0.0.1:$TEST_NGINX_SERVER_PORT; keepalive 0; }
--- config
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    location /two { proxy_pass http://two/back; }
    location /none { proxy_pass http://none/back; }
    location /back { return 200 "$connection_requests"; }
    location /t { content_by_lua_block {
        for _, uri in ipairs{ "/two", "/two", "/two", "/none", "/none" } do
            ngx.say(ngx.location.capture(uri).body)
        end
    } }
--- request
GET /t
--- response_body
1
2
1
1
1
