local name = ngx.var.arg_name or "world"
local greeting = "Hello"
ngx.say(greeting, ", ", name, "!")
