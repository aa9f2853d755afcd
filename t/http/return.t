use Test::Nginx::Socket 'no_plan';

no_root_location();
run_tests();

__DATA__

=== TEST 1: status, text, redirects
--- config
    location /a { return 200 "text $arg_x\n"; }
    location /b { return 204; }
    location /c { return 302 /elsewhere; }
    location /d { return http://other.test/$uri; }
    location /e { return 307 "/q?x=$arg_x"; }
    location /f { return 403 "no\n"; }
--- request eval
["GET /a?x=1", "GET /b", "GET /c", "GET /d", "GET /e?x=1", "GET /f"]
--- error_code eval
[200, 204, 302, 302, 307, 403]
--- response_headers_like eval
["Content-Length: 7", "", "Location: http://localhost:\\d+/elsewhere", "Location: http://other.test//d", "Location: http://localhost:\\d+/q\\?x=1", "Content-Length: 3"]



=== TEST 2: 444 closes without an answer
--- config
    location / { return 444; }
--- raw_request eval
"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
--- ignore_response
--- access_log
" 444 0 



=== TEST 3: default_type of returned text
--- config
    default_type application/json;
    location / { return 200 "{}"; }
--- request
GET /
--- response_headers
Content-Type: application/json
--- response_body: {}



=== TEST 4: return before and after set
--- config
    location / { set $x 1; if ($arg_q) { return 200 "if $x\n"; } set $x 2; return 200 "end $x\n"; }
--- request eval
["GET /?q=1", "GET /"]
--- response_body eval
["if 1\n", "end 2\n"]



=== TEST 5: conditions
--- config
    location / {
        set $r "";
        if ($arg_a = x) { set $r "${r}eq,"; }
        if ($arg_a != x) { set $r "${r}ne,"; }
        if ($arg_a ~ ^x) { set $r "${r}re,"; }
        if ($arg_a ~* ^X) { set $r "${r}rei,"; }
        if ($arg_a !~ ^x) { set $r "${r}nre,"; }
        if ($arg_a !~* ^X) { set $r "${r}nrei,"; }
        if ($arg_a) { set $r "${r}true,"; }
        return 200 "$r\n";
    }
--- request eval
["GET /?a=x", "GET /?a=xy", "GET /?a=X", "GET /?a=0", "GET /"]
--- response_body eval
["eq,re,rei,true,\n", "ne,re,rei,true,\n", "ne,rei,nre,true,\n", "ne,nre,nrei,\n", "ne,nre,nrei,\n"]



=== TEST 6: tests of files
--- config
    location / {
        root html;
        set $r "";
        if (-f $request_filename) { set $r "${r}f"; }
        if (-d $request_filename) { set $r "${r}d"; }
        if (-e $request_filename) { set $r "${r}e"; }
        if (-x $request_filename) { set $r "${r}x"; }
        if (!-f $request_filename) { set $r "${r}F"; }
        if (!-e $request_filename) { set $r "${r}E"; }
        return 200 "$r\n";
    }
--- user_files
>>> file
x
>>> dir/x
x
--- request eval
["GET /file", "GET /dir", "GET /none"]
--- response_body eval
["fe\n", "dexF\n", "FE\n"]



=== TEST 7: captures in if
--- config
    location / { if ($arg_a ~ "^(\w)(?<rest>\w*)$") { return 200 "$1 $rest\n"; } return 200 "none\n"; }
--- request eval
["GET /?a=abc", "GET /?a=-"]
--- response_body eval
["a bc\n", "none\n"]



=== TEST 8: if takes over the location's settings
--- config
    location / {
        add_header X-Outer 1;
        default_type text/x-outer;
        if ($arg_a) { add_header X-Inner 2; return 200 "in\n"; }
        return 200 "out\n";
    }
--- request eval
["GET /?a=1", "GET /"]
--- response_headers eval
["X-Inner: 2\nContent-Type: text/x-outer\n!X-Outer", "X-Outer: 1\n!X-Inner"]



=== TEST 9: a condition that is none
--- config
    location / { if (x = y) { return 200; } }
--- must_die
--- error_log
invalid condition "x" in



=== TEST 10: an unknown variable
--- config
    location / { return 200 "$nosuchvariable\n"; }
--- must_die
--- error_log
[emerg]
unknown "nosuchvariable" variable



=== TEST 11: a status that is none
--- config
    location / { return 1000; }
--- must_die
--- error_log
invalid return code "1000" in



=== TEST 12: rewrite flags that do not exist
--- config
    location / { rewrite ^ /x nonsense; }
--- must_die
--- error_log
invalid parameter "nonsense" in



=== TEST 13: a Location that was made absolute stands before the fields of the connection
--- config
    location / { return 302 /x; }
--- raw_request eval
"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
--- error_code: 302
--- raw_response_headers_like: Location: http://a:\d+/x\r\nConnection: close\r\n
