use Test::Nginx::Socket 'no_plan';

no_root_location();

our $Maps = q{
    charset_map latin utf-8 { E4 C3A4; F6 C3B6; 80 E282AC; }
    charset_map one two { 61 62; 62 61; FF 41; }
};

run_tests();

__DATA__

=== TEST 1: the name
--- config
    charset utf-8;
    location /plain { default_type text/plain; return 200 "x\n"; }
    location /image { default_type image/png; return 200 "x\n"; }
    location /types { charset_types image/png; default_type image/png; return 200 "x\n"; }
    location /any { charset_types *; default_type x/y; return 200 "x\n"; }
    location /off { charset off; default_type text/plain; return 200 "x\n"; }
    location /var { charset $arg_c; default_type text/plain; return 200 "x\n"; }
    location /moved { return 302 /; }
    location /own { content_by_lua_block { ngx.header.content_type = "text/plain; charset=own" ngx.say("x") } }
--- request eval
["GET /plain", "GET /image", "GET /types", "GET /any", "GET /off", "GET /var?c=abc", "GET /moved", "GET /own"]
--- error_code eval
[200, 200, 200, 200, 200, 200, 302, 200]
--- response_headers eval
["Content-Type: text/plain; charset=utf-8", "Content-Type: image/png", "Content-Type: image/png; charset=utf-8", "Content-Type: x/y; charset=utf-8",
"Content-Type: text/plain", "Content-Type: text/plain; charset=abc", "Content-Type: text/html", "Content-Type: text/plain; charset=own"]



=== TEST 2: bytes, again
--- http_config eval: $::Maps
--- config
    source_charset one;
    charset two;
    location /back { source_charset two; charset one; default_type text/plain; return 200 "abc\n"; }
    location /same { charset one; default_type text/plain; return 200 "abc\n"; }
    location /image { default_type image/png; return 200 "abc\n"; }
    location /lua { default_type text/plain; content_by_lua_block { for i = 1, 3 do ngx.print("ab\255\254") ngx.flush(true) end ngx.say("") } }
--- request eval
["GET /back", "GET /same", "GET /image", "GET /lua"]
--- response_body eval
["bac\n", "abc\n", "abc\n", "baA?baA?baA?\n"]



=== TEST 3: from UTF-8 and to it
--- http_config eval: $::Maps
--- config
    location /from {
        source_charset utf-8; charset latin; default_type text/plain;
        content_by_lua_block {
            local text = "a\195\164\226\130\172\195\169\240\159\152\128\192x\255\226\130"
            local n = tonumber(ngx.var.arg_n)
            for i = 1, #text, n do ngx.print(text:sub(i, i + n - 1)) ngx.flush(true) end
        }
    }
    location /to { source_charset latin; charset utf-8; default_type text/plain; content_by_lua_block { ngx.print("a\228\128\129x") } }
    location / {
        content_by_lua_block {
            local function get(uri)
                local s = ngx.socket.tcp()
                s:connect("127.0.0.1", $TEST_NGINX_SERVER_PORT)
                s:send("GET " .. uri .. " HTTP/1.0\r\n\r\n")
                return (s:receive("*a"):match("\r\n\r\n(.*)$"):gsub("[\128-\255]", function(c) return ("<%x>"):format(c:byte()) end))
            end
            local first = get("/from?n=1")
            ngx.say(first)
            for n = 2, 20 do
                local body = get("/from?n=" .. n)
                if body ~= first then ngx.say("differs at ", n, ": ", body) end
            end
            ngx.say(get("/to"))
        }
    }
--- request
GET /
--- response_body
a<e4><80>&#233;&#128512;?x?
a<c3><a4><e2><82><ac>?x



=== TEST 4: other servers' responses
--- http_config eval: $::Maps
--- config
    location /as-it-is { charset two; proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/back; }
    location /over { charset two; override_charset on; proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/back; }
    location /accel { proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/back?two; }
    location /unknown { proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/back?three; }
    location /back { content_by_lua_block { ngx.header.content_type = 'text/plain; charset="one"' ngx.header.x_accel_charset = ngx.var.args ngx.say("abc") } }
--- request eval
["GET /as-it-is", "GET /over", "GET /accel", "GET /unknown"]
--- response_body eval
["abc\n", "bac\n", "bac\n", "abc\n"]
--- response_headers eval
['Content-Type: text/plain; charset="one"', "Content-Type: text/plain; charset=two", "Content-Type: text/plain; charset=two", 'Content-Type: text/plain; charset="one"']



=== TEST 5: what cannot be done is logged
--- http_config eval: $::Maps
--- config
    location / { source_charset one; charset $arg_c; default_type text/plain; return 200 "abc\n"; }
--- request
GET /?c=latin
--- response_body
abc
--- error_log
no "charset_map" between the charsets "one" and "latin"



=== TEST 6: what cannot be done, as the configuration is read
--- config
    source_charset one; charset two;
--- must_die
--- error_log
no "charset_map" between the charsets "one" and "two"



=== TEST 7: maps of one to itself
--- http_config
    charset_map one ONE { 61 62; }
--- config
--- must_die
--- error_log
"charset_map" between the same charsets "one" and "ONE" in



=== TEST 8: UTF-8 first
--- http_config
    charset_map utf-8 one { 61 62; }
--- config
--- must_die
--- error_log
"charset_map" with "utf-8" charset should be given in the second column in



=== TEST 9: codes that are none
--- http_config
    charset_map one two { 61 100; }
--- config
--- must_die
--- error_log
invalid value "100" in



=== TEST 10: a map twice
--- http_config
    charset_map one two { 61 62; }
    charset_map two one { 61 62; }
--- config
--- must_die
--- error_log
duplicate "charset_map" between "two" and "one" in



=== TEST 11: a code in UTF-8 is whole bytes
--- http_config
    charset_map koi8-r utf-8 { C0 D; }
--- config
    location / { return 200; }
--- must_die
--- error_log
invalid value "D" in
