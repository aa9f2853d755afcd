-- The cases of gRPC's interoperability tests, and some of our own, for the client in Lua.
local grpc = require "ngx.grpc"

local M = {}

local svc = "grpc.testing.TestService/"

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

local function cases_of(args, dir, tls, ch, test)
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

    function cases.pick_first_unary()
        local first
        for _ = 1, 100 do
            local id = assert(test:UnaryCall{response_size = 1, payload = {body = zeros(1)}, fill_server_id = true}).server_id
            first = first or id
            check(id ~= "" and id == first, "server", id)
        end
    end

    local load = {cpu_utilization = 0.8210, memory_utilization = 0.5847, request_cost = {cost = 3456.32}, utilization = {util = 0.30499}}

    local function same_load(got, want)
        return got.cpu_utilization == want.cpu_utilization and got.mem_utilization == want.memory_utilization and got.utilization.util == want.utilization.util
            and got.request_cost.cost == (want.request_cost or {}).cost
    end

    function cases.orca_per_rpc()
        local orca = require "orca"
        local _, err, info = test:UnaryCall({orca_per_query_report = load}, {info = true})
        check(not err, tostring(err))
        check(same_load(assert(orca.decode(info.trailer[orca.trailer])), load), "load")
    end

    function cases.orca_oob()
        local orca = require "orca"
        local reports = assert(grpc.channel(args.addr, {tls = tls, use_local_subchannel_pool = args.own, registry = orca.registry})):stream("xds.service.orca.v3.OpenRcaService/StreamCoreMetrics",
            {report_interval = {nanos = 50000000}})
        local s = assert(test:FullDuplexCall())
        for _, want in ipairs{{cpu_utilization = 0.8210, memory_utilization = 0.5847, utilization = {util = 0.30499}},
                              {cpu_utilization = 0.29309, memory_utilization = 0.2, utilization = {util = 0.2039}}} do
            assert(s:send{orca_oob_report = want, response_parameters = {{size = 1}}})
            assert(s:recv())
            repeat until same_load(assert(reports:recv()), want)
        end
        reports:close()
    end

    local function soak(channel)
        for _ = 1, 10 do
            check(#assert(channel():UnaryCall{response_size = 314159, payload = {body = zeros(271828)}}).payload.body == 314159, "body")
        end
    end

    function cases.rpc_soak() soak(function() return test end) end

    function cases.channel_soak()
        soak(function() return assert(grpc.channel(args.addr, {tls = tls, use_local_subchannel_pool = args.own})):client "grpc.testing.TestService" end)
    end

    -- The cases of servers that misbehave, with the statuses that grpc-go's program wants.
    local function large()
        return test:UnaryCall{response_size = 314159, payload = {body = zeros(271828)}}
    end

    local function fails(code)
        return function()
            local _, err = large()
            status(err, code)
        end
    end

    cases.rst_after_header, cases.rst_after_data, cases.rst_during_data = fails(grpc.INTERNAL), fails(grpc.INTERNAL), fails(grpc.UNKNOWN)
    cases.ping = cases.large_unary

    function cases.goaway()
        cases.large_unary()
        cases.large_unary()
    end

    function cases.max_streams()
        cases.large_unary()
        local threads = {}
        for i = 1, 15 do
            threads[i] = ngx.thread.spawn(cases.large_unary)
        end
        for i = 1, 15 do
            assert(ngx.thread.wait(threads[i]))
        end
    end

    function cases.compressed()
        local z = assert(grpc.channel(args.addr, {tls = tls, use_local_subchannel_pool = args.own, compression = "gzip"}))
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
        local small = assert(grpc.channel(args.addr, {tls = tls, use_local_subchannel_pool = args.own, max_receive_size = 1000}))
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
        local c = assert(grpc.channel(args.addr, {tls = tls, use_local_subchannel_pool = args.own, registry = r}))
        local list, err = c:reflect()
        check(list, tostring(err))
        assert(c:call(svc .. "EmptyCall", {}))
    end

    function cases.resty()
        local g = require "resty.grpc"
        assert(g.load(dir .. "/test.proto"))
        local conn = assert(g.connect(args.addr, {insecure = not tls, tls_verify = false, client_cert = tls and dir .. "/client.pem", client_key = tls and dir .. "/client.key"}))
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

    return cases
end

-- run makes a case: true, or nil and what is wrong. a: addr, tls ("on", "mutual" or nil), dir (of the files), and options of the channel.
function M.run(case, a)
    local dir, tls = a.dir, nil
    if not grpc.default.services["grpc.testing.TestService"] then
        local f = assert(io.open(dir .. "/interop.pb", "rb"))
        assert(grpc.load_set(f:read "*a"))
        f:close()
    end
    if a.tls then
        tls = {server_name = "localhost", trusted_ca = dir .. "/ca.pem"}
        if a.tls == "mutual" then
            tls.client_cert, tls.client_key = dir .. "/client.pem", dir .. "/client.key"
        end
    end
    local ch = assert(grpc.channel(a.addr, {tls = tls, timeout = 20, use_local_subchannel_pool = a.own}))
    local f = cases_of(a, dir, tls, ch, assert(ch:client "grpc.testing.TestService"))[case]
    if not f then
        return nil, "no such case"
    end
    return pcall(f)
end

return M
