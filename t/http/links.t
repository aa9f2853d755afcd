use Test::Nginx::Socket 'no_plan';

no_root_location();
run_tests();

__DATA__

=== TEST 1: secure_link
--- config
    location /in { secure_link $arg_h,$arg_e; secure_link_md5 "secret$uri$arg_e"; content_by_lua_block { ngx.say(ngx.var.secure_link or "nil", " ", ngx.var.secure_link_expires or "nil") } }
    location /plain { secure_link $arg_h; secure_link_md5 "secret$uri"; content_by_lua_block { ngx.say(ngx.var.secure_link or "nil", " ", ngx.var.secure_link_expires or "nil") } }
    location = / {
        content_by_lua_block {
            local function link(text) return (ngx.encode_base64(ngx.md5_bin(text)):gsub("+", "-"):gsub("/", "_"):gsub("=", "")) end
            local function get(uri) ngx.print(ngx.location.capture((uri:match("^[^?]*")), { args = uri:match("?(.*)") }).body) end
            get("/in?e=99999999999&h=" .. link("secret/in99999999999"))
            get("/in?e=1&h=" .. link("secret/in1"))
            get("/in?e=2&h=" .. link("secret/in1"))
            get("/in?e=x&h=" .. link("secret/inx"))
            get("/plain?h=" .. link("secret/plain"))
            get("/plain?h=" .. link("other/plain"))
            get("/plain?h=" .. link("secret/plain"):sub(2))
            get("/plain")
        }
    }
--- request
GET /
--- response_body
1 99999999999
0 1
nil 2
nil nil
1 nil
nil nil
nil nil
nil nil



=== TEST 2: secure_link_secret
--- config
    location /p/ { secure_link_secret word; content_by_lua_block { ngx.say(ngx.var.secure_link or "nil") } }
    location = /p/other { secure_link a; secure_link_md5 b; content_by_lua_block { ngx.say(ngx.var.secure_link or "nil") } }
    location = / {
        content_by_lua_block {
            for _, uri in ipairs { "/p/" .. ngx.md5("a/linkword") .. "/a/link", "/p/" .. ngx.md5("a/linkwor") .. "/a/link", "/p/x/link", "/p/", "/p/other" } do
                local s = ngx.socket.tcp()
                s:connect("127.0.0.1", $TEST_NGINX_SERVER_PORT)
                s:send("GET " .. uri .. " HTTP/1.0\r\n\r\n")
                ngx.print(s:receive("*a"):match("\r\n\r\n(.*)$"))
            end
        }
    }
--- request
GET /
--- response_body
a/link
nil
nil
nil
nil



=== TEST 3: both forms
--- config
    location /p/ { secure_link_secret word; secure_link $arg_a; }
--- must_die
--- error_log
"secure_link_secret" cannot be mixed with "secure_link" and "secure_link_md5"



=== TEST 4: referers
--- server_name: own.example
--- config
    location /none { content_by_lua_block { ngx.say("[", ngx.var.invalid_referer, "]") } }
    location /in { valid_referers none blocked server_names *.example.com www.example.* example.org/galleries/ ~\.google\.; content_by_lua_block { ngx.say("[", ngx.var.invalid_referer, "]") } }
    location /strict { valid_referers .example.com; content_by_lua_block { ngx.say("[", ngx.var.invalid_referer, "]") } }
    location = / {
        content_by_lua_block {
            local function get(uri, referer)
                local s = ngx.socket.tcp()
                s:connect("127.0.0.1", $TEST_NGINX_SERVER_PORT)
                s:send("GET " .. uri .. " HTTP/1.0\r\n" .. (referer and "Referer: " .. referer .. "\r\n" or "") .. "\r\n")
                ngx.say(uri, " ", referer, " ", (s:receive("*a"):match("\r\n\r\n(.*)\n$")))
            end
            get("/none", "http://x.net/")
            get("/in")
            for _, r in ipairs { "http://own.example/", "https://own.example:8080/x", "http://a.b.EXAMPLE.com/", "http://example.com/", "http://www.example.net", "http://example.org/galleries/1",
                "http://example.org/x", "http://www.google.com/search", "http://x.net/", "own.example.is.long", "short" } do get("/in", r) end
            get("/strict")
            get("/strict", "http://example.com/")
            get("/strict", "http://x.example.com/")
            get("/strict", "x.example.com.net")
        }
    }
--- request
GET /
--- response_body
/none http://x.net/ []
/in nil []
/in http://own.example/ []
/in https://own.example:8080/x []
/in http://a.b.EXAMPLE.com/ []
/in http://example.com/ [1]
/in http://www.example.net []
/in http://example.org/galleries/1 []
/in http://example.org/x [1]
/in http://www.google.com/search []
/in http://x.net/ [1]
/in own.example.is.long []
/in short []
/strict nil [1]
/strict http://example.com/ []
/strict http://x.example.com/ []
/strict x.example.com.net [1]



=== TEST 5: none alone
--- config
    location / { valid_referers none blocked; }
--- must_die
--- error_log
the "none" or "blocked" referers are specified in the "valid_referers" directive without any valid referer



=== TEST 6: a wildcard in the middle
--- config
    location / { valid_referers www.*.com; }
--- must_die
--- error_log
invalid hostname or wildcard "www.*.com" in



=== TEST 7: browsers
--- config
    modern_browser msie 5.5; modern_browser gecko 1.0.0; modern_browser unlisted; ancient_browser Links Lynx netscape4; modern_browser_value new;
    location / { content_by_lua_block { ngx.say("[", ngx.var.modern_browser, "] [", ngx.var.ancient_browser, "] [", ngx.var.msie, "]") } }
    location = / {
        content_by_lua_block {
            for _, ua in ipairs { "", "Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1)", "Mozilla/4.0 (compatible; MSIE 5.0; Windows NT 5.1)", "Mozilla/5.0 (X11; rv:1.0.0) Gecko/20020610",
                "Mozilla/5.0 (X11; rv:0.9.4) Gecko", "Opera/9.01 (X11)", "Mozilla/4.72 [en] (X11)", "Lynx/2.8", "curl/8" } do
                local s = ngx.socket.tcp()
                s:connect("127.0.0.1", $TEST_NGINX_SERVER_PORT)
                s:send("GET /x HTTP/1.0\r\n" .. (ua ~= "" and "User-Agent: " .. ua .. "\r\n" or "") .. "\r\n")
                ngx.print(s:receive("*a"):match("\r\n\r\n(.*)$"))
            end
        }
    }
--- request
GET /
--- response_body
[new] [] []
[new] [] [1]
[] [1] [1]
[new] [] []
[] [1] []
[] [1] []
[] [1] []
[] [1] []
[new] [] []



=== TEST 8: a browser that nobody knows
--- config
    modern_browser mosaic 1.0;
--- must_die
--- error_log
unknown browser name "mosaic" in



=== TEST 9: random_index
--- user_files
>>> r/one.txt
one
>>> r/.hidden
no
--- config
    location /r/ { root html; random_index on; }
    location /none/ { root html; random_index on; }
--- request eval
["GET /r/", "GET /none/"]
--- error_code eval
[200, 404]
--- response_body_like eval
["^one\$", "404"]
