local G = {}
function G.SayHello(request, call)
  if request.name == "fail" then call:error("NOT_FOUND", "no such person") end
  if request.name == "ret" then return nil, 5, "nobody" end
  if request.name == "boom" then error("kaputt") end
  if request.name == "slow" then ngx.sleep(5) end
  call:set_trailer("x-t", "v")
  call:set_header("x-h", "hv")
  return {message = "Hello " .. request.name}
end
function G.Count(request, call) for i = 1, request.n do call:send{message = "n" .. i} end end
function G.Sum(requests, call) local n = 0 for r in requests do n = n + r.n end return {n = n} end
function G.Chat(requests, call) for r in call:messages() do call:send{message = "you said " .. r.name} end end
return G
