use Test::Nginx::Socket 'no_plan';

no_root_location();
run_tests();

__DATA__

=== TEST 1: an unknown directive
--- config
    nonsense on;
--- must_die
--- error_log eval
qr/\[emerg\].*unknown directive "nonsense" in \S+nginx.conf:\d+/



=== TEST 2: a missing semicolon
--- config
    location / { return 200 "x" }
--- must_die
--- error_log
unexpected "}" in



=== TEST 3: too many arguments
--- config
    root a b;
--- must_die
--- error_log
invalid number of arguments in "root" directive in



=== TEST 4: a directive at the wrong place
--- config
    worker_processes 2;
--- must_die
--- error_log
"worker_processes" directive is not allowed here in



=== TEST 5: a flag that is none
--- config
    sendfile maybe;
--- must_die
--- error_log
invalid value "maybe" in "sendfile" directive, it must be "on" or "off" in



=== TEST 6: a size that is none
--- config
    client_max_body_size 1q;
--- must_die
--- error_log
[emerg]
"client_max_body_size" directive



=== TEST 7: a directive twice
--- config
    location / { default_type a; default_type b; }
--- must_die
--- error_log
"default_type" directive is duplicate in



=== TEST 8: a block that does not end
--- config
    location / {
--- must_die
--- error_log
[emerg]



=== TEST 9: include of a file that is missing
--- config
    include none.conf;
--- must_die
--- error_log
none.conf" failed (2: No such file or directory)



=== TEST 10: include with a pattern may match nothing
--- config
    include none*.conf;
    location / { return 200 "ok\n"; }
--- request
GET /
--- response_body
ok



=== TEST 11: include of files, in order
--- config
    location / { include ../html/inc*.conf; return 200 "$x\n"; }
--- user_files
>>> inc1.conf
set $x "one";
>>> inc2.conf
set $x "${x} two";
--- request
GET /
--- response_body
one two



=== TEST 12: quotes, escapes, comments
--- config
    location / { # a comment
        set $a 'single "double"';
        set $b "tab\tquote\" dollar";
        set $c a\ b;
        return 200 "$a|$b|$c|${a}x\n"; # another
    }
--- request
GET /
--- response_body eval
"single \"double\"|tab\tquote\" dollar|a\\ b|single \"double\"x\n"



=== TEST 13: a variable whose name does not end
--- config
    location / { return 200 "${x"; }
--- must_die
--- error_log
the closing bracket in "x" variable is missing in



=== TEST 14: Lua blocks with braces, quotes and comments
--- config
    location / {
        content_by_lua_block {
            local t = { "}", '{', [[ } ]], [==[ ]] } ]==] } -- a comment with }
            --[[ a long one
              } } ]]
            ngx.say(#t, t[1], t[2], t[3], t[4])
        }
    }
--- request
GET /
--- response_body
4}{ }  ]] } 



=== TEST 15: a Lua block that does not end
--- config
    location / { content_by_lua_block { ngx.say("x") }
--- must_die
--- error_log
[emerg]



=== TEST 16: a Lua block with a syntax error refuses requests
--- config
    location / { content_by_lua_block { local = } }
--- request
GET /
--- error_code: 500
--- error_log eval
qr/content_by_lua\(nginx.conf:\d+\):1: .*near '='|content_by_lua\(nginx.conf:\d+\).*expected near '='/
