=== TEST 1: a request over HTTP/2
--- config
    location = /t {
        content_by_lua_block {
            ngx.req.read_body()
            ngx.header["X-Method"] = ngx.req.get_method()
            ngx.say(ngx.req.http_version(), " ", ngx.var.http_host, " ", ngx.req.get_body_data())
        }
    }
--- http2
--- more_headers
X-A: 1
--- request
POST /t
abc
--- response_headers
X-Method: POST
--- response_body
2 localhost abc



=== TEST 2: no body
--- config
    location = /t { return 304; }
--- http2
--- request
HEAD /t
--- error_code: 304



=== TEST 3: not found
--- config
--- http2
--- request
GET /nothing
--- error_code: 404
--- response_body_like: 404 Not Found
