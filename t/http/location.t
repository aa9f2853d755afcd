use Test::Nginx::Socket 'no_plan';

no_root_location();
run_tests();

__DATA__

=== TEST 1: exact, ^~, regular expressions in order, the longest prefix
--- config
    location = /a { return 200 "exact\n"; }
    location /a { return 200 "prefix\n"; }
    location ^~ /a/static/ { return 200 "stop\n"; }
    location ~ \.php$ { return 200 "php\n"; }
    location ~* \.(PHP|gif)$ { return 200 "nocase\n"; }
    location /a/long/ { return 200 "long\n"; }
    location / { return 200 "root\n"; }
--- request eval
["GET /a", "GET /ab", "GET /a/static/x.php", "GET /a/x.php", "GET /a/x.GIF", "GET /a/long/x", "GET /a/long", "GET /x.pHp", "GET /other"]
--- response_body eval
["exact\n", "prefix\n", "stop\n", "php\n", "nocase\n", "long\n", "prefix\n", "nocase\n", "root\n"]



=== TEST 2: nested locations
--- config
    location /n/ {
        location /n/in/ { return 200 "inner\n"; }
        location ~ \.x$ { return 200 "inner regex\n"; }
        return 200 "outer\n";
    }
    location ~ \.x$ { return 200 "outer regex\n"; }
--- request eval
["GET /n/a", "GET /n/in/a", "GET /n/a.x", "GET /n/in/a.x", "GET /m/a.x"]
--- response_body eval
["outer\n", "inner\n", "inner regex\n", "inner regex\n", "outer regex\n"]



=== TEST 3: captures of a location's expression
--- config
    location ~ ^/u/(?<who>[a-z]+)/(\d+)$ { return 200 "$who $1 $2\n"; }
--- request
GET /u/ann/42
--- response_body
ann ann 42



=== TEST 4: internal locations
--- config
    location /hidden { internal; return 200 "hidden $uri\n"; }
    location /open { rewrite ^ /hidden/x last; }
    error_page 404 /hidden404;
    location = /hidden404 { internal; return 200 "own 404\n"; }
--- request eval
["GET /hidden", "GET /open"]
--- error_code eval
[404, 200]
--- response_body eval
["own 404\n", "hidden /hidden/x\n"]



=== TEST 5: named locations
--- config
    location /t { try_files /none @named; }
    location @named { return 200 "named $uri\n"; }
--- request
GET /t/x
--- response_body
named /t/x



=== TEST 6: the expression is matched with the decoded URI
--- config
    location ~ "^/a b$" { return 200 "space\n"; }
    location "/q q" { return 200 "quoted\n"; }
    location / { return 200 "$uri\n"; }
--- request eval
["GET /a%20b", "GET /q%20q", "GET /%61%62"]
--- response_body eval
["space\n", "quoted\n", "/ab\n"]



=== TEST 7: a location that ends in a slash and a request without it, no upstream
--- config
    location /dir/ { return 200 "dir\n"; }
--- request eval
["GET /dir/", "GET /dir"]
--- error_code eval
[200, 404]



=== TEST 8: duplicate locations
--- config
    location /x { return 200; }
    location /x { return 201; }
--- must_die
--- error_log
duplicate location "/x" in



=== TEST 9: a location outside of its parent
--- config
    location /x { location /y { return 200; } }
--- must_die
--- error_log
location "/y" is outside location "/x" in



=== TEST 10: a modifier that does not exist
--- config
    location =~ /x { return 200; }
--- must_die
--- error_log
invalid location modifier "=~" in



=== TEST 11: named locations do not nest
--- config
    location /x { location @y { return 200; } }
--- must_die
--- error_log
named location "@y" can be on the server level only in



=== TEST 12: a regular expression that does not compile
--- config
    location ~ "(" { return 200; }
--- must_die
--- error_log
[emerg]
