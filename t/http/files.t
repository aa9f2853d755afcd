use Test::Nginx::Socket 'no_plan';

no_root_location();
run_tests();

__DATA__

=== TEST 1: try_files: files, directories, the last one
--- config
    location / { try_files $uri $uri.html $uri/ /fallback; }
    location = /fallback { return 200 "fallback $uri\n"; }
--- user_files
>>> page.html
page
>>> plain
plain
>>> dir/index.html
index
--- request eval
["GET /plain", "GET /page", "GET /dir/", "GET /none"]
--- response_body eval
["plain\n", "page\n", "index\n", "fallback /fallback\n"]



=== TEST 2: try_files ends with a status
--- config
    location / { try_files $uri =410; }
    location /teapot { try_files /x =444; }
--- request
GET /none
--- error_code: 410



=== TEST 3: try_files with alias
--- config
    location /al/ { alias html/sub/; try_files $uri $uri.txt =404; }
--- user_files
>>> sub/a.txt
aliased
--- request eval
["GET /al/a.txt", "GET /al/a"]
--- response_body eval
["aliased\n", "aliased\n"]



=== TEST 4: try_files with arguments in the last one
--- config
    location / { try_files $uri /f?from=$uri&$args; }
    location /f { return 200 "$args\n"; }
--- request
GET /x?y=1
--- response_body
from=/x&y=1



=== TEST 5: root and alias
--- config
    location /r/ { root html; }
    location /a/ { alias html/other/; }
    location ~ ^/x/(.+)$ { alias html/other/$1; }
--- user_files
>>> r/f.txt
root
>>> other/f.txt
alias
--- request eval
["GET /r/f.txt", "GET /a/f.txt", "GET /x/f.txt"]
--- response_body eval
["root\n", "alias\n", "alias\n"]



=== TEST 6: index: the first file that exists
--- config
    location / { root html; index a.html b.html /last; }
    location = /last { return 200 "last\n"; }
--- user_files
>>> d/b.html
b
>>> e/x
x
--- request eval
["GET /d/", "GET /e/"]
--- response_body eval
["b\n", "last\n"]



=== TEST 7: no index file: 403, and the log
--- config
    location / { root html; }
--- user_files
>>> d/x
x
--- request
GET /d/
--- error_code: 403
--- error_log
d/" is forbidden



=== TEST 8: a directory without the slash
--- config
    location / { root html; }
--- user_files
>>> dir/index.html
x
--- request eval
["GET /dir", "GET /dir?a=b"]
--- error_code eval
[301, 301]
--- response_headers_like eval
["Location: http://localhost:\\d+/dir/", "Location: http://localhost:\\d+/dir/\\?a=b"]



=== TEST 9: absolute_redirect off, port_in_redirect off, server_name_in_redirect
--- http_config
    server { listen $TEST_NGINX_SERVER_PORT; server_name named.test *.named.test; root html; server_name_in_redirect on; absolute_redirect on; }
--- config
    root html;
    location /dir { absolute_redirect off; }
    location /two { port_in_redirect off; }
--- user_files
>>> dir/x
x
>>> two/x
x
>>> three/x
x
--- raw_request eval
["GET /dir HTTP/1.0\r\nHost: localhost\r\n\r\n", "GET /two HTTP/1.0\r\nHost: localhost\r\n\r\n", "GET /three HTTP/1.0\r\nHost: sub.named.test\r\n\r\n"]
--- error_code eval
[301, 301, 301]
--- response_headers_like eval
["Location: /dir/", "Location: http://localhost/two/", "Location: http://named.test:\\d+/three/"]



=== TEST 10: types, default_type
--- http_config
    types { text/html html; text/x-own own; image/png png; }
--- config
    default_type application/x-unknown;
    location / { root html; }
    location /force/ { root html; types { } default_type text/plain; }
--- user_files
>>> a.html
>>> a.own
>>> a.png
>>> a.zzz
>>> force/a.html
--- request eval
["GET /a.html", "GET /a.own", "GET /a.png", "GET /a.zzz", "GET /force/a.html"]
--- response_headers eval
["Content-Type: text/html", "Content-Type: text/x-own", "Content-Type: image/png", "Content-Type: application/x-unknown", "Content-Type: text/plain"]



=== TEST 11: files take GET and HEAD only
--- config
    location / { root html; }
--- user_files
>>> f.txt
text
--- request eval
["GET /f.txt", "HEAD /f.txt", "POST /f.txt\nx", "PUT /f.txt\nx", "DELETE /f.txt"]
--- error_code eval
[200, 200, 405, 405, 405]



=== TEST 12: length, date and tag of a file
--- config
    location / { root html; }
--- user_files
>>> f.txt 199801171935.33
text
--- request
GET /f.txt
--- response_headers_like
Content-Length: 5
Last-Modified: Sat, 17 Jan 1998 19:35:33 GMT
ETag: "34c10805-5"
Accept-Ranges: bytes



=== TEST 13: etag off
--- config
    location / { root html; etag off; }
--- user_files
>>> f.txt
text
--- request
GET /f.txt
--- response_headers
!ETag
--- response_body
text



=== TEST 14: log_not_found off
--- config
    location / { root html; log_not_found off; }
--- request
GET /none
--- error_code: 404
--- no_error_log
[error]



=== TEST 15: a file below a file
--- config
    location / { root html; }
--- user_files
>>> f
x
--- request
GET /f/x
--- error_code: 404
--- error_log
(20: Not a directory)



=== TEST 16: a large file, with and without sendfile
--- config
    location /on/ { alias html/; sendfile on; }
    location /off/ { alias html/; sendfile off; output_buffers 2 4k; }
--- user_files eval
">>> big.txt\n" . ("0123456789abcdef" x 20000)
--- request eval
["GET /on/big.txt", "GET /off/big.txt"]
--- response_body eval
[("0123456789abcdef" x 20000), ("0123456789abcdef" x 20000)]



=== TEST 17: open_file_cache serves files and errors
--- http_config
    open_file_cache max=10 inactive=10s;
    open_file_cache_errors on;
    open_file_cache_min_uses 1;
--- config
    location / { root html; }
--- user_files
>>> f.txt
text
--- request eval
["GET /f.txt", "GET /f.txt", "GET /none", "GET /none"]
--- error_code eval
[200, 200, 404, 404]



=== TEST 18: root twice in a location
--- config
    location / { root a; root b; }
--- must_die
--- error_log
"root" directive is duplicate in



=== TEST 19: alias and root do not go together
--- config
    location / { root a; alias b; }
--- must_die
--- error_log
"alias" directive is duplicate, "root" directive was specified earlier in



=== TEST 20: alias in the server
--- config
    alias b;
--- must_die
--- error_log
"alias" directive is not allowed here in
