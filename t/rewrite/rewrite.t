use Test::Nginx::Socket 'no_plan';

run_tests();

__DATA__

=== TEST 1: last searches a location, arguments are kept
--- config
    location /a { rewrite ^/a/(.*)$ /b/$1?x=$1 last; return 200 "not reached\n"; }
    location /b { return 200 "$uri $args\n"; }
--- request
GET /a/one?y=2
--- response_body
/b/one x=one&y=2



=== TEST 2: break stays and ends the script
--- config
    location /a { rewrite ^/a/(.*)$ /b/$1 break; return 200 "not reached\n"; }
    location /b { return 200 "not reached\n"; }
--- request
GET /a/one
--- error_code: 404
--- error_log
/html/b/one" failed (2: No such file or directory)



=== TEST 3: a redirect is absolute
--- config
    location /x { rewrite ^/(.*)$ /to/$1 permanent; }
--- request
GET /x%20y?q=1
--- error_code: 301
--- response_headers_like
Location: http://localhost:\d+/to/x%20y\?q=1



=== TEST 4: ten changes of the URI are enough
--- config
    location /x { rewrite ^(.*)$ $1x last; }
--- request
GET /x
--- error_code: 500
--- error_log
rewrite or internal redirection cycle while processing "/xxxxxxxxxxxx"



=== TEST 5: rewrite, return and if of the server come before its locations
--- config
    set $who server;
    if ($arg_end) { return 410 "ended\n"; }
    rewrite ^/old(.*)$ /new$1;
    location /old { return 200 "old\n"; }
    location /new { return 200 "$who $uri\n"; }
--- request eval
["GET /old/x", "GET /old?end=1"]
--- response_body eval
["server /new/x\n", "ended\n"]
--- error_code eval
[200, 410]



=== TEST 6: an if has its own configuration, and goes on behind it
--- config
    location /t {
        if ($arg_v ~ ^(\d)(.*)$) { root /second; set $got "$2$1"; }
        return 200 "$document_root $got\n";
    }
--- request
GET /t?v=1xyz
--- response_body
/second xyz1



=== TEST 7: files
--- user_files
>>> there.txt
hello
--- config
    location ~ ^ {
        if (-f $request_filename) { return 200 "file\n"; }
        if (-d $request_filename) { return 200 "folder\n"; }
        if (!-e $request_filename) { return 200 "nothing\n"; }
    }
--- request eval
["GET /there.txt", "GET /", "GET /none"]
--- response_body eval
["file\n", "folder\n", "nothing\n"]



=== TEST 8: Lua sees what set assigned, and set what Lua assigned in an earlier phase
--- config
    set $a before;
    location /t {
        set $b "$a-b";
        rewrite_by_lua_block { ngx.var.b = ngx.var.b .. "-lua" }
        content_by_lua_block { ngx.say(ngx.var.a, " ", ngx.var.b) }
    }
--- request
GET /t
--- response_body
before before-b-lua



=== TEST 9: return with a text, an empty text and none
--- config
    location /text { return 404 "own words\n"; }
    location /none { return 404; }
    location /204 { return 204; }
--- request eval
["GET /text", "GET /none", "GET /204"]
--- response_body_like eval
["^own words\$", "<h1>404 Not Found</h1>", "^\$"]
--- error_code eval
[404, 404, 204]



=== TEST 10: 444 closes the connection
--- config
    location /t { return 444; }
--- raw_request eval
"GET /t HTTP/1.1\r\nHost: a\r\n\r\n"
--- ignore_response
--- no_error_log
[error]



=== TEST 11: an uninitialized variable is empty, with a warning
--- config
    location /t { if ($arg_x) { set $y 1; } return 200 "[$y]\n"; }
--- request
GET /t
--- response_body
[]
--- error_log
using uninitialized "y" variable



=== TEST 12: rewrite_log
--- config
    rewrite_log on;
    location /a { rewrite ^/a(.*)$ /b$1 last; }
    location /b { return 204; }
--- log_level: notice
--- request
GET /a1?q
--- error_code: 204
--- error_log
"^/a(.*)$" matches "/a1"
rewritten data: "/b1", args: "q"



=== TEST 13: an error page of another location sees the original URI
--- config
    location /a { error_page 403 = @sorry; return 403; }
    location @sorry { return 200 "sorry for $uri, $request_uri\n"; }
--- request
GET /a?b=c
--- response_body
sorry for /a, /a?b=c
