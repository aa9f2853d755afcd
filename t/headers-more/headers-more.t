use Test::Nginx::Socket 'no_plan';

run_tests();

__DATA__

=== TEST 1: outer commands come first
--- config
    more_set_headers 'X-Server: s' 'X-Over: server';
    location /t { more_set_headers 'X-Foo: a' 'X-Bar:b' 'X-Empty:' 'X-Over: loc'; echo hi; }
--- request
GET /t
--- response_headers
X-Server: s
X-Over: loc
X-Foo: a
X-Bar: b
!X-Empty



=== TEST 2: headers of the server's own
--- config
    location /set { more_set_headers 'Server: Foo' 'Date: now'; echo hi; }
    location /clear { more_clear_headers Server Date Content-Type; echo hi; }
    location /length { more_clear_headers Content-Length; return 200 abc; }
--- request eval
["GET /set", "GET /clear", "GET /length"]
--- response_headers eval
["Server: Foo\nDate: now", "!Server\n!Date\n!Content-Type", "!Content-Length"]



=== TEST 3: statuses
--- config
    location /t { more_set_headers -s 404 'X-Err: 1'; more_set_headers -s '200 201' 'X-Ok: 1'; return 404; }
    location /ok { more_set_headers -s 404 'X-Err: 1'; more_set_headers -s '200 201' 'X-Ok: 1'; return 200 x; }
--- request eval
["GET /t", "GET /ok"]
--- error_code eval
[404, 200]
--- response_headers eval
["X-Err: 1\n!X-Ok", "X-Ok: 1\n!X-Err"]



=== TEST 4: content types, without parameters
--- config
    location /t {
        more_set_headers 'Content-Type: text/css; charset=y';
        more_set_headers -t 'text/css' 'X-Css: 1';
        more_set_headers -t 'text/cs' 'X-Part: 1';
        more_set_headers -t 'text/html TEXT/css' 'X-Case: 1';
        return 200 x;
    }
--- request
GET /t
--- response_headers
X-Css: 1
!X-Part
!X-Case



=== TEST 5: wildcards
--- config
    location /t { more_set_headers 'X-A: 1' 'X-B: 2' 'Y: 3'; more_clear_headers 'x-*'; echo hi; }
--- request
GET /t
--- response_headers
!X-A
!X-B
Y: 3



=== TEST 6: Location
--- config
    location /t { more_set_headers 'Location: http://a/b'; return 301 /c; }
    location /none { more_clear_headers Location; return 301 /c; }
--- request eval
["GET /t", "GET /none"]
--- error_code eval
[301, 301]
--- response_headers eval
["Location: http://a/b", "!Location"]



=== TEST 7: headers of the request
--- config
    location /t { more_set_input_headers "X-Foo: $arg_a" 'Host: other'; echo "[$http_x_foo][$host][$http_host]"; }
    location /existing { more_set_input_headers -r 'X-Foo: new' 'X-None: n'; echo "[$http_x_foo][$http_x_none]"; }
    location /clear { more_clear_input_headers 'X-F*' X-Bar; echo "[$http_x_foo][$http_x_bar]"; }
    location /type { more_set_input_headers -t 'text/plain' 'X-Foo: t'; echo "[$http_x_foo]"; }
--- request eval
["GET /t?a=1", "GET /existing", "GET /clear", "GET /type"]
--- more_headers
X-Foo: old
X-Bar: old
Content-Type: text/plain; charset=z
--- response_body eval
["[1][other][other]\n", "[new][]\n", "[][]\n", "[old]\n"]



=== TEST 8: they come after the rewrite directives and before Lua
--- config
    location /t {
        more_set_input_headers 'X-Foo: new';
        set $before $http_x_foo;
        rewrite_by_lua_block { ngx.ctx.seen = ngx.var.http_x_foo }
        content_by_lua_block { ngx.say(ngx.var.before, " ", ngx.ctx.seen) }
    }
--- request
GET /t
--- more_headers
X-Foo: old
--- response_body
old new



=== TEST 9: an unknown option
--- config
    location /t { more_clear_headers -a X; }
--- must_die
--- error_log
more_clear_headers: invalid option name: "-a"



=== TEST 10: a bad status
--- config
    location /t { more_set_headers -s 4x4 'X: 1'; }
--- must_die
--- error_log
more_set_headers: invalid digit "x" found in the status code list "4x4"
