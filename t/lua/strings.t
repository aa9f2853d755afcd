use Test::Nginx::Socket 'no_plan';

no_root_location();
run_tests();

__DATA__

=== TEST 1: escape_uri, unescape_uri
--- config
    location / { content_by_lua_block { ngx.say(ngx.escape_uri("a b/c?d=e&f~é")) ngx.say(ngx.unescape_uri("a%20b+c%2Fd%zz%")) ngx.say(ngx.escape_uri("a b/c", 0)) } }
--- request
GET /
--- response_body
a%20b%2Fc%3Fd%3De%26f~%C3%A9
a b c/d%zz%
a%20b/c



=== TEST 2: encode_args, decode_args
--- config
    location / { content_by_lua_block { ngx.say(ngx.encode_args({ a = "1 2" })) ngx.say(ngx.encode_args({ b = { 1, "x&" } })) ngx.say(ngx.encode_args({ t = true, f = false })) local t = ngx.decode_args("a=1&b&a=2&c=%20") ngx.say(t.a[1], t.a[2], t.b, "[", t.c, "]") local _, err = ngx.decode_args("a=1&b=2", 1) ngx.say(err) } }
--- request
GET /
--- response_body
a=1%202
b=1&b=x%26
t
12true[ ]
truncated



=== TEST 3: base64
--- config
    location / { content_by_lua_block { ngx.say(ngx.encode_base64("hello"), " ", ngx.encode_base64("hello", true), " ", ngx.decode_base64("aGVsbG8="), " ", ngx.decode_base64("aGVsbG8"), " ", ngx.decode_base64("!!"), " ", ngx.encode_base64("")) } }
--- request
GET /
--- response_body
aGVsbG8= aGVsbG8 hello hello nil 



=== TEST 4: digests
--- config
    location / { content_by_lua_block { ngx.say(ngx.md5("hello")) ngx.say(#ngx.md5_bin("hello")) ngx.say(ngx.encode_base64(ngx.sha1_bin("hello"))) ngx.say(ngx.crc32_short("hello"), " ", ngx.crc32_long("hello")) ngx.say(ngx.encode_base64(ngx.hmac_sha1("key", "text"))) } }
--- request
GET /
--- response_body
5d41402abc4b2a76b9719d911017c592
16
qvTGHdzF6KLavt4PO0gs2a6pQ00=
907060870 907060870
Np4pWetJRQM4shJ0j3fY3tdIR7s=



=== TEST 5: times
--- config
    location / {
        content_by_lua_block {
            ngx.say(ngx.http_time(885065733), "|", ngx.cookie_time(885065733), "|", ngx.parse_http_time("Sat, 17 Jan 1998 19:35:33 GMT"), "|", ngx.parse_http_time("never"))
            ngx.say(ngx.today():match("^%d%d%d%d%-%d%d%-%d%d$") ~= nil, ngx.localtime():match("^%d+%-%d+%-%d+ %d+:%d+:%d+$") ~= nil, #ngx.utctime(), ngx.time() == math.floor(ngx.now()))
        }
    }
--- request
GET /
--- response_body
Sat, 17 Jan 1998 19:35:33 GMT|Sat, 17-Jan-98 19:35:33 GMT|885065733|nil
truetrue19true



=== TEST 6: quote_sql_str
--- config
    location / { content_by_lua_block { ngx.say(ngx.quote_sql_str([[it's "q" \ ]] .. "\0\n\r\26")) } }
--- request
GET /
--- response_body
'it\'s \"q\" \\ \0\n\r\Z'



=== TEST 7: constants
--- config
    location / { content_by_lua_block { ngx.say(ngx.OK, ngx.ERROR, ngx.AGAIN, ngx.DONE, ngx.DECLINED) ngx.say(ngx.HTTP_GET, " ", ngx.HTTP_POST, " ", ngx.HTTP_PUT, " ", ngx.HTTP_DELETE, " ", ngx.HTTP_HEAD) ngx.say(ngx.HTTP_OK, ngx.HTTP_NOT_FOUND, ngx.HTTP_INTERNAL_SERVER_ERROR) ngx.say(ngx.STDERR, ngx.EMERG, ngx.ERR, ngx.DEBUG) ngx.say(type(ngx.null), " ", tostring(ngx.null)) } }
--- request
GET /
--- response_body
0-1-2-4-5
2 8 16 32 4
200404500
0148
userdata userdata: NULL



=== TEST 8: logging: levels and values
--- config
    location / { content_by_lua_block { ngx.log(ngx.ERR, "one ", 2, " ", nil, " ", true, " ", { 1 } ~= nil) print("printed ", 1) ngx.log(ngx.DEBUG, "unseen") ngx.say("x") } }
--- request
GET /
--- log_level: notice
--- error_log eval
[qr/\[error\].*\[lua\] content_by_lua\(nginx.conf:\d+\):1: one 2 nil true true, client: 127.0.0.1/, qr/\[notice\].*printed 1/]
--- no_error_log
unseen



=== TEST 9: tables: new, clear, clone, nkeys, isempty, isarray
--- config
    location / {
        content_by_lua_block {
            local t = require("table.new")(4, 4) t.a = 1
            ngx.say(require("table.nkeys")(t), require("table.isempty")(t), require("table.isarray")(t), require("table.isarray")({ 1, 2 }))
            local c = require("table.clone")(t) require("table.clear")(t)
            ngx.say(next(t), c.a)
        }
    }
--- request
GET /
--- response_body
1falsefalsetrue
nil1



=== TEST 10: ffi, bit, string.buffer
--- config
    location / { content_by_lua_block { local ffi = require "ffi" local b = ffi.new("char[6]", "hello") ngx.say(ffi.string(b), " ", bit.band(6, 3), " ", bit.tohex(255)) local sb = require("string.buffer").new() sb:put("a", 1):putf("%d", 2) ngx.say(sb:get()) } }
--- request
GET /
--- response_body
hello 2 000000ff
a12



=== TEST 11: the language is 5.1 with parts of 5.2
--- config
    location / { content_by_lua_block { ngx.say(_VERSION, " ", jit ~= nil, " ", #table.pack(1, 2), " ", (table.unpack or unpack)({ 3 })) goto done ngx.say("no") ::done:: ngx.say(("x"):rep(2, ",")) } }
--- request
GET /
--- response_body
Lua 5.1 true 2 3
x,x
