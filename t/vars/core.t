use Test::Nginx::Socket 'no_plan';

run_tests();

__DATA__

=== TEST 1: line, URI, arguments
--- config
    location /t { return 200 "$request|$request_uri|$uri|$args|$arg_a|$arg_none|$is_args\n"; }
--- request
GET /t/x%20y?a=1&b=%20
--- response_body
GET /t/x%20y?a=1&b=%20 HTTP/1.1|/t/x%20y?a=1&b=%20|/t/x y|a=1&b=%20|1||?



=== TEST 2: headers and cookies
--- config
    location /t { return 200 "$http_x_one|$http_cookie|$cookie_b|$host|$remote_user\n"; }
--- more_headers
X-One: 1
X-One: 2
Cookie: a=1; b=2
Authorization: Basic dXNlcjpwYXNz
--- request
GET /t
--- response_body
1, 2|a=1; b=2|2|localhost|user



=== TEST 3: assigned arguments
--- config
    location /t { set $args "x=$arg_a"; return 200 "$args $query_string $arg_x $request_uri\n"; }
--- request
GET /t?a=1
--- response_body
x=1 x=1 1 /t?a=1



=== TEST 4: a variable of the name of a header keeps what was assigned
--- config
    location /t { set $http_x mine; return 200 "$http_x $http_y\n"; }
--- more_headers
X: theirs
Y: theirs
--- request
GET /t
--- response_body
mine theirs



=== TEST 5: variables that depend on each other in a circle
--- http_config
    map $b $a { default $b; }
    map $a $b { default $a; }
--- config
    location /t { return 200 "[$a]\n"; }
--- request
GET /t
--- response_body
[]
--- error_log
cycle while evaluating variable
