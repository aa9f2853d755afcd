use Test::Nginx::Socket 'no_plan';

no_root_location();
run_tests();

__DATA__

=== TEST 1: If-Modified-Since: exact, or before
--- config
    location / { root html; }
    location /before/ { alias html/; if_modified_since before; }
    location /off/ { alias html/; if_modified_since off; }
--- user_files
>>> f.txt 199801171935.33
text
--- request eval
["GET /f.txt", "GET /before/f.txt", "GET /off/f.txt"]
--- more_headers
If-Modified-Since: Sat, 17 Jan 1998 19:35:33 GMT
--- error_code eval
[304, 304, 200]



=== TEST 2: a later date
--- config
    location / { root html; }
    location /before/ { alias html/; if_modified_since before; }
--- user_files
>>> f.txt 199801171935.33
text
--- request eval
["GET /f.txt", "GET /before/f.txt"]
--- more_headers
If-Modified-Since: Sat, 17 Jan 1998 19:35:34 GMT
--- error_code eval
[200, 304]



=== TEST 3: If-None-Match: lists, weak tags, star
--- config
    location / { root html; }
--- user_files
>>> f.txt 199801171935.33
text
--- raw_request eval
[map { "GET /f.txt HTTP/1.0\r\nIf-None-Match: $_\r\n\r\n" } ('"34c10805-5"', 'W/"34c10805-5"', '"x", "34c10805-5"', '*', '"other"', '34c10805-5')]
--- error_code eval
[304, 304, 304, 304, 200, 200]



=== TEST 4: If-Match and If-Unmodified-Since
--- config
    location / { root html; }
--- user_files
>>> f.txt 199801171935.33
text
--- raw_request eval
[map { "GET /f.txt HTTP/1.0\r\n$_\r\n\r\n" } ('If-Match: "34c10805-5"', 'If-Match: "other"', 'If-Match: *', 'If-Match: W/"34c10805-5"', 'If-Unmodified-Since: Sat, 17 Jan 1998 19:35:33 GMT', 'If-Unmodified-Since: Sat, 17 Jan 1998 19:35:32 GMT')]
--- error_code eval
[200, 412, 200, 412, 200, 412]



=== TEST 5: If-None-Match counts more than the date
--- config
    location / { root html; }
--- user_files
>>> f.txt 199801171935.33
text
--- more_headers
If-Modified-Since: Sat, 17 Jan 1998 19:35:33 GMT
If-None-Match: "other"
--- request
GET /f.txt
--- error_code: 200



=== TEST 6: 304 has the tag and no length
--- config
    location / { root html; }
--- user_files
>>> f.txt 199801171935.33
text
--- more_headers
If-None-Match: *
--- request
GET /f.txt
--- error_code: 304
--- response_headers
ETag: "34c10805-5"
!Content-Length
!Content-Type
Last-Modified: Sat, 17 Jan 1998 19:35:33 GMT
--- response_body:



=== TEST 7: ranges of a file
--- config
    location / { root html; }
--- user_files
>>> f.txt
0123456789
--- raw_request eval
[map { "GET /f.txt HTTP/1.0\r\nRange: bytes=$_\r\n\r\n" } ("0-0", "2-4", "8-", "-3", "0-100", "-100")]
--- error_code eval
[206, 206, 206, 206, 206, 206]
--- response_headers eval
["Content-Range: bytes 0-0/11", "Content-Range: bytes 2-4/11", "Content-Range: bytes 8-10/11", "Content-Range: bytes 8-10/11", "Content-Range: bytes 0-10/11", "Content-Range: bytes 0-10/11"]
--- response_body eval
["0", "234", "89\n", "89\n", "0123456789\n", "0123456789\n"]



=== TEST 8: ranges that cannot be had
--- config
    location / { root html; }
--- user_files
>>> f.txt
0123456789
--- raw_request eval
[map { "GET /f.txt HTTP/1.0\r\nRange: $_\r\n\r\n" } ("bytes=11-", "bytes=4-2", "bytes=a-b", "lines=1-2", "bytes=", "bytes=-0")]
--- error_code eval
[416, 416, 416, 200, 416, 416]



=== TEST 9: several ranges
--- config
    location / { root html; default_type text/plain; types { } }
--- user_files
>>> f.txt
0123456789
--- more_headers
Range: bytes=0-1,4-5
--- request
GET /f.txt
--- error_code: 206
--- response_headers_like
Content-Type: multipart/byteranges; boundary=\d+
--- response_body_like eval
"^\r\n--\\d+\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-1/11\r\n\r\n01\r\n--\\d+\r\nContent-Type: text/plain\r\nContent-Range: bytes 4-5/11\r\n\r\n45\r\n--\\d+--\r\n\$"



=== TEST 10: max_ranges
--- config
    location /none/ { alias html/; max_ranges 0; }
    location /one/ { alias html/; max_ranges 1; }
--- user_files
>>> f.txt
0123456789
--- raw_request eval
["GET /none/f.txt HTTP/1.0\r\nRange: bytes=0-1\r\n\r\n", "GET /one/f.txt HTTP/1.0\r\nRange: bytes=0-1\r\n\r\n", "GET /one/f.txt HTTP/1.0\r\nRange: bytes=0-1,3-4\r\n\r\n"]
--- error_code eval
[200, 206, 200]



=== TEST 11: If-Range: tag, date, others
--- config
    location / { root html; }
--- user_files
>>> f.txt 199801171935.33
text
--- raw_request eval
[map { "GET /f.txt HTTP/1.0\r\nRange: bytes=0-0\r\nIf-Range: $_\r\n\r\n" } ('"34c10805-5"', '"x"', 'Sat, 17 Jan 1998 19:35:33 GMT', 'Sat, 17 Jan 1998 19:35:34 GMT')]
--- error_code eval
[206, 200, 206, 200]



=== TEST 12: overlapping ranges larger than the file are not served as ranges
--- config
    location / { root html; }
--- user_files
>>> f.txt
0123456789
--- more_headers
Range: bytes=0-,0-,0-
--- request
GET /f.txt
--- error_code: 200
