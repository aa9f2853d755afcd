use Test::Nginx::Socket 'no_plan';

no_root_location();
run_tests();

__DATA__

=== TEST 1: arrays
--- config
    location /in {
        array_split , $arg_list to=$a;
        array_map "<$array_it>" $a;
        array_map_op set_quote_sql_str $a to=$b;
        array_join + $a to=$x;
        array_join / $b to=$y;
        set $s "k=1;k=2;k=3";
        array_split ";" $s 2;
        array_join | $s;
        array_split "" "abc" to=$c;
        array_join - $c;
        return 200 "$x $y $s $c\n";
    }
--- request
GET /in?list=one,two,,it's
--- response_body eval
"<one>+<two>+<>+<it's> '<one>'/'<two>'/'<>'/'<it\\'s>' k=1|k=2;k=3 a-b-c\n"



=== TEST 2: a text is no array
--- config
    location /in { set $a text; array_join , $a; return 200 "$a\n"; }
--- request
GET /in
--- error_code: 500
--- error_log
array_join: invalid array variable value in the 2nd argument: "text"



=== TEST 3: too many arguments
--- config
    location /in { array_split , "a,b" to=$a x; }
--- must_die
--- error_log
array_split: unexpected argument "x" in



=== TEST 4: a form
--- config
    location /in {
        set_form_input $name; set_form_input $x $arg_f; set_form_input_multi $all n; array_join , $all;
        return 200 "[$name] [$x] [$all]\n";
    }
--- more_headers
Content-Type: application/x-www-form-urlencoded
--- request
POST /in?f=other
name=a%20b&N=1&n=2&xother=0&other=3&n=
--- response_body
[a%20b] [3] [1,2,]



=== TEST 5: no form
--- config
    location /in { set_form_input $name; return 200 "[$name]\n"; }
--- request
POST /in
name=a
--- response_body
[]



=== TEST 6: sealed values
--- config
    encrypted_session_key "abcdefghijklmnopqrstuvwxyz123456";
    encrypted_session_iv "1234567812345678";
    location /seal { set_encrypt_session $s $arg_v; set_encode_base32 $s; return 200 $s; }
    location /open { set_decode_base32 $s $arg_s; set_decrypt_session $s; return 200 "[$s]"; }
    location /other { encrypted_session_key "abcdefghijklmnopqrstuvwxyz654321"; set_decode_base32 $s $arg_s; set_decrypt_session $s; return 200 "[$s]"; }
    location / {
        content_by_lua_block {
            local s = ngx.location.capture("/seal", { args = "v=some+value+that+is+longer+than+a+block" }).body
            ngx.say(#s)
            ngx.say(ngx.location.capture("/open", { args = "s=" .. s }).body)
            ngx.say(ngx.location.capture("/other", { args = "s=" .. s }).body)
            ngx.say(ngx.location.capture("/open", { args = "s=" .. s:sub(1, -9) }).body)
            ngx.say(ngx.location.capture("/open", { args = "s=0000" }).body)
            ngx.say(ndk.set_var.set_decrypt_session(ndk.set_var.set_encrypt_session("from Lua")))
        }
    }
--- request
GET /
--- response_body
104
[some+value+that+is+longer+than+a+block]
[]
[]
[]
from Lua
--- no_error_log
[error]



=== TEST 7: no key
--- config
    location /in { set_encrypt_session $s x; return 200 $s; }
--- request
GET /in
--- error_code: 500
--- error_log
encrypted_session: a key is required to be defined by the encrypted_session_key directive



=== TEST 8: a key too short
--- config
    encrypted_session_key "short";
--- must_die
--- error_log
encrypted_session_key: the key must be of 32 bytes long in
