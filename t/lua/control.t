use Test::Nginx::Socket 'no_plan';

no_root_location();
run_tests();

__DATA__

=== TEST 1: ngx.exec with arguments, to names
--- config
    location /a { content_by_lua_block { ngx.exec("/t", { x = 1 }) } }
    location /b { content_by_lua_block { ngx.exec("/t?y=2") } }
    location /c { content_by_lua_block { ngx.exec("@n") } }
    location /d { content_by_lua_block { ngx.exec("/t", "z=3&w") } }
    location /t { return 200 "$uri $args\n"; }
    location @n { return 200 "named $uri\n"; }
--- request eval
["GET /a", "GET /b", "GET /c", "GET /d"]
--- response_body eval
["/t x=1\n", "/t y=2\n", "named /c\n", "/t z=3&w\n"]



=== TEST 2: ngx.redirect
--- config
    location /a { content_by_lua_block { ngx.redirect("/x?y=1") } }
    location /b { content_by_lua_block { ngx.redirect("http://other.test/", 301) } }
    location /c { content_by_lua_block { ngx.say(pcall(ngx.redirect, "/", 200)) } }
    location /d { rewrite_by_lua_block { ngx.redirect("/y", ngx.HTTP_TEMPORARY_REDIRECT) } }
--- request eval
["GET /a", "GET /b", "GET /c", "GET /d"]
--- error_code eval
[302, 301, 200, 307]
--- response_headers_like eval
["Location: /x\\?y=1", "Location: http://other.test/", "", "Location: /y"]



=== TEST 3: a redirect after output
--- config
    location / { content_by_lua_block { ngx.say("x") ngx.flush(true) local ok, err = pcall(ngx.redirect, "/") ngx.log(ngx.WARN, err) } }
--- request
GET /
--- error_log
attempt to call ngx.redirect after sending out the headers



=== TEST 4: exit: statuses, with a body, after output
--- config
    location /a { content_by_lua_block { ngx.exit(404) ngx.say("no") } }
    location /b { content_by_lua_block { ngx.status = 418 ngx.say("teapot") ngx.exit(ngx.HTTP_OK) } }
    location /c { content_by_lua_block { ngx.say("said") ngx.exit(ngx.OK) ngx.say("no") } }
    location /d { content_by_lua_block { ngx.exit(204) } }
--- request eval
["GET /a", "GET /b", "GET /c", "GET /d"]
--- error_code eval
[404, 418, 200, 204]
--- response_body_like eval
["404 Not Found", "^teapot\n\$", "^said\n\$", "^\$"]



=== TEST 5: exit inside of pcall ends the request all the same
--- config
    location / { content_by_lua_block { pcall(function() ngx.exit(403) end) ngx.say("no") } }
--- request
GET /
--- error_code: 403



=== TEST 6: error_page takes what Lua exits with
--- config
    error_page 404 @lost;
    location /a { content_by_lua_block { ngx.exit(404) } }
    location @lost { content_by_lua_block { ngx.say("lost ", ngx.status, " ", ngx.var.uri) } }
--- request
GET /a
--- error_code: 404
--- response_body
lost 404 /a



=== TEST 7: a runtime error: 500, chunk name, traceback
--- config
    location / {
        content_by_lua_block {
            local function inner() local t = nil; return t.x end
            inner()
        }
    }
--- request
GET /
--- error_code: 500
--- error_log eval
[qr/lua entry thread aborted: runtime error: content_by_lua\(nginx\.conf:\d+\):2: attempt to index local 't' \(a nil value\)/, "stack traceback:", "coroutine 0:", "in function 'inner'"]



=== TEST 8: errors that are tables, strings and nil
--- config
    location /t { content_by_lua_block { error({ code = 1 }) } }
    location /s { content_by_lua_block { error("plain", 0) } }
    location /n { content_by_lua_block { error() } }
--- request eval
["GET /t", "GET /s", "GET /n"]
--- error_code eval
[500, 500, 500]



=== TEST 9: an error after output was sent
--- config
    location / { content_by_lua_block { ngx.say("x") ngx.flush(true) error("late") } }
--- request
GET /
--- ignore_response
--- error_log
late



=== TEST 10: the next request is served after an error
--- config
    location /bad { content_by_lua_block { error("bad") } }
    location /good { content_by_lua_block { ngx.say("good") } }
--- request eval
["GET /bad", "GET /good", "GET /bad", "GET /good"]
--- error_code eval
[500, 200, 500, 200]



=== TEST 11: a module with an error, then without require's memory of it
--- http_config
    lua_package_path "$prefix/html/?.lua;;";
--- config
    location / { content_by_lua_block { local ok, err = pcall(require, "broken") ngx.say(ok, " ", (err:match("unexpected symbol") or err:match("expected"))  ~= nil) ngx.say(require("fine").name) } }
--- user_files
>>> broken.lua
return = 1
>>> fine.lua
return { name = "fine" }
--- request
GET /
--- response_body
false true
fine



=== TEST 12: a module that does not exist
--- config
    location / { content_by_lua_block { local ok, err = pcall(require, "no.such.module") ngx.say(err:match("^module 'no.such.module' not found:")) } }
--- request
GET /
--- response_body
module 'no.such.module' not found:



=== TEST 13: lua_code_cache off: code is read again
--- http_config
    lua_code_cache off;
    lua_package_path "$prefix/html/?.lua;;";
--- config
    location /write { content_by_lua_block { local f = io.open(ngx.config.prefix() .. "html/m.lua", "w") f:write("return { v = " .. ngx.var.arg_v .. " }") f:close() ngx.say("ok") } }
    location /read { content_by_lua_block { ngx.say(require("m").v) } }
--- user_files
>>> m.lua
return { v = 0 }
--- request eval
["GET /read", "GET /write?v=1", "GET /read"]
--- response_body eval
["0\n", "ok\n", "1\n"]



=== TEST 14: modules are loaded once
--- http_config
    lua_package_path "$prefix/html/?.lua;;";
--- config
    location / { content_by_lua_block { local m = require("counter") m.n = m.n + 1 ngx.say(m.n) } }
--- user_files
>>> counter.lua
return { n = 0 }
--- request eval
["GET /", "GET /", "GET /"]
--- response_body eval
["1\n", "2\n", "3\n"]



=== TEST 15: globals that handlers set stay
--- config
    location / { content_by_lua_block { seen = (seen or 0) + 1 ngx.say(seen) } }
--- request eval
["GET /", "GET /"]
--- response_body eval
["1\n", "2\n"]



=== TEST 16: ngx.exit does not change the status of gathered output (HTTP/1.0)
--- config
    location /t {
        content_by_lua_block {
            ngx.say("said")
            ngx.exit(404)
        }
    }
--- request
GET /t HTTP/1.0
--- response_body
said
--- error_code: 200



=== TEST 17: ngx.exit with what is no status closes the connection, in whatever phase, and the worker goes on
--- config
    location = /c { content_by_lua_block { ngx.exit(tonumber(ngx.var.arg_n)) } }
    location = /r { rewrite_by_lua_block { ngx.exit(tonumber(ngx.var.arg_n)) } content_by_lua_block { ngx.say("content") } }
    location = /a { access_by_lua_block { ngx.exit(tonumber(ngx.var.arg_n)) } content_by_lua_block { ngx.say("content") } }
    location = /t {
        content_by_lua_block {
            for _, where in ipairs { "c", "r", "a" } do
                for _, n in ipairs { 1, 100, 199, -3, -6, -100, -101 } do
                    local s = ngx.socket.tcp()
                    assert(s:connect("127.0.0.1", $TEST_NGINX_SERVER_PORT))
                    assert(s:send("GET /" .. where .. "?n=" .. n .. " HTTP/1.1\r\nHost: h\r\n\r\n"))
                    local got, err, partial = s:receive()
                    if err ~= "closed" or partial ~= "" then
                        ngx.say(where, " ", n, ": ", got, " ", err, " ", partial)
                    end
                    s:close()
                end
            end
            ngx.say("done")
        }
    }
--- request
GET /t
--- response_body
done
