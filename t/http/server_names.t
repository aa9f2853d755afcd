use Test::Nginx::Socket 'no_plan';

no_root_location();
run_tests();

__DATA__

=== TEST 1: exact names win over wildcards, and those over regular expressions
--- http_config
    server { listen $TEST_NGINX_SERVER_PORT; server_name www.example.com; return 200 "exact\n"; }
    server { listen $TEST_NGINX_SERVER_PORT; server_name *.example.com; return 200 "head\n"; }
    server { listen $TEST_NGINX_SERVER_PORT; server_name www.example.*; return 200 "tail\n"; }
    server { listen $TEST_NGINX_SERVER_PORT; server_name ~^www\.(?<name>[a-z]+)\.; return 200 "regex $name\n"; }
    server { listen $TEST_NGINX_SERVER_PORT; server_name .dotted.net; return 200 "dotted $server_name\n"; }
--- config
    return 200 "default\n";
--- raw_request eval
[map { "GET / HTTP/1.1\r\nHost: $_\r\nConnection: close\r\n\r\n" } ("www.example.com", "WWW.EXAMPLE.COM", "a.example.com", "www.example.org", "www.other.net", "dotted.net", "x.dotted.net", "nobody.test")]
--- response_body eval
["exact\n", "exact\n", "head\n", "tail\n", "regex other\n", "dotted dotted.net\n", "dotted dotted.net\n", "default\n"]



=== TEST 2: port, trailing dot and address forms of Host
--- http_config
    server { listen $TEST_NGINX_SERVER_PORT; server_name example.com; return 200 "$host|$http_host\n"; }
    server { listen $TEST_NGINX_SERVER_PORT; server_name [::1]; return 200 "v6 $host\n"; }
--- config
    return 200 "default $host\n";
--- raw_request eval
[map { "GET / HTTP/1.1\r\nHost: $_\r\nConnection: close\r\n\r\n" } ("example.com:8080", "example.com.", "EXAMPLE.com:1", "[::1]:80", "127.0.0.1")]
--- response_body eval
["example.com|example.com:8080\n", "example.com|example.com.\n", "example.com|EXAMPLE.com:1\n", "v6 [::1]\n", "default 127.0.0.1\n"]



=== TEST 3: the host of an absolute request line counts more than the header
--- http_config
    server { listen $TEST_NGINX_SERVER_PORT; server_name one.test; return 200 "one $host $uri\n"; }
    server { listen $TEST_NGINX_SERVER_PORT; server_name two.test; return 200 "two\n"; }
--- config
    return 200 "default\n";
--- raw_request eval
"GET http://one.test:81/x?y HTTP/1.1\r\nHost: two.test\r\nConnection: close\r\n\r\n"
--- response_body
one one.test /x



=== TEST 4: default_server, and a server without names
--- http_config
    server { listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1; server_name a.test; return 200 "a\n"; }
    server { listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1 default_server; server_name b.test; return 200 "b\n"; }
    server { listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1; server_name ""; return 200 "none\n"; }
--- config
    location / {
        content_by_lua_block {
            local function ask(head)
                local s = ngx.socket.tcp()
                assert(s:connect("127.0.0.1", $TEST_NGINX_RAND_PORT_1))
                s:send("GET / HTTP/1.0\r\n" .. head .. "\r\n")
                return (s:receive("*a"):match("\r\n\r\n(.*)$"))
            end
            ngx.print(ask("Host: a.test\r\n"), ask("Host: c.test\r\n"), ask(""))
        }
    }
--- request
GET /
--- response_body
a
b
none



=== TEST 5: the same name twice is a warning
--- http_config
    server { listen $TEST_NGINX_SERVER_PORT; server_name twice.test; }
    server { listen $TEST_NGINX_SERVER_PORT; server_name twice.test; return 200 "second\n"; }
--- config
    return 200 "ok\n";
--- request
GET /
--- response_body
ok
--- error_log
conflicting server name "twice.test" on 0.0.0.0:



=== TEST 6: two defaults for an address
--- http_config
    server { listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1 default_server; }
    server { listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1 default_server; }
--- config
--- must_die
--- error_log eval
qr/\[emerg\].*a duplicate default server for 127.0.0.1:\d+ in /



=== TEST 7: the same address twice in one server
--- http_config
    server { listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1; listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
--- config
--- must_die
--- error_log eval
qr/\[emerg\].*a duplicate listen 127.0.0.1:\d+ in /



=== TEST 8: parameters that listen does not know
--- config
    listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1 nonsense;
--- must_die
--- error_log
[emerg]
invalid parameter "nonsense"



=== TEST 9: a port that is none
--- config
    listen 127.0.0.1:99999;
--- must_die
--- error_log
invalid port in "127.0.0.1:99999" of the "listen" directive



=== TEST 10: a regular expression of a name that does not compile
--- config
    server_name ~^(;
--- must_die
--- error_log
[emerg]



=== TEST 11: listening at a UNIX socket
--- http_config
    server { listen unix:$TEST_NGINX_HTML_DIR/s.sock; return 200 "[$remote_addr|$server_addr|$remote_port]\n"; }
--- config
    location / {
        content_by_lua_block {
            local s = ngx.socket.tcp()
            assert(s:connect("unix:$TEST_NGINX_HTML_DIR/s.sock"))
            s:send("GET / HTTP/1.0\r\n\r\n")
            local got = s:receive("*a"):match("\r\n\r\n(.*)$")
            ngx.print((got:gsub("unix:/.*/s.sock", "unix:PATH/s.sock")))
        }
    }
--- request
GET /
--- response_body
[unix:|unix:PATH/s.sock|]



=== TEST 12: server_names_hash sizes and several names are accepted
--- http_config
    server_names_hash_max_size 1024;
    server_names_hash_bucket_size 128;
    server { listen $TEST_NGINX_SERVER_PORT; server_name n1.test n2.test *.n3.test ~n4; return 200 "$server_name\n"; }
--- config
    return 200 "default\n";
--- raw_request eval
[map { "GET / HTTP/1.0\r\nHost: $_\r\n\r\n" } ("n1.test", "n2.test", "a.n3.test", "xn4x")]
--- response_body eval
["n1.test\n", "n1.test\n", "n1.test\n", "n1.test\n"]
