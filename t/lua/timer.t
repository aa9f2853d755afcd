use Test::Nginx::Socket 'no_plan';

run_tests();

__DATA__

=== TEST 1: arguments, counts, ngx.ctx and the context in the log
--- config
    location /t {
        content_by_lua_block {
            local done = require("ngx.semaphore").new()
            local seen
            local ok = ngx.timer.at(0.001, function(premature, ...)
                ngx.ctx.x = 1
                seen = { premature, select("#", ...), ... }
                ngx.log(ngx.WARN, "in the timer")
                done:post()
            end, 5, nil, "s", { 9 })
            ngx.say(ok, " ", ngx.timer.pending_count(), " ", ngx.timer.running_count())
            done:wait(5)
            ngx.say(tostring(seen[1]), " ", seen[2], " ", seen[3], " ", tostring(seen[4]), " ", seen[5], " ", seen[6][1], " ", tostring(ngx.ctx.x))
        }
    }
--- request
GET /t
--- response_body
1 1 0
false 4 5 nil s 9 nil
--- error_log
in the timer, context: ngx.timer, client: 127.0.0.1
--- no_error_log
[error]



=== TEST 2: again and again, one at a time
--- config
    location /t {
        content_by_lua_block {
            local sem, n = require("ngx.semaphore").new(), 0
            ngx.timer.every(0.002, function() n = n + 1 sem:post() end)
            for _ = 1, 3 do sem:wait(5) end
            ngx.say(n >= 3, " ", ngx.timer.pending_count())
        }
    }
--- request
GET /t
--- response_body
true 1



=== TEST 3: the limit of pending timers
--- http_config
    lua_max_pending_timers 2;
--- config
    location /t {
        content_by_lua_block {
            local function f() end
            for _ = 1, 3 do ngx.say(ngx.timer.at(10, f)) end
        }
    }
--- request
GET /t
--- response_body
1
1
niltoo many pending timers



=== TEST 4: errors, and what has no place without a request
--- config
    location /t {
        content_by_lua_block {
            ngx.say(pcall(ngx.timer.at, 1))
            ngx.say(pcall(ngx.timer.at, 1, 2))
            ngx.say(pcall(ngx.timer.every, 0, function() end))
            local sem = require("ngx.semaphore").new()
            ngx.timer.at(0, function() sem:post() ngx.say("no") end)
            sem:wait(5)
        }
    }
--- request
GET /t
--- response_body
falseexpecting at least 2 arguments but got 1
falsebad argument #2 to '?' (Lua function expected)
falsedelay cannot be zero
--- error_log
API disabled in the context of ngx.timer



=== TEST 5: the limit of running timers
--- http_config
    lua_max_running_timers 1;
--- config
    location /t {
        content_by_lua_block {
            local sema = require "ngx.semaphore"
            local begun, go, ran = sema.new(), sema.new(), 0
            for i = 1, 3 do
                assert(ngx.timer.at(0, function()
                    ran = ran + 1
                    begun:post()
                    go:wait(5)
                end))
            end
            begun:wait(5)
            while ngx.timer.pending_count() > 0 do ngx.sleep(0.001) end
            ngx.say(ran, " ", ngx.timer.running_count())
            go:post(3)
        }
    }
--- request
GET /t
--- response_body
1 1
--- error_log
1 lua_max_running_timers are not enough
