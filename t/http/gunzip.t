use Test::Nginx::Socket 'no_plan';

no_root_location();

our $Data = q{
    lua_http10_buffering off;
    init_by_lua_block {
        one = "\031\139\008\000\000\000\000\000\002\255\203\072\205\201\201\215\081\040\201\200\044\086\000\162\146\140\084\133\146\212\138\018\032\035\177\068\161\060\177\088\033\057\063\183\160\040\181\184\056\053\133\011\000\147\095\137\151\044\000\000\000"
        two = "\031\139\008\000\000\000\000\000\002\255\075\204\075\081\200\205\047\074\229\002\000\107\192\232\189\009\000\000\000"
        bad = "\031\139\008\000\000\000\000\000\002\255\203\072\205\201\201\215\081\040\201\200\044\086\000\162\146\140\084\133\146\212\138\018\032\035\177\068\161\060\177\088\033\057\063\183\160\040\181\184\056\053\133\011\000\147\095\220\151\044\000\000\000"
        function send(data, size)
            ngx.header.content_encoding = "gzip"
            for i = 1, #data, size do ngx.print(data:sub(i, i + size - 1)) ngx.flush(true) end
        end
        function get(uri, headers)
            local s = ngx.socket.tcp()
            s:connect("127.0.0.1", tonumber(ngx.var.server_port))
            s:send("GET " .. uri .. " HTTP/1.0\r\nHost: x\r\n" .. (headers or "") .. "\r\n")
            return s:receive("*a"):match("^(.-)\r\n\r\n(.*)$")
        end
    }
};

run_tests();

__DATA__

=== TEST 1: pieces of any size
--- http_config eval: $::Data
--- config
    gunzip on;
    location /in { content_by_lua_block { send(one, tonumber(ngx.var.arg_n)) } }
    location /several { content_by_lua_block { send(one .. two, tonumber(ngx.var.arg_n)) } }
    location / {
        content_by_lua_block {
            for n = 1, #one + #two do
                local _, body = get("/in?n=" .. n)
                if body ~= "hello, this is the text that was compressed\n" then ngx.say(n, ": ", body) end
                _, body = get("/several?n=" .. n)
                if body ~= "hello, this is the text that was compressed\nand more\n" then ngx.say(n, ": ", body) end
            end
            ngx.say("done")
        }
    }
--- request
GET /
--- response_body
done
--- no_error_log
[error]



=== TEST 2: headers, and clients that accept gzip
--- http_config eval: $::Data
--- config
    gunzip on; gzip_vary on; gzip_http_version 1.0;
    location /in { content_by_lua_block { ngx.header.etag = '"x"' ngx.header.content_length = #one send(one, 1000) } }
    location /plain { content_by_lua_block { ngx.header.etag = '"x"' ngx.say("plain") } }
    location / {
        content_by_lua_block {
            local function show(uri, headers)
                local head, body = get(uri, headers)
                ngx.say((head:match("[eE][tT]ag: ([^\r]*)")), " ", (head:match("[cC]ontent%-[eE]ncoding: ([^\r]*)")), " ", (head:match("Vary: ([^\r]*)")), " ", (head:match("Content%-Length: (%d+)")), " ", #body)
            end
            show("/in")
            show("/in", "Accept-Encoding: gzip\r\n")
            show("/plain")
        }
    }
--- request
GET /
--- response_body
W/"x" nil Accept-Encoding nil 44
"x" gzip Accept-Encoding 61 61
"x" nil nil nil 6



=== TEST 3: what is broken
--- http_config eval: $::Data
--- config
    gunzip on;
    location /bad { content_by_lua_block { send(bad, 1000) } }
    location /none { content_by_lua_block { send("no gzip at all", 1000) } }
    location /cut { content_by_lua_block { send(one:sub(1, -3), 1000) } }
    location / {
        content_by_lua_block { get("/bad") get("/none") get("/cut") ngx.say("done") }
    }
--- request
GET /
--- response_body
done
--- error_log
inflate() failed: 
inflate() returned -5 on response end
--- no_error_log
[alert]



=== TEST 4: filters below see the text
--- http_config eval: $::Data
--- config
    location /in { gunzip on; default_type text/html; sub_filter hello bye; content_by_lua_block { send(one, 7) } }
    location /made { gunzip on; proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/page; proxy_set_header Accept-Encoding gzip; proxy_http_version 1.1; }
    location /page { gzip on; gzip_min_length 1; gzip_types *; content_by_lua_block { ngx.print(("x"):rep(100000)) } }
    location / { content_by_lua_block { local _, body = get("/in") ngx.print(body) _, body = get("/made") ngx.say(#body, " ", (body:gsub("x", ""))) } }
--- request
GET /
--- response_body
bye, this is the text that was compressed
100000 
