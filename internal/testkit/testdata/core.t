# Blocks that need nothing but the http core and rewrite. They pass on nginx too.

=== TEST 1: return with a text
--- config
    location = /t {
        return 200 "hello $arg_name\n";
    }
--- request
GET /t?name=moon
--- response_body
hello moon
--- response_headers
Content-Type: text/plain
Content-Length: 11
--- no_error_log
[error]



=== TEST 2: a redirect names the server
--- config
    location = /t {
        return 301 /other;
    }
--- request
GET /t
--- error_code: 301
--- response_headers
Location: http://localhost:$ServerPort/other
--- response_body_like: 301 Moved Permanently



=== TEST 3: no such location, in the log as well
--- config
    location /t {
        return 200;
    }
--- request
GET /nothing.html
--- error_code: 404
--- error_log eval
qr/\[error\] .*? open\(\) ".*?nothing\.html" failed \(2: No such file or directory\)/



=== TEST 4: kept alive
--- config
    location /t {
        return 200 "$uri\n";
    }
--- pipelined_requests eval
["GET /t/1", "GET /t/2", "GET /t/3"]
--- response_body eval
["/t/1\n", "/t/2\n", "/t/3\n"]



=== TEST 5: set and if
--- config
    location /t {
        set $word "no";
        if ($request_method = POST) {
            set $word "yes";
        }
        return 200 $word;
    }
--- request
POST /t
body
--- response_body chomp
yes



=== TEST 6: an unknown directive
--- config
    frobnicate on;
--- must_die
--- error_log eval
qr/\[emerg\] \d+#\d+: unknown directive "frobnicate" in .*?nginx\.conf:39/



=== TEST 7: a file of the test's
--- config
    location /files/ {
        alias $TEST_NGINX_HTML_DIR/;
    }
--- user_files
>>> sub/note.txt
port $TEST_NGINX_SERVER_PORT
--- request
GET /files/sub/note.txt
--- response_body
port $TEST_NGINX_SERVER_PORT



=== TEST 8: a garbled request
--- config
    location = /t {
        return 200;
    }
--- raw_request eval
"GET /t HTTP/1.1\r\nHost: a b\r\n\r\n"
--- error_code: 400
