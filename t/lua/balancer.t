use Test::Nginx::Socket::Lua 'no_plan';

log_level('debug');
run_tests();

__DATA__

=== TEST 1: outside of its phase the reason is the third value of get_last_failure
--- http_config
    upstream chosen {
        server 0.0.0.1;
        balancer_by_lua_block {
            assert(require("ngx.balancer").set_current_peer("127.0.0.1", $TEST_NGINX_SERVER_PORT))
        }
    }
--- config
    location /here { return 200 "body"; }
    location /t {
        proxy_pass http://chosen/here;
        header_filter_by_lua_block {
            ngx.header.Last = table.concat({ tostring(select(1, require("ngx.balancer").get_last_failure())),
                tostring(select(2, require("ngx.balancer").get_last_failure())), (select(3, require("ngx.balancer").get_last_failure())) }, ", ")
        }
    }
--- request
GET /t
--- response_headers
Last: nil, nil, API disabled in the current context



=== TEST 2: idle connections are told of, under the name that was given
--- http_config
    upstream chosen {
        server 0.0.0.1;
        balancer_by_lua_block {
            local b = require "ngx.balancer"
            assert(b.set_current_peer("127.0.0.1", $TEST_NGINX_SERVER_PORT, "some.host"))
            assert(b.enable_keepalive(60, 2))
        }
    }
--- config
    location /here { return 200 "body"; }
    location /one { proxy_pass http://chosen/here; proxy_http_version 1.1; proxy_set_header Connection ""; }
    location /t {
        content_by_lua_block {
            for _ = 1, 3 do
                assert(ngx.location.capture("/one").body == "body")
            end
            ngx.say("done")
        }
    }
--- request
GET /t
--- response_body
done
--- grep_error_log eval: qr/lua balancer: keepalive .*/
--- grep_error_log_out eval
qr/\Alua balancer: keepalive no free connection, host: 127.0.0.1:\d+, name: some.host
lua balancer: keepalive saving connection ([0-9A-F]{16}), host: 127.0.0.1:\d+, name: some.host
lua balancer: keepalive reusing connection \1, host: 127.0.0.1:\d+, name: some.host
lua balancer: keepalive not saving connection \1
lua balancer: keepalive no free connection, host: 127.0.0.1:\d+, name: some.host
lua balancer: keepalive saving connection [0-9A-F]{16}, host: 127.0.0.1:\d+, name: some.host
\z/



=== TEST 3: the failure of a connection that was idle uses up a try of the code
--- http_config
    upstream chosen {
        server 0.0.0.1;
        balancer_by_lua_block {
            ngx.log(ngx.WARN, "choosing")
            assert(require("ngx.balancer").set_current_peer("127.0.0.1", $TEST_NGINX_SERVER_PORT))
        }
        keepalive 1;
    }
--- config
    location /good { return 200; }
    location /bad { content_by_lua_block { ngx.exit(444) } }
    location ~ ^/to(/.*) {
        proxy_pass http://chosen$1; proxy_http_version 1.1; proxy_set_header Connection "";
    }
    location /t {
        content_by_lua_block {
            ngx.say(ngx.location.capture("/to/good").status, " ", ngx.location.capture("/to/bad").status)
        }
    }
--- request
GET /t
--- response_body
200 502
--- grep_error_log eval: qr/choosing|keepalive peer: using/
--- grep_error_log_out
choosing
choosing
keepalive peer: using



=== TEST 4: the method of a group is redefined
--- http_config
    upstream chosen {
        server 0.0.0.1;
        keepalive 10;
        balancer_by_lua_block {
            assert(require("ngx.balancer").set_current_peer("127.0.0.1", $TEST_NGINX_SERVER_PORT))
        }
    }
--- config
    location /here { return 200 "body"; }
    location /t { proxy_pass http://chosen/here; }
--- request
GET /t
--- response_body chomp
body
--- error_log
load balancing method redefined in



=== TEST 5: a try without TLS, where the location speaks it
--- http_config
    upstream back {
        server 127.0.0.1:$TEST_NGINX_SERVER_PORT;
        balancer_by_lua_block {
            local b = require "ngx.balancer"
            assert(b.set_upstream_tls(false))
            assert(b.set_upstream_tls(true))
            assert(b.set_upstream_tls(0))
        }
    }
--- config
    location /back { echo "plain"; }
    location /t { proxy_pass https://back/back; }
--- request
GET /t
--- response_body
plain
--- no_error_log
[error]



=== TEST 6: a location that does not speak TLS
--- http_config
    upstream back {
        server 127.0.0.1:$TEST_NGINX_SERVER_PORT;
        balancer_by_lua_block {
            local ok, err = require "ngx.balancer".set_upstream_tls(true)
            ngx.log(ngx.WARN, "said ", ok, ": ", err)
        }
    }
--- config
    location /back { echo "plain"; }
    location /t { proxy_pass http://back/back; }
--- request
GET /t
--- response_body
plain
--- error_log
said nil: TLS can only be switched off: the location does not speak it



=== TEST 7: a library switches TLS off by FFI
--- http_config
    upstream back {
        server 127.0.0.1:$TEST_NGINX_SERVER_PORT;
        balancer_by_lua_block {
            local ffi, get_request = require "ffi", require "resty.core.base".get_request
            ffi.cdef "int ngx_http_lua_ffi_balancer_set_upstream_tls(void *r, int on, char **err);"
            local set, err = ffi.C.ngx_http_lua_ffi_balancer_set_upstream_tls, ffi.new "char *[1]"
            for i = 1, 200 do assert(set(get_request(), i % 2, err) == 0) end -- compiled
        }
    }
--- config
    location /back { echo "plain"; }
    location /t { proxy_pass https://back/back; }
--- request
GET /t
--- response_body
plain
--- no_error_log
[error]



=== TEST 8: the same, where it says no
--- http_config
    upstream back {
        server 127.0.0.1:$TEST_NGINX_SERVER_PORT;
        balancer_by_lua_block {
            ngx.ctx.set(1)
            ngx.ctx.set(0)
        }
    }
    init_by_lua_block {
        local ffi, get_request = require "ffi", require "resty.core.base".get_request
        ffi.cdef "int ngx_http_lua_ffi_balancer_set_upstream_tls(void *r, int on, char **err);"
        local err = ffi.new "char *[1]"
        function set(on, r)
            local rc = ffi.C.ngx_http_lua_ffi_balancer_set_upstream_tls(r or get_request(), on, err)
            ngx.log(ngx.WARN, "said ", rc, rc < 0 and ": " .. ffi.string(err[0]) or "", ".")
        end
        set(0, ffi.new("char[1]"))
    }
--- config
    location /back { echo "plain"; }
    location /t {
        access_by_lua_block {
            ngx.ctx.set = set
            set(0)
        }
        proxy_pass http://back/back;
        log_by_lua_block { set(0) }
    }
--- request
GET /t
--- response_body
plain
--- error_log
said -1: no request found.
said -1: no upstream found.
said -1: TLS can only be switched off: the location does not speak it.
said 0.
said -1: API disabled in the current context.



=== TEST 9: a request that is made anew for the second try, with what the code has changed
--- http_config
    upstream back {
        server 0.0.0.1;
        balancer_by_lua_block {
            local b = require "ngx.balancer"
            local state, status = b.get_last_failure()
            if state then
                ngx.req.set_header("X-Try", state .. " " .. status)
                ngx.req.set_header("X-Gone", nil)
                assert(b.recreate_request())
            else
                assert(b.set_more_tries(1))
            end
            assert(b.set_current_peer("127.0.0.1", $TEST_NGINX_SERVER_PORT))
        }
    }
--- config
    location /back {
        content_by_lua_block {
            if not ngx.var.http_x_try then return ngx.exit(502) end
            ngx.req.read_body()
            ngx.say(ngx.var.http_x_try, " ", ngx.var.http_x_gone, " ", ngx.req.get_body_data())
        }
    }
    location /t {
        proxy_next_upstream error http_502 non_idempotent;
        proxy_pass http://back/back;
    }
--- more_headers
X-Gone: here
--- request
POST /t
body
--- response_body
failed 502 nil body



=== TEST 10: the local address of connections to servers
--- http_config
    upstream back {
        server 0.0.0.1;
        balancer_by_lua_block {
            local b = require "ngx.balancer"
            local ok, err = b.bind_to_local_addr("nobody")
            ngx.ctx.said = tostring(ok) .. " " .. err
            assert(b.bind_to_local_addr("127.0.0.9"))
            assert(b.set_current_peer("127.0.0.1", $TEST_NGINX_SERVER_PORT))
        }
    }
--- config
    location /back { echo $remote_addr; }
    location /t {
        proxy_pass http://back/back;
        header_filter_by_lua_block { ngx.header.said = ngx.ctx.said }
    }
--- request
GET /t
--- response_headers
said: nil invalid addr nobody
--- response_body
127.0.0.9



=== TEST 11: connections that the code keeps, for so many requests
--- http_config
    upstream back {
        server 0.0.0.1;
        balancer_by_lua_block {
            local b = require "ngx.balancer"
            assert(b.set_current_peer("127.0.0.1", $TEST_NGINX_SERVER_PORT))
            assert(b.enable_keepalive(60, 2))
        }
        balancer_keepalive 4;
    }
--- config
    location /back { echo $connection_requests; }
    location /one {
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_pass http://back/back;
    }
    location /t {
        content_by_lua_block {
            for i = 1, 4 do ngx.print(ngx.location.capture("/one").body) end
        }
    }
--- request
GET /t
--- response_body
1
2
1
2



=== TEST 12: a try that takes too long, by the code's timeouts
--- http_config
    upstream back {
        server 0.0.0.1;
        balancer_by_lua_block {
            local b = require "ngx.balancer"
            assert(b.set_current_peer("127.0.0.1", $TEST_NGINX_SERVER_PORT))
            assert(b.set_timeouts(nil, nil, 0.02))
        }
    }
--- config
    location /back { content_by_lua_block { ngx.sleep(5) } }
    location /t { proxy_pass http://back/back; }
--- request
GET /t
--- error_code: 504
