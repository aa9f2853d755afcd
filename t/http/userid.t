use Test::Nginx::Socket 'no_plan';

no_root_location();
run_tests();

__DATA__

=== TEST 1: a new number
--- config
    userid on; userid_service 1; userid_name id; userid_path /p; userid_domain example.org; userid_expires max; userid_p3p "CP=x"; userid_flags secure samesite=lax;
    location / { content_by_lua_block { ngx.say(ngx.var.uid_got or "-", " ", ngx.var.uid_set:match("^id=(%x%x%x%x%x%x%x%x)")) } }
--- request
GET /
--- response_body
- 01000000
--- response_headers_like
Set-Cookie: id=AAAAA[A-Za-z0-9+/]{17}==; expires=Thu, 31-Dec-37 23:55:55 GMT; domain=example\.org; path=/p; secure; samesite=lax
P3P: CP=x



=== TEST 2: one that is known
--- config
    userid on;
    location / { content_by_lua_block { ngx.say(ngx.var.uid_got, " ", ngx.var.uid_set or "-") } }
--- more_headers
Cookie: uid=AAAAAQECAwQFBgcICQoLDA==
--- request
GET /
--- response_body
uid=0100000004030201080706050C0B0A09 -
--- response_headers
!Set-Cookie



=== TEST 3: marked, reset, logged
--- config
    location /mark { userid on; userid_mark t; return 200; content_by_lua_block { ngx.say(ngx.var.uid_set) } }
    location /reset { userid on; set $uid_reset log; content_by_lua_block { ngx.say(ngx.var.uid_got == ngx.var.uid_set) } }
    location /log { userid log; content_by_lua_block { ngx.say(ngx.var.uid_got, " ", ngx.var.uid_set or "-") } }
    location /off { content_by_lua_block { ngx.say(ngx.var.uid_got or "-", " ", ngx.var.uid_set or "-") } }
--- more_headers
Cookie: uid=AAAAAQECAwQFBgcICQoLDA==
--- request eval
["GET /mark", "GET /reset", "GET /log", "GET /off"]
--- response_body eval
["", "false\n", "uid=0100000004030201080706050C0B0A09 -\n", "- -\n"]
--- response_headers_like eval
["Set-Cookie: uid=AAAAAQECAwQFBgcICQoLDAt=; path=/", "Set-Cookie: uid=.*", "Content-Type: .*", "Content-Type: .*"]



=== TEST 4: a cookie too short
--- config
    userid log;
    location / { content_by_lua_block { ngx.say(ngx.var.uid_got or "-") } }
--- more_headers
Cookie: uid=AAAA
--- request
GET /
--- response_body
-
--- error_log
client sent too short userid cookie "uid=AAAA"



=== TEST 5: a mark of two
--- config
    userid_mark tt;
--- must_die
--- error_log
"userid_mark" directive value must be "off" or a single letter, digit or "=" in
