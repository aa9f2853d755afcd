-- The front page: what the server tells of itself, and what to try next.
local status = require("moongate").status()

local entities = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;" }

local function html(text)
    return (tostring(text):gsub('[&<>"]', entities))
end

local function size(bytes)
    if not bytes then return "?" end
    if bytes < 1024 * 1024 then return string.format("%.0f KiB", bytes / 1024) end
    return string.format("%.1f MiB", bytes / 1024 / 1024)
end

local function period(seconds)
    local s = math.floor(seconds)
    if s < 60 then return s .. " s" end
    if s < 3600 then return string.format("%d min %d s", s / 60, s % 60) end
    return string.format("%d h %d min", s / 3600, s % 3600 / 60)
end

local function count(n, noun)
    return n .. " " .. noun .. (n == 1 and "" or "s")
end

local function row(name, value)
    return "<tr><th>" .. html(name) .. "<td>" .. html(value) .. "\n"
end

local function figures()
    local rows = {
        row("Version", status.version .. ", process " .. status.pid),
        row("Uptime", period(status.uptime)),
        row("Requests", status.requests),
        row("Connections", status.connections.active .. " open, " .. status.connections.accepted .. " accepted so far"),
        row("Memory", size(status.memory.resident) .. " resident, of which Go has " .. size(status.memory.go)),
        row("Workers", #status.workers .. ", and number " .. status.worker .. " made this page"),
    }
    for _, w in ipairs(status.workers) do
        rows[#rows + 1] = row("Worker " .. w.id, count(w.requests, "request") .. ", " ..
            count(w.connections, "connection") .. ", " .. size(w.lua) .. " in its Lua VM")
    end
    return table.concat(rows)
end

local prefix = ngx.config.prefix()
local program = ngx.var.program
local address = "http://" .. (ngx.var.http_host or "localhost")
local copied = not prefix:find("moongate-run-", 1, true)

local function source(name)
    local file = io.open(prefix .. name)
    if not file then return name .. " is missing" end
    local text = file:read("*a")
    file:close()
    return text
end

local edit
if copied then
    edit = "<p>It is <code>" .. html(prefix .. "lua/hello.lua") .. "</code>. Change the greeting, save, and open " ..
        '<a href="/hello?name=you">/hello</a> again: the edit is live.'
else
    edit = "<p>Make a copy of this site, change a line, save, and open /hello again: the edit is live.<pre>" ..
        html(program .. " run mysite       # then edit mysite/lua/hello.lua") .. "</pre>"
end

ngx.print([[
<!doctype html>
<html lang="en">
<meta name="viewport" content="width=device-width">
<title>Moongate</title>
<link rel="icon" href="/icon.svg">
<link rel="stylesheet" href="/style.css">
<h1>Moongate works</h1>
<p>This page was made by Lua. Reload it and the figures move.
<table>
]], figures(), [[
</table>
<h2>Four things to try next</h2>
<ol>
<li>Ask for something.
<pre>curl ']], html(address), [[/hello?name=Ann'
curl ]], html(address), [[/status</pre>
<li>Edit three lines of Lua.
<pre>]], html(source("lua/hello.lua")), "</pre>\n", edit, [[

<li>Run its tests.
<pre>]], html(program .. " test " .. (copied and prefix or "mysite")), [[</pre>
<li>Use it as nginx: <code>conf/nginx.conf</code> is the configuration you know, and so are the commands.
<pre>]], html(program .. " -p " .. (copied and prefix or "mysite/") .. " -c conf/nginx.conf -t     # check; without -t: serve"), [[</pre>
</ol>
<p>The guide, <code>docs/guide/</code> of the sources, goes on from here.
]])
