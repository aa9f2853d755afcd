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


=== TEST 3: what programs take from ffi.C
--- config
    location /t {
        content_by_lua_block {
            local ffi = require "ffi"
            ffi.cdef[[
                double ngx_http_lua_ffi_now(void);
                long ngx_http_lua_ffi_time(void);
                void ngx_http_lua_ffi_md5(const unsigned char *src, size_t len, unsigned char *dst);
                int ngx_http_lua_ffi_sha1_bin(const unsigned char *src, size_t len, unsigned char *dst);
                unsigned int ngx_http_lua_ffi_crc32_long(const unsigned char *src, size_t len);
                size_t ngx_http_lua_ffi_encode_base64(const unsigned char *src, size_t len, unsigned char *dst, int no_padding);
                int ngx_http_lua_ffi_decode_base64(const unsigned char *src, size_t len, unsigned char *dst, size_t *dlen);
                size_t ngx_http_lua_ffi_uri_escaped_length(const unsigned char *src, size_t len, int type);
                void ngx_http_lua_ffi_escape_uri(const unsigned char *src, size_t len, unsigned char *dst, int type);
                size_t ngx_http_lua_ffi_unescape_uri(const unsigned char *src, size_t len, unsigned char *dst);
                void ngx_http_lua_ffi_http_time(unsigned char *buf, long t);
                void ngx_http_lua_ffi_parse_http_time(const unsigned char *str, size_t len, long *time);
                void ngx_http_lua_ffi_today(unsigned char *buf);
                int ngx_http_lua_ffi_worker_pid(void);
            ]]
            local C, buf, n = ffi.C, ffi.new("unsigned char[64]"), ffi.new("size_t[1]")
            ngx.say(math.abs(C.ngx_http_lua_ffi_now() - ngx.now()) < 5, " ", tonumber(C.ngx_http_lua_ffi_time()) - ngx.time() < 5)
            C.ngx_http_lua_ffi_md5("hello", 5, buf)
            ngx.say(ffi.string(buf, 32) == ngx.md5("hello"))
            C.ngx_http_lua_ffi_sha1_bin("hello", 5, buf)
            ngx.say(ffi.string(buf, 20) == ngx.sha1_bin("hello"), " ", C.ngx_http_lua_ffi_crc32_long("hello", 5) == ngx.crc32_long("hello"))
            ngx.say(ffi.string(buf, C.ngx_http_lua_ffi_encode_base64("hello", 5, buf, 0)), " ", ffi.string(buf, C.ngx_http_lua_ffi_encode_base64("hello", 5, buf, 1)))
            ngx.say(C.ngx_http_lua_ffi_decode_base64("aGVsbG8=", 8, buf, n), " ", ffi.string(buf, n[0]), " ", C.ngx_http_lua_ffi_decode_base64("?", 1, buf, n))
            local len = C.ngx_http_lua_ffi_uri_escaped_length("a b/c", 5, 2)
            C.ngx_http_lua_ffi_escape_uri("a b/c", 5, buf, 2)
            ngx.say(tonumber(len), " ", ffi.string(buf, len))
            ngx.say(ffi.string(buf, C.ngx_http_lua_ffi_unescape_uri("a%20b", 5, buf)))
            local t = ffi.new("long[1]")
            C.ngx_http_lua_ffi_http_time(buf, 784111777)
            C.ngx_http_lua_ffi_parse_http_time(buf, 29, t)
            ngx.say(ffi.string(buf, 29), " ", tonumber(t[0]))
            C.ngx_http_lua_ffi_today(buf)
            ngx.say(ffi.string(buf, 10) == ngx.today(), " ", C.ngx_http_lua_ffi_worker_pid() == ngx.worker.pid())
        }
    }
--- request
GET /t
--- response_body
true true
true
true true
aGVsbG8= aGVsbG8
1 hello 0
9 a%20b%2Fc
a b
Sun, 06 Nov 1994 08:49:37 GMT 784111777
true true
--- no_error_log
[error]
