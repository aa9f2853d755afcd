# Blocks of all kinds for the kit's toy server. Every block passes.

use Test::Nginx::Socket 'no_plan';

repeat_each(2);
our $Greeting = "hello";
$ENV{TEST_NGINX_WORD} ||= "word";
add_block_preprocessor(sub {
    my $block = shift;
    if (!defined $block->config) {
        $block->set_value("config", 'location = /t { return 200 "from the preprocessor\n"; }');
    }
    if (!defined $block->request) {
        $block->set_value("request", "GET /t");
    }
});
no_long_string();
run_tests();

__DATA__

=== TEST 1: status, exact body, absent log lines
--- config
    location = /t { return 200 "hello\n"; }
--- request
    GET /t
--- response_body
hello
--- no_error_log
[error]
[alert]



=== TEST 2: other status, headers
--- config
    location = /t { return 404 "gone"; }
--- request
GET /t
--- error_code: 404
--- response_headers
Server: fake
X-Port: $ServerPort
!X-Missing
--- response_headers_like
Server: f.*
--- raw_response_headers_like: Content-Length: \d+\r\n
--- raw_response_headers_unlike: Transfer-Encoding
--- response_body chomp
gone



=== TEST 3: evaluated sections
--- config eval
"location = /t { return 200 \"$::Greeting $ENV{TEST_NGINX_WORD}" . "!" x 3 . "\\n\"; }"
--- request eval
"GET " . "/t"
--- response_body eval
qr/\Ahello \w+!{3}\Z/



=== TEST 4: lines that must come, and what is grepped out of them
--- config
    location = /t { return 200 "x"; }
    log /t warn first 11 of these;
    log /t error second 22 of these;
--- request
GET /t
--- response_body_like: ^x$
--- error_log eval
["first 11", qr/\[error\] \d+#0: second/]
--- grep_error_log eval
qr/\w+ \d\d of/
--- grep_error_log_out
first 11 of
second 22 of



=== TEST 5: several answers on one connection
--- config
    location = /a { return 200 "A"; }
    location = /b { return 201 "B"; }
--- pipelined_requests eval
["GET /a", "GET /b?chunked"]
--- error_code eval
[200, 201]
--- response_body eval
["A", "B"]



=== TEST 6: several requests, with bodies and headers of their own
--- config
    location = /x { return 200 ""; }
--- request eval
["POST /echo\nfirst", [["POST /ec"], "unused"] ? "POST /echo\nsecond" : ""]
--- more_headers eval
["X-In: 1", "X-In: 2\nX-Other: 3"]
--- response_body eval
["POST 1 first\n", "POST 2 second\n"]



=== TEST 7: a request in pieces
--- config
    location = /x { return 200 ""; }
--- raw_request eval
["POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 4\r\n\r\n", "ab", "cd"]
--- raw_request_middle_delay: 0.001
--- response_body
POST  abcd



=== TEST 8: access log
--- config
    location = /t { return 200 "x"; }
--- request
GET /t
--- access_log
GET /t 200
--- no_access_log
POST



=== TEST 9: the configuration of the preprocessor
--- response_body
from the preprocessor



=== TEST 10: a file of the test's
--- config
    location = /t { return 200 "x"; }
--- user_files
>>> sub/note.txt 202601311200.00
port $TEST_NGINX_SERVER_PORT
--- request
GET /t
--- response_body_filters eval
[sub { my $b = shift; "[$b]" }, "uc"]
--- response_body chomp
[X]



=== TEST 11: a server that must not start
--- config
    bogus_directive;
--- must_die
--- error_log
unknown directive "bogus_directive"



=== TEST 12: the log of the end
--- config
    location = /t { return 200 "x"; }
--- request
GET /t
--- shutdown_error_log
gracefully shutting down
--- no_shutdown_error_log
[alert]



=== TEST 13: skipped by version
--- config
    bogus_directive;
--- skip_nginx: 3: < 1.30.0: too old
--- request
GET /t



=== TEST 14: skipped by code
--- config
    bogus_directive;
--- skip_eval: 3: $^O eq 'linux' && !$ENV{TEST_NGINX_NOT_SET}
--- request
GET /t



=== TEST 15: not run at all
--- SKIP
--- config
    bogus_directive;
