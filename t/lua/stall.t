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
            local function busy() repeat for i = 1, 1e5 do n = n + 1 end until log:seek("set") and log:read("*a"):find("without waiting") end
            busy()
            ngx.sleep(0.001)
            ngx.say(require "moongate".status().stalls - before)
        }
    }
--- request
GET /t
--- response_body
1
--- error_log eval
[qr/\[warn\] .*? Lua code has been running for over 20ms without waiting, others have to wait/, qr/content_by_lua\(nginx\.conf:\d+\):4: in function 'busy'/]



=== TEST 2: a compiled loop
--- http_config
    lua_worker_stall_threshold 20ms;
--- config
    location /t {
        content_by_lua_block {
            local n = 0
            for i = 1, 3e8 do n = n + i end
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
            os.execute("for i in $(seq 1000); do sleep 0.05; grep -q 'worker 0 has been in' " .. ngx.config.prefix() .. "logs/error.log && break; done")
            ngx.say("done")
        }
    }
--- request
GET /t
--- response_body
done
--- error_log eval
[qr/worker 0 has been in something that Lua code has called for over \d+ms/, qr/content_by_lua\(nginx\.conf:\d+\):[23]: in main chunk/]



=== TEST 4: waiting is no stall
--- http_config
    lua_worker_stall_threshold 500ms;
--- config
    location /t {
        content_by_lua_block {
            for i = 1, 12 do ngx.sleep(0.05) end
            ngx.say("done")
        }
    }
--- request
GET /t
--- response_body
done
--- no_error_log
[warn]
