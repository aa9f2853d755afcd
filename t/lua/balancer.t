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
