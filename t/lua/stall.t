use Test::Nginx::Socket 'no_plan';

run_tests();

__DATA__

=== TEST 1: code that does not wait is logged with its stack, for its request, and counted
--- http_config
    lua_worker_stall_threshold 20ms;
--- config
    location /t {
        content_by_lua_block {
            local status = require "moongate".status
            local before, log, n = status().stalls, io.open(ngx.config.prefix() .. "logs/error.log"), 0
            local function told() return log:seek("set") and log:read("*a"):find("in function 'busy'", 1, true) end
            local function busy() for _ = 1, 1000 do for i = 1, 1e5 do n = n + 1 end if told() then return true end end end
            repeat ngx.sleep(0.001) until busy()
            ngx.say(require "moongate".status().stalls > before)
        }
    }
--- request
GET /t
--- response_body
true
--- error_log eval
[qr/\[warn\] .*? Lua code has been running for over 20ms without waiting, others have to wait/, qr/content_by_lua\(nginx\.conf:\d+\):[45]: in function 'busy'/]



=== TEST 2: a compiled loop
--- http_config
    lua_worker_stall_threshold 20ms;
--- config
    location /t {
        content_by_lua_block {
            local log, n = io.open(ngx.config.prefix() .. "logs/error.log"), 0
            repeat ngx.sleep(0) for i = 1, 3e8 do n = n + i end until log:seek("set") and log:read("*a"):find("):3: in main chunk", 1, true)
            ngx.say("done")
        }
    }
--- request
GET /t
--- response_body
done
--- error_log eval
qr/content_by_lua\(nginx\.conf:\d+\):3: in main chunk/



=== TEST 3: a call that blocks the worker
--- http_config
    lua_worker_stall_threshold 20ms;
--- config
    location /t {
        content_by_lua_block {
            local log = io.open(ngx.config.prefix() .. "logs/error.log")
            repeat
                ngx.sleep(0)
                os.execute("for i in $(seq 200); do sleep 0.05; grep -q 'worker 0 has been in' " .. ngx.config.prefix() .. "logs/error.log && break; done")
            until log:seek("set") and log:read("*a"):find("worker 0 has been in")
            ngx.say("done")
        }
    }
--- request
GET /t
--- response_body
done
--- error_log eval
[qr/worker 0 has been in something that Lua code has called for over \d+ms/, qr/content_by_lua\(nginx\.conf:\d+\):[456]: in main chunk/]



=== TEST 4: waiting is no stall
--- http_config
    lua_worker_stall_threshold 2s;
--- config
    location /t {
        content_by_lua_block {
            for i = 1, 48 do ngx.sleep(0.05) end
            ngx.say("done")
        }
    }
--- request
GET /t
--- response_body
done
--- no_error_log
[warn]
