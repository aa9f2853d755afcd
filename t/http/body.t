use Test::Nginx::Socket 'no_plan';

no_root_location();
run_tests();

__DATA__

=== TEST 1: a chunked body, with extensions and trailers
--- config
    location /t { content_by_lua_block { ngx.req.read_body() ngx.say(ngx.req.get_body_data(), "|", ngx.var.http_x_trailer) } }
--- raw_request eval
"POST /t HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;name=value\r\n world\r\n0\r\nX-Trailer: t\r\n\r\n"
--- response_body
hello world|nil



=== TEST 2: chunk sizes in either case and with zeros
--- config
    location /t { content_by_lua_block { ngx.req.read_body() ngx.say(#ngx.req.get_body_data()) } }
--- raw_request eval
"POST /t HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: Chunked\r\n\r\n00A\r\n" . ("x" x 10) . "\r\nb\r\n" . ("y" x 11) . "\r\n000\r\n\r\n"
--- response_body
21



=== TEST 3: malformed chunks
--- config
    location /t { content_by_lua_block { ngx.req.read_body() ngx.say("read") } }
--- raw_request eval
[map { "POST /t HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n$_" } ("x\r\n", "5\r\nhelloX", "-1\r\n", "\r\n", "fffffffffffffffff\r\n")]
--- error_code eval
[400, 400, 400, 400, 400]



=== TEST 4: 413 for a length above client_max_body_size
--- config
    location /t { client_max_body_size 10; content_by_lua_block { ngx.req.read_body() ngx.say(#(ngx.req.get_body_data() or "")) } }
--- request eval
["POST /t\n0123456789", "POST /t\n01234567890"]
--- error_code eval
[200, 413]



=== TEST 5: a length above client_max_body_size is logged
--- config
    location /t { client_max_body_size 10; content_by_lua_block { ngx.req.read_body() } }
--- request
POST /t
01234567890
--- error_code: 413
--- error_log
client intended to send too large body: 11 bytes



=== TEST 6: 413 for chunks
--- config
    location /t { client_max_body_size 10; content_by_lua_block { ngx.req.read_body() ngx.say("read") } }
--- raw_request eval
"POST /t HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nabcdef\r\n6\r\nghijkl\r\n0\r\n\r\n"
--- error_code: 413
--- error_log
client intended to send too large chunked body: 6+6 bytes



=== TEST 7: client_max_body_size 0 means no limit
--- config
    location /t { client_max_body_size 0; content_by_lua_block { ngx.req.read_body() local f = ngx.req.get_body_file() ngx.say(f and "file" or #ngx.req.get_body_data()) } }
--- request eval
"POST /t\n" . ("x" x 100000)
--- response_body
file



=== TEST 8: Expect: 100-continue
--- config
    location /t { content_by_lua_block { ngx.req.read_body() ngx.say(ngx.req.get_body_data()) } }
--- raw_request eval
"POST /t HTTP/1.1\r\nHost: a\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nbody"
--- ignore_response
--- no_error_log
[error]



=== TEST 9: client_body_in_single_buffer and the temporary file
--- config
    client_body_buffer_size 8;
    location /t { content_by_lua_block { ngx.req.read_body() local n = ngx.req.get_body_file() local f = io.open(n) ngx.say(f:read("*a")) f:close() } }
--- request eval
"POST /t\n" . ("more than comes with the head." x 4000)
--- response_body eval
("more than comes with the head." x 4000) . "\n"



=== TEST 10: a body that came with the head stays in memory
--- config
    client_body_buffer_size 8;
    location /t { content_by_lua_block { ngx.req.read_body() ngx.say(ngx.req.get_body_data()) } }
--- request
POST /t
a body of more than eight bytes
--- response_body
a body of more than eight bytes
--- no_error_log
[warn]



=== TEST 11: client_body_in_file_only
--- config
    client_body_in_file_only on;
    location /t { content_by_lua_block { ngx.req.read_body() ngx.say(ngx.req.get_body_data() == nil, " ", ngx.var.request_body_file ~= nil) } }
--- request
POST /t
x
--- response_body
true true



=== TEST 12: a client that goes in the middle of a body
--- config
    location /t { content_by_lua_block { ngx.req.read_body() ngx.say("read") } }
--- raw_request eval
"POST /t HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc"
--- shutdown: 1
--- ignore_response
--- error_log
client prematurely closed connection
--- log_level: info



=== TEST 13: client_body_timeout
--- config
    client_body_timeout 50ms;
    location /t { content_by_lua_block { ngx.req.read_body() ngx.say("read") } }
--- raw_request eval
"POST /t HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc"
--- ignore_response
--- access_log
" 408 



=== TEST 14: chunks that nobody reads are checked all the same
--- config
    location /t { return 200 "not read\n"; }
--- raw_request eval
[map { "POST /t HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n$_" } ("3\r\nabc\r\n0\r\n\r\n", "3\r\nabcX", "zz\r\n")]
--- error_code eval
[200, 400, 400]



=== TEST 15: the expectation of a request without a body is met
--- config
    location /t { content_by_lua_block { ngx.req.read_body() ngx.say("x") } }
    location /check {
        content_by_lua_block {
            local function ask(head)
                local s = ngx.socket.tcp()
                assert(s:connect("127.0.0.1", ngx.var.server_port))
                s:send("POST /t HTTP/" .. head .. "\r\nContent-Length: 0\r\nHost: a\r\nConnection: close\r\n\r\n")
                ngx.say((s:receive()))
            end
            ask("1.1\r\nExpect: 100-continue") ask("1.1\r\nExpect: 100-Continue") ask("1.0\r\nExpect: 100-continue") ask("1.1")
        }
    }
--- request
GET /check
--- response_body
HTTP/1.1 100 Continue
HTTP/1.1 100 Continue
HTTP/1.1 200 OK
HTTP/1.1 200 OK
