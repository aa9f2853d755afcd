our $Ann = 'eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbm4iLCJleHAiOjQxMDI0NDQ4MDAsInNjb3BlIjoidXNlcnMgb3JkZXJzIn0.bsjvj6eT8_6ZexTmbE_twl86FDMdN3XSiwrFAPtxF5M';   # {"sub":"ann","exp":4102444800,"scope":"users orders"}
our $Bob = 'eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJib2IiLCJleHAiOjQxMDI0NDQ4MDB9.kXmjHrSjQMpb9uPdY8CXoikB7WloP6l-1sIWMaEhnfs';   # without scopes
our $Old = 'eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJldmUiLCJleHAiOjEwMDAwMDAwMDB9.-m7msjSWQOFGWPd1B8jC_9jMn-1StW86t7Zj8PVhUvo';   # expired

__DATA__

=== TEST 1: without a token
--- request
GET /users/7
--- error_code: 401
--- response_headers
WWW-Authenticate: Bearer error="invalid_token"
Content-Type: application/problem+json
--- response_body_like: ^{.*"status":401.*}$
--- error_log
refused: no token



=== TEST 2: with one
--- mock
>>> 127.0.0.1:9001
location = /healthz { return 200; }
location /users/    { return 200 "user $uri for $http_x_consumer, token: [$http_authorization]"; }
--- more_headers eval: "Authorization: Bearer $::Ann"
--- request
GET /users/7
--- response_body: user /users/7 for ann, token: []
--- no_error_log
[error]



=== TEST 3: an expired one
--- more_headers eval: "Authorization: Bearer $::Old"
--- request
GET /users/7
--- error_code: 401
--- error_log
refused: expired



=== TEST 4: one that somebody has changed
--- more_headers eval: "Authorization: Bearer ${\ ($::Ann =~ s/.$/A/r)}"
--- request
GET /users/7
--- error_code: 401
--- error_log
refused: wrong signature



=== TEST 5: without the scope
--- more_headers eval: "Authorization: Bearer $::Bob"
--- request
GET /orders/
--- error_code: 403
--- error_log
refused: no scope orders
