use Test::Nginx::Socket 'no_plan';

run_tests();

__DATA__

=== TEST 1: a try without TLS, where the location speaks it
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



=== TEST 2: a location that does not speak TLS
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
