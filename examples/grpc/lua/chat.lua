-- The service helloworld.Chat. The lines are in a list that all calls of a worker share; a light thread of each call sends what
-- is new, woken by a semaphore.
local semaphore = require "ngx.semaphore"

local M = {}
local waiting = {}

function M.Join(lines, call)
    local mine = {queue = {}, news = semaphore.new()}
    waiting[mine] = true

    local sender = ngx.thread.spawn(function()
        while true do
            mine.news:wait(60)
            while #mine.queue > 0 do
                call:send(table.remove(mine.queue, 1))
            end
        end
    end)

    call:on_cancel(function() waiting[mine] = nil end)
    for line in lines do
        for other in pairs(waiting) do
            table.insert(other.queue, line)
            other.news:post(1)
        end
    end

    waiting[mine] = nil
    ngx.thread.kill(sender)
    while #mine.queue > 0 do
        call:send(table.remove(mine.queue, 1))
    end
end

return M
