use Test::Nginx::Socket 'no_plan';

no_root_location();

our $Back = q{
    location /back/ { alias html/; add_header X-Asked $http_range always; access_by_lua_block { ngx.shared.d:rpush("asked", ngx.var.http_range) } }
    location /asked {
        content_by_lua_block {
            local all = {}
            repeat
                local v = ngx.shared.d:lpop("asked")
                all[#all + 1] = v
            until not v
            ngx.say(table.concat(all, " "))
        }
    }
    location /in/ { slice 4; proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/back/; proxy_set_header Range $slice_range; proxy_http_version 1.1; }
};

run_tests();

__DATA__

=== TEST 1: the whole
--- http_config
    lua_shared_dict d 1m;
--- config eval: $::Back
--- user_files
>>> a.txt
0123456789
--- request eval
["GET /in/a.txt", "GET /asked"]
--- response_body eval
["0123456789\n", "bytes=0-3 bytes=4-7 bytes=8-11\n"]
--- no_error_log
[error]



=== TEST 2: a range within one part, over several, at the end
--- http_config
    lua_shared_dict d 1m;
--- config eval
"$::Back
location = /t {
    content_by_lua_block {
        for _, range in ipairs { '1-2', '3-8', '5-5', '8-', '4-7', '-3', '20-30', '0-0,9-9' } do
            local s = ngx.socket.tcp()
            s:connect('127.0.0.1', \$TEST_NGINX_SERVER_PORT)
            s:send('GET /in/a.txt HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\nRange: bytes=' .. range .. '\\r\\n\\r\\n')
            local head, body = s:receive('*a'):match('^(.-)\\r\\n\\r\\n(.*)\$')
            local st = head:match(' (%d+)')
            ngx.say(range, ' ', st, ' ', head:match('Content%-Range: ([^\\r]*)') or '-', ' ', st ~= '416' and body:gsub('\\n', '.') or '', ' ', (ngx.location.capture('/asked').body:gsub('\\n', '')))
        end
    }
}"
--- user_files
>>> a.txt
0123456789
--- request
GET /t
--- response_body
1-2 206 bytes 1-2/11 12 bytes=0-3
3-8 206 bytes 3-8/11 345678 bytes=0-3 bytes=4-7 bytes=8-11
5-5 206 bytes 5-5/11 5 bytes=4-7
8- 206 bytes 8-10/11 89. bytes=8-11
4-7 206 bytes 4-7/11 4567 bytes=4-7
-3 206 bytes 8-10/11 89. bytes=0-3 bytes=8-11
20-30 416 bytes */11  bytes=20-23
0-0,9-9 200 - 0123456789. bytes=0-3 bytes=4-7 bytes=8-11



=== TEST 3: a server that sends no parts
--- config
    location /in/ { slice 4; proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/back/; proxy_set_header Range $slice_range; }
    location /back/ { return 200 "no parts\n"; }
--- request
GET /in/a
--- response_body
no parts



=== TEST 4: a file that changes
--- config
    location /in/ { slice 4; postpone_output 0; proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/back; proxy_set_header Range $slice_range; }
    location /back {
        content_by_lua_block {
            local from = tonumber(ngx.var.http_range:match("bytes=(%d+)"))
            ngx.status = 206
            ngx.header.etag = '"' .. from .. '"'
            ngx.header.content_range = "bytes " .. from .. "-" .. from + 3 .. "/12"
            ngx.header.content_length = 4
            ngx.print("abcd")
        }
    }
    location / {
        content_by_lua_block {
            local s = ngx.socket.tcp()
            s:connect("127.0.0.1", $TEST_NGINX_SERVER_PORT)
            s:send("GET /in/a HTTP/1.0\r\n\r\n")
            ngx.say((s:receive("*a"):match("\r\n\r\n(.*)$")))
        }
    }
--- request
GET /
--- response_body
abcd
--- error_log
etag mismatch in slice response



=== TEST 5: answers that do not fit
--- config
    location /in/ { slice 4; proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/back; proxy_set_header Range $slice_range; }
    location /back { content_by_lua_block { ngx.status = 206; ngx.header.content_range = "bytes 1-3/12"; ngx.print("abc") } }
    location / { content_by_lua_block { ngx.say(ngx.location.capture("/gone").status) local s = ngx.socket.tcp() s:connect("127.0.0.1", $TEST_NGINX_SERVER_PORT) s:send("GET /in/a HTTP/1.0\r\n\r\n") s:receive("*a") } }
    location /gone { return 204; }
--- request
GET /
--- response_body
204
--- error_log
unexpected range in slice response: 1-4, expected: 0-5



=== TEST 6: without slices
--- config
    location / { return 200 "[$slice_range]\n"; }
--- request
GET /
--- response_body
[]
