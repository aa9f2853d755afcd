use Test::Nginx::Socket 'no_plan';

no_root_location();
run_tests();

__DATA__

=== TEST 1: before and behind
--- user_files
>>> page.html
page
--- config
    add_before_body /before; add_after_body /after;
    location /page { root html; types { text/html html; } }
    location /return { default_type text/html; return 200 "returned\n"; }
    location /lua { default_type text/html; content_by_lua_block { ngx.say("one") ngx.flush(true) ngx.say("two") } }
    location /eof { default_type text/html; content_by_lua_block { ngx.say("ended") ngx.eof() } }
    location /plain { default_type text/plain; return 200 "plain\n"; }
    location /types { addition_types text/plain; default_type text/plain; return 200 "typed\n"; }
    location /status { default_type text/html; return 201 "status\n"; }
    location /before { internal; default_type text/html; return 200 "before\n"; }
    location /after { internal; default_type text/html; content_by_lua_block { ngx.sleep(0.001) ngx.say("after ", ngx.var.request_uri) } }
--- request eval
["GET /page.html", "GET /return", "GET /lua", "GET /eof", "GET /plain", "GET /types", "GET /status"]
--- error_code eval
[200, 200, 200, 200, 200, 200, 201]
--- response_body eval
["before\npage\nafter /page.html\n", "before\nreturned\nafter /return\n", "before\none\ntwo\nafter /lua\n", "before\nended\nafter /eof\n", "plain\n", "before\ntyped\nafter /types\n", "status\n"]



=== TEST 2: one of the two
--- config
    default_type text/html;
    location /a { add_before_body /x; return 200 "a\n"; }
    location /b { add_after_body /x; return 200 "b\n"; }
    location /none { add_before_body ""; add_after_body ""; return 200 "c\n"; }
    location /x { return 200 "x\n"; }
--- request eval
["GET /a", "GET /b", "GET /none", "HEAD /a"]
--- response_body eval
["x\na\n", "b\nx\n", "c\n", ""]
