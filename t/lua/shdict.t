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
