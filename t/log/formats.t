use Test::Nginx::Socket 'no_plan';

no_root_location();
run_tests();

__DATA__

=== TEST 1: files by variables
--- http_config
    log_format v "$uri";
--- config
    access_log logs/by-$arg_f.log v;
    location /read { access_log off; content_by_lua_block { local f = assert(io.open(ngx.config.prefix() .. "logs/by-a.log")) ngx.print(f:read("*a")) f:close() } }
    location / { return 200 "x\n"; }
--- request eval
["GET /one?f=a", "GET /two?f=b", "GET /three?f=a", "GET /read"]
--- response_body eval
["x\n", "x\n", "x\n", "/one\n/three\n"]



=== TEST 2: several logs, off
--- http_config
    log_format one "one $uri";
    log_format two "two $uri";
--- config
    access_log logs/error.log one;
    access_log logs/error.log two;
    location /off { access_log off; return 200 "x\n"; }
    location / { return 200 "x\n"; }
--- request
GET /seen
--- error_log
one /seen
two /seen



=== TEST 3: access_log off writes nothing
--- http_config
    log_format one "one $uri";
--- config
    access_log logs/error.log one;
    location /off { access_log off; return 200 "x\n"; }
--- request
GET /off
--- no_error_log
one /off



=== TEST 4: the location that answers is the one that logs
--- http_config
    log_format f "from=$uri first=$request_uri";
--- config
    location /a { rewrite ^ /b last; }
    location /b { access_log logs/error.log f; return 200 "x\n"; }
--- request
GET /a?x
--- error_log
from=/b first=/a?x



=== TEST 5: numbers: status, bytes, lengths
--- http_config
    log_format n "n:$status:$body_bytes_sent:$request_length:$request_method:$server_protocol:";
--- config
    location / { access_log logs/error.log n; return 404 "1234567"; }
--- raw_request eval
"GET / HTTP/1.0\r\n\r\n"
--- error_code: 404
--- error_log
n:404:7:18:GET:HTTP/1.0:



=== TEST 6: an empty variable is a dash
--- http_config
    log_format n "n:$http_referer:$remote_user:$arg_none:";
--- config
    location / { access_log logs/error.log n; return 200 "x\n"; }
--- request
GET /
--- error_log
n:-:-:-:



=== TEST 7: bytes that are no text are escaped
--- config
    location / { access_log logs/error.log combined; return 200 "x\n"; }
--- raw_request eval
"GET / HTTP/1.0\r\nUser-Agent: a\"b\\c\tdé\x7f\r\n\r\n"
--- error_log
"a\x22b\x5Cc\x09d\xC3\xA9\x7F"



=== TEST 8: buffer and flush
--- http_config
    log_format b "buffered $uri";
--- config
    access_log logs/buf.log b buffer=4k flush=10ms;
    location /wait {
        access_log off;
        content_by_lua_block {
            for i = 1, 2000 do
                local f = io.open(ngx.config.prefix() .. "logs/buf.log")
                local s = f and f:read("*a") or ""
                if f then f:close() end
                if s ~= "" then return ngx.print(s) end
                ngx.sleep(0.01)
            end
        }
    }
    location / { return 200 "x\n"; }
--- request eval
["GET /first", "GET /wait"]
--- response_body eval
["x\n", "buffered /first\n"]



=== TEST 9: an unknown format
--- config
    access_log logs/x.log nosuch;
--- must_die
--- error_log
unknown log format "nosuch" in



=== TEST 10: a format twice
--- http_config
    log_format f "a";
    log_format f "b";
--- config
--- must_die
--- error_log
duplicate "log_format" name "f" in



=== TEST 11: an escaping that does not exist
--- http_config
    log_format f escape=xml "a";
--- config
--- must_die
--- error_log
unknown log format escaping "xml" in



=== TEST 12: a buffer without a size
--- config
    access_log logs/x.log combined buffer=;
--- must_die
--- error_log
invalid buffer size "" in



=== TEST 13: error_log with a level of the location
--- config
    location /quiet { error_log logs/error.log crit; root html; }
    location /loud { error_log logs/error.log error; root html; }
--- request
GET /quiet/none
--- error_code: 404
--- no_error_log
quiet/none" failed



=== TEST 14: an error_log of a level that does not exist
--- config
    error_log logs/x.log shout;
--- must_die
--- error_log
invalid log level "shout" in
