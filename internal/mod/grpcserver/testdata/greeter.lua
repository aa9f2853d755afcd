local M = {}

function M.Say(request, call)
    local name = request.name
    if name == "error" then
        call:error("NOT_FOUND", "nobody of that name", {{["@type"] = "hello.Request", name = "who"}})
    elseif name == "return" then
        return nil, 7, "not you"
    elseif name == "message" then
        return nil, "just words"
    elseif name == "boom" then
        error "kaputt"
    elseif name == "bad" then
        return {n = "x"}
    elseif name == "slow" then
        ngx.sleep(10)
    elseif name == "exit" then
        ngx.exit(403)
    elseif name == "say" then
        local ok, err = ngx.say "text"
        return {text = tostring(err)}
    elseif name == "big" then
        return {text = string.rep("x", 100000)}
    elseif name == "info" then
        return {text = table.concat({call.service, call.method, call.protocol, call.peer, tostring(call:remaining() ~= nil), tostring(call:cancelled())}, " ")}
    elseif name == "meta" then
        call:set_header("x-head", call.metadata["x-in"] or "none")
        call:set_trailer("x-trail", "t")
        call:set_trailer("x-bits-bin", "\1\2")
    elseif name == "reserved" then
        call:set_header("grpc-status", "0")
    elseif name == "split" then
        call:set_header("x-a", "b\r\nx-c: d")
    elseif name == "zip" then
        call:set_compression "gzip"
        return {text = string.rep("z", 5000)}
    end
    return {text = "Hello " .. name, n = 2 ^ 40}
end

function M.Count(request, call)
    for i = 1, request.n do
        assert(call:send{text = "n" .. i})
    end
    if request.name == "error" then
        return nil, "ABORTED", "enough"
    end
end

function M.Sum(requests)
    local n = 0
    for request in requests do
        n = n + request.n
    end
    return {n = n}
end

function M.Chat(requests, call)
    for request in call:messages() do
        call:send{text = "you said " .. request.name}
    end
end

return M
