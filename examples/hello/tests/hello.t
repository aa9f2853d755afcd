=== TEST 1: greets by name
--- request
GET /hello?name=Ann
--- response_body
Hello, Ann!

=== TEST 2: greets the world
--- request
GET /hello
--- response_headers
Content-Type: text/plain
--- response_body
Hello, world!
--- no_error_log
[error]

=== TEST 3: the front page
--- request
GET /
--- response_body_like: Moongate works
