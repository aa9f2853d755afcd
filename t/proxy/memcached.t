use Test::Nginx::Socket 'no_plan';

no_root_location();
run_tests();

__DATA__

=== TEST 1: a value
--- config
    location /in { set $memcached_key "a b%"; memcached_pass 127.0.0.1:$TEST_NGINX_RAND_PORT_1; default_type text/plain; }
--- tcp_listen: $TEST_NGINX_RAND_PORT_1
--- tcp_query eval
"get a%20b%25\r\n"
--- tcp_query_len: 14
--- tcp_reply eval
["VALUE a%20b%25 0 5\r\nhel", "lo\r\nEN", "D\r\n"]
--- tcp_reply_delay: 20ms
--- request
GET /in
--- response_headers
Content-Length: 5
Content-Type: text/plain
--- response_body chomp
hello
--- no_error_log
[error]



=== TEST 2: no value: a page of ours
--- config
    location /in { set $memcached_key key; memcached_pass 127.0.0.1:$TEST_NGINX_RAND_PORT_1; error_page 404 = @none; }
    location @none { return 200 "made here\n"; }
--- tcp_listen: $TEST_NGINX_RAND_PORT_1
--- tcp_query_len: 9
--- tcp_reply eval
"END\r\n"
--- request
GET /in
--- response_body
made here
--- log_level: info
--- error_log
key: "key" was not found by memcached



=== TEST 3: flags
--- config
    location /in { set $memcached_key key; memcached_pass 127.0.0.1:$TEST_NGINX_RAND_PORT_1; memcached_gzip_flag 2; }
--- tcp_listen: $TEST_NGINX_RAND_PORT_1
--- tcp_query_len: 9
--- tcp_reply eval
"VALUE key 6 2\r\nok\r\nEND\r\n"
--- request
GET /in
--- response_headers
Content-Encoding: gzip
--- response_body chomp
ok



=== TEST 4: answers that are none
--- config
    location /in { set $memcached_key key; memcached_pass 127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
--- tcp_listen: $TEST_NGINX_RAND_PORT_1
--- tcp_query_len: 9
--- tcp_reply eval
"VALUE other 6 2\r\nok\r\nEND\r\n"
--- request
GET /in
--- error_code: 502
--- error_log
memcached sent invalid key in response "VALUE other 6 2" for key "key" while reading response header from upstream



=== TEST 5: a wrong trailer
--- config
    location /in { set $memcached_key key; memcached_pass 127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
--- tcp_listen: $TEST_NGINX_RAND_PORT_1
--- tcp_query_len: 9
--- tcp_reply eval
"VALUE key 6 2\r\nok\r\nXXX\r\n"
--- request
GET /in
--- response_body chomp
ok
--- error_log
memcached sent invalid trailer



=== TEST 6: no key
--- config
    location /in { memcached_pass 127.0.0.1:1; }
--- request
GET /in
--- error_code: 500
--- error_log
the "$memcached_key" variable is not set



=== TEST 7: a method that is not meant
--- config
    location /in { memcached_pass 127.0.0.1:1; }
--- request
POST /in
body
--- error_code: 405



=== TEST 8: memc: storing the request body
--- config
    location /in { set $memc_key $arg_k; set $memc_flags 5; set $memc_exptime 60; memc_pass 127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
--- tcp_listen: $TEST_NGINX_RAND_PORT_1
--- tcp_query eval
"set key 5 60 4\r\nbody\r\n"
--- tcp_query_len: 22
--- tcp_reply eval
"STORED\r\n"
--- request
PUT /in?k=key
body
--- error_code: 201
--- response_body eval
"STORED\r\n"



=== TEST 9: memc: getting, with the flags
--- config
    location /in { set $memc_key key; memc_pass 127.0.0.1:$TEST_NGINX_RAND_PORT_1; memc_flags_to_last_modified on; add_header X-Flags $memc_flags; }
--- tcp_listen: $TEST_NGINX_RAND_PORT_1
--- tcp_query_len: 9
--- tcp_reply eval
"VALUE key 1000 2\r\nok\r\nEND\r\n"
--- request
GET /in
--- response_headers
X-Flags: 1000
Last-Modified: Thu, 01 Jan 1970 00:16:40 GMT
--- response_body chomp
ok



=== TEST 10: memc: other commands
--- config
    location /in { set $memc_cmd $arg_c; set $memc_key key; set $memc_value $arg_v; memc_pass 127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
--- tcp_listen: $TEST_NGINX_RAND_PORT_1
--- tcp_query eval
"incr key 12\r\n"
--- tcp_query_len: 13
--- tcp_reply eval
"44\r\n"
--- request
GET /in?c=incr&v=12
--- error_code: 201
--- response_body eval
"44\r\n"



=== TEST 11: memc: several lines
--- config
    location /in { set $memc_cmd stats; memc_pass 127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
--- tcp_listen: $TEST_NGINX_RAND_PORT_1
--- tcp_query_len: 7
--- tcp_reply eval
["STAT a 1\r\nST", "AT b 2\r\nEND\r\n"]
--- request
GET /in
--- response_body eval
"STAT a 1\r\nSTAT b 2\r\nEND\r\n"



=== TEST 12: memc: errors of the server
--- config
    location /in { set $memc_cmd delete; set $memc_key key; memc_pass 127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
--- tcp_listen: $TEST_NGINX_RAND_PORT_1
--- tcp_query_len: 12
--- tcp_reply eval
"SERVER_ERROR out of memory\r\n"
--- request
GET /in
--- error_code: 502
--- response_body eval
"SERVER_ERROR out of memory\r\n"



=== TEST 13: memc: refusals
--- config
    location /cmd { set $memc_cmd nonsense; memc_pass 127.0.0.1:1; }
    location /allowed { set $memc_cmd set; memc_cmds_allowed get; memc_pass 127.0.0.1:1; }
    location /time { set $memc_cmd set; set $memc_exptime x; memc_pass 127.0.0.1:1; }
    location /count { set $memc_cmd incr; set $memc_key k; memc_pass 127.0.0.1:1; }
    location /body { set $memc_cmd set; set $memc_key k; memc_pass 127.0.0.1:1; }
    location /method { set $memc_key k; memc_pass 127.0.0.1:1; }
--- request eval
["GET /cmd", "GET /allowed", "GET /time", "GET /count", "GET /body", "OPTIONS /method"]
--- error_code eval
[400, 403, 400, 400, 500, 400]



=== TEST 14: memc: a command that nobody knows
--- config
    memc_cmds_allowed get cas;
--- must_die
--- error_log
Unknown memcached command "cas" used in "memc_cmds_allowed" in
