use Test::Nginx::Socket 'no_plan';

run_tests();

__DATA__

=== TEST 1: echo, set and encodings
--- config
ssi on;
--- user_files
>>> a.html
<!--#set var="x" value="a<b ${arg_v}"-->[<!--#echo var="x"-->][<!--#echo var="X" encoding="none" -->][<!--#echo var="x" encoding="url"-->][<!--#echo var="no"-->][<!--#echo var="no" default="d"-->]
--- request
GET /a.html?v=w
--- response_body
[a&lt;b w][a<b w][a%3Cb%20w][(none)][d]



=== TEST 2: include stands where it is written
--- config
ssi on;
location /in { ssi on; default_type text/html; return 200 "<!--#echo var='uri'-->+"; }
--- user_files
>>> a.html
1<!--#include virtual="/in/x?y" -->2<!--# include file="in.html"-->3
--- request
GET /a.html
--- response_body
1/in/x+2/in.html+3



=== TEST 3: one branch of an if
--- config
ssi on;
--- user_files
>>> a.html
<!--#if expr="$arg_a"-->if<!--#elif expr="$arg_b = /^(.)(?<rest>.*)/"-->elif <!--#echo var="1"--> <!--#echo var="rest"--><!--#else-->else<!--#endif-->.
--- pipelined_requests eval
["GET /a.html?a=1", "GET /a.html?b=xyz", "GET /a.html"]
--- response_body eval
["if.\n", "elif x yz.\n", "else.\n"]



=== TEST 4: stub and set
--- config
ssi on;
location /empty { return 200; }
location /bad { return 404; }
location /good { default_type text/html; return 200 good; }
--- user_files
>>> a.html
<!--#block name="s"-->stub<!--#endblock--><!--#include virtual="/empty" stub="s"-->,<!--#include virtual="/bad" stub="s"-->,<!--#include virtual="/good" stub="s"-->,<!--#include virtual="/good" set="v"-->(<!--#echo var="v"-->)
--- request
GET /a.html
--- response_body
stub,stub,good,(good)



=== TEST 5: what is wrong is said in the log, and a text takes its place
--- config
ssi on;
--- user_files
>>> a.html
[<!--#nonsense-->][<!--#config errmsg="ERR"--><!--#echo-->][<!--#include virtual="/../x"-->]
--- request
GET /a.html
--- response_body
[[an error occurred while processing the directive]][ERR][ERR]
--- error_log
invalid SSI command: "nonsense"
mandatory "var" parameter is absent in "echo" SSI command
unsafe URI "/../x" was detected



=== TEST 6: commands cut into pieces by an upstream
--- config
location /up { default_type text/html; echo -n "a<!--"; echo_flush; echo_sleep 0.001; echo -n "#echo var='arg_x"; echo_flush; echo_sleep 0.001; echo -n "' --"; echo_flush; echo_sleep 0.001; echo ">b<!--#"; }
location /p { ssi on; proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/up; proxy_set_header Host h; }
--- request
GET /p?x=1
--- response_body
a1b<!--#



=== TEST 7: other types and silent errors
--- config
location /t { ssi on; ssi_types text/plain; ssi_silent_errors on; default_type text/plain; return 200 "<!--#x-->y\n"; }
--- request
GET /t
--- response_body
y
