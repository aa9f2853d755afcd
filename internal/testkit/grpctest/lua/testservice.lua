-- The service that gRPC implementations test each other with (grpc.testing.TestService).
local M = {}

local orca = require "orca"

local initial, trailing = "x-grpc-test-echo-initial", "x-grpc-test-echo-trailing-bin"

local function echo_metadata(call)
    local md = call.metadata
    if md[initial] then
        call:set_header(initial, md[initial])
    end
    if md[trailing] then
        call:set_trailer(trailing, md[trailing])
    end
end

local function payload(kind, size)
    return {type = kind, body = string.rep("\0", size)}
end

local function failed(request)
    local st = request.response_status
    return st and st.code ~= 0 and st
end

local function report(r)
    return {cpu_utilization = r.cpu_utilization, mem_utilization = r.memory_utilization, request_cost = r.request_cost, utilization = r.utilization}
end

local now = {} -- the report that is sent beside the calls

-- Of xds.service.orca.v3.OpenRcaService.
function M.StreamCoreMetrics(_, call)
    while call:send(now) do
        ngx.sleep(0.05)
    end
end

function M.EmptyCall()
    return {}
end

function M.UnaryCall(request, call)
    echo_metadata(call)
    local st = failed(request)
    if st then
        return nil, st.code, st.message
    end
    local load = request.orca_per_query_report
    if load then
        call:set_trailer(orca.trailer, orca.encode(report(load)))
    end
    if request.response_compressed and request.response_compressed.value then
        call:set_compression "gzip"
    end
    return {
        payload = payload(request.response_type, request.response_size),
        server_id = request.fill_server_id and "moongate" or nil,
    }
end

M.CacheableUnaryCall = M.UnaryCall

local function answer(request, call)
    for _, p in ipairs(request.response_parameters) do
        if p.interval_us > 0 then
            ngx.sleep(p.interval_us / 1e6)
        end
        if p.compressed then
            call:set_compression(p.compressed.value and "gzip" or "identity")
        end
        if not call:send{payload = payload(request.response_type, p.size)} then
            return
        end
    end
end

function M.StreamingOutputCall(request, call)
    answer(request, call)
end

function M.StreamingInputCall(requests)
    local sum = 0
    for request in requests do
        sum = sum + #request.payload.body
    end
    return {aggregated_payload_size = sum}
end

function M.FullDuplexCall(requests, call)
    echo_metadata(call)
    for request in requests do
        local st = failed(request)
        if st then
            return nil, st.code, st.message
        end
        if request.orca_oob_report then
            now = report(request.orca_oob_report)
        end
        answer(request, call)
    end
end

function M.HalfDuplexCall(requests, call)
    local all = {}
    for request in requests do
        all[#all + 1] = request
    end
    for _, request in ipairs(all) do
        answer(request, call)
    end
end

return M
