use Test::Nginx::Socket 'no_plan';

no_root_location();

our $Say = q{
    content_by_lua_block {
        local v = ngx.var
        ngx.say(v.remote_addr, " ", v.remote_port == v.realip_remote_port and "own port" or "[" .. v.remote_port .. "]", " ", v.realip_remote_addr)
    }
};

run_tests();

__DATA__

=== TEST 1: headers of trusted proxies
--- config eval
"set_real_ip_from 127.0.0.0/8;
location /real { $::Say }
location /fwd { real_ip_header X-Forwarded-For; $::Say }
location /rec { real_ip_header X-Forwarded-For; real_ip_recursive on; set_real_ip_from 127.0.0.1; set_real_ip_from 10.0.0.0/8; $::Say }
location /own { real_ip_header X-Client; $::Say }
location /none { set_real_ip_from 10.0.0.0/8; $::Say }"
--- more_headers
X-Real-IP: 192.0.2.1
X-Forwarded-For: 192.0.2.2, 192.0.2.3, 10.1.1.1
X-Forwarded-For: 10.1.1.2:8080
X-Client: [2001:db8::1]:99
--- request eval
["GET /none", "GET /none", "GET /none", "GET /none", "GET /none"]
--- response_body eval
["192.0.2.1 [] 127.0.0.1\n", "192.0.2.1 [] 127.0.0.1\n", "192.0.2.1 [] 127.0.0.1\n", "192.0.2.1 [] 127.0.0.1\n", "192.0.2.1 [] 127.0.0.1\n"]



=== TEST 2: in locations, which is too late when the server has an answer
--- config eval
"location /real { set_real_ip_from 127.0.0.1; $::Say }
location /fwd { set_real_ip_from 127.0.0.1; real_ip_header X-Forwarded-For; $::Say }
location /rec { real_ip_header X-Forwarded-For; real_ip_recursive on; set_real_ip_from 127.0.0.1; set_real_ip_from 10.0.0.0/8; $::Say }
location /own { set_real_ip_from 127.0.0.1; real_ip_header X-Client; $::Say }
location /unix { set_real_ip_from unix:; $::Say }
location /none { set_real_ip_from 10.0.0.0/8; $::Say }"
--- more_headers
X-Real-IP: 192.0.2.1
X-Forwarded-For: 192.0.2.2, 192.0.2.3, 10.1.1.1
X-Forwarded-For: 10.1.1.2:8080
X-Client: [2001:db8::1]:99
--- request eval
["GET /real", "GET /fwd", "GET /rec", "GET /own", "GET /unix", "GET /none"]
--- response_body eval
["192.0.2.1 [] 127.0.0.1\n", "10.1.1.2 [8080] 127.0.0.1\n", "192.0.2.3 [] 127.0.0.1\n", "2001:db8::1 [99] 127.0.0.1\n", "127.0.0.1 own port 127.0.0.1\n", "127.0.0.1 own port 127.0.0.1\n"]



=== TEST 3: access rules, internal redirects and log lines see the client; the next request begins anew
--- config
    location /in { set_real_ip_from 127.0.0.1; deny 192.0.2.0/24; content_by_lua_block { ngx.say("in") } }
    location /next { set_real_ip_from 127.0.0.1; content_by_lua_block { ngx.exec("/last") } }
    location /last { set_real_ip_from 127.0.0.1; real_ip_header X-Other; content_by_lua_block { ngx.say(ngx.var.remote_addr, " ", ngx.var.realip_remote_addr) } }
    location / {
        content_by_lua_block {
            local s = ngx.socket.tcp()
            s:connect("127.0.0.1", $TEST_NGINX_SERVER_PORT)
            local function get(uri, headers)
                s:send("GET " .. uri .. " HTTP/1.1\r\nHost: x\r\n" .. headers .. "\r\n")
                local line, h = s:receive()
                repeat h = s:receive() until h == ""
                local size = tonumber(s:receive(), 16) or 0
                ngx.say(line:match(" (%d+)"), size > 0 and " " .. s:receive(size):gsub("\n", "") or "")
                s:receive(2) s:receive() s:receive()
            end
            get("/next", "X-Real-IP: 192.0.2.9\r\nX-Other: 192.0.2.7\r\n")
            get("/in", "")
            get("/in", "X-Real-IP: 192.0.2.9\r\nConnection: close\r\n")
        }
    }
--- request
GET /
--- response_body
200 192.0.2.9 127.0.0.1
200 in
403
--- error_log
access forbidden by rule, client: 192.0.2.9, server:



=== TEST 4: the PROXY protocol
--- http_config
    server {
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1 proxy_protocol;
        set_real_ip_from 127.0.0.1; real_ip_header proxy_protocol;
        location / { content_by_lua_block { ngx.say(ngx.var.remote_addr, " ", ngx.var.remote_port, " ", ngx.var.realip_remote_addr) } }
    }
--- config
    location / {
        content_by_lua_block {
            local s = ngx.socket.tcp()
            s:connect("127.0.0.1", $TEST_NGINX_RAND_PORT_1)
            s:send("PROXY TCP4 192.0.2.1 192.0.2.2 1234 5678\r\nGET / HTTP/1.0\r\n\r\n")
            ngx.print(s:receive("*a"):match("\r\n\r\n(.*)$"))
        }
    }
--- request
GET /
--- response_body
192.0.2.1 1234 127.0.0.1



=== TEST 5: a name
--- config
    set_real_ip_from localhost;
    location / { content_by_lua_block { ngx.say(ngx.var.remote_addr) } }
--- more_headers
X-Real-IP: 192.0.2.1
--- request
GET /
--- response_body
192.0.2.1



=== TEST 6: a name that is none
--- config
    set_real_ip_from no.such.name.invalid;
--- must_die
--- error_log
host not found in set_real_ip_from "no.such.name.invalid" in
