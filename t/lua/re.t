use Test::Nginx::Socket 'no_plan';

no_root_location();
run_tests();

__DATA__

=== TEST 1: match: captures, names, positions
--- config
    location / {
        content_by_lua_block {
            local m = ngx.re.match("hello, 1234 and 56", "([0-9])(?<rest>[0-9]+)")
            ngx.say(m[0], " ", m[1], " ", m[2], " ", m.rest)
            local ctx = { pos = 12 }
            local n = ngx.re.match("hello, 1234 and 56", "[0-9]+", "jo", ctx)
            ngx.say(n[0], " ", ctx.pos)
            ngx.say(ngx.re.match("abc", "x"))
            local o = ngx.re.match("ab", "(a)(x)?(b)") ngx.say(o[1], " ", o[2], " ", o[3])
        }
    }
--- request
GET /
--- response_body
1234 1 234 234
56 19
nil
a false b



=== TEST 2: options
--- config
    location / {
        content_by_lua_block {
            ngx.say(ngx.re.match("ABC", "b", "i")[0], ngx.re.match("a\nb", "^b", "m")[0], ngx.re.match("a\nb", "a.b", "s") ~= nil, ngx.re.match("ab", "a b", "x")[0])
            ngx.say(ngx.re.match("xab", "ab", "a"), " ", ngx.re.match("é", "^.$", "u")[0], " ", ngx.re.match("foobar", "foo(?!baz)", "d")[0])
            ngx.say(pcall(ngx.re.match, "x", "x", "Z"))
        }
    }
--- request
GET /
--- response_body_like
Bbtrueab
nil é foo
false.*unknown flag "Z" \(flags "Z"\)



=== TEST 3: find
--- config
    location / { content_by_lua_block { ngx.say(ngx.re.find("hello 1234", "([0-9])([0-9]+)")) ngx.say(ngx.re.find("hello 1234", "([0-9])([0-9]+)", "jo", nil, 2)) ngx.say(ngx.re.find("x", "y")) ngx.say(ngx.re.find("ab", "")) } }
--- request
GET /
--- response_body
710
810
nil
10



=== TEST 4: gmatch
--- config
    location / { content_by_lua_block { for m in ngx.re.gmatch("a1 b2 c3", [[(\w)(\d)]], "jo") do ngx.print(m[1], "=", m[2], ";") end ngx.say() local it = ngx.re.gmatch("abc", "") local n = 0 while true do local m = it() if not m then break end n = n + 1 end ngx.say(n) } }
--- request
GET /
--- response_body
a=1;b=2;c=3;
4



=== TEST 5: sub, gsub: templates, functions, counts
--- config
    location / {
        content_by_lua_block {
            ngx.say(ngx.re.sub("hello, 1234", "([0-9])[0-9]", "[$0][$1]"))
            ngx.say(ngx.re.gsub("a b c", [[\w]], "<$0>"))
            ngx.say(ngx.re.gsub("a1b2", "([a-z])([0-9])", "${2}$1", "jo"))
            ngx.say(ngx.re.gsub("abc", "[ac]", function(m) return m[0]:upper() end, "i"))
            ngx.say(ngx.re.gsub("abc", "", "-"))
            ngx.say(ngx.re.sub("x", "x", "$$1"))
        }
    }
--- request
GET /
--- response_body
hello, [12][1]341
<a> <b> <c>3
1a2b2
AbC2
-a-b-c-4
$11



=== TEST 6: a pattern that does not compile
--- config
    location / { content_by_lua_block { local m, err = ngx.re.match("x", "(") ngx.say(m, " ", err) local f, t, e = ngx.re.find("x", "[") ngx.say(f, " ", e) } }
--- request
GET /
--- response_body_like
^nil pcre2?_compile\(\) failed: missing .* in "\("
nil pcre2?_compile\(\) failed: missing .* in "\["



=== TEST 7: ngx.re.split
--- config
    location / { content_by_lua_block { local split = require("ngx.re").split ngx.say(table.concat(split("a,b,,c", ","), "|")) ngx.say(table.concat(split("a1b2c", [[(\d)]]), "|")) ngx.say(table.concat(split("abc", ""), "|")) ngx.say(table.concat(split("a,b,c", ",", nil, nil, 2), "|")) } }
--- request
GET /
--- response_body
a|b||c
a|1|b|2|c
a|b|c
a|b,c



=== TEST 8: the limit of matching
--- http_config
    lua_regex_match_limit 100;
--- config
    location / { content_by_lua_block { local m, err = ngx.re.match(string.rep("a", 40) .. "b", "(a+)+$", "") ngx.say(m, " ", err) } }
--- request
GET /
--- response_body_like
^nil pcre2?_(exec|match)\(\) failed: -\d+
