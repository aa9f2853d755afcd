use Test::Nginx::Socket 'no_plan';

no_root_location();
run_tests();

__DATA__

=== TEST 1: get_uri_args: values, flags, several, escapes
--- config
    location / {
        content_by_lua_block {
            local a = ngx.req.get_uri_args()
            ngx.say(a.a, " ", a.flag, " ", a.empty, "| ", table.concat(a.m, "+"), " ", a["k k"], " ", a.none)
        }
    }
--- request
GET /?a=1&flag&empty=&m=x&m=y&k%20k=v+v
--- response_body
1 true | x+y v v nil



=== TEST 2: set_uri_args and get_uri_args
--- config
    location / {
        content_by_lua_block {
            ngx.req.set_uri_args({ a = "1 2", b = { "x", "y" }, c = true })
            local t = ngx.req.get_uri_args()
            ngx.say(t.a, " ", t.b[1], t.b[2], " ", t.c, " ", ngx.var.arg_a)
            ngx.req.set_uri_args("raw=%20")
            ngx.say(ngx.var.args)
        }
    }
--- request
GET /?old=1
--- response_body
1 2 xy true 1%202
raw=%20



=== TEST 3: post arguments
--- config
    location / { content_by_lua_block { ngx.req.read_body() local a = ngx.req.get_post_args() ngx.say(a.x, " ", a.y, " ", table.concat(a.z, ",")) } }
--- more_headers
Content-Type: application/x-www-form-urlencoded
--- request
POST /
x=1&y=a%20b&z=1&z=2
--- response_body
1 a b 1,2



=== TEST 4: set_uri with a jump
--- config
    location /a { rewrite_by_lua_block { ngx.req.set_uri("/b", true) } }
    location /b { return 200 "b $uri $args\n"; }
    location /c { rewrite_by_lua_block { ngx.req.set_uri("/changed") } content_by_lua_block { ngx.say(ngx.var.uri, " ", ngx.var.request_uri) } }
--- request eval
["GET /a?x=1", "GET /c"]
--- response_body eval
["b /b x=1\n", "/changed /c\n"]



=== TEST 5: set_method
--- config
    location / { content_by_lua_block { ngx.req.set_method(ngx.HTTP_PUT) ngx.say(ngx.req.get_method(), " ", ngx.var.request_method) } }
--- request
GET /
--- response_body
PUT PUT



=== TEST 6: bodies: read, replace, build
--- config
    location /set { content_by_lua_block { ngx.req.read_body() ngx.req.set_body_data("new") ngx.say(ngx.req.get_body_data(), " ", ngx.var.content_length) } }
    location /build { content_by_lua_block { ngx.req.read_body() ngx.req.init_body() ngx.req.append_body("a") ngx.req.append_body("bc") ngx.req.finish_body() ngx.say(ngx.req.get_body_data()) } }
    location /discard { content_by_lua_block { ngx.req.discard_body() ngx.say(ngx.req.get_body_data()) } }
    location /need { lua_need_request_body on; content_by_lua_block { ngx.say(ngx.req.get_body_data(), ngx.var.request_body) } }
--- request eval
["POST /set\nold", "POST /build\nold", "POST /discard\nold", "POST /need\nold"]
--- response_body eval
["new 3\n", "abc\n", "nil\n", "oldold\n"]



=== TEST 7: set_body_file
--- config
    location / { content_by_lua_block { ngx.req.read_body() ngx.req.set_body_file(ngx.config.prefix() .. "html/b.txt") ngx.say(ngx.req.get_body_file() ~= nil, " ", ngx.req.get_body_data()) } }
--- user_files
>>> b.txt
from a file
--- request
POST /
x
--- response_body
true nil



=== TEST 8: variables: read, write, captures, unknown
--- config
    location ~ ^/v/(\d+)/(?<name>\w+)$ {
        set $own 1;
        content_by_lua_block {
            ngx.say(ngx.var[1], ngx.var.name, ngx.var.own, ngx.var.none)
            ngx.var.own = 5
            ngx.say(ngx.var.own, type(ngx.var.own))
            ngx.var.own = nil
            ngx.say(ngx.var.own)
            ngx.say(pcall(function() ngx.var.none = 1 end))
        }
    }
--- request
GET /v/42/ann
--- response_body_like eval
qr/^42ann1nil\n5string\nnil\nfalse.*variable "none" not found for writing; maybe it is a built-in variable that is not changeable or you forgot to use "set \$none '';" in the config file to define it first\n$/



=== TEST 9: ctx: a table for each request, new after an internal redirect
--- config
    location /a { content_by_lua_block { ngx.ctx.x = 1 ngx.ctx.y = (ngx.ctx.y or 0) + 1 ngx.say(ngx.ctx.x, ngx.ctx.y) } }
    location /b { rewrite_by_lua_block { ngx.ctx.x = 1 } content_by_lua_block { ngx.exec("/c") } }
    location /c { content_by_lua_block { ngx.say(ngx.ctx.x) } }
--- pipelined_requests eval
["GET /a", "GET /a", "GET /b"]
--- response_body eval
["11\n", "11\n", "nil\n"]



=== TEST 10: is_internal, is_subrequest, start_time
--- config
    location /a { content_by_lua_block { ngx.say(ngx.req.is_internal(), " ", ngx.is_subrequest, " ", math.abs(ngx.now() - ngx.req.start_time()) < 5) ngx.print(ngx.location.capture("/b").body) } }
    location /b { content_by_lua_block { ngx.say(ngx.is_subrequest) } }
    location /c { rewrite ^ /d last; }
    location /d { content_by_lua_block { ngx.say(ngx.req.is_internal()) } }
--- request eval
["GET /a", "GET /c"]
--- response_body eval
["false false true\ntrue\n", "true\n"]
