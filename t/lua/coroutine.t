use Test::Nginx::Socket 'no_plan';

no_root_location();
run_tests();

__DATA__

=== TEST 1: create, resume, yield, status, wrap, running
--- config
    location / {
        content_by_lua_block {
            local co = coroutine.create(function(a, b) local c = coroutine.yield(a + b) local d, e = coroutine.yield(c * 2) return d .. e end)
            ngx.say(coroutine.status(co)) ngx.say(coroutine.resume(co, 1, 2)) ngx.say(coroutine.resume(co, 10))
            ngx.say(coroutine.resume(co, "x", "y")) ngx.say(coroutine.status(co)) ngx.say(coroutine.resume(co))
            local gen = coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) end end)
            ngx.say(gen(), gen(), gen())
            ngx.say(type(coroutine.running()))
        }
    }
--- request
GET /
--- response_body
suspended
true3
true20
truexy
dead
falsecannot resume dead coroutine
123
thread



=== TEST 2: sleeping inside of a coroutine
--- config
    location / {
        content_by_lua_block {
            local co = coroutine.wrap(function() ngx.sleep(0.001) coroutine.yield("a") ngx.sleep(0.001) return "b" end)
            ngx.say(co(), co())
        }
    }
--- request
GET /
--- response_body
ab



=== TEST 3: errors inside of coroutines
--- config
    location / {
        content_by_lua_block {
            local co = coroutine.create(function() error("inside") end)
            local ok, err = coroutine.resume(co)
            ngx.say(ok, " ", err:match("inside"))
        }
    }
--- request
GET /
--- response_body
false inside



=== TEST 4: subrequests inside of coroutines
--- config
    location / { content_by_lua_block { local co = coroutine.wrap(function() for i = 1, 2 do coroutine.yield(ngx.location.capture("/s?" .. i).body) end end) ngx.say(co(), co()) } }
    location /s { return 200 "<$args>"; }
--- request
GET /
--- response_body
<1><2>



=== TEST 5: coroutines in filters and init
--- http_config
    init_by_lua_block { made = coroutine.wrap(function() coroutine.yield("init") end)() }
--- config
    location / {
        content_by_lua_block { ngx.say(made) }
        header_filter_by_lua_block { ngx.header.X = coroutine.wrap(function() return "filter" end)() }
    }
--- request
GET /
--- response_headers
X: filter
--- response_body
init



=== TEST 6: ngx.sleep: times and errors
--- config
    location / { content_by_lua_block { local t = ngx.now() ngx.sleep(0.02) ngx.update_time() ngx.say(ngx.now() - t >= 0.019) ngx.sleep(0) ngx.say(pcall(ngx.sleep, -1)) } }
--- request
GET /
--- response_body
true
falseinvalid sleep duration "-1000"



=== TEST 7: pcall across a wait
--- config
    location / { content_by_lua_block { ngx.say(pcall(function() ngx.sleep(0.001) return "slept" end)) ngx.say(pcall(function() ngx.sleep(0.001) error("after", 0) end)) ngx.say(xpcall(function() ngx.sleep(0.001) error("x", 0) end, function(m) return "handled " .. m end)) } }
--- request
GET /
--- response_body
trueslept
falseafter
falsehandled x



=== TEST 8: requests wait at the same time
--- http_config
    lua_shared_dict d 64k;
--- config
    location /t { content_by_lua_block { local r = { ngx.location.capture_multi({ { "/s" }, { "/s" }, { "/s" }, { "/s" } }) } ngx.say(#r, " ", r[1].body) } }
    location /s { content_by_lua_block { ngx.shared.d:incr("n", 1, 0) while ngx.shared.d:get("n") < 4 do ngx.sleep(0.001) end ngx.print(ngx.shared.d:get("n")) } }
--- request
GET /t
--- response_body
4 4
