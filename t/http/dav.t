use Test::Nginx::Socket 'no_plan';

no_root_location();

our $Ask = q{
    init_by_lua_block {
        function ask(method, uri, headers, body)
            local s = ngx.socket.tcp()
            s:connect("127.0.0.1", tonumber(ngx.var.server_port))
            s:send(method .. " " .. uri .. " HTTP/1.0\r\nHost: localhost\r\n" .. (headers or "") .. (body and "Content-Length: " .. #body .. "\r\n" or "") .. "\r\n" .. (body or ""))
            local head, rest = s:receive("*a"):match("^(.-)\r\n\r\n(.*)$")
            local st = head:match(" (%d+)")
            ngx.say(method, " ", uri, " ", st, " ", head:match("Location: ([^\r]*)") or "-", (st == "200" and " " .. rest:gsub("\n", "") or ""))
        end
    }
};

run_tests();

__DATA__

=== TEST 1: files come and go
--- http_config eval: $::Ask
--- config
    absolute_redirect off;
    location /d/ { root html; dav_methods PUT DELETE MKCOL COPY MOVE; create_full_put_path on; dav_access group:r all:r; client_body_buffer_size 1k; }
    location = / {
        content_by_lua_block {
            ask("PUT", "/d/a%20b.txt", nil, "one")
            ask("GET", "/d/a%20b.txt")
            ask("PUT", "/d/a%20b.txt", nil, "two")
            ask("PUT", "/d/x/y/z.txt", nil, ("z"):rep(3))
            ask("MKCOL", "/d/new/")
            ask("MKCOL", "/d/new/")
            ask("COPY", "/d/a%20b.txt", "Destination: /d/new/copy.txt\r\n")
            ask("GET", "/d/new/copy.txt")
            ask("COPY", "/d/new/", "Destination: http://localhost/d/newer/\r\n")
            ask("GET", "/d/newer/copy.txt")
            ask("MOVE", "/d/newer/", "Destination: /d/x/\r\nOverwrite: F\r\n")
            ask("MOVE", "/d/newer/", "Destination: /d/x/\r\n")
            ask("GET", "/d/x/copy.txt")
            ask("GET", "/d/x/y/z.txt")
            ask("DELETE", "/d/x/", "Depth: 1\r\n")
            ask("DELETE", "/d/x/")
            ask("DELETE", "/d/x/")
        }
    }
--- request
GET /
--- response_body
PUT /d/a%20b.txt 201 /d/a%20b.txt
GET /d/a%20b.txt 200 - one
PUT /d/a%20b.txt 204 -
PUT /d/x/y/z.txt 201 /d/x/y/z.txt
MKCOL /d/new/ 201 /d/new/
MKCOL /d/new/ 405 -
COPY /d/a%20b.txt 204 -
GET /d/new/copy.txt 200 - two
COPY /d/new/ 201 -
GET /d/newer/copy.txt 200 - two
MOVE /d/newer/ 412 -
MOVE /d/newer/ 201 -
GET /d/x/copy.txt 200 - two
GET /d/x/y/z.txt 404 -
DELETE /d/x/ 400 -
DELETE /d/x/ 204 -
DELETE /d/x/ 404 -
--- error_log
"Depth" header must be infinity
could not be created (17: File exists)



=== TEST 2: what is refused
--- http_config eval: $::Ask
--- user_files
>>> d/a.txt
text
--- config
    location /d/ { root html; dav_methods PUT DELETE COPY MOVE; min_delete_depth 3; }
    location /off/ { root html; }
    location = / {
        content_by_lua_block {
            ask("PUT", "/d/", nil, "x")
            ask("PUT", "/d/none/a.txt", nil, "x")
            ask("PUT", "/d/a.txt", "Content-Range: bytes 0-1/3\r\n", "x")
            ask("DELETE", "/d/a.txt")
            ask("COPY", "/d/a.txt")
            ask("COPY", "/d/a.txt", "Destination: /d/../../a.txt\r\n")
            ask("COPY", "/d/a.txt", "Destination: /d/b/\r\n")
            ask("COPY", "/d/a.txt", "Destination: /d/a.txt\r\n")
            ask("COPY", "/d/a.txt", "Destination: http://other/d/b.txt\r\n")
            ask("COPY", "/d/a.txt", "Destination: /d/b.txt\r\nOverwrite: x\r\n")
            ask("COPY", "/d/a.txt", "Destination: /d/b.txt\r\nDepth: 1\r\n")
            ask("MOVE", "/d/none.txt", "Destination: /d/b.txt\r\n")
            ask("PUT", "/off/a.txt", nil, "x")
            ask("GET", "/d/a.txt")
        }
    }
--- request
GET /
--- response_body
PUT /d/ 409 -
PUT /d/none/a.txt 500 -
PUT /d/a.txt 501 -
DELETE /d/a.txt 409 -
COPY /d/a.txt 400 -
COPY /d/a.txt 400 -
COPY /d/a.txt 409 -
COPY /d/a.txt 403 -
COPY /d/a.txt 400 -
COPY /d/a.txt 400 -
COPY /d/a.txt 400 -
MOVE /d/none.txt 404 -
PUT /off/a.txt 405 -
GET /d/a.txt 200 - text
--- error_log
cannot PUT to a collection
insufficient URI depth:2 to DELETE
client sent no "Destination" header
point to the same location
is handled by different repository than the source URI



=== TEST 3: a large body
--- http_config eval: $::Ask
--- config
    location /d/ { root html; dav_methods PUT; create_full_put_path on; client_max_body_size 10m; }
    location = / {
        content_by_lua_block {
            ask("PUT", "/d/large", nil, ("0123456789"):rep(300000))
            ask("PUT", "/d/empty", nil, "")
            local f = io.open("$TEST_NGINX_HTML_DIR/d/large")
            ngx.say(f:seek("end"))
            f = io.open("$TEST_NGINX_HTML_DIR/d/empty")
            ngx.say(f:seek("end"))
        }
    }
--- request
GET /
--- response_body
PUT /d/large 201 http://localhost:$TEST_NGINX_SERVER_PORT/d/large
PUT /d/empty 201 http://localhost:$TEST_NGINX_SERVER_PORT/d/empty
3000000
0
