use Test::Nginx::Socket 'no_plan';

no_root_location();
run_tests();

__DATA__

=== TEST 1: the order of phases
--- http_config
    init_by_lua_block { order = { "init" } }
    init_worker_by_lua_block { table.insert(order, "init_worker") }
--- config
    location / {
        set_by_lua_block $x { ngx.ctx.s = "set" return "set" }
        rewrite_by_lua_block { ngx.ctx.s = ngx.ctx.s .. " rewrite" }
        access_by_lua_block { ngx.ctx.s = ngx.ctx.s .. " access" }
        content_by_lua_block { ngx.ctx.s = ngx.ctx.s .. " content" ngx.say(table.concat(order, " "), " ", ngx.ctx.s) }
        header_filter_by_lua_block { ngx.header["X-Phase"] = ngx.get_phase() }
        body_filter_by_lua_block { ngx.arg[1] = ngx.arg[1]:upper() }
        log_by_lua_block { ngx.log(ngx.WARN, "logged: ", ngx.ctx.s, " in ", ngx.get_phase()) }
    }
--- request
GET /
--- response_headers
X-Phase: header_filter
--- response_body
INIT INIT_WORKER SET REWRITE ACCESS CONTENT
--- error_log
logged: set rewrite access content in log



=== TEST 2: ngx.get_phase in each
--- http_config
    init_by_lua_block { seen = { ngx.get_phase() } }
    init_worker_by_lua_block { table.insert(seen, ngx.get_phase()) }
--- config
    location / {
        set_by_lua_block $p { return ngx.get_phase() }
        rewrite_by_lua_block { ngx.ctx.p = { ngx.get_phase() } }
        access_by_lua_block { table.insert(ngx.ctx.p, ngx.get_phase()) }
        content_by_lua_block {
            table.insert(ngx.ctx.p, ngx.get_phase())
            ngx.say(table.concat(seen, ","), ",", ngx.var.p, ",", table.concat(ngx.ctx.p, ","))
        }
    }
--- request
GET /
--- response_body
init,init_worker,set,rewrite,access,content



=== TEST 3: files and strings
--- config
    location /file { content_by_lua_file html/t.lua; }
    location /string { content_by_lua 'ngx.say("string ", ngx.var.uri)'; }
    location /var { content_by_lua_file html/$arg_f.lua; }
--- user_files
>>> t.lua
ngx.say("file ", ngx.var.uri)
--- request eval
["GET /file", "GET /string", "GET /var?f=t"]
--- response_body eval
["file /file\n", "string /string\n", "file /var\n"]



=== TEST 4: a file that is missing
--- config
    location / { content_by_lua_file html/none.lua; }
--- request
GET /
--- error_code: 404
--- error_log
none.lua



=== TEST 5: exits of the phases
--- config
    location /r { rewrite_by_lua_block { ngx.exit(403) } content_by_lua_block { ngx.say("no") } }
    location /a { access_by_lua_block { ngx.exit(401) } content_by_lua_block { ngx.say("no") } }
    location /ok { access_by_lua_block { ngx.exit(ngx.OK) } content_by_lua_block { ngx.say("went on") } }
    location /said { access_by_lua_block { ngx.say("access") ngx.exit(200) } content_by_lua_block { ngx.say("no") } }
    location /h { content_by_lua_block { ngx.say("x") } header_filter_by_lua_block { ngx.exit(503) } }
--- request eval
["GET /r", "GET /a", "GET /ok", "GET /said", "GET /h"]
--- error_code eval
[403, 401, 200, 200, 503]



=== TEST 6: phases that cannot wait say so
--- config
    location /h { content_by_lua_block { ngx.say("x") } header_filter_by_lua_block { local ok, err = pcall(ngx.sleep, 0) ngx.header.X = err } }
    location /l { content_by_lua_block { ngx.say("x") } log_by_lua_block { local ok, err = pcall(ngx.say, "x") ngx.log(ngx.WARN, err) } }
--- request
GET /h
--- response_headers
X: API disabled in the context of header_filter_by_lua*; it works in rewrite_by_lua*, access_by_lua*, content_by_lua*, ngx.timer, ssl_certificate_by_lua*, ...; "lua_phase_limits off" lifts this



=== TEST 7: body filters may end a response
--- config
    location / {
        content_by_lua_block { ngx.say("one") ngx.flush(true) ngx.say("two") }
        header_filter_by_lua_block { ngx.header.content_length = nil }
        body_filter_by_lua_block { if ngx.arg[1]:find("one") then ngx.arg[2] = true end }
    }
--- request
GET /
--- response_body
one



=== TEST 8: body filters see the end
--- config
    location / {
        content_by_lua_block { ngx.print("a") ngx.print("b") }
        body_filter_by_lua_block { ngx.ctx.all = (ngx.ctx.all or "") .. ngx.arg[1] if ngx.arg[2] then ngx.arg[1] = "[" .. ngx.ctx.all .. "]" else ngx.arg[1] = nil end }
    }
--- request
GET /
--- response_body: [ab]



=== TEST 9: a content handler may be given by rewrite_by_lua with arguments of set
--- config
    location / { set $who world; set_by_lua $msg 'return ngx.arg[1] .. " " .. ngx.arg[2]' hello $who; return 200 "$msg\n"; }
--- request
GET /
--- response_body
hello world



=== TEST 10: server_rewrite_by_lua comes before the location is looked for
--- config
    server_rewrite_by_lua_block { if ngx.var.uri == "/old" then ngx.req.set_uri("/new") end }
    location /new { return 200 "new\n"; }
--- request
GET /old
--- response_body
new



=== TEST 11: exit_worker_by_lua
--- http_config
    exit_worker_by_lua_block { ngx.log(ngx.WARN, "worker leaves: ", ngx.get_phase()) }
--- config
    location / { return 200 "x\n"; }
--- request
GET /
--- shutdown_error_log
worker leaves: exit_worker
