-- dbworker queries databases with Debian's C modules, which block: so it is called by ngx.run_worker_thread.
local M = {}

local function query(con, sql)
    local cur = assert(con:execute(sql))
    if type(cur) == "number" then return cur end
    local rows = {}
    while true do
        local row = cur:fetch({}, "n")
        if not row then break end
        rows[#rows + 1] = row
    end
    cur:close()
    return rows
end

function M.mysql(path, user, password, database, sql)
    local env = require "luasql.mysql".mysql()
    local con = assert(env:connect(database, user, password, nil, nil, path))
    local rows = query(con, sql)
    con:close()
    env:close()
    return rows
end

function M.postgres(where, sql)
    local env = require "luasql.postgres".postgres()
    local con = assert(env:connect(where))
    local rows = query(con, sql)
    con:close()
    env:close()
    return rows
end

return M
