use Test::Nginx::Socket 'no_plan';

run_tests();

__DATA__

=== TEST 1: the first rule that fits decides
--- config
    location /a { allow 127.0.0.1; deny all; return 200 "early\n"; }
    location /b { allow 127.0.0.1; deny all; content_by_lua_block { ngx.say("in") } }
--- request eval
["GET /a", "GET /b"]
--- response_body eval
["early\n", "in\n"]



=== TEST 2: a refusal is logged
--- config
    location /c { deny 127.0.0.0/8; allow all; content_by_lua_block { ngx.say("in") } }
--- request
GET /c
--- error_code: 403
--- error_log
access forbidden by rule



=== TEST 3: satisfy any asks Lua, too
--- config
    location /in { satisfy any; deny all; access_by_lua_block { return } content_by_lua_block { ngx.say("in") } }
    location /out { satisfy any; deny all; access_by_lua_block { ngx.exit(403) } content_by_lua_block { ngx.say("in") } }
--- request eval
["GET /in", "GET /out"]
--- error_code eval
[200, 403]



=== TEST 4: limit_except
--- config
    location /t { limit_except GET { deny all; } content_by_lua_block { ngx.say("in") } }
--- request eval
["GET /t", "POST /t"]
--- error_code eval
[200, 403]
