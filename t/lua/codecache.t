use Test::Nginx::Socket 'no_plan';

no_root_location();
run_tests();

__DATA__

=== TEST 1: state of modules lasts with the cache, and does not without
--- http_config
    lua_package_path "$prefix/html/?.lua;;";
--- config
    location /kept { content_by_lua_block { local m = require "counter"; m.n = m.n + 1; ngx.print(m.n) } }
    location /fresh { lua_code_cache off; content_by_lua_block { local m = require "counter"; m.n = m.n + 1; ngx.print(m.n) } }
    location /t {
        echo_location /kept;
        echo_location /kept;
        echo_location /fresh;
        echo_location /fresh;
    }
--- user_files
>>> counter.lua
return { n = 0 }
--- request
GET /t
--- response_body chomp
1211
--- error_log
lua_code_cache is off; this will hurt performance in



=== TEST 2: edits of files are live, those of modules too
--- http_config
    lua_package_path "$prefix/html/?.lua;;";
--- config
    location /t {
        content_by_lua_block {
            local function edit(name, text)
                local f = assert(io.open(ngx.config.prefix() .. "html/" .. name, "w"))
                f:write(text)
                f:close()
            end
            for i = 1, 2 do
                edit("page.lua", "ngx.print('page " .. i .. " ', require 'part', ';')")
                edit("part.lua", "return 'part " .. i .. "'")
                ngx.print(ngx.location.capture("/kept").body, ngx.location.capture("/wrapped").body)
            end
        }
    }
    location /kept { content_by_lua_file html/page.lua; }
    location /wrapped { echo_location /live; }
    location /live { lua_code_cache off; content_by_lua_file html/page.lua; }
--- request
GET /t
--- response_body chomp
page 1 part 1;page 1 part 1;page 1 part 1;page 2 part 2;



=== TEST 3: init_by_lua runs in each VM
--- http_config
    init_by_lua_block { begun = (begun or 0) + 1 }
--- config
    lua_code_cache off;
    location /t {
        rewrite_by_lua_block { begun = begun + 10 }
        content_by_lua_block { ngx.say(begun) }
    }
--- pipelined_requests eval
["GET /t", "GET /t"]
--- response_body eval
["11\n", "11\n"]



=== TEST 4: a captured subrequest uses the VM of its parent
--- config
    lua_code_cache off;
    location /t {
        content_by_lua_block {
            package.loaded.mark = "outer"
            local ctx = {}
            local r = ngx.location.capture("/inner", { ctx = ctx })
            ngx.say(r.body, " ", ctx.answer)
        }
    }
    location /inner { content_by_lua_block { ngx.ctx.answer = "from inside" ngx.print(tostring(package.loaded.mark)) } }
--- request
GET /t
--- response_body
outer from inside



=== TEST 5: a timer keeps the VM of the request that made it
--- http_config
    lua_shared_dict done 64k;
--- config
    lua_code_cache off;
    location /set {
        content_by_lua_block {
            local text = "closure"
            ngx.timer.at(0.02, function() collectgarbage() ngx.shared.done:set("text", text) end)
            ngx.print("set ")
        }
    }
    location /get {
        content_by_lua_block {
            for i = 1, 2000 do
                if ngx.shared.done:get("text") then break end
                ngx.sleep(0.01)
            end
            ngx.say(ngx.shared.done:get("text"))
        }
    }
    location /t {
        echo_location /set;
        echo_location /get;
    }
--- request
GET /t
--- response_body
set closure



=== TEST 6: an error of the code
--- config
    lua_code_cache off;
    location /t { content_by_lua_block { error("on purpose") } }
--- request
GET /t
--- error_code: 500
--- error_log
content_by_lua(nginx.conf:



=== TEST 7: the module that tells of the server
--- config
    location /t {
        content_by_lua_block {
            local m = require "moongate"
            local s = m.status()
            ngx.say(m.version == s.version, " ", #s.workers, " ", s.requests > 0, " ", s.workers[1].lua > 10000, " ", s.memory.lua >= s.workers[1].lua)
        }
    }
--- request
GET /t
--- response_body
true 1 true true true
