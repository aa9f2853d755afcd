use Test::Nginx::Socket 'no_plan';

no_root_location();
run_tests();

__DATA__

=== TEST 1: one at a time; others are refused until it has ended
--- http_config
    limit_conn_zone $arg_k zone=one:64k;
    lua_shared_dict d 64k;
--- config
    location /in {
        limit_conn one 1;
        content_by_lua_block {
            if ngx.var.arg_t == "long" then
                ngx.shared.d:set("in", true)
                while ngx.shared.d:get("in") do ngx.sleep(0.001) end
            end
            ngx.say(ngx.var.limit_conn_status)
        }
    }
    location /t {
        content_by_lua_block {
            local function get(uri)
                local s = ngx.socket.tcp()
                s:connect("127.0.0.1", $TEST_NGINX_SERVER_PORT)
                s:send("GET " .. uri .. " HTTP/1.0\r\n\r\n")
                return s
            end
            local long = get("/in?k=a&t=long")
            while not ngx.shared.d:get("in") do ngx.sleep(0.001) end
            ngx.say(get("/in?k=a"):receive())
            ngx.say(get("/in?k=b"):receive())
            ngx.shared.d:delete("in")
            ngx.print(long:receive("*a"):match("\r\n\r\n(.*)$"))
            ngx.say(get("/in?k=a"):receive())
        }
    }
--- request
GET /t
--- response_body
HTTP/1.1 503 Service Temporarily Unavailable
HTTP/1.1 200 OK
PASSED
HTTP/1.1 200 OK
--- error_log
[error]
limiting connections by zone "one"



=== TEST 2: dry run, level, status, variable
--- http_config
    limit_conn_zone $host zone=one:64k;
    limit_conn_zone $arg_k zone=two:64k;
    lua_shared_dict d 64k;
--- config
    limit_conn_status 429;
    location /hold {
        limit_conn one 1;
        content_by_lua_block {
            ngx.shared.d:set("in", true)
            while ngx.shared.d:get("in") do ngx.sleep(0.001) end
            ngx.say("held")
        }
    }
    location /dry { limit_conn one 1; limit_conn two 1; limit_conn_dry_run on; content_by_lua_block { ngx.say(ngx.var.limit_conn_status) } }
    location /hard { limit_conn two 1; limit_conn one 1; limit_conn_log_level info; content_by_lua_block { ngx.say("no") } }
    location /two { limit_conn two 1; content_by_lua_block { ngx.say(ngx.var.limit_conn_status) } }
    location /free { content_by_lua_block { ngx.say(tostring(ngx.var.limit_conn_status)) } }
    location /t {
        content_by_lua_block {
            local function get(uri)
                local s = ngx.socket.tcp()
                s:connect("127.0.0.1", $TEST_NGINX_SERVER_PORT)
                s:send("GET " .. uri .. " HTTP/1.0\r\nHost: same\r\n\r\n")
                return s
            end
            local held = get("/hold")
            while not ngx.shared.d:get("in") do ngx.sleep(0.001) end
            ngx.print(get("/dry?k=x"):receive("*a"):match("\r\n\r\n(.*)$"))
            ngx.say(get("/hard?k=x"):receive())
            ngx.print(get("/two?k=x"):receive("*a"):match("\r\n\r\n(.*)$"))
            ngx.print(get("/free?k=x"):receive("*a"):match("\r\n\r\n(.*)$"))
            ngx.shared.d:delete("in")
            ngx.print(held:receive("*a"):match("\r\n\r\n(.*)$"))
        }
    }
--- request
GET /t
--- response_body
REJECTED_DRY_RUN
HTTP/1.1 429 Too Many Requests
PASSED
nil
held
--- error_log
limiting connections, dry run, by zone "one"
[info]



=== TEST 3: keys that do not count
--- http_config
    limit_conn_zone $arg_k zone=one:64k;
--- config
    location / { limit_conn one 1; content_by_lua_block { ngx.say(tostring(ngx.var.limit_conn_status)) } }
--- request eval
["GET /", "GET /?k=" . ("x" x 300), "GET /?k=1"]
--- response_body eval
["nil\n", "nil\n", "PASSED\n"]



=== TEST 7: a key that is too long
--- http_config
    limit_conn_zone $arg_k zone=one:64k;
--- config
    location / { limit_conn one 1; content_by_lua_block { ngx.say("in") } }
--- request eval
"GET /?k=" . ("x" x 300)
--- response_body
in
--- error_log
the value of the "$arg_k" key is more than 255 bytes: "xxx



=== TEST 4: numbers
--- http_config
    limit_conn_zone $arg_k zone=one:64k;
--- config
    limit_conn one 65536;
--- must_die
--- error_log
connection limit must be less 65536 in



=== TEST 5: no number
--- http_config
    limit_conn_zone $arg_k zone=one:64k;
--- config
    limit_conn one 0;
--- must_die
--- error_log
invalid number of connections "0" in



=== TEST 6: sizes that differ
--- http_config
    limit_conn_zone $arg_k zone=one;
--- config
    location / { return 200; }
--- must_die
--- error_log
invalid zone size "zone=one" in
