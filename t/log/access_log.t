use Test::Nginx::Socket 'no_plan';

run_tests();

__DATA__

=== TEST 1: the predefined format
--- config
    location /t { access_log logs/error.log combined; return 200 "hello\n"; }
--- more_headers
Referer: a "b"
User-Agent: tester
--- request
GET /t?q=%20
--- response_body
hello
--- error_log
"GET /t?q=%20 HTTP/1.1" 200 6 "a \x22b\x22" "tester"



=== TEST 2: a condition that holds
--- http_config
    log_format where '<$uri:$status>';
--- config
    access_log logs/error.log where if=$arg_log;
    location ~ ^ { return 204; }
--- request
GET /yes?log=1
--- error_code: 204
--- error_log
</yes:204>



=== TEST 3: and one that does not
--- http_config
    log_format where '<$uri:$status>';
--- config
    access_log logs/error.log where if=$arg_log;
    location ~ ^ { return 204; }
--- request
GET /no?log=0
--- error_code: 204
--- no_error_log
</no:204>



=== TEST 4: escaping for JSON, and none
--- http_config
    log_format j escape=json '{"v":"$http_x","n":"$http_none"}';
    log_format n escape=none '<$http_x|$http_none>';
    log_format d '[$http_x|$http_none]';
--- config
    location ~ ^ { access_log logs/error.log j; access_log logs/error.log n; access_log logs/error.log d; return 204; }
--- more_headers
X: a"b\c
--- request
GET /
--- error_code: 204
--- error_log
{"v":"a\"b\\c","n":""}
<a"b\c|>
[a\x22b\x5Cc|-]



=== TEST 5: Lua's log handler runs first, and its variables are logged
--- http_config
    log_format v '<lua:$v>';
--- config
    location ~ ^ {
        set $v "";
        access_log logs/error.log v;
        log_by_lua_block { ngx.var.v = ngx.status }
        return 204;
    }
--- request
GET /
--- error_code: 204
--- error_log
<lua:204>



=== TEST 6: a format nobody has defined
--- config
    access_log logs/a.log nothing;
--- must_die
--- error_log
unknown log format "nothing"
