our $Ann = "Authorization: Bearer eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbm4iLCJleHAiOjQxMDI0NDQ4MDAsInNjb3BlIjoidXNlcnMgb3JkZXJzIn0.bsjvj6eT8_6ZexTmbE_twl86FDMdN3XSiwrFAPtxF5M";

__DATA__

=== TEST 1: orders want the gateway's certificate
--- mock
>>> 127.0.0.1:9002 ssl
ssl_certificate        $TEST_NGINX_SITE/tls/orders.crt;
ssl_certificate_key    $TEST_NGINX_SITE/tls/orders.key;
ssl_client_certificate $TEST_NGINX_SITE/tls/ca.crt;
ssl_verify_client      on;
return 200 "caller $ssl_client_s_dn";
--- more_headers eval: $::Ann
--- request
GET /orders/3
--- response_body: caller CN=gateway.internal
--- mock_requests
127.0.0.1:9002 GET /orders/3



=== TEST 2: JSON in front, gRPC behind
--- mock
grpc_proto $TEST_NGINX_SITE/proto/greeter.proto;
>>> 127.0.0.1:9003
http2 on;
grpc_method_by_lua_block helloworld.Greeter/SayHello { return {message = "Hello " .. request.name} }
--- more_headers eval: $::Ann
--- request
GET /v1/hello/Ann
--- response_body: {"message":"Hello Ann"}



=== TEST 3: a consumer that asks too often
--- mock
>>> 127.0.0.1:9001
return 200;
--- more_headers eval: $::Ann
--- request eval
[("GET /users/1") x 12]
--- error_code eval
[(200) x 11, 429]



=== TEST 4: a service that closes the connection
--- mock
>>> 127.0.0.1:9001
return 444;
--- more_headers eval: $::Ann
--- request
GET /users/1
--- error_code: 502
--- response_body_like: "status":502



=== TEST 5: metrics
--- listen: 8081
--- request
GET /metrics
--- response_body_like: moongate_zone_requests_total
