use Test::Nginx::Socket 'no_plan';

run_tests();

__DATA__

=== TEST 1: numbers, strings and nothing
--- config
    location /t {
        set_by_lua $a "return 1 + 1";
        set_by_lua_block $b { return "x" .. ngx.var.a }
        set_by_lua $c "return nil";
        set_by_lua $d "return {}";
        echo "[$a][$b][$c][$d]";
    }
--- request
GET /t
--- response_body
[2][x2][][]



=== TEST 2: arguments
--- config
    location /t {
        set_by_lua $a "local x, y = ... return ngx.arg[1] + ngx.arg[2] .. x .. y .. tostring(ngx.arg[3])" 1 $arg_x;
        echo $a;
    }
--- request
GET /t?x=2
--- response_body
312nil



=== TEST 3: in its place among the rewrite directives
--- config
    location /t {
        set $a 1;
        set_by_lua_block $b { return ngx.var.a * 10 }
        set $a 2;
        set_by_lua_block $c { return ngx.var.a * 10 }
        if ($b = 10) { set_by_lua_block $d { return "in" } }
        echo "$b $c $d";
    }
--- request
GET /t
--- response_body
10 20 in



=== TEST 4: an error
--- config
    location /t { set_by_lua_block $a { error("oops") } echo $a; }
--- request
GET /t
--- error_code: 500
--- error_log
oops



=== TEST 5: an error without a text
--- config
    location /t { set_by_lua_block $a { error(nil) } echo $a; }
--- request
GET /t
--- error_code: 500
--- error_log
failed to run set_by_lua*: unknown reason



=== TEST 6: waiting
--- config
    location /t { set_by_lua_block $a { ngx.sleep(1) } echo $a; }
--- request
GET /t
--- error_code: 500
--- error_log
API disabled in the context of set_by_lua*



=== TEST 7: no Lua
--- config
    location /t { set_by_lua_block $a { return return } echo $a; }
--- request
GET /t
--- error_code: 500
--- error_log
failed to load inlined Lua code



=== TEST 8: files
--- user_files
>>> a.lua
local x = ...
return "file " .. x .. ngx.arg[1]
--- config
    location /t { set_by_lua_file $a html/$arg_f.lua 1; echo $a; }
    location /fixed { set_by_lua_file $a html/a.lua 2; echo $a; }
--- request eval
["GET /t?f=a", "GET /fixed", "GET /t?f=none"]
--- error_code eval
[200, 200, 500]
--- response_body_like eval
["^file 11\$", "^file 22\$", "500"]
