use Test::Nginx::Socket 'no_plan';

run_tests();

__DATA__

=== TEST 1: URIs
--- config
    location /t { set_unescape_uri $a $arg_x; set_escape_uri $b $a; echo "$a|$b"; }
--- request eval
["GET /t?x=a%20b%2Bc+d", "GET /t?x=%zz", "GET /t?x=a/b", "GET /t?x=%21%22%24%27%28%2A%40%5B%60%7C%7E"]
--- response_body eval
["a b+c d|a%20b%2Bc%20d\n", "zz|zz\n", "a/b|a%2Fb\n", "!\"\$'(*\@[`|~|!%22\$'(*\@%5B`|~\n"]



=== TEST 2: quoting
--- config
    location /t { set_unescape_uri $a $arg_x; set_quote_sql_str $b $a; set_quote_pgsql_str $c $a; set_quote_json_str $d $a; echo "$b|$c|$d"; }
--- request eval
["GET /t", "GET /t?x=abc", "GET /t?x=%00%08%09%0a%0c%0d%1a%1f", "GET /t?x=%27%22%5C%24%25", "GET /t?x=%E4%FF"]
--- response_body eval
["''|''|null\n", "'abc'|E'abc'|\"abc\"\n",
 "'\\0\\b\\t\\n\x0c\\r\\Z\x1f'|E'\\0\\b\\t\\n\x0c\\r\\Z\x1f'|\"\\u0000\\b\\t\\n\\f\\r\\u001a\\u001f\"\n",
 "'\\'\\\"\\\\\\\$%'|E'\\'\\\"\\\\\\\$%'|\"'\\\"\\\\\$%\"\n",
 "'\xE4\xFF'|E'\\\\344\\\\377'|\"\xE4\xFF\"\n"]



=== TEST 3: encodings
--- config
    location /t {
        set_encode_base32 $a $arg_x; set_decode_base32 $b $a; set_encode_base64 $c $arg_x; set_decode_base64 $d $c;
        set_encode_base64url $e $arg_x; set_decode_base64url $f $e; set_encode_hex $g $arg_x; set_decode_hex $h $g;
        echo "$a $b $c $d $e $f $g $h";
    }
--- request eval
["GET /t?x=f", "GET /t?x=foob", "GET /t?x=fooba", "GET /t?x=~~~"]
--- response_body eval
["co====== f Zg== f Zg f 66 f\n", "cpnmuog= foob Zm9vYg== foob Zm9vYg foob 666f6f62 foob\n",
 "cpnmuoj1 fooba Zm9vYmE= fooba Zm9vYmE fooba 666f6f6261 fooba\n", "fpv7s=== ~~~ fn5+ ~~~ fn5- ~~~ 7e7e7e ~~~\n"]



=== TEST 4: what cannot be decoded
--- config
    location /b32 { set_decode_base32 $a $arg_x; echo "[$a]"; }
    location /b64 { set_decode_base64 $a $arg_x; echo "[$a]"; }
    location /hex { set_decode_hex $a $arg_x; echo "[$a]"; }
--- request eval
["GET /b32?x=cpn", "GET /b64?x=aGVsbG8", "GET /b64?x=a", "GET /hex?x=616", "GET /hex?x=zz"]
--- error_code eval
[200, 200, 500, 500, 500]
--- response_body_like eval
["^\\[\\]\$", "^\\[hello\\]\$", "500", "500", "500"]



=== TEST 5: base32 with other digits and without padding
--- config
    location /t {
        set_base32_padding off; set_base32_alphabet "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        set_encode_base32 $a hello; set_decode_base32 $b $a; echo "$a $b";
    }
--- request
GET /t
--- response_body
NBSWY3DP hello



=== TEST 6: digests, and a variable that is its own argument
--- config
    location /t {
        set $a abc; set_md5 $a; set_sha1 $b abc; set_hmac_sha1 $c key abc; set_encode_hex $c; set_hmac_sha256 $d key abc; set_encode_hex $d;
        echo $a; echo $b; echo $c; echo $d;
    }
--- request
GET /t
--- response_body
900150983cd24fb0d6963f7d28e17f72
a9993e364706816aba3e25717850c26c9cd0d89d
4fd0b215276ef12f2b3e4c8ecac2811498b656fc
9c196e32dc0175f86f4b1cb89289d6619de6bee699e4c378e68309ed97a1a6ab



=== TEST 7: set_if_empty
--- config
    location /t { set $a $arg_x; set_if_empty $a 'def$arg_y'; echo $a; }
--- request eval
["GET /t", "GET /t?x=1", "GET /t?y=2"]
--- response_body eval
["def\n", "1\n", "def2\n"]



=== TEST 8: set_hashed_upstream
--- http_config
    upstream_list list a.b c.d eee f;
--- config
    location /t { set_hashed_upstream $a list $arg_x; echo $a; }
--- request eval
["GET /t", "GET /t?x=key0", "GET /t?x=key71271", "GET /t?x=ABC", "GET /t?x=abc"]
--- response_body_like eval
["^a.b\$", "^c.d\$", "^f\$", "^eee\$", "^eee\$"]



=== TEST 9: random values
--- config
    location /t {
        set_random $a 5 5; set_random $b 9 3; set_secure_random_alphanum $c 32; set_secure_random_lcalpha $d 64;
        if ($b !~ "^[3-9]$") { return 500; }
        if ($c !~ "^[a-zA-Z0-9]{32}$") { return 500; }
        if ($d !~ "^[a-z]{64}$") { return 500; }
        echo $a;
    }
    location /bad { set_random $a x 5; echo $a; }
    location /long { set_secure_random_alphanum $a 65; echo $a; }
--- request eval
["GET /t", "GET /bad", "GET /long"]
--- error_code eval
[200, 500, 500]



=== TEST 10: set_rotate
--- config
    location /t { set $a ""; set_rotate $a 1 3; echo $a; }
    location /own { set $b 2; set_rotate $b 1 3; echo $b; }
--- request eval
["GET /t", "GET /t", "GET /t", "GET /t", "GET /own", "GET /own"]
--- response_body eval
["1\n", "2\n", "3\n", "1\n", "3\n", "3\n"]



=== TEST 11: times
--- config
    location /t { set_formatted_gmt_time $a "%Y-%m-%d %Z %%"; set_local_today $b; set_formatted_local_time $c ""; echo "$a $b [$c]"; }
--- request
GET /t
--- response_body_like: ^\d{4}-\d\d-\d\d GMT % \d{4}-\d\d-\d\d \[\]$



=== TEST 12: from Lua
--- config
    location /t { content_by_lua_block {
        ngx.say(ndk.set_var.set_md5("abc"))
        ngx.say(ndk.set_var.set_escape_uri(" :"))
        ngx.say(pcall(function() local x = ndk.set_var.set_hmac_sha1("a") end))
        ngx.say(pcall(function() local x = ndk.set_var.set_decode_hex("zz") end))
        ngx.say(pcall(function() ndk.set_var.x = 1 end))
    } }
--- request
GET /t
--- response_body_like eval
"^900150983cd24fb0d6963f7d28e17f72\n%20%3A\nfalse.*?: ndk.set_var: directive \"set_hmac_sha1\" not found or does not use ndk_set_var_value\nfalse.*?: calling directive set_decode_hex failed with code -1\nfalse.*?: not allowed\n\$"



=== TEST 13: set_hashed_upstream of a list that is none
--- config
    location /bad { set_hashed_upstream $a nolist x; echo $a; }
--- must_die
--- error_log
set_hashed_upstream: upstream list "nolist" not defined yet
