use Test::Nginx::Socket 'no_plan';

run_tests();

__DATA__

=== TEST 1: echo, its options and its newline
--- config
    location /t { echo hello world; echo; echo ''; echo -n x; echo -- -n; echo "a" 'b c' $arg_x; echo -x hi; }
--- request
GET /t?x=1
--- response_body eval
"hello world\n\n\nx-n\na b c 1\nhi\n"



=== TEST 2: echo_duplicate
--- config
    location /t { echo_duplicate 3 ab; echo_duplicate 0 ab; echo_duplicate 1_0 '-'; }
    location /bad { echo_duplicate '' ab; }
    location /big { echo_duplicate 100_000 0123456789; }
--- request eval
["GET /t", "GET /bad", "GET /big"]
--- response_body_like eval
["^ababab-{10}\$", "500 Internal Server Error", "^(?:0123456789){100,}\$"]
--- error_code eval
[200, 500, 200]



=== TEST 3: a subrequest stands where it is written
--- config
    location /t { echo_location /sub; echo_location '/sub?a=b'; echo_location /sub c=d; echo mid $echo_incr; echo_location_async /sub; echo end; }
    location /sub { echo "sub[$echo_request_method $echo_client_request_method $echo_request_uri $echo_incr $args]"; }
--- request
POST /t
--- response_body
sub[GET POST /sub 1 ]
sub[GET POST /sub 2 a=b]
sub[GET POST /sub 3 c=d]
mid 4
sub[GET POST /sub 5 ]
end



=== TEST 4: subrequests have variables of their own
--- config
    location /t { set $v parent; echo_location /sub; echo $v; }
    location /sub { set $v "${v}sub"; echo "$v"; }
--- request
GET /t
--- response_body
sub
parent



=== TEST 5: methods, arguments and bodies of subrequests
--- config
    location /t { echo_subrequest POST /sub -q 'a=1' -b 'body text'; echo_subrequest PUT /sub; echo_subrequest_async DELETE /sub; }
    location /sub { echo_read_request_body; echo "$echo_request_method $args $http_content_length $content_length $request_body"; }
--- request eval
"POST /t\nhello body"
--- response_body
POST a=1 9 9 body text
PUT  10 10 hello body
DELETE  10 10 hello body



=== TEST 6: an unknown option of echo_subrequest ends the connection
--- config
    location /t { echo_subrequest POST /sub zz; }
--- request
GET /t
--- ignore_response
--- error_log
unknown option for echo_subrequest*: zz



=== TEST 7: the request body
--- config
    location /t { echo_read_request_body; echo "[$request_body][$echo_request_body]"; echo_request_body; }
    location /unread { echo "[$echo_request_body]"; echo_request_body; }
--- request eval
["POST /t\nhello", "POST /unread\nhello"]
--- response_body eval
["[hello][hello]\nhello", "[]\n"]



=== TEST 8: the client's headers as received
--- config
    location /t { echo_duplicate 1 $echo_client_request_headers; }
--- raw_request eval
"GET /t HTTP/1.0\r\nHost:  a\r\nX-Foo: b\r\n\r\n"
--- response_body eval
"GET /t HTTP/1.0\r\nHost:  a\r\nX-Foo: b\r\n\r\n"



=== TEST 9: loops
--- config
    location /t { echo_foreach_split '&' $args; echo "item[$echo_it]"; echo_end; echo "end[$echo_it]"; }
    location /dash { echo_foreach_split -- '-' 'a-b--c'; echo_location /sub $echo_it; echo_end; }
    location /nested { echo_foreach_split x a; echo_foreach_split x b; echo_end; echo_end; }
    location /sub { echo $args; }
--- request eval
["GET /t?a=1&&b=2&c", "GET /t", "GET /dash", "GET /nested"]
--- response_body_like eval
["^item\\[a=1\\]\nitem\\[b=2\\]\nitem\\[c\\]\nend\\[\\]\n\$", "^end\\[\\]\n\$", "^a\nb\nc\n\$", "500"]
--- error_code eval
[200, 200, 200, 500]



=== TEST 10: echo_exec
--- config
    location /uri { echo_exec /sub x=1; }
    location /own { echo_exec '/sub?y=2'; }
    location /both { echo_exec '/sub?y=2' z=3; }
    location /named { echo_exec @named; }
    location /sub { echo "$uri $args"; }
    location @named { echo "named $uri"; }
--- request eval
["GET /uri", "GET /own", "GET /both", "GET /named"]
--- response_body eval
["/sub x=1\n", "/sub y=2\n", "/sub z=3\n", "named /named\n"]



=== TEST 11: texts around the body
--- config
    location /echo { echo_before_body before $arg_a; echo_before_body -n b2; echo_after_body after; echo content; }
    location /return { echo_before_body before; echo_after_body after; return 200 "static\n"; }
    location /sub { echo_before_body before; echo_location /echo; echo_after_body after; }
--- request eval
["GET /echo?a=1", "GET /return", "GET /sub"]
--- response_body eval
["before 1\nb2content\nafter\n", "before\nstatic\nafter\n", "before\nbefore \nb2content\nafter\nafter\n"]



=== TEST 12: echo_status
--- config
    location /t { echo_status 404; echo nope; }
--- request
GET /t
--- error_code: 404
--- response_body
nope



=== TEST 13: pauses
--- config
    location /t { echo_sleep 0.001; echo_blocking_sleep 0.001; echo_reset_timer; echo_flush; echo "$echo_timer_elapsed"; }
    location /bad { echo_sleep abc; }
--- request eval
["GET /t", "GET /bad"]
--- response_body_like eval
["^\\d+\\.\\d\\d\\d\n\$", "400 Bad Request"]
--- error_code eval
[200, 400]
