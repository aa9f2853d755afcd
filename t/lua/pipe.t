use Test::Nginx::Socket 'no_plan';

run_tests();

__DATA__

=== TEST 1: a process reads, writes and ends
--- config
location = /t {
    content_by_lua_block {
        local pipe = require "ngx.pipe"
        local p = assert(pipe.spawn({"cat"}))
        ngx.say(p:write({"one\n", "two", 3, "\n", "rest"}))
        ngx.say(p:shutdown("stdin"))
        ngx.say(p:stdout_read_line())
        ngx.say(p:stdout_read_bytes(2))
        ngx.say(p:stdout_read_any(100))
        ngx.say(p:stdout_read_line())
        ngx.say(p:wait())
        ngx.say(p:wait())
        ngx.say(p:stdout_read_all())
    }
}
--- request
GET /t
--- response_body
13
true
one
tw
o3
rest
nilclosed
trueexit0
nilexited
nilclosed

=== TEST 2: standard error, apart and merged; the environment; the status
--- config
location = /t {
    content_by_lua_block {
        local pipe = require "ngx.pipe"
        local p = pipe.spawn("echo out; echo err >&2; exit 3")
        ngx.print(p:stderr_read_all(), p:stdout_read_all())
        ngx.say(p:wait())
        p = pipe.spawn("echo $A >&2", { merge_stderr = true, environ = { "A=b" } })
        ngx.print(p:stdout_read_all())
        ngx.say(p:stderr_read_all())
        p = pipe.spawn({"sleep", 100}, { wait_timeout = 10, stdout_read_timeout = 10 })
        ngx.say(p:wait())
        ngx.say(p:stdout_read_any(1))
        p:kill(15)
        p:set_timeouts(nil, nil, nil, 10000)
        ngx.say(p:wait())
        ngx.say(p:kill(15))
    }
}
--- request
GET /t
--- response_body
err
out
falseexit3
b
nilmerged to stdout
niltimeout
niltimeout
falsesignal15
nilexited

=== TEST 3: what cannot be executed ends with status 1
--- config
location = /t {
    content_by_lua_block {
        ngx.say(require "ngx.pipe".spawn({"/no/such/program"}):wait())
    }
}
--- request
GET /t
--- response_body
falseexit1
--- error_log
lua pipe child execvp() failed while executing /no/such/program (2: No such file or directory)

=== TEST 4: a process dies with its request
--- config
location = /t {
    content_by_lua_block {
        ngx.print(require "ngx.pipe".spawn({"sleep", "1000"}):pid())
    }
}
location = /gone {
    content_by_lua_block {
        local pid = ngx.location.capture("/t").body
        for _ = 1, 5000 do
            if not io.open("/proc/" .. pid .. "/stat") then
                return ngx.say("gone")
            end
            ngx.sleep(0.01)
        end
        ngx.say("still there")
    }
}
--- request
GET /gone
--- response_body
gone

=== TEST 5: lines are kept by level and taken in their order
--- http_config
lua_capture_error_log 32k;
--- config
location = /t {
    content_by_lua_block {
        local errlog = require "ngx.errlog"
        assert(errlog.set_filter_level(ngx.WARN))
        errlog.get_logs(1000) -- those of the start
        ngx.log(ngx.NOTICE, "not kept")
        errlog.raw_log(ngx.WARN, "first line")
        ngx.log(ngx.ERR, "second line")
        for _ = 1, 3 do
            local logs = errlog.get_logs(1)
            ngx.say(#logs, " ", logs[1], " ", (logs[3] or ""):match("%a+ line"))
        end
        ngx.say(pcall(errlog.raw_log, 9, "x"))
    }
}
--- request
GET /t
--- response_body
3 5 first line
3 4 second line
0 nil nil
falsebad log level

=== TEST 6: without the directive nothing is kept
--- config
location = /t {
    content_by_lua_block {
        local errlog = require "ngx.errlog"
        ngx.say(errlog.get_logs())
        ngx.say(errlog.set_filter_level(ngx.ERR))
        local process = require "ngx.process"
        ngx.say(process.type() == "single" or process.type())
        ngx.say(process.enable_privileged_agent())
        ngx.say(type(process.get_master_pid()))
    }
}
--- request
GET /t
--- response_body
nildirective "lua_capture_error_log" is not set
nildirective "lua_capture_error_log" is not set
true
nilAPI disabled in the current context
number



=== TEST 7: an error after a table was read, caught in compiled code, leaves the right coroutine running
--- config
    location /t {
        content_by_lua_block {
            local pipe = require "ngx.pipe"
            local function try(f, ...)
                local r = { pcall(f, ...) }
                for i = 1, 5 do
                    r[i] = tostring(r[i])
                end
                return table.concat(r, " ")
            end
            local said = {}
            for i = 1, 300 do
                said[try(pipe.spawn, {})] = true
                said[try(pipe.spawn, "ls", { environ = "x" })] = true
            end
            local list = {}
            for s in pairs(said) do
                list[#list + 1] = s
            end
            table.sort(list)
            ngx.say(table.concat(list, "\n"))
        }
    }
--- request
GET /t
--- response_body
false bad args arg: non-empty table expected nil nil nil
false bad environ option: table expected, got string nil nil nil
--- no_error_log
[error]
