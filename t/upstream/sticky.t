use Test::Nginx::Socket 'no_plan';

run_tests();

__DATA__

=== TEST 1: a cookie tells the client its server
--- http_config
    upstream u {
        server 127.0.0.1:$TEST_NGINX_SERVER_PORT route=a;
        server 127.0.0.2:$TEST_NGINX_SERVER_PORT route=b;
        sticky cookie srv path=/x domain=example.com httponly secure samesite=lax;
    }
--- config
    location /p { proxy_pass http://u/ok; }
    location /ok { return 200 $server_addr; }
--- request
GET /p
--- response_headers_like
Set-Cookie: srv=a; domain=example\.com; httponly; secure; samesite=lax; path=/x
--- response_body: 127.0.0.1



=== TEST 2: the cookie brings the client back
--- http_config
    upstream u {
        server 127.0.0.1:$TEST_NGINX_SERVER_PORT route=a;
        server 127.0.0.2:$TEST_NGINX_SERVER_PORT route=b;
        sticky cookie srv;
    }
--- config
    location /p { proxy_pass http://u/ok; }
    location /ok { return 200 $server_addr; }
--- request eval
["GET /p", "GET /p", "GET /p"]
--- more_headers
Cookie: x=y; srv=b
--- response_body eval
["127.0.0.2", "127.0.0.2", "127.0.0.2"]



=== TEST 3: a server that is not alive gives the session to another, and the cookie says so
--- http_config
    upstream u {
        server 127.0.0.1:$TEST_NGINX_SERVER_PORT route=a;
        server 127.0.0.1:1 route=b;
        sticky cookie srv expires=max;
    }
--- config
    location /p { proxy_pass http://u/ok; }
    location /ok { return 200 ok; }
--- request
GET /p
--- more_headers
Cookie: srv=b
--- response_headers
Set-Cookie: srv=a; expires=Thu, 31-Dec-37 23:55:55 GMT; max-age=315360000
--- response_body: ok



=== TEST 4: a route that a variable has
--- http_config
    upstream u {
        server 127.0.0.1:$TEST_NGINX_SERVER_PORT route=a;
        server 127.0.0.2:$TEST_NGINX_SERVER_PORT route=b drain;
        sticky route $cookie_none $arg_r;
    }
--- config
    location /p { proxy_pass http://u/ok; }
    location /ok { return 200 $server_addr; }
--- request eval
["GET /p?r=b", "GET /p?r=b", "GET /p", "GET /p", "GET /p?r=c"]
--- response_body eval
["127.0.0.2", "127.0.0.2", "127.0.0.1", "127.0.0.1", "127.0.0.1"]



=== TEST 5: sessions are learned
--- http_config
    upstream u {
        server 127.0.0.1:$TEST_NGINX_SERVER_PORT;
        server 127.0.0.2:$TEST_NGINX_SERVER_PORT;
        sticky learn create=$upstream_cookie_sid lookup=$cookie_sid zone=sessions:1m;
    }
--- config
    location /p { proxy_pass http://u/ok; proxy_set_header X-New $arg_new; }
    location /ok { add_header Set-Cookie sid=$http_x_new; return 200 $server_addr; }
--- request eval
["GET /p?new=one", "GET /p", "GET /p", "GET /p"]
--- more_headers
Cookie: sid=one
--- response_body eval
["127.0.0.1", "127.0.0.1", "127.0.0.1", "127.0.0.1"]
