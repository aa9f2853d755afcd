use Test::Nginx::Socket 'no_plan';

our $Probe = <<'_EOC_';
    lua_phase_limits off;
    init_by_lua_block {
        -- everything that waits, each in a line of its own; a socket to a port where nobody is
        function probe(where, capture)
            local list = {}
            local function try(name, f)
                local ok, a, b = pcall(f)
                list[#list + 1] = name .. ":" .. tostring(ok and a) .. (b and not ok and b or ok and b and ("," .. b) or "")
                if not ok then ngx.log(ngx.ERR, where, " ", name, ": ", a) end
            end
            try("sleep", function() ngx.sleep(0.001) return "ok" end)
            try("tcp", function()
                local s = ngx.socket.tcp()
                local ok, err = s:connect("127.0.0.1", $TEST_NGINX_RAND_PORT_1)
                return ok or err
            end)
            try("udp", function()
                local s = ngx.socket.udp()
                s:settimeout(5)
                assert(s:setpeername("127.0.0.1", $TEST_NGINX_SERVER_PORT))
                s:send("x")
                local _, err = s:receive()
                return err == "timeout" or err == "connection refused"
            end)
            try("sema", function()
                local s = require "ngx.semaphore".new(0)
                local _, err = s:wait(0.002)
                s:post()
                return s:wait(0) and err
            end)
            try("thread", function()
                local t = ngx.thread.spawn(function() ngx.sleep(0.001) return "joined" end)
                local _, v = ngx.thread.wait(t)
                return v
            end)
            try("pipe", function()
                local p = assert(require "ngx.pipe".spawn({"cat"}))
                p:write("piped")
                p:shutdown("stdin")
                local got = p:stdout_read_all()
                return p:wait() and got
            end)
            if capture then
                try("capture", function() return ngx.location.capture("/sub").body end)
            end
            return where .. " " .. table.concat(list, " ")
        end
        inited = probe("init")
    }
    init_worker_by_lua_block { started = probe("init_worker") }
_EOC_

run_tests();

__DATA__

=== TEST 1: init and init_worker
--- http_config eval: $::Probe
--- config
    location /t {
        content_by_lua_block { ngx.say(inited) ngx.say(started) }
    }
--- request
GET /t
--- response_body
init sleep:ok tcp:connection refused udp:true sema:timeout thread:joined pipe:piped
init_worker sleep:ok tcp:connection refused udp:true sema:timeout thread:joined pipe:piped
--- no_error_log
[alert]



=== TEST 2: set and rewrite
--- http_config eval: $::Probe
--- config
    location /sub { echo -n "sub"; }
    location /t {
        set_by_lua_block $res { return probe("set", true) }
        return 200 "$res\n";
    }
--- request
GET /t
--- response_body
set sleep:ok tcp:connection refused udp:true sema:timeout thread:joined pipe:piped capture:sub
--- no_error_log
[alert]



=== TEST 3: header filter, of a static response
--- http_config eval: $::Probe
--- config
    location /sub { echo -n "sub"; }
    location /t {
        echo "hello";
        header_filter_by_lua_block { ngx.header.X = probe("header", true) }
    }
--- request
GET /t
--- response_headers
X: header sleep:ok tcp:connection refused udp:true sema:timeout thread:joined pipe:piped capture:sub
--- response_body
hello
--- no_error_log
[alert]



=== TEST 4: header and body filter beneath ngx.say, with light threads that print meanwhile
--- http_config eval: $::Probe
--- config
    location /sub { echo -n "sub"; }
    location /t {
        content_by_lua_block {
            local function f(n)
                for i = 1, 3 do ngx.say(n, i) end
            end
            local a, b = ngx.thread.spawn(f, "a"), ngx.thread.spawn(f, "b")
            ngx.thread.wait(a)
            ngx.thread.wait(b)
            ngx.print("end")
        }
        header_filter_by_lua_block {
            ngx.header.content_length = nil
            ngx.header.X = probe("header", true)
        }
        body_filter_by_lua_block {
            local before = ngx.arg[1]
            ngx.sleep(0.001)
            if ngx.arg[1] ~= before then ngx.log(ngx.ALERT, "torn") end
            if before == "end" then
                ngx.arg[1] = "\n" .. probe("body", true) .. "\n"
            elseif before ~= "" then
                ngx.arg[1] = "<" .. before:sub(1, -2) .. ">"
            end
        }
    }
--- request
GET /t
--- response_headers
X: header sleep:ok tcp:connection refused udp:true sema:timeout thread:joined pipe:piped capture:sub
--- response_body_like
^(<[ab][123]>){6}
body sleep:ok tcp:connection refused udp:true sema:timeout thread:joined pipe:piped capture:sub
--- no_error_log
[alert]



=== TEST 5: log
--- http_config eval: $::Probe
--- config
    location /sub { echo -n "sub"; }
    location /t {
        echo "hello";
        log_by_lua_block { ngx.log(ngx.WARN, probe("log", true)) }
    }
--- request
GET /t
--- response_body
hello
--- error_log
log sleep:ok tcp:connection refused udp:true sema:timeout thread:joined pipe:piped capture:sub
--- no_error_log
[alert]



=== TEST 6: balancer
--- http_config eval
"upstream back { server 0.0.0.1; balancer_by_lua_block {
    ngx.ctx.res = probe('balancer', true)
    assert(require 'ngx.balancer'.set_current_peer('127.0.0.1', \$TEST_NGINX_SERVER_PORT))
} }" . $::Probe
--- config
    location /sub { echo -n "sub"; }
    location /back { echo "back"; }
    location /t {
        proxy_pass http://back/back;
        header_filter_by_lua_block { ngx.header.X = ngx.ctx.res }
    }
--- request
GET /t
--- response_headers
X: balancer sleep:ok tcp:connection refused udp:true sema:timeout thread:joined pipe:piped capture:sub
--- response_body
back
--- no_error_log
[alert]



=== TEST 7: a client's request body, keepalive and pipelining survive a log phase that waits
--- http_config eval: $::Probe
--- config
    location /t {
        content_by_lua_block { ngx.req.read_body() ngx.say(ngx.req.get_body_data()) }
        log_by_lua_block { ngx.sleep(0.005) }
    }
--- pipelined_requests eval
["POST /t\nfirst", "POST /t\nsecond"]
--- response_body eval
["first\n", "second\n"]
--- no_error_log
[alert]



=== TEST 8: an error after a wait in a filter
--- http_config eval: $::Probe
--- config
    location /t {
        content_by_lua_block { ngx.say("x") }
        header_filter_by_lua_block { ngx.sleep(0.001) error("late") }
    }
--- request
GET /t
--- ignore_response
--- error_log eval
qr/failed to run header_filter_by_lua\*: header_filter_by_lua\(nginx\.conf:\d+\):1: late/
--- no_error_log
[alert]



=== TEST 9: with the limits, the message tells where the function works
--- config
    location /t {
        echo "hello";
        log_by_lua_block {
            local s, err = pcall(ngx.sleep, 0.1)
            ngx.log(ngx.WARN, err)
            s, err = pcall(ngx.location.capture, "/sub")
            ngx.log(ngx.WARN, err)
        }
    }
--- request
GET /t
--- response_body
hello
--- error_log
API disabled in the context of log_by_lua*; it works in rewrite_by_lua*, access_by_lua*, content_by_lua*, ngx.timer, ssl_certificate_by_lua*, ...; "lua_phase_limits off" lifts this
API disabled in the context of log_by_lua*; it works in rewrite_by_lua*, access_by_lua*, content_by_lua*, server_rewrite_by_lua*, precontent_by_lua*; "lua_phase_limits off" lifts this



=== TEST 10: processes in the phases that may wait anyway, and in a timer
--- http_config
    lua_phase_limits off;
    init_by_lua_block {
        said = {}
        function run(where)
            local p = assert(require "ngx.pipe".spawn({"cat"}))
            p:write(where)
            p:shutdown("stdin")
            said[#said + 1] = p:stdout_read_all()
            local ok, how, status = p:wait()
            if not ok or how ~= "exit" or status ~= 0 then said[#said + 1] = "wrong" end
        end
    }
--- config
    server_rewrite_by_lua_block { run("server_rewrite") }
    location /t {
        rewrite_by_lua_block { run("rewrite") }
        access_by_lua_block { run("access") }
        precontent_by_lua_block { run("precontent") }
        content_by_lua_block {
            run("content")
            local done = require "ngx.semaphore".new()
            ngx.timer.at(0, function() run("timer") done:post() end)
            done:wait(5)
            ngx.say(table.concat(said, " "))
        }
    }
--- request
GET /t
--- response_body
server_rewrite rewrite access precontent content timer
--- no_error_log
[error]
[alert]



=== TEST 11: a process that init_by_lua leaves behind is ended
--- http_config
    lua_phase_limits off;
    init_by_lua_block {
        left = require "ngx.pipe".spawn({"sleep", "1000"})
        left_pid = left:pid()
    }
--- config
    location /t {
        content_by_lua_block {
            local ok, err = left:wait()
            ngx.say(io.open("/proc/" .. left_pid .. "/stat"), " ", ok, " ", err)
        }
    }
--- request
GET /t
--- response_body_like
^nil nil exited$
--- no_error_log
[error]
[alert]



=== TEST 12: with the limits there are none in init_by_lua
--- http_config
    init_by_lua_block { ok, err = pcall(require "ngx.pipe".spawn, {"true"}) }
--- config
    location /t {
        content_by_lua_block { ngx.say(ok, " ", err) }
    }
--- request
GET /t
--- response_body
false API disabled in the current context



=== TEST 13: a thread killed while its process runs or its bytes are awaited, where phases do not wait by default
--- http_config
    lua_phase_limits off;
    init_by_lua_block {
        function killed(where)
            local pipe = require "ngx.pipe"
            local p = assert(pipe.spawn({ "cat" }))
            p:set_timeouts(0, 0, 0, 0)
            local list = {}
            for _, f in ipairs { p.wait, p.stdout_read_line, p.stderr_read_any } do
                local t = ngx.thread.spawn(f, p, 1)
                list[#list + 1] = tostring(ngx.thread.kill(t)) .. " " .. tostring(ngx.thread.wait(t))
            end
            -- what the killed waited for can be waited for again, and nothing was taken by them
            assert(p:write("left\n"))
            list[#list + 1] = tostring(p:stdout_read_line())
            assert(p:shutdown("stdin"))
            list[#list + 1] = tostring(p:stderr_read_all()) .. "|"
            list[#list + 1] = table.concat({ tostring(p:wait()) }, " ")
            return where .. ": " .. table.concat(list, ", ")
        end
        inited = killed("init")
    }
    init_worker_by_lua_block { started = killed("init_worker") }
--- config
    location /t {
        set_by_lua_block $set { return killed("set") }
        content_by_lua_block { ngx.say(inited) ngx.say(started) ngx.say(ngx.var.set) }
        header_filter_by_lua_block { ngx.header.X = killed("header") }
        body_filter_by_lua_block {
            if ngx.arg[2] then
                ngx.arg[1] = ngx.arg[1] .. killed("body") .. "\n"
            end
        }
        log_by_lua_block { ngx.log(ngx.WARN, killed("log")) }
    }
--- request
GET /t
--- response_headers
X: header: 1 nil, 1 nil, 1 nil, left, |, true
--- response_body
init: 1 nil, 1 nil, 1 nil, left, |, true
init_worker: 1 nil, 1 nil, 1 nil, left, |, true
set: 1 nil, 1 nil, 1 nil, left, |, true
body: 1 nil, 1 nil, 1 nil, left, |, true
--- error_log
log: 1 nil, 1 nil, 1 nil, left, |, true
--- no_error_log
[alert]
