use Test::Nginx::Socket 'no_plan';

no_root_location();
run_tests();

__DATA__

=== TEST 1: variables and parts in values
--- http_config
    map $arg_a $out { default "d-$uri"; x "${arg_b}-x"; ~^n(\d+) "n=$1"; "" empty; }
--- config
    location / { return 200 "$out\n"; }
--- request eval
["GET /p?a=q", "GET /p?a=x&b=1", "GET /p?a=n42", "GET /p"]
--- response_body eval
["d-/p\n", "1-x\n", "n=42\n", "empty\n"]



=== TEST 2: the order: texts, wildcards, expressions, default
--- http_config
    map $arg_h $out { hostnames; default none; ~^www "regex"; www.example.com exact; *.example.com head; www.example.* tail; .dot.test dot; }
--- config
    location / { return 200 "$out\n"; }
--- request eval
["GET /?h=www.example.com", "GET /?h=a.example.com", "GET /?h=www.example.org", "GET /?h=www.other", "GET /?h=dot.test", "GET /?h=a.dot.test", "GET /?h=zzz"]
--- response_body eval
["exact\n", "head\n", "tail\n", "regex\n", "dot\n", "dot\n", "none\n"]



=== TEST 3: keys with a backslash
--- http_config
    map $arg_k $out { default none; \default word; \~tilde tilde; }
--- config
    location / { return 200 "$out\n"; }
--- request eval
["GET /?k=default", "GET /?k=~tilde", "GET /?k=x"]
--- response_body eval
["word\n", "tilde\n", "none\n"]



=== TEST 4: include
--- http_config
    map $arg_k $out { default none; include ../html/map.txt; }
--- config
    location / { return 200 "$out\n"; }
--- user_files
>>> map.txt
a 1;
b 2;
--- request eval
["GET /?k=a", "GET /?k=b", "GET /?k=c"]
--- response_body eval
["1\n", "2\n", "none\n"]



=== TEST 5: without a default the value is empty
--- http_config
    map $arg_k $out { a 1; }
--- config
    location / { return 200 "[$out]\n"; }
--- request
GET /?k=b
--- response_body
[]



=== TEST 6: a key in two values
--- http_config
    map "$arg_a:$arg_b" $out { default none; "1:2" both; }
--- config
    location / { return 200 "$out\n"; }
--- request
GET /?a=1&b=2
--- response_body
both



=== TEST 7: a key twice
--- http_config
    map $arg_k $out { a 1; a 2; }
--- config
--- must_die
--- error_log
conflicting parameter "a" in



=== TEST 8: a default twice
--- http_config
    map $arg_k $out { default 1; default 2; }
--- config
--- must_die
--- error_log
duplicate default map parameter in



=== TEST 9: a target that is no variable
--- http_config
    map $arg_k out { a 1; }
--- config
--- must_die
--- error_log
invalid variable name "out" in



=== TEST 10: map in a server
--- config
    map $arg_k $out { a 1; }
--- must_die
--- error_log
"map" directive is not allowed here in



=== TEST 11: geo: ranges, default, variables of an address
--- http_config
    geo $arg_ip $where { ranges; default out; 10.0.0.0-10.0.0.255 ten; 192.0.2.1-192.0.2.1 one; }
--- config
    location / { return 200 "$where\n"; }
--- request eval
["GET /?ip=10.0.0.7", "GET /?ip=192.0.2.1", "GET /?ip=192.0.2.2", "GET /"]
--- response_body eval
["ten\n", "one\n", "out\n", "out\n"]



=== TEST 12: split_clients: parts of a whole
--- http_config
    split_clients $arg_k $none { 0.01% rare; * often; }
    split_clients $arg_k $all { 100% all; }
--- config
    location / { return 200 "$none $all\n"; }
--- request
GET /?k=x
--- response_body
often all
