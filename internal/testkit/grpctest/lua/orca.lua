-- Load reports, which two of the cases are about, for the client and the server in Lua.
local registry = require("ngx.grpc").registry()
assert(registry:load("orca.proto", {ngx.config.prefix()}))

local report = "xds.data.orca.v3.OrcaLoadReport"

return {
    trailer = "endpoint-load-metrics-bin",
    registry = registry,
    encode = assert(registry:encoder(report)),
    decode = assert(registry:decoder(report)),
}
