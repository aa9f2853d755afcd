use Test::Nginx::Socket 'no_plan';

no_root_location();
run_tests();

__DATA__

=== TEST 1: a folder without an index file is listed
--- user_files
>>> d/b.txt 202001020304.05
four
>>> d/a.txt 202001020304.05
one
--- config
    location / { autoindex on; }
--- request
GET /d/
--- response_headers
Content-Type: text/html
--- response_body_like chomp
^<html>\r\n<head><title>Index of /d/</title></head>\r\n<body>\r\n<h1>Index of /d/</h1><hr><pre><a href="\.\./">\.\./</a>\r\n<a href="a\.txt">a\.txt</a> +02-Jan-2020 03:04 +4\r\n<a href="b\.txt">



=== TEST 2: JSON, and JSON with a callback
--- user_files
>>> d/a.txt
one
--- config
    location / { autoindex on; autoindex_format jsonp; }
--- request eval
["GET /d/", "GET /d/?callback=f", "GET /d/?callback=f()"]
--- error_code eval
[200, 200, 400]
--- response_body_like eval
[qr/^\[\r\n\{ "name":"a.txt", "type":"file", "mtime":"[^"]+ GMT", "size":4 \}\r\n\]$/, qr/^\/\* callback \*\/\r\nf\(\[/, qr/400 Bad Request/]



=== TEST 3: an index file comes first
--- user_files
>>> d/index.html
index
--- config
    location / { autoindex on; }
--- request
GET /d/
--- response_body
index
