use Test::Nginx::Socket 'no_plan';

no_root_location();
run_tests();

__DATA__

=== TEST 1: dots, double slashes and percent signs
--- config
    location / { return 200 "$uri\n"; }
--- raw_request eval
[map { "GET $_ HTTP/1.0\r\n\r\n" } ("/a/./b", "/a/../b", "/a//b///c", "/a/b/..", "/a/b/.", "/%2e%2e/x", "/a/%2e%2e/b", "/a%2fb", "/a/...", "/.", "/a/.b", "/a+b", "/%7Euser", "/a;p=1")]
--- response_body eval
["/a/b\n", "/b\n", "/a/b/c\n", "/a/\n", "/a/b/\n", undef, "/b\n", "/a/b\n", "/a/...\n", "/\n", "/a/.b\n", "/a+b\n", "/~user\n", "/a;p=1\n"]
--- error_code eval
[200, 200, 200, 200, 200, 400, 200, 200, 200, 200, 200, 200, 200, 200]



=== TEST 2: leaving the root is refused
--- config
    location / { return 200 "$uri\n"; }
--- raw_request eval
[map { "GET $_ HTTP/1.0\r\n\r\n" } ("/..", "/../x", "/a/../../x", "/%2e%2e/", "/a/..%2f..%2fx")]
--- error_code eval
[400, 400, 400, 400, 400]



=== TEST 3: broken escapes and NUL
--- config
    location / { return 200 "$uri\n"; }
--- raw_request eval
[map { "GET $_ HTTP/1.0\r\n\r\n" } ("/%", "/%4", "/%zz", "/%00", "/a%0x")]
--- error_code eval
[400, 400, 400, 400, 400]



=== TEST 4: the arguments stay as they are
--- config
    location / { return 200 "$uri|$args|$request_uri\n"; }
--- raw_request eval
[map { "GET $_ HTTP/1.0\r\n\r\n" } ("/a?b=/../c//d", "/a?", "/a??b", "/a%3Fb", "/?a#b", "/a#frag", "/a?%zz=%00")]
--- response_body eval
["/a|b=/../c//d|/a?b=/../c//d\n", "/a||/a?\n", "/a|?b|/a??b\n", "/a?b||/a%3Fb\n", "/|a|/?a#b\n", "/a||/a#frag\n", "/a|%zz=%00|/a?%zz=%00\n"]



=== TEST 5: merge_slashes off
--- config
    merge_slashes off;
    location / { return 200 "$uri\n"; }
--- raw_request eval
[map { "GET $_ HTTP/1.0\r\n\r\n" } ("/a//b", "//x", "/a//../b", "/a/.//b")]
--- response_body eval
["/a//b\n", "//x\n", "/a/b\n", "/a//b\n"]



=== TEST 6: request lines of other forms
--- config
    location / { return 200 "$request_method $uri $host\n"; }
--- raw_request eval
["GET http://h.test HTTP/1.0\r\n\r\n", "GET http://h.test?x HTTP/1.0\r\n\r\n", "GET hTTp://H.test:80/p HTTP/1.0\r\n\r\n", "OPTIONS * HTTP/1.0\r\n\r\n", "FOO-BAR / HTTP/1.0\r\n\r\n", "get / HTTP/1.0\r\n\r\n", "M_X / HTTP/1.0\r\n\r\n"]
--- error_code eval
[200, 200, 200, 400, 200, 400, 200]



=== TEST 7: versions
--- config
    location / { return 200 "$server_protocol\n"; }
--- raw_request eval
["GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "GET / HTTP/1.2\r\nHost: a\r\nConnection: close\r\n\r\n", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "GET / HTTX/1.1\r\n\r\n", "GET / HTTP/1.1x\r\n\r\n", "GET / HTTP/1.\r\n\r\n"]
--- error_code eval
[200, 200, 200, 505, 505, 400, 400, 400]



=== TEST 8: HTTP/0.9 gets a body only
--- config
    location / { return 200 "old\n"; }
--- raw_request eval
"GET /\r\n"
--- http09
--- response_body
old



=== TEST 9: bytes above 127 and spaces
--- config
    location / { return 200 "$uri\n"; }
--- raw_request eval
["GET /\xc3\xa9 HTTP/1.0\r\n\r\n", "GET /%C3%A9 HTTP/1.0\r\n\r\n", "GET /a b HTTP/1.0\r\n\r\n", "GET /a\tb HTTP/1.0\r\n\r\n"]
--- error_code eval
[200, 200, 400, 400]
