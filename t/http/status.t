use Test::Nginx::Socket 'no_plan';

no_root_location();
run_tests();

__DATA__

=== TEST 1: counters
--- config
    location /t { stub_status; }
--- request
GET /t
--- response_body_like chomp
^Active connections: \d+ \nserver accepts handled requests\n \d+ \d+ \d+ \nReading: \d+ Writing: \d+ Waiting: \d+ \n$



=== TEST 2: a pixel
--- config
    location /t { empty_gif; }
--- request
GET /t
--- response_headers
Content-Type: image/gif
Content-Length: 43
Last-Modified: Mon, 28 Sep 1970 06:00:00 GMT

