use Test::Nginx::Socket 'no_plan';

run_tests();

__DATA__

=== TEST 1: functions that programs take from resty.core
--- config
    location /t {
        content_by_lua_block {
            ngx.status = 201
            local utils = require "resty.core.utils"
            ngx.say(utils.str_replace_char("a-b-c", "-", "_"), " ", utils.str_replace_char("a.b", "c", "d"), " ",
                    utils.str_replace_char("%x%", "%", "+"), " ", utils.str_replace_char("aba", "a", "c"))
            local time = require "resty.core.time"
            local a = time.monotonic_msec()
            ngx.say(a > 0, " ", time.monotonic_time() * 1000 >= a)
            local misc = require "resty.core.misc"
            local got
            misc.register_ngx_magic_key_getter("mine", function() return "got" end)
            misc.register_ngx_magic_key_setter("mine", function(v) got = v end)
            ngx.mine = "set"
            ngx.say(ngx.mine, " ", got, " ", ngx.status)
            local ctx = require "resty.core.ctx".get_ctx_table({ a = 1 })
            ctx.b = 2
            ngx.say(ngx.ctx.a, ngx.ctx.b)
            local set = require "resty.core.request".set_req_header
            set("X", "1", true)
            set("X", "2", false)
            ngx.say(table.concat(ngx.req.get_headers().x, ","))
            ngx.say(type(require "resty.core.base".get_errmsg_ptr()))
        }
        header_filter_by_lua_block {
            local set = require "resty.core.response".set_resp_header
            set(nil, "A", "1")
            set(nil, "A", "2", true)
        }
    }
--- request
GET /t
--- error_code: 201
--- response_headers
A: 1, 2
--- response_body
a_b_c a.b +x+ cbc
true true
got set 201
12
1,2
cdata




=== TEST 2: a module that is not there: every place is told, in order
--- config
    location /t {
        content_by_lua_block {
            package.path = "./?.lua;/x/?.lua;./?.lua;/a?b?.lua"
            package.cpath = "/q/?.so;/q/lib?.so"
            local ok, err = pcall(require, "no.such.mod")
            ngx.say(err)
        }
    }
--- request
GET /t
--- response_body
module 'no.such.mod' not found:
	no field package.preload['no.such.mod']
	no file './no/such/mod.lua'
	no file '/x/no/such/mod.lua'
	no file './no/such/mod.lua'
	no file '/ano/such/modbno/such/mod.lua'
	no file '/q/no/such/mod.so'
	no file '/q/libno/such/mod.so'
	no file '/q/no.so'
	no file '/q/libno.so'
