use Test::Nginx::Socket 'no_plan';

run_tests();

__DATA__

=== TEST 1: texts, expressions, default
--- http_config
    map $uri $kind { default other; /exact exact; ~^/num/(?<n>\d+)$ "number $n"; ~*\.JPE?G$ picture; }
--- config
    location ~ ^ { return 200 "$kind\n"; }
--- request eval
["GET /exact", "GET /EXACT", "GET /num/42", "GET /a.jpg", "GET /"]
--- response_body eval
["exact\n", "exact\n", "number 42\n", "picture\n", "other\n"]



=== TEST 2: host names
--- http_config
    map $http_host $site { hostnames; default none; example.com bare; *.example.com sub; www.other.* tail; }
--- config
    location ~ ^ { return 200 "$site\n"; }
--- raw_request eval
["GET / HTTP/1.0\r\nHost: example.com\r\n\r\n", "GET / HTTP/1.0\r\nHost: a.b.example.com\r\n\r\n", "GET / HTTP/1.0\r\nHost: www.other.org\r\n\r\n", "GET / HTTP/1.0\r\nHost: www.other\r\n\r\n"]
--- response_body eval
["bare\n", "sub\n", "tail\n", "none\n"]



=== TEST 3: a value is remembered, unless it is volatile
--- http_config
    map $arg_v $kept { default "$arg_v"; }
    map $arg_v $fresh { volatile; default "$arg_v"; }
--- config
    location ~ ^ {
        set $first "$kept$fresh";
        set $args v=2;
        return 200 "$first $kept$fresh\n";
    }
--- request
GET /?v=1
--- response_body
11 12



=== TEST 4: geo and split_clients
--- http_config
    geo $arg_ip $where { default out; 10.0.0.0/8 in; 10.1.0.0/16 deep; }
    split_clients $arg_ip $half { 50% a; * b; }
--- config
    location /geo { return 200 "$where\n"; }
    location /half { return 200 "$half\n"; }
--- request eval
["GET /geo?ip=10.2.0.1", "GET /geo?ip=10.1.0.1", "GET /geo?ip=192.0.2.1", "GET /half?ip=10.1.0.1"]
--- response_body_like eval
["^in\$", "^deep\$", "^out\$", "^[ab]\$"]
