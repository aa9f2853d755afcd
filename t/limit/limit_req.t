use Test::Nginx::Socket 'no_plan';

no_root_location();

# get(uri...) sends requests one after another and returns the status of each.
our $Get = q{
    init_by_lua_block {
        function get(port, ...)
            local out = {}
            for i, uri in ipairs{...} do
                local s = ngx.socket.tcp()
                s:connect("127.0.0.1", port)
                s:send("GET " .. uri .. " HTTP/1.0\\r\\nHost: same\\r\\n\\r\\n")
                out[i] = s:receive():match(" (%d+)")
                s:close()
            end
            return table.concat(out, " ")
        end
    }
};

run_tests();

__DATA__

=== TEST 1: what is over the burst is refused, and the log says by how much
--- http_config eval
"limit_req_zone \$arg_k zone=one:64k rate=1r/m; $::Get"
--- config
    location /in { limit_req zone=one burst=1 nodelay; content_by_lua_block { ngx.say("in") } }
    location = / { content_by_lua_block { ngx.say(get($TEST_NGINX_SERVER_PORT, "/in?k=a", "/in?k=a", "/in?k=a", "/in?k=b", "/in")) } }
--- request
GET /
--- response_body
200 200 503 200 200
--- error_log eval
qr/limiting requests, excess: (2\.000|1\.\d{3}) by zone "one", client: /



=== TEST 2: the variable
--- http_config
    limit_req_zone $uri zone=one:64k rate=100r/s;
    limit_req_zone $uri zone=slow:64k rate=1r/m;
--- config
    location /off { content_by_lua_block { ngx.say(tostring(ngx.var.limit_req_status)) } }
    location /wait { limit_req zone=one burst=2; content_by_lua_block { ngx.say(ngx.var.limit_req_status) } }
    location /no { limit_req zone=slow; error_page 503 = @no; content_by_lua_block { ngx.say(ngx.var.limit_req_status) } }
    location @no { content_by_lua_block { ngx.say(ngx.var.limit_req_status) } }
    location /dry { limit_req zone=slow; limit_req_dry_run on; content_by_lua_block { ngx.say(ngx.var.limit_req_status) } }
    location /slow { limit_req zone=slow burst=9; limit_req_dry_run on; content_by_lua_block { ngx.say(ngx.var.limit_req_status) } }
--- request eval
["GET /off", "GET /wait", "GET /no", "GET /no", "GET /dry", "GET /dry", "GET /slow", "GET /slow"]
--- response_body eval
["nil\n", "PASSED\n", "PASSED\n", "REJECTED\n", "PASSED\n", "REJECTED_DRY_RUN\n", "PASSED\n", "DELAYED_DRY_RUN\n"]
--- no_error_log
[alert]



=== TEST 3: delay, on the level below that of refusals
--- http_config
    limit_req_zone $host zone=one:64k rate=1r/s;
--- config
    location / {
        limit_req zone=one burst=10; limit_req_log_level notice;
        content_by_lua_block { ngx.say(ngx.var.limit_req_status) }
    }
    location /both {
        content_by_lua_block {
            local out = {}
            for i = 1, 6 do
                local s = ngx.socket.tcp()
                s:connect("127.0.0.1", $TEST_NGINX_SERVER_PORT)
                s:send("GET / HTTP/1.0\r\nHost: same\r\n\r\n")
                out[i] = s
            end
            local function body(s) return s:receive("*a"):match("\r\n\r\n(.*)$") end
            ngx.print(body(out[1]))
            for i = 2, 6 do -- the second, unless a second has passed
                local said = body(out[i])
                if said ~= "PASSED\n" then return ngx.print(said) end
            end
        }
    }
--- request
GET /both
--- response_body
PASSED
DELAYED
--- error_log
[info]
delaying request, excess: 
--- no_error_log
[error]



=== TEST 4: several limits: the first that is exceeded decides, and then none has counted
--- http_config eval
"limit_req_zone \$arg_a zone=a:64k rate=1r/m;
limit_req_zone \$arg_b zone=b:64k rate=1r/m;
limit_req_zone \$uri zone=slow:64k rate=1r/m;
limit_req_status 429;
$::Get"
--- config
    location /both { limit_req zone=a burst=1 nodelay; limit_req zone=b nodelay; limit_req_status 430; content_by_lua_block { ngx.say("both") } }
    location /a { limit_req zone=a burst=1 nodelay; content_by_lua_block { ngx.say("a") } }
    location /dry { limit_req zone=slow; limit_req_dry_run on; content_by_lua_block { ngx.say("dry") } }
    location /late { limit_req zone=slow burst=3; limit_req_dry_run on; content_by_lua_block { ngx.say("late") } }
    location = / {
        content_by_lua_block {
            ngx.say(get($TEST_NGINX_SERVER_PORT, "/both?a=1&b=1", "/both?a=1&b=1", "/a?a=1", "/a?a=1", "/both?a=1&b=2", "/dry", "/dry", "/late", "/late"))
        }
    }
--- request
GET /
--- response_body
200 430 200 429 430 200 200 200 200
--- error_log eval
# less of it with each 63 ms
[qr/limiting requests, excess: (1\.000|0\.\d{3}) by zone "b"/, qr/limiting requests, excess: (2\.000|1\.\d{3}) by zone "a"/,
qr/limiting requests, dry run, excess: (1\.000|0\.\d{3}) by zone "slow"/, qr/delaying request, dry run, excess: (1\.000|0\.\d{3}), by zone "slow"/]



=== TEST 5: a client that leaves while it is held back
--- http_config
    limit_req_zone x zone=one:64k rate=1r/m;
--- config
    location / { limit_req zone=one burst=5; content_by_lua_block { ngx.say("in") } }
    location /gone {
        content_by_lua_block {
            local function ask()
                local s = ngx.socket.tcp()
                s:connect("127.0.0.1", $TEST_NGINX_SERVER_PORT)
                s:send("GET / HTTP/1.0\r\n\r\n")
                return s
            end
            ask():receive("*a")
            local held, log = ask(), io.open(ngx.config.prefix() .. "logs/error.log")
            repeat ngx.sleep(0.002) until log:seek("set") and log:read("*a"):find("delaying request", 1, true)
            held:close()
            ngx.say("done")
        }
    }
--- request
GET /gone
--- response_body
done
--- error_log
client prematurely closed connection



=== TEST 6: a key that is too long
--- http_config
    limit_req_zone $long zone=one:64k rate=1r/m;
--- config
    location / {
        set $long "";
        rewrite_by_lua_block { ngx.var.long = ("x"):rep(65536) }
        limit_req zone=one;
        content_by_lua_block { ngx.say("in") }
    }
--- request
GET /
--- response_body
in
--- error_log
the value of the "$long" key is more than 65535 bytes: "xxx



=== TEST 7: a zone that nobody declared
--- config
    location / { limit_req zone=none; return 200; }
--- must_die
--- error_log
zero size shared memory zone "none"



=== TEST 8: a zone too small
--- http_config
    limit_req_zone $host zone=one:31k rate=1r/s;
--- config
    location / { return 200; }
--- must_die
--- error_log
zone "zone=one:31k" is too small in



=== TEST 9: a rate that is none
--- http_config
    limit_req_zone $host zone=one:1m rate=0r/s;
--- config
    location / { return 200; }
--- must_die
--- error_log
invalid rate "rate=0r/s" in



=== TEST 10: a zone twice
--- http_config
    limit_req_zone $host zone=one:1m rate=1r/s;
    limit_req_zone $uri zone=one:1m rate=1r/s;
--- config
    location / { return 200; }
--- must_die
--- error_log
limit_req_zone "one" is already bound to key "$host" in



=== TEST 11: a zone of another module
--- http_config
    limit_req_zone $host zone=one:1m rate=1r/s;
--- config
    location / { limit_conn one 1; return 200; }
--- must_die
--- error_log
the shared memory zone "one" is already declared for a different use in



=== TEST 12: a limit twice
--- http_config
    limit_req_zone $host zone=one:1m rate=1r/s;
--- config
    limit_req zone=one;
    limit_req zone=one burst=3;
--- must_die
--- error_log
"limit_req" directive is duplicate in



=== TEST 13: no zone
--- config
    limit_req burst=3;
--- must_die
--- error_log
"limit_req" must have "zone" parameter in



=== TEST 14: a zone that is full forgets its oldest keys
--- http_config
    limit_req_zone $arg_k zone=one:32k rate=1r/m;
    keepalive_requests 10000;
--- config
    location /in { limit_req zone=one; content_by_lua_block { ngx.exit(204) } }
    location = / {
        content_by_lua_block {
            local s = ngx.socket.tcp()
            s:connect("127.0.0.1", $TEST_NGINX_SERVER_PORT)
            local count = {}
            local function ask(from, to)
                for i = from, to do
                    s:send("GET /in?k=" .. i .. " HTTP/1.1\r\nHost: x\r\n\r\n")
                    local line = s:receive()
                    local length = 0
                    repeat
                        local h = s:receive()
                        length = tonumber(h:match("^Content%-Length: (%d+)")) or length
                    until h == ""
                    s:receive(length)
                    local st = line:match(" (%d+)")
                    count[st] = (count[st] or 0) + 1
                end
            end
            ask(1, 1600)
            ask(1600, 1600)
            ask(1, 1)
            ngx.say(count["204"], " ", count["503"])
        }
    }
--- request
GET /
--- response_body
1601 1
--- no_error_log
[alert]
