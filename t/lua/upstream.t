use Test::Nginx::Socket::Lua 'no_plan';

run_tests();

__DATA__

=== TEST 1: the names of groups, those of directives too
--- http_config
    upstream foo { server 127.0.0.1; }
    upstream bar { server 127.0.0.2; }
--- config
    location /p { proxy_pass http://127.0.0.3:8180; }
    location /t {
        content_by_lua_block {
            local upstream = require "ngx.upstream"
            ngx.say(table.concat(upstream.get_upstreams(), " "))
            ngx.say(pcall(upstream.get_upstreams, 1))
        }
    }
--- request
GET /t
--- response_body
foo bar 127.0.0.3:8180
falseno argument expected



=== TEST 2: servers as configured
--- http_config
    upstream foo {
        server 127.0.0.1 fail_timeout=53 weight=4 max_fails=100;
        server 127.0.0.2:81 backup;
        server 127.0.0.3:82 down;
    }
--- config
    location /t {
        content_by_lua_block {
            local upstream = require "ngx.upstream"
            for _, s in ipairs(upstream.get_servers("foo")) do
                ngx.say(s.name, " ", s.addr, " ", s.weight, " ", s.max_fails, " ", s.fail_timeout, " ", s.backup, " ", s.down)
            end
            ngx.say(upstream.get_servers("none"))
            ngx.say(pcall(upstream.get_servers))
        }
    }
--- request
GET /t
--- response_body
127.0.0.1 127.0.0.1:80 4 100 53 nil nil
127.0.0.2:81 127.0.0.2:81 1 1 10 true nil
127.0.0.3:82 127.0.0.3:82 1 1 10 nil true
nilupstream not found
falseexactly one argument expected



=== TEST 3: peers, and how they do
--- http_config
    upstream foo {
        server 127.0.0.1:$TEST_NGINX_SERVER_PORT;
        server 127.0.0.1:1 max_fails=2 fail_timeout=20;
        server 127.0.0.1:2 backup weight=3;
    }
--- config
    location /proxy/ { proxy_pass http://foo/ok; }
    location /ok { return 200 ok; }
    location /t {
        content_by_lua_block {
            local upstream = require "ngx.upstream"
            for i = 1, 4 do ngx.location.capture("/proxy/") end
            for _, name in ipairs{ "get_primary_peers", "get_backup_peers" } do
                for _, p in ipairs(upstream[name]("foo")) do
                    ngx.say(p.id, " ", p.name:match(":[12]$"), " ", p.weight, " ", p.conns, " ", p.fails, " ", p.max_fails, " ", p.fail_timeout, " ",
                        p.accessed and math.abs(p.accessed - ngx.time()) <= 60, " ", p.down)
                end
            end
        }
    }
--- request
GET /t
--- response_body
0 nil 1 0 0 1 10 nil nil
1 :1 1 0 2 2 20 true nil
0 :2 3 0 0 1 10 nil nil



=== TEST 4: a peer is set down and up again
--- http_config
    upstream foo {
        server 127.0.0.1:$TEST_NGINX_SERVER_PORT;
        server 127.0.0.2:$TEST_NGINX_SERVER_PORT;
    }
--- config
    location /proxy/ { proxy_pass http://foo/ok; }
    location /ok { return 200 ok; }
    location /t {
        content_by_lua_block {
            local upstream = require "ngx.upstream"
            local function ask()
                local seen = {}
                for i = 1, 4 do
                    local r = ngx.location.capture("/proxy/")
                    seen[#seen + 1] = r.status
                end
                ngx.say(table.concat(seen, " "), " ", upstream.get_primary_peers("foo")[1].down)
            end
            ngx.say(upstream.set_peer_down("foo", false, 0, true))
            ngx.say(upstream.set_peer_down("foo", false, 1, true))
            ask()
            ngx.say(upstream.set_peer_down("foo", false, 0, false))
            ask()
            ngx.say(upstream.set_peer_down("foo", false, 2, true))
            ngx.say(upstream.set_peer_down("foo", true, 0, true))
            ngx.say(upstream.set_peer_down("none", false, 0, true))
            ngx.say(pcall(upstream.set_peer_down, "foo"))
        }
    }
--- request
GET /t
--- response_body
true
true
502 502 502 502 true
true
200 200 200 200 nil
nilbad peer id
nilno backup peers
nilupstream not found
falseexactly 4 arguments expected



=== TEST 5: the group of the request
--- http_config
    upstream foo { server 127.0.0.1:$TEST_NGINX_SERVER_PORT; }
--- config
    location /ok { return 200 ok; }
    location /t {
        access_by_lua_block { ngx.log(ngx.WARN, "before: ", require "ngx.upstream".current_upstream_name()) }
        log_by_lua_block { ngx.log(ngx.WARN, "after: ", require "ngx.upstream".current_upstream_name()) }
        proxy_pass http://foo/ok;
    }
--- request
GET /t
--- response_body: ok
--- error_log
before: nil
after: foo
