use Test::Nginx::Socket 'no_plan';

no_root_location();
run_tests();

__DATA__

=== TEST 1: once, in any case, with variables
--- config
    default_type text/html;
    location /once { sub_filter hello bye; return 200 "Hello, hello\n"; }
    location /all { sub_filter HELLO "<$uri>"; sub_filter_once off; return 200 "Hello, hello\n"; }
    location /var { sub_filter $arg_w ($arg_w); return 200 "Hello, hello\n"; }
    location /empty { sub_filter ", hello" ""; return 200 "Hello, hello\n"; }
--- request eval
["GET /once", "GET /all", "GET /var?w=LO", "GET /var", "GET /empty"]
--- response_body eval
["bye, hello\n", "</all>, </all>\n", "Hel(LO), hello\n", "Hello, hello\n", "Hello\n"]



=== TEST 2: types
--- config
    sub_filter a b;
    location /html { default_type text/html; return 200 "a\n"; }
    location /plain { default_type text/plain; return 200 "a\n"; }
    location /given { sub_filter_types text/plain; default_type text/plain; return 200 "a\n"; }
    location /any { sub_filter_types *; default_type x/y; return 200 "a\n"; }
--- request eval
["GET /html", "GET /plain", "GET /given", "GET /any"]
--- response_body eval
["b\n", "a\n", "b\n", "b\n"]



=== TEST 3: headers of a file
--- user_files
>>> a.html
one two
--- config
    location /none { alias html/; sub_filter one 1; }
    location /kept { alias html/; sub_filter one 1; sub_filter_last_modified on; }
--- request eval
["GET /none/a.html", "GET /kept/a.html"]
--- response_body eval
["1 two\n", "1 two\n"]
--- response_headers_like eval
["!Last-Modified:\n!ETag:\n!Content-Length:\n!Accept-Ranges:", "Last-Modified: .+ GMT\nETag: W/\".*\"\n!Content-Length:"]



=== TEST 4: what Lua sends piece by piece, and flushes
--- config
    location / {
        default_type text/html; sub_filter_once off; sub_filter "one two" 12;
        content_by_lua_block { ngx.print("on") ngx.flush(true) ngx.print("e tw") ngx.flush(true) ngx.print("o, one") ngx.flush(true) ngx.print(" ") ngx.say("three") }
    }
--- request
GET /
--- response_body
12, one three



=== TEST 5: compressed afterwards
--- config
    location / {
        default_type text/html; sub_filter small large; gzip on; gzip_min_length 1;
        return 200 "a small page";
    }
    location /t {
        content_by_lua_block {
            local s = ngx.socket.tcp()
            s:connect("127.0.0.1", $TEST_NGINX_SERVER_PORT)
            s:send("GET / HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n")
            local all = s:receive("*a")
            ngx.say(all:match("Content%-Encoding: (%w+)"))
        }
    }
--- request
GET /t
--- response_body
gzip



=== TEST 6: subrequests have theirs
--- config
    location / { default_type text/html; echo_location /a; echo_location /b; }
    location /a { default_type text/html; sub_filter x 1; echo "xa"; }
    location /b { default_type text/html; sub_filter x 2; echo "xb"; }
--- request
GET /
--- response_body
1a
2b



=== TEST 7: nothing to look for
--- config
    sub_filter "" x;
--- must_die
--- error_log
empty search pattern in
