use Test::Nginx::Socket 'no_plan';

no_root_location();
run_tests();

__DATA__

=== TEST 1: statuses
--- config
    location /200 { auth_request /auth200; content_by_lua_block { ngx.say("in") } }
    location /204 { auth_request /auth204; content_by_lua_block { ngx.say("in") } }
    location /401 { auth_request /auth401; content_by_lua_block { ngx.say("in") } }
    location /403 { auth_request /auth403; content_by_lua_block { ngx.say("in") } }
    location /404 { auth_request /auth404; content_by_lua_block { ngx.say("in") } }
    location /302 { auth_request /auth302; content_by_lua_block { ngx.say("in") } }
    location /off { auth_request off; content_by_lua_block { ngx.say("in") } }
    location /auth200 { return 200 "not shown"; }
    location /auth204 { return 204; }
    location /auth401 { proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/back; }
    location /back { add_header WWW-Authenticate "One" always; add_header WWW-Authenticate "Two" always; add_header X-Other "no" always; return 401; }
    location /auth403 { return 403; }
    location /auth404 { return 404; }
    location /auth302 { return 302 /; }
--- request eval
["GET /200", "GET /204", "GET /401", "GET /403", "GET /404", "GET /302", "GET /off", "POST /200\nbody"]
--- error_code eval
[200, 200, 401, 403, 500, 500, 200, 200]
--- response_headers eval
["X-Other:", "X-Other:", "WWW-Authenticate: One, Two", "WWW-Authenticate:", "", "", "", ""]



=== TEST 2: an unexpected status is logged
--- config
    location /in { auth_request /auth; content_by_lua_block { ngx.say("in") } }
    location /auth { return 404; }
--- request
GET /in
--- error_code: 500
--- error_log
auth request unexpected status: 404



=== TEST 3: variables are set from the subrequest
--- config
    location /in {
        auth_request /auth; auth_request_set $who $upstream_http_x_user; auth_request_set $made "$made/$arg_a"; auth_request_set $none $upstream_http_x_none;
        content_by_lua_block { ngx.say(ngx.var.who, " ", ngx.var.made, " [", ngx.var.none, "]") }
    }
    location /no { auth_request /no-auth; auth_request_set $who $upstream_http_x_user; error_page 403 = /said; }
    location /said { content_by_lua_block { ngx.say("refused: ", ngx.var.who) } }
    location /auth { set $made "made in $uri"; proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/back; }
    location /no-auth { proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/back?no; }
    location /back { content_by_lua_block { ngx.header.x_user = "user of " .. ngx.var.request_uri; if ngx.var.args == "no" then ngx.exit(403) end ngx.print(("x"):rep(100)) } }
--- request eval
["GET /in?a=b", "GET /no", "GET /in?a=b"]
--- response_body eval
["user of /back made in /auth/ []\n", "refused: user of /back?no\n", "user of /back made in /auth/ []\n"]



=== TEST 4: satisfy any
--- config
    location /yes { satisfy any; deny all; auth_request /auth204; content_by_lua_block { ngx.say("in") } }
    location /no { satisfy any; deny all; auth_request /auth401; content_by_lua_block { ngx.say("in") } }
    location /other { satisfy any; allow all; auth_request /auth401; content_by_lua_block { ngx.say("in") } }
    location /lua { satisfy any; access_by_lua_block { return } auth_request /auth401; content_by_lua_block { ngx.say("in") } }
    location /auth204 { return 204; }
    location /auth401 { return 401; }
--- request eval
["GET /yes", "GET /no", "GET /other", "GET /lua"]
--- error_code eval
[200, 401, 200, 200]



=== TEST 5: a name that is none
--- config
    auth_request_set x y;
--- must_die
--- error_log
invalid variable name "x" in
