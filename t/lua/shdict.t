use Test::Nginx::Socket 'no_plan';

run_tests();

__DATA__

=== TEST 1: values, flags, expiry
--- http_config
    lua_shared_dict d 32k;
--- config
    location /t {
        content_by_lua_block {
            local d = ngx.shared.d
            ngx.say(d:set("s", "text"), " ", d:set("n", 1.5, 0, 9), " ", d:set("b", false))
            ngx.say(d:get("s"), " ", table.concat({ d:get("n") }, ","), " ", tostring(d:get("b")), " ", tostring(d:get("none")))
            ngx.say(d:add("s", 1))
            ngx.say(d:replace("none", 1))
            d:set("gone", "old", 0.001)
            ngx.sleep(0.005)
            ngx.say(d:get("gone"), " ", d:get_stale("gone"))
            ngx.say(d:get(nil))
            ngx.say(d:get(""))
            ngx.say(d:set("x", {}))
            ngx.say(pcall(d.get, {}, "x"))
        }
    }
--- request
GET /t
--- response_body
true true truenilfalse
text 1.5,9 false nil
falseexistsfalse
falsenot foundfalse
nil oldniltrue
nilnil key
nilempty key
nilbad value type
falsebad "zone" argument



=== TEST 2: counters and lists
--- http_config
    lua_shared_dict d 32k;
--- config
    location /t {
        content_by_lua_block {
            local d = ngx.shared.d
            ngx.say(d:incr("n", 1))
            ngx.say(d:incr("n", 1, 10))
            ngx.say(d:incr("n", 1))
            ngx.say(d:lpush("l", "a"), d:rpush("l", 2), d:lpush("l", "z"), d:llen("l"))
            ngx.say(d:rpop("l"), d:lpop("l"), d:lpop("l"), tostring(d:lpop("l")), d:llen("l"))
            ngx.say(d:lpush("n", 1))
            d:set("t", 1, 100)
            ngx.say(d:ttl("t") > 99, " ", d:expire("t", 0), " ", d:ttl("t"), " ", #d:get_keys())
            d:flush_all()
            ngx.say(#d:get_keys(), " ", d:flush_expired() >= 0, " ", d:capacity())
        }
    }
--- request
GET /t
--- response_body
nilnot found
11nilfalse
12
1233
2zanil0
nilvalue not a list
true true 0 2
0 true 32768



=== TEST 3: old entries give way, unless the store is a safe one
--- http_config
    lua_shared_dict d 16k;
--- config
    location /t {
        content_by_lua_block {
            local d, v = ngx.shared.d, string.rep("v", 100)
            local n, force = 0
            repeat n = n + 1 _, _, force = d:set("k" .. n, v) until force
            ngx.say(tostring(d:get("k1")), " ", #d:get("k" .. n), " ", d:free_space())
            ngx.say(d:safe_set("more", v))
            ngx.say(d:set("huge", string.rep("x", 20000)))
        }
    }
--- request
GET /t
--- response_body
nil 100 0
falseno memoryfalse
falseno memorytrue



=== TEST 4: set_when stores only over the value it was told of
--- http_config
    lua_shared_dict d 1m;
--- config
    location /t {
        content_by_lua_block {
            local d = ngx.shared.d
            ngx.say(d:set_when("k", nil, 1))
            ngx.say(d:set_when("k", nil, 2))
            ngx.say(d:set_when("k", "1", 2))
            ngx.say(d:set_when("k", 1, "two", 0, 7))
            ngx.say(d:get("k"))
            ngx.say(d:safe_set_when("k", "two", nil))
            ngx.say(d:get("k"), " ", (d:set_when("k", "two", 3)))
            ngx.say(d:set_when("k", {}, 3))
        }
    }
--- request
GET /t
--- response_body
truenilfalse
falsealready modifiedfalse
falsealready modifiedfalse
truenilfalse
two7
truenilfalse
nil false
nilbad old value type



=== TEST 5: a library that calls the functions of dictionaries by FFI
--- http_config
    lua_shared_dict small 100k;
    init_by_lua_block {
        require "ffi".cdef[[
            void *ngx_http_lua_ffi_shdict_udata_to_zone(void *udata);
            int ngx_http_lua_ffi_shdict_get(void *zone, const unsigned char *key, size_t key_len, int *value_type, unsigned char **str_value_buf,
                size_t *str_value_len, double *num_value, int *user_flags, int get_stale, int *is_stale, char **errmsg);
            int ngx_http_lua_ffi_shdict_incr(void *zone, const unsigned char *key, size_t key_len, double *value, char **err, int has_init,
                double init, long init_ttl, int *forcible);
            int ngx_http_lua_ffi_shdict_store(void *zone, int op, const unsigned char *key, size_t key_len, int value_type,
                const unsigned char *str_value_buf, size_t str_value_len, double num_value, long exptime, int user_flags, char **errmsg, int *forcible);
            int ngx_http_lua_ffi_shdict_flush_all(void *zone);
            long ngx_http_lua_ffi_shdict_get_ttl(void *zone, const unsigned char *key, size_t key_len);
            int ngx_http_lua_ffi_shdict_set_expire(void *zone, const unsigned char *key, size_t key_len, long exptime);
            size_t ngx_http_lua_ffi_shdict_capacity(void *zone);
            size_t ngx_http_lua_ffi_shdict_free_space(void *zone);
            void free(void *p);
        ]]
    }
--- config
    location /t { content_by_lua_block {
        local ffi = require "ffi"
        local C, d = ffi.C, ngx.shared.small
        local zone = C.ngx_http_lua_ffi_shdict_udata_to_zone(d[1])
        local err, forcible, int, buf = ffi.new "char *[1]", ffi.new "int[1]", ffi.new "int[3]", ffi.new "unsigned char[8]"
        local str, len, num = ffi.new "unsigned char *[1]", ffi.new "size_t[1]", ffi.new "double[1]"
        local function store(op, key, type, s, n, ttl, flags)
            local rc = C.ngx_http_lua_ffi_shdict_store(zone, op, key, #key, type, s, s and #s or 0, n or 0, ttl or 0, flags or 0, err, forcible)
            return rc, rc ~= 0 and ffi.string(err[0]) or ""
        end
        local function get(key, stale)
            str[0], len[0] = buf, 8
            local rc = C.ngx_http_lua_ffi_shdict_get(zone, key, #key, int, str, len, num, int + 1, stale or 0, int + 2, err)
            if rc ~= 0 then return rc, ffi.string(err[0]) end
            if int[0] == 3 then return num[0], int[1] end
            if int[0] == 1 then return buf[0], int[1] end
            if int[0] == 0 then return nil end
            local s = ffi.string(str[0], len[0])
            if str[0] ~= buf then C.free(str[0]) end
            return s, int[1]
        end
        ngx.say(store(0, "a", 4, "short"), " ", store(0, "b", 4, ("x"):rep(20), 0, 60000, 7), " ", store(0, "n", 3, nil, 1.5), " ", store(0, "t", 1, nil, 1))
        ngx.say(d:get("a"), " ", (d:get("b")), " ", select(2, d:get("b")), " ", d:get("n"), " ", d:get("t"))
        ngx.say(get("a"), " ", get("b"), " ", get("n"), " ", get("t"), " ", get("none"))
        ngx.say(store(1, "a", 4, "x"), " ", store(2, "none", 4, "x"), " ", store(1, "none", 0), " ", store(0, "x", 5))
        ngx.say(store(0, ("k"):rep(65536), 4, "x"))
        num[0] = 2
        ngx.say(C.ngx_http_lua_ffi_shdict_incr(zone, "n", 1, num, err, 0, 0, 0, forcible), " ", num[0])
        ngx.say(C.ngx_http_lua_ffi_shdict_incr(zone, "new", 3, num, err, 0, 0, 0, forcible), " ", ffi.string(err[0]))
        ngx.say(C.ngx_http_lua_ffi_shdict_incr(zone, "new", 3, num, err, 1, 10, 5000, forcible), " ", num[0], " ", d:ttl("new") > 4)
        local ttl = C.ngx_http_lua_ffi_shdict_get_ttl(zone, "b", 1)
        ngx.say(ttl > 50000 and ttl <= 60000, " ", C.ngx_http_lua_ffi_shdict_get_ttl(zone, "a", 1) == 0, " ", C.ngx_http_lua_ffi_shdict_get_ttl(zone, "none", 4) == -5)
        ngx.say(C.ngx_http_lua_ffi_shdict_set_expire(zone, "a", 1, 1000), " ", d:ttl("a") <= 1, " ", C.ngx_http_lua_ffi_shdict_set_expire(zone, "none", 4, 1))
        ngx.say(C.ngx_http_lua_ffi_shdict_capacity(zone) == d:capacity(), " ", C.ngx_http_lua_ffi_shdict_free_space(zone) == d:free_space())
        d:lpush("l", 1)
        ngx.say(get("l"))
        C.ngx_http_lua_ffi_shdict_flush_all(zone)
        ngx.say(d:get("a"), " ", get("b"), " ", store(0, "b", 0))
    } }
--- request
GET /t
--- response_body eval
"0 0 0 0
short " . ("x" x 20) . " 7 1.5 true
short " . ("x" x 20) . " 1.5 1 nil
-5 -5 -1 -1unsupported value type
-1key too long
0 3.5
-1 not found
0 13.5 true
true true true
0 true -5
true true
-1value is a list
nil nil 0
"
--- no_error_log
[error]



=== TEST 6: safe_add, replace, and what they say
--- http_config
    lua_shared_dict small 32k;
--- config
    location /t {
        content_by_lua_block {
            local d = ngx.shared.small
            ngx.say(d:safe_add("a", 1))
            ngx.say(d:safe_add("a", 2))
            ngx.say(d:replace("none", 1))
            ngx.say(d:replace("a", 3), " ", d:get("a"))
            local n, err = 0, nil
            repeat
                n = n + 1
                local ok
                ok, err = d:safe_add("k" .. n, ("x"):rep(100))
            until not ok
            ngx.say(err, " ", d:get("a"), " ", d:get("k1") ~= nil)
            local ok, err, forcible = d:add("more", ("x"):rep(100))
            ngx.say(ok, " ", err, " ", forcible)
        }
    }
--- request
GET /t
--- response_body
truenilfalse
falseexistsfalse
falsenot foundfalse
true 3
no memory 3 true
true nil true
