-- The service helloworld.Greeter: a function for each of its methods.
local M = {}

local greetings = {"Hello", "Bonjour", "Hallo", "Ciao"}

function M.SayHello(request, call)
    if request.name == "" then
        call:error("INVALID_ARGUMENT", "whom shall I greet?")
    end
    call:set_trailer("x-greeted-by", call.protocol)
    return {message = "Hello " .. request.name}
end

function M.SayHelloEverywhere(request, call)
    for _, greeting in ipairs(greetings) do
        call:send{message = greeting .. " " .. request.name}
        ngx.sleep(0.01)
    end
end

return M
