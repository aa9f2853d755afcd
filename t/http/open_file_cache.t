use Test::Nginx::Socket 'no_plan';

no_root_location();
run_tests();

__DATA__

=== TEST 1: files, folders and errors, asked for twice
--- user_files
>>> a.txt
text
>>> d/index.html
index
--- config
    open_file_cache max=10 inactive=20s;
    open_file_cache_errors on;
    location / { }
    location /try { try_files /none /a.txt =404; }
--- request eval
["GET /a.txt", "GET /a.txt", "GET /d/", "GET /d/", "GET /d", "GET /d", "GET /none", "GET /none", "GET /try", "GET /try"]
--- error_code eval
[200, 200, 200, 200, 301, 301, 404, 404, 200, 200]
--- response_body_like eval
[qr/^text$/, qr/^text$/, qr/^index$/, qr/^index$/, qr/301/, qr/301/, qr/404/, qr/404/, qr/^text$/, qr/^text$/]



=== TEST 2: a name without links is served where links are refused
--- user_files
>>> a.txt
text
--- config
    location / { }
    location /no/ { alias html/; disable_symlinks on; }
--- request
GET /no/a.txt
--- response_body
text
