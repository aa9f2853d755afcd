use Test::Nginx::Socket 'no_plan';

run_tests();

__DATA__

=== TEST 1: a thread runs at once until it waits, then its parent goes on
--- config
    location /t {
        content_by_lua_block {
            local t = ngx.thread.spawn(function(a, b)
                ngx.say("begun ", a, b)
                ngx.sleep(0.001)
                ngx.say("woken")
                return a, { b = b }
            end, 1, 2)
            ngx.say("parent ", type(t), " ", coroutine.status(t))
            local ok, a, tab = ngx.thread.wait(t)
            ngx.say(ok, " ", a, " ", tab.b, " ", coroutine.status(t))
            ngx.say(ngx.thread.wait(t))
        }
    }
--- request
GET /t
--- response_body
begun 12
parent thread running
woken
true 1 2 dead
nilalready waited or killed
--- no_error_log
[error]



=== TEST 2: the first to end is waited for, a failed one gives its error
--- config
    location /t {
        content_by_lua_block {
            local slow = ngx.thread.spawn(function() ngx.sleep(0.05) return "slow" end)
            local bad = ngx.thread.spawn(function() ngx.sleep(0.001) error({ code = 7 }) end)
            local ok, err = ngx.thread.wait(slow, bad)
            ngx.say(ok, " ", err.code)
            ngx.say(select(2, ngx.thread.wait(slow)))
        }
    }
--- request
GET /t
--- response_body
false 7
slow
--- error_log
lua user thread aborted: runtime error: unknown reason



=== TEST 3: killing wakes nobody, ending the handler kills all
--- config
    location /t {
        content_by_lua_block {
            local sem = require("ngx.semaphore").new()
            local t = ngx.thread.spawn(function() sem:wait(10) ngx.say("never") end)
            ngx.say(sem:count(), " ", ngx.thread.kill(t), " ", coroutine.status(t))
            ngx.say(ngx.thread.kill(t))
            ngx.thread.spawn(function() ngx.sleep(10) ngx.say("never") end)
            ngx.thread.spawn(function() ngx.sleep(0.001) ngx.say("end ", sem:count()) ngx.exit(200) end)
            ngx.sleep(10)
            ngx.say("never")
        }
    }
--- request
GET /t
--- response_body
-1 1 dead
nilalready waited or killed
end 0
--- no_error_log
[error]



=== TEST 4: yielding gives the others their turn
--- config
    location /t {
        content_by_lua_block {
            local function count(name)
                for i = 1, 3 do ngx.say(name, i) coroutine.yield() end
            end
            ngx.thread.spawn(count, "a")
            ngx.thread.spawn(count, "b")
            ngx.say("parent")
        }
    }
--- request
GET /t
--- response_body
a1
b1
a2
parent
b2
a3
b3



=== TEST 5: a semaphore serves who has waited longest, after the one that posts
--- config
    location /t {
        content_by_lua_block {
            local sem = require("ngx.semaphore").new(1)
            local function take(name) local ok, err = sem:wait(1) ngx.say(name, " ", ok, " ", err) end
            take("main")
            ngx.thread.spawn(take, "a")
            ngx.thread.spawn(take, "b")
            sem:post(2)
            ngx.say("posted, ", sem:count())
            ngx.sleep(0.001)
            ngx.say(sem:wait(0.001))
        }
    }
--- request
GET /t
--- response_body
main true nil
posted, 0
a true nil
b true nil
falsetimeout



=== TEST 6: killing a thread closes the socket it waits for, before the killer goes on
--- config
    location /t {
        content_by_lua_block {
            local function killed(f)
                local s = ngx.socket.tcp()
                assert(s:connect("127.0.0.1", ngx.var.server_port))
                local t = ngx.thread.spawn(f, s)
                ngx.say(ngx.thread.kill(t))
                ngx.say(s:send("x"))
                ngx.say(s:receive(1))
                ngx.say(s:close())
            end
            killed(function(s) s:receive(1) end)
            killed(function(s) pcall(s.receiveuntil(s, "x")) end)
            local s = ngx.socket.tcp()
            ngx.thread.kill(ngx.thread.spawn(function() s:connect("127.0.0.1", ngx.var.server_port) end))
            ngx.say(s:connect("127.0.0.1", ngx.var.server_port))
        }
    }
--- request
GET /t
--- response_body
1
nilclosed
nilclosed
nilclosed
1
nilclosed
nilclosed
nilclosed
1



=== TEST 7: the traceback of a light thread goes on with the threads that began it
--- config
    location /t {
        content_by_lua_block {
            ngx.thread.wait(ngx.thread.spawn(function()
                local function deep() ngx.sleep(0.002) end
                ngx.thread.spawn(function() ngx.sleep(0.001) error("oops") end)
                deep()
            end))
            ngx.say("done")
        }
    }
--- request
GET /t
--- response_body
done
--- error_log
lua user thread aborted: runtime error: content_by_lua(nginx.conf:
coroutine 1:
[C]: in function 'sleep'
):3: in function 'deep'
coroutine 2:
[C]: in function 'wait'
