use Test::Nginx::Socket 'no_plan';

no_root_location();
run_tests();

__DATA__

=== TEST 1: three requests on a connection
--- config
    location /t { return 200 "$connection_requests $uri\n"; }
--- pipelined_requests eval
["GET /t/1", "GET /t/2", "GET /t/3"]
--- response_body eval
["1 /t/1\n", "2 /t/2\n", "3 /t/3\n"]



=== TEST 2: pipelined bodies are told apart
--- config
    location /t { content_by_lua_block { ngx.req.read_body() ngx.print(ngx.req.get_body_data()) } }
--- pipelined_requests eval
["POST /t\nfirst", "POST /t\nsecond body", "POST /t\n3"]
--- response_body eval
["first", "second body", "3"]



=== TEST 3: a body nobody reads does not disturb the next request
--- config
    location /skip { return 200 "skipped\n"; }
    location /next { return 200 "next\n"; }
--- pipelined_requests eval
["POST /skip\nGET /wrong HTTP/1.1", "GET /next"]
--- response_body eval
["skipped\n", "next\n"]



=== TEST 4: HTTP/1.0 keeps the connection on demand only
--- config
    location /t { return 200 "$http_connection\n"; }
--- raw_request eval
["GET /t HTTP/1.0\r\n\r\n", "GET /t HTTP/1.0\r\nConnection: close\r\n\r\n"]
--- response_headers eval
["Connection: close", "Connection: close"]



=== TEST 5: keepalive_timeout with a second value is told
--- config
    keepalive_timeout 60s 15s;
    location /t { return 200 "x\n"; }
--- raw_request eval
"GET /t HTTP/1.1\r\nHost: a\r\n\r\nGET /t HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
--- ignore_response
--- raw_response_headers_like
Keep-Alive: timeout=15



=== TEST 6: keepalive_timeout 0 closes
--- config
    keepalive_timeout 0;
    location /t { return 200 "x\n"; }
--- raw_request eval
"GET /t HTTP/1.1\r\nHost: a\r\n\r\n"
--- response_headers
Connection: close
--- response_body
x



=== TEST 7: keepalive_requests ends the connection
--- config
    keepalive_requests 2;
    location /t { return 200 "$connection_requests $sent_http_connection\n"; }
--- raw_request eval
"GET /t HTTP/1.1\r\nHost: a\r\n\r\nGET /t HTTP/1.1\r\nHost: a\r\n\r\nGET /t HTTP/1.1\r\nHost: a\r\n\r\n"
--- ignore_response
--- no_error_log
[error]



=== TEST 8: HEAD and 304 and 204 have no body
--- config
    location /head { return 200 "body\n"; }
    location /none { return 204; }
    location /mod { return 304; }
--- raw_request eval
["HEAD /head HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "GET /none HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "GET /mod HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"]
--- error_code eval
[200, 204, 304]
--- response_headers eval
["Content-Length: 5", "!Content-Length", "!Content-Length"]
--- response_body eval
["", "", ""]



=== TEST 9: empty lines before a request
--- config
    location /t { return 200 "$uri\n"; }
--- raw_request eval
["\r\n\r\nGET /t HTTP/1.0\r\n\r\n", "\nGET /t HTTP/1.0\r\n\r\n"]
--- response_body eval
["/t\n", "/t\n"]



=== TEST 10: lines that end in LF only
--- config
    location /t { return 200 "$http_x\n"; }
--- raw_request eval
"GET /t HTTP/1.0\nX: y\n\n"
--- response_body
y



=== TEST 11: a request that comes in small pieces
--- config
    location /t { return 200 "$uri $http_x\n"; }
--- raw_request eval
["GE", "T /t/pie", "ces HTT", "P/1.", "0\r\nX: a", "b\r", "\n\r", "\n"]
--- raw_request_middle_delay: 0.002
--- response_body
/t/pieces ab



=== TEST 12: a client that leaves during limit_rate ends the request
--- config
    location /slow { limit_rate 10; root html; }
    location / {
        content_by_lua_block {
            local s = ngx.socket.tcp()
            assert(s:connect("127.0.0.1", ngx.var.server_port))
            s:send("GET /slow/f.txt HTTP/1.0\r\n\r\n")
            ngx.say((s:receive()))
            s:close()
        }
    }
--- user_files eval
">>> slow/f.txt\n" . ("x" x 10000)
--- request
GET /
--- response_body
HTTP/1.1 200 OK
--- log_level: info
--- error_log
client prematurely closed connection
