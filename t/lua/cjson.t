use Test::Nginx::Socket 'no_plan';

no_root_location();
run_tests();

__DATA__

=== TEST 1: encode
--- config
    location / {
        content_by_lua_block {
            local cjson = require "cjson"
            ngx.say(cjson.encode({ 1, "a", true, cjson.null }), cjson.encode({ a = 1 }), cjson.encode({}), cjson.encode(cjson.empty_array))
            ngx.say(cjson.encode("q\"\\\n\1/é"), cjson.encode(0.1), cjson.encode(1e15), cjson.encode(-3))
            ngx.say(cjson.encode(setmetatable({}, cjson.array_mt)), cjson.encode({ [1] = 1, [3] = 3 }))
        }
    }
--- request
GET /
--- response_body
[1,"a",true,null]{"a":1}{}[]
"q\"\\\n\u0001\/é"0.11e+15-3
[][1,null,3]



=== TEST 2: decode
--- config
    location / {
        content_by_lua_block {
            local cjson = require "cjson"
            local t = cjson.decode([[ {"a":[1,2.5,-3e2],"b":{"c":null,"d":true},"e":"\u00e9\ud83d\ude00\n"} ]])
            ngx.say(#t.a, t.a[2], t.a[3], t.b.c == cjson.null, t.b.d, t.e)
        }
    }
--- request
GET /
--- response_body eval
"32.5-300truetrue\xc3\xa9\xf0\x9f\x98\x80\n\n"



=== TEST 3: text that is no JSON
--- config
    location / {
        content_by_lua_block {
            local cjson = require "cjson"
            for _, s in ipairs({ "{", "[1,]", "nul", "", "1 2", '{"a" 1}', '"\\x"' }) do ngx.say((select(2, pcall(cjson.decode, s)))) end
        }
    }
--- request
GET /
--- response_body_like
^Expected object key string but found T_END at character 2
Expected value but found T_ARR_END at character 4
Expected value but found invalid token at character 1
Expected value but found T_END at character 1
Expected the end but found T_(NUMBER|INTEGER) at character 3
Expected colon but found T_(NUMBER|INTEGER) at character 6
Expected value but found invalid escape code at character 2



=== TEST 4: values that have no JSON
--- config
    location / {
        content_by_lua_block {
            local cjson = require "cjson"
            ngx.say(select(2, pcall(cjson.encode, function() end)))
            ngx.say(select(2, pcall(cjson.encode, 0 / 0)))
            ngx.say(select(2, pcall(cjson.encode, { [{}] = 1 })))
            local t = {} t.t = t ngx.say((select(2, pcall(cjson.encode, t))))
            ngx.say(require("cjson.safe").encode(function() end))
        }
    }
--- request
GET /
--- response_body_like
^Cannot serialise function: type not supported
Cannot serialise number: must not be NaN or Inf.*
Cannot serialise table: table key must be a number or string
Cannot serialise, excessive nesting \(\d+\)
nilCannot serialise function: type not supported



=== TEST 5: settings of an instance
--- config
    location / {
        content_by_lua_block {
            local c = require("cjson").new()
            c.encode_number_precision(3) ngx.say(c.encode(3.14159))
            c.encode_empty_table_as_object(false) ngx.say(c.encode({}))
            c.decode_array_with_array_mt(true) ngx.say(c.encode(c.decode("[]")))
            ngx.say(require("cjson").encode({}))
        }
    }
--- request
GET /
--- response_body
3.14
[]
[]
{}
