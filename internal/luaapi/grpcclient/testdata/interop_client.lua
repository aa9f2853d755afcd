-- The cases of gRPC's interoperability tests, for a client. Arguments: case, address, tls, prefix of files.
local grpc = require "ngx.grpc"

local args = ngx.req.get_uri_args()
local dir = args.dir
if not grpc.default.services["grpc.testing.TestService"] then
    local f = assert(io.open(dir .. "/interop.pb", "rb"))
    assert(grpc.load_set(f:read "*a"))
    f:close()
end

local tls
if args.tls then
    tls = {server_name = "localhost", trusted_ca = dir .. "/ca.crt"}
    if args.tls == "mutual" then
        tls.client_cert, tls.client_key = dir .. "/leaf.crt", dir .. "/leaf.key"
    end
end

local ch = assert(grpc.channel(args.addr, {tls = tls, timeout = 10}))
local svc = "grpc.testing.TestService/"
local test = assert(ch:client "grpc.testing.TestService")

local function zeros(n) return string.rep("\0", n) end
local function check(ok, ...)
    if not ok then
        error(table.concat({...}, " "), 2)
    end
    return ok
end
local function status(err, code, message)
    check(err, "no error")
    check(err.code == code, "code is", tostring(err), "not", code)
    check(not message or err.message == message, "message is", tostring(err))
end

local cases = {}

function cases.empty_unary()
    assert(test:EmptyCall{})
end

function cases.large_unary()
    local reply = assert(test:UnaryCall{response_size = 314159, payload = {body = zeros(271828)}})
    check(reply.payload.body == zeros(314159), "body")
end

function cases.client_streaming()
    local s = assert(test:StreamingInputCall())
    for _, n in ipairs{27182, 8, 1828, 45904} do
        assert(s:send{payload = {body = zeros(n)}})
    end
    check(assert(s:close_and_recv()).aggregated_payload_size == 74922, "sum")
end

function cases.server_streaming()
    local sizes = {31415, 9, 2653, 58979}
    local params = {}
    for i, n in ipairs(sizes) do params[i] = {size = n} end
    local i = 0
    for msg in assert(test:StreamingOutputCall{response_parameters = params}):messages() do
        i = i + 1
        check(#msg.payload.body == sizes[i], "size", i)
    end
    check(i == 4, "count", i)
end

function cases.ping_pong()
    local s = assert(test:FullDuplexCall())
    local asked, wanted = {27182, 8, 1828, 45904}, {31415, 9, 2653, 58979}
    for i = 1, 4 do
        assert(s:send{response_parameters = {{size = wanted[i]}}, payload = {body = zeros(asked[i])}})
        check(#assert(s:recv()).payload.body == wanted[i], "size", i)
    end
    assert(s:close_send())
    local msg, err = s:recv()
    check(msg == nil and err == nil, "no end")
end

function cases.empty_stream()
    local s = assert(test:FullDuplexCall())
    assert(s:close_send())
    local msg, err = s:recv()
    check(msg == nil and err == nil, "no end")
end

function cases.timeout_on_sleeping_server()
    local s, err = test:FullDuplexCall{timeout = 0.001}
    if s then
        s:send{payload = {body = zeros(27182)}}
        s, err = s:recv()
    end
    status(err, grpc.DEADLINE_EXCEEDED)
end

function cases.cancel_after_begin()
    local s = assert(test:StreamingInputCall())
    s:close()
    local _, err = s:recv()
    status(err, grpc.CANCELLED)
end

function cases.cancel_after_first_response()
    local s = assert(test:FullDuplexCall())
    assert(s:send{response_parameters = {{size = 31415}}, payload = {body = zeros(27182)}})
    assert(s:recv())
    s:close()
    local _, err = s:recv()
    status(err, grpc.CANCELLED)
end

function cases.custom_metadata()
    local md = {["x-grpc-test-echo-initial"] = "test_initial_metadata_value", ["x-grpc-test-echo-trailing-bin"] = "\10\11\10\11\10\11"}
    local function look(header, trailer)
        check(header["x-grpc-test-echo-initial"] == "test_initial_metadata_value", "initial")
        check(trailer["x-grpc-test-echo-trailing-bin"] == "\10\11\10\11\10\11", "trailing")
    end
    local _, err, info = test:UnaryCall({response_size = 1, payload = {body = zeros(1)}}, {metadata = md, info = true})
    check(not err, tostring(err))
    look(info.header, info.trailer)
    local s = assert(test:FullDuplexCall{metadata = md})
    assert(s:send{response_parameters = {{size = 1}}, payload = {body = zeros(1)}})
    assert(s:recv())
    s:close_send()
    s:recv()
    look(s:header(), s:trailer())
end

function cases.status_code_and_message()
    local st = {code = 2, message = "test status message"}
    local _, err = test:UnaryCall{response_status = st}
    status(err, 2, st.message)
    local s = assert(test:FullDuplexCall())
    assert(s:send{response_status = st})
    s:close_send()
    _, err = s:recv()
    status(err, 2, st.message)
end

function cases.special_status_message()
    local message = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n"
    local _, err = test:UnaryCall{response_status = {code = 2, message = message}}
    status(err, 2, message)
end

function cases.unimplemented_method()
    local _, err = test:UnimplementedCall{}
    status(err, grpc.UNIMPLEMENTED)
end

function cases.unimplemented_service()
    local _, err = ch:call("grpc.testing.UnimplementedService/UnimplementedCall", {})
    status(err, grpc.UNIMPLEMENTED)
end

function cases.compressed()
    local z = assert(grpc.channel(args.addr, {tls = tls, compression = "gzip"}))
    local reply = assert(z:call(svc .. "UnaryCall", {response_size = 314159, payload = {body = zeros(271828)}}))
    check(#reply.payload.body == 314159, "body")
end

function cases.concurrent()
    local threads = {}
    for i = 1, 50 do
        threads[i] = ngx.thread.spawn(function() return #assert(test:UnaryCall{response_size = i}).payload.body end)
    end
    for i = 1, 50 do
        local ok, n = ngx.thread.wait(threads[i])
        check(ok and n == i, "thread", i)
    end
end

function cases.too_large()
    local small = assert(grpc.channel(args.addr, {tls = tls, max_receive_size = 1000}))
    local _, err = small:call(svc .. "UnaryCall", {response_size = 2000})
    status(err, grpc.RESOURCE_EXHAUSTED)
end

function cases.bad_request()
    local _, err = test:UnaryCall{response_size = {}}
    status(err, grpc.INTERNAL)
    _, err = ch:call("no.Such/Method", {})
    status(err, grpc.UNIMPLEMENTED)
end

function cases.reflection()
    local r = grpc.registry()
    local c = assert(grpc.channel(args.addr, {tls = tls, registry = r}))
    local list, err = c:reflect()
    check(list, tostring(err))
    assert(c:call(svc .. "EmptyCall", {}))
end

function cases.resty()
    local g = require "resty.grpc"
    assert(g.load(dir .. "/test.proto"))
    local conn = assert(g.connect(args.addr, {insecure = not tls, tls_verify = false, client_cert = tls and dir .. "/leaf.crt", client_key = tls and dir .. "/leaf.key"}))
    local S = "grpc.testing.TestService"
    check(#assert(conn:call(S, "UnaryCall", {response_size = 10})).payload.body == 10, "unary")
    local _, err = conn:call(S, "UnaryCall", {response_status = {code = 5, message = "gone"}})
    check(err == "failed to call: rpc error: code = NotFound desc = gone", err)
    local s = assert(conn:new_server_stream(S, "StreamingOutputCall", {response_parameters = {{size = 3}, {size = 4}}}))
    check(#assert(s:recv()).payload.body == 3 and #assert(s:recv()).payload.body == 4, "server stream")
    check(select(2, s:recv()) == "failed to recv: EOF", "end")
    s:close()
    check(select(2, s:recv()) == "closed", "closed")
    s = assert(conn:new_client_stream(S, "StreamingInputCall", {payload = {body = "abc"}}))
    assert(s:send{payload = {body = "de"}})
    check(assert(s:recv_close()).aggregated_payload_size == 5, "client stream")
    s = assert(conn:new_bidirectional_stream(S, "FullDuplexCall", {response_parameters = {{size = 2}}}))
    check(#assert(s:recv()).payload.body == 2, "bidi")
    assert(s:send{response_parameters = {{size = 6}}})
    check(#assert(s:recv()).payload.body == 6, "bidi 2")
    assert(s:close_send())
    check(not s:recv(), "bidi end")
    s:close()
    conn:close()
    check(select(2, conn:call(S, "UnaryCall", {})) == "closed", "conn closed")
    check(select(2, assert(g.connect(args.addr)):call("no.Such", "X", {})) == "service no.Such not found", "service")
end

local ok, err = pcall(cases[args.case])
ngx.say(ok and "ok" or err)
