use Test::Nginx::Socket 'no_plan';

no_root_location();
run_tests();

__DATA__

=== TEST 1: the compressed file for those who accept it
--- user_files
>>> a.txt
plain
>>> a.txt.gz
packed
--- config
    location / { gzip_static on; gzip_vary on; }
--- more_headers
Accept-Encoding: gzip
--- request
GET /a.txt
--- response_headers
Content-Encoding: gzip
Vary: Accept-Encoding
--- response_body
packed



=== TEST 2: the plain one for others
--- user_files
>>> a.txt
plain
>>> a.txt.gz
packed
--- config
    location / { gzip_static on; gzip_vary on; }
--- request
GET /a.txt
--- response_headers
! Content-Encoding
Vary: Accept-Encoding
--- response_body
plain



=== TEST 3: always
--- user_files
>>> a.txt.gz
packed
--- config
    location / { gzip_static always; }
--- request
GET /a.txt
--- response_headers
Content-Encoding: gzip
--- response_body
packed
