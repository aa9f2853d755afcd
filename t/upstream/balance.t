use Test::Nginx::Socket 'no_plan';

run_tests();

__DATA__

=== TEST 1: servers by weight
--- http_config
    upstream u { server 127.0.0.1:$TEST_NGINX_SERVER_PORT weight=2; server 127.0.0.2:$TEST_NGINX_SERVER_PORT; }
--- config
    location /p { proxy_pass http://u/ok; }
    location /ok { return 200 $server_addr; }
--- request eval
["GET /p", "GET /p", "GET /p", "GET /p"]
--- response_body eval
["127.0.0.1", "127.0.0.2", "127.0.0.1", "127.0.0.1"]



=== TEST 2: a backup is asked when nobody else is alive
--- http_config
    upstream u { server 127.0.0.1:1 max_fails=1; server 127.0.0.2:$TEST_NGINX_SERVER_PORT backup; }
--- config
    location /p { proxy_pass http://u/ok; add_header X-Tries $upstream_status; }
    location /ok { return 200 $server_addr; }
--- request eval
["GET /p", "GET /p"]
--- response_headers eval
["X-Tries: 502, 200", "X-Tries: 200"]
--- response_body eval
["127.0.0.2", "127.0.0.2"]



=== TEST 3: the hash of a key
--- http_config
    upstream u { hash $arg_k consistent; server 127.0.0.1:$TEST_NGINX_SERVER_PORT; server 127.0.0.2:$TEST_NGINX_SERVER_PORT; server 127.0.0.3:$TEST_NGINX_SERVER_PORT; }
--- config
    location /p { proxy_pass http://u/ok; }
    location /ok { return 200 ok; }
    location /t { content_by_lua_block {
        local same = true
        for i = 1, 20 do
            local a = ngx.location.capture("/p", { args = "k=" .. i })
            same = same and a.body == "ok"
        end
        ngx.say(same)
    } }
--- request
GET /t
--- response_body
true



=== TEST 4: max_conns
--- http_config
    upstream u { zone u 64k; server 127.0.0.1:$TEST_NGINX_SERVER_PORT max_conns=1; }
--- config
    location /u { proxy_pass http://u/back; }
    location /back { content_by_lua_block {
        local inner = ngx.location.capture("/u2")
        ngx.say("inner ", inner.status)
    } }
    location /u2 { proxy_pass http://u/other; }
    location /other { return 200 other; }
--- request
GET /u
--- response_body
inner 502
--- error_log
no live upstreams while connecting to upstream



=== TEST 5: least_time asks everybody while nothing is known
--- http_config
    upstream u { least_time last_byte inflight; server 127.0.0.1:$TEST_NGINX_SERVER_PORT; server 127.0.0.2:$TEST_NGINX_SERVER_PORT; }
--- config
    location /p { proxy_pass http://u/ok; }
    location /ok { return 200 $server_addr; }
--- request eval
["GET /p", "GET /p"]
--- response_body eval
["127.0.0.1", "127.0.0.2"]



=== TEST 6: the policies are read
--- http_config
    upstream u {
        zone u 64k;
        server 127.0.0.1:$TEST_NGINX_SERVER_PORT slow_start=30s;
        health_check http path=/ok expected_statuses=200-299,304 interval=1m timeout=1s interval_jitter=1s unhealthy_interval=10s port=$TEST_NGINX_SERVER_PORT host=example.com;
        outlier_detection consecutive_5xx=3 consecutive_gateway_failure=2 interval=5s base_ejection_time=10s max_ejection_time=1m max_ejection_percent=50% success_rate_minimum_hosts=3 success_rate_request_volume=50 success_rate_stdev_factor=2000;
        circuit_breaker max_connections=100 max_pending_requests=10 max_requests=200 max_retries=5 retry_budget=25% min_retry_concurrency=2;
        retry_policy num_retries=2 base_interval=1ms max_interval=10ms;
        panic_threshold 40;
        keepalive 8 local;
    }
--- config
    location /p { proxy_pass http://u/ok; }
    location /ok { return 200 ok; }
--- request
GET /p
--- response_body: ok
