use Test::Nginx::Socket 'no_plan';

no_root_location();

our $Files = <<'_EOC_';
>>> users
# comment:{PLAIN}secret
plain:{PLAIN}secret
apr1:$apr1$abcdefgh$FBwExRW4dCc8aL.OvjpIE1
sha:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=
des:abNANd1rDfiNc
md5:$1$salt$ez2vlPGdaLYkJam5pWs/Y1
sha512:$6$salt$egUxKNxDs8kPfh8iPMNcosMhb2eWah6d3R44JDm5Rj/j/XWR5E33QPd0YmHXoDHOIDR6kL5D3JcQcz0O8FHE00:more of it
bcrypt:$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW
nohash:x
plain:{PLAIN}second
_EOC_

# get sends a request with credentials and returns status and, where there is one, the challenge.
our $Get = q{
    init_by_lua_block {
        function get(uri, credentials, scheme)
            local s = ngx.socket.tcp()
            s:connect("127.0.0.1", tonumber(ngx.var.server_port))
            s:send("GET " .. uri .. " HTTP/1.0\r\nAuthorization: " .. (scheme or "Basic") .. " " .. ngx.encode_base64(credentials or "") .. "\r\n\r\n")
            local head = s:receive("*a")
            return head:match("^HTTP/1.1 (%d+)") .. " " .. (head:match("\r\nWWW%-Authenticate: ([^\r]*)") or "-")
        end
    }
};

run_tests();

__DATA__

=== TEST 1: hashes
--- http_config eval: $::Get
--- user_files eval: $::Files
--- config
    location /in { auth_basic "my $arg_realm"; auth_basic_user_file $TEST_NGINX_HTML_DIR/users; content_by_lua_block { ngx.say(ngx.var.remote_user) } }
    location = / {
        content_by_lua_block {
            for _, c in ipairs { "plain:secret", "apr1:password", "sha:password", "des:secret", "md5:secret", "sha512:secret", "bcrypt:secret",
                "plain:second", "apr1:secret", "sha:x", "des:", "sha512:x", "bcrypt:x", "nobody:x", "# comment:secret", "pla:secret", "nohash:x" } do
                ngx.say(c, " ", get("/in?realm=" .. #c, c))
            end
        }
    }
--- request
GET /
--- response_body
plain:secret 200 -
apr1:password 200 -
sha:password 200 -
des:secret 200 -
md5:secret 200 -
sha512:secret 200 -
bcrypt:secret 200 -
plain:second 401 Basic realm="my 12"
apr1:secret 401 Basic realm="my 11"
sha:x 401 Basic realm="my 5"
des: 401 Basic realm="my 4"
sha512:x 401 Basic realm="my 8"
bcrypt:x 401 Basic realm="my 8"
nobody:x 401 Basic realm="my 8"
# comment:secret 401 Basic realm="my 16"
pla:secret 401 Basic realm="my 10"
nohash:x 401 Basic realm="my 8"
--- error_log
user "nobody" was not found
user "plain": password mismatch



=== TEST 2: no credentials, and those of other schemes
--- http_config eval: $::Get
--- user_files eval: $::Files
--- config
    location /in { auth_basic closed; auth_basic_user_file $TEST_NGINX_HTML_DIR/users; content_by_lua_block { ngx.say(ngx.var.remote_user) } }
    location = / {
        content_by_lua_block {
            ngx.say(get("/in", ""))
            ngx.say(get("/in", "plain"))
            ngx.say(get("/in", ":secret"))
            ngx.say(get("/in", "plain:secret", "Digest"))
            ngx.say(get("/in", "plain:secret", "bAsic  "))
        }
    }
--- request
GET /
--- response_body
401 Basic realm="closed"
401 Basic realm="closed"
401 Basic realm="closed"
401 Basic realm="closed"
200 -
--- error_log
no user/password was provided for basic authentication
--- log_level: info



=== TEST 3: switched off, here or by a value
--- http_config eval: $::Get
--- user_files eval: $::Files
--- config
    auth_basic closed; auth_basic_user_file $TEST_NGINX_HTML_DIR/users;
    location /in { content_by_lua_block { ngx.say("in") } }
    location /off { auth_basic off; content_by_lua_block { ngx.say("in") } }
    location /var { auth_basic $arg_realm; content_by_lua_block { ngx.say("in") } }
    location /any { satisfy any; allow all; content_by_lua_block { ngx.say("in") } }
    location /deny { satisfy any; deny all; content_by_lua_block { ngx.say("in") } }
    location /file { auth_basic_user_file $TEST_NGINX_HTML_DIR/$arg_f; content_by_lua_block { ngx.say("in") } }
    location = / {
        auth_basic off;
        content_by_lua_block {
            ngx.say(get("/in"))
            ngx.say(get("/off"))
            ngx.say(get("/var?realm=off"))
            ngx.say(get("/var?realm=on"))
            ngx.say(get("/any"))
            ngx.say(get("/deny"))
            ngx.say(get("/deny", "plain:secret"))
            ngx.say(get("/file?f=users", "plain:secret"))
            ngx.say(get("/file?f=none", "plain:secret"))
            ngx.say(get("/file?f=", "plain:secret"))
        }
    }
--- request
GET /
--- response_body
401 Basic realm="closed"
200 -
200 -
401 Basic realm="on"
200 -
401 Basic realm="closed"
200 -
200 -
403 -
500 -
--- error_log eval
[qr/\[error\].*open\(\) ".*none" failed \(2: No such file or directory\)/, qr/\[crit\].*read\(\) ".*" failed \(21: Is a directory\)/]
