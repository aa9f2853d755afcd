package modules

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"moongate/internal/conf"
	"moongate/internal/engine/enginetest"
	"moongate/internal/luaapi/workerthread"
)

// databaseSite has a location for each test. MYDIR and PGDIR are the folders of the servers, PGPORT the port of the other.
const databaseSite = `
	events { }
	http {
		lua_package_path "$OWN/?.lua;$FETCHED/?.lua;$FETCHED/?/init.lua;;";
		lua_package_cpath "$MODULES/?.so;;";
		lua_ssl_trusted_certificate certs.pem;
		lua_socket_log_errors off;
		lua_shared_dict sessions 1m;
		init_by_lua_block {
			local function with(o, more)
				local r = {user = "moon", password = "secret"}
				for k, v in pairs(o) do r[k] = v end
				for k, v in pairs(more or {}) do r[k] = v end
				return r
			end
			function my(more) return with({path = "$MYDIR/s", database = "test"}, more) end
			function pg(more) return with({host = "127.0.0.1", port = $PGPORT, database = "postgres"}, more) end
			function show(rows, err)
				if type(rows) ~= "table" then ngx.say(rows, " ", err) return end
				for _, row in ipairs(rows) do
					local t = {}
					for i = 1, #rows[1] do t[i] = tostring(row[i]) end
					ngx.say(table.concat(t, "|"))
				end
			end
		}
		server {
			listen 127.0.0.1:8080;
$LOCATIONS
		}
	}`

// A databaseTest is the body of a location and what it answers. It needs a server, and a C module (x.so) or a file of the folder
// of libraries.
type databaseTest struct{ server, name, needs, code, want string }

var databaseTests = []databaseTest{
	{"mariadb", "thread", "luasql/mysql.so", `
		local ok, rows = ngx.run_worker_thread("default", "dbworker", "mysql", "$MYDIR/s", "moon", "secret", "test", "select 6 * 7, 'x' union select 2, null")
		ngx.say(ok)
		show(rows)`, "true\n42|x\n2|nil\n"},
	{"mariadb", "refused in a thread", "luasql/mysql.so", `
		local ok, err = ngx.run_worker_thread("default", "dbworker", "mysql", "$MYDIR/s", "moon", "wrong", "test", "select 1")
		ngx.say(ok, " ", err:match("Access denied for user 'moon'"))`, "false Access denied for user 'moon'\n"},
	{"mariadb", "queries", "", `
		local c = assert(require "mysqlwire".connect(my()))
		ngx.say(c.version:match("MariaDB"))
		ngx.say(c:query("create table cats (id int primary key auto_increment, name varchar(40), bytes longblob)"))
		ngx.say(c:query("insert into cats (name, bytes) values ('Bob', null), ('J\195\188rgen', repeat('x', 300000))"))
		local rows = c:query("select id, name, bytes from cats order by id")
		ngx.say(#rows, " ", rows[1][2], " ", rows[1][3], " ", rows[2][2], " ", #rows[2][3], " ", rows[2][3] == ("x"):rep(300000))
		ngx.say(c:query("select * from dogs"))
		show(c:query("select count(*) from cats"))
		c:query("drop table cats")
		c.sock:close()`, "MariaDB\n0\n2\n2 Bob nil J\u00fcrgen 300000 true\nnilTable 'test.dogs' doesn't exist1146\n2\n"},
	{"mariadb", "keepalive", "", `
		local mysql = require "mysqlwire"
		local ids = {}
		for i = 1, 3 do
			local c = assert(mysql.connect(my {pool = "plain"}))
			ids[i] = c:query("select connection_id()")[1][1]
			ngx.print(c.sock:getreusedtimes(), " ")
			assert(c.sock:setkeepalive(10000, 2))
		end
		ngx.say(ids[1] == ids[2], ids[2] == ids[3])`, "0 1 2 truetrue\n"},
	{"mariadb", "TLS", "", `
		local mysql = require "mysqlwire"
		for i = 1, 2 do
			local c = assert(mysql.connect(my {ssl = true, verify = true, name = "localhost", pool = "tls"}))
			local row = c:query("show status like 'Ssl_version'")[1]
			ngx.say(c.sock:getreusedtimes(), " ", row[1], " ", row[2])
			assert(c.sock:setkeepalive(10000, 2))
		end
		ngx.say(mysql.connect(my {ssl = true, verify = true, name = "another"}))`,
		"0 Ssl_version TLSv1.3\n1 Ssl_version TLSv1.3\nnilcertificate host mismatch\n"},
	{"mariadb", "refused", "", `
		local c, err, number = require "mysqlwire".connect(my {password = "wrong"})
		ngx.say(c, " ", number, " ", err:match("Access denied for user 'moon'"))`, "nil 1045 Access denied for user 'moon'\n"},
	{"mariadb", "waits beside each other", "", `
		local mysql = require "mysqlwire"
		local c = assert(mysql.connect(my()))
		c:query("select get_lock('a', 0)")
		local waits = ngx.thread.spawn(function()
			local d = assert(mysql.connect(my()))
			local got = d:query("select get_lock('a', 20)")[1][1]
			d.sock:close()
			return got
		end)
		repeat -- until the other waits
			local n = c:query("select count(*) from information_schema.processlist where state = 'User lock'")[1][1]
		until n == "1"
		ngx.say("released ", c:query("select release_lock('a')")[1][1])
		ngx.say(ngx.thread.wait(waits))
		c.sock:close()`, "released 1\ntrue1\n"},
	{"mariadb", "too slow, gone", "", `
		local c = assert(require "mysqlwire".connect(my()))
		c.sock:settimeout(30)
		ngx.say(c:query("select sleep(20)"))
		c = assert(require "mysqlwire".connect(my()))
		ngx.say(c:query("kill connection_id()"))
		ngx.say((c:query("select 1")))`, "niltimeout\nnilConnection was killed1927\nnil\n"},

	{"postgresql", "thread", "luasql/postgres.so", `
		local ok, rows = ngx.run_worker_thread("default", "dbworker", "postgres",
			"host=127.0.0.1 port=$PGPORT sslmode=require user=moon password=secret dbname=postgres", "select 6 * 7, 'x' union all select 2, null")
		ngx.say(ok)
		show(rows)`, "true\n42|x\n2|nil\n"},
	{"postgresql", "queries", "", `
		local c = assert(require "pgwire".connect(pg()))
		ngx.say(select(2, c:query("create table cats (id serial primary key, name text, bytes text)")))
		ngx.say(select(2, c:query("insert into cats (name, bytes) values ('Bob', null), ('J\195\188rgen', repeat('x', 300000))")))
		local rows, command = c:query("select id, name, bytes from cats order by id")
		ngx.say(command, " ", rows[1][2], " ", rows[1][3], " ", rows[2][2], " ", #rows[2][3], " ", rows[2][3] == ("x"):rep(300000))
		ngx.say(c:query("select nothing from cats"))
		ngx.say(select(2, c:query("drop table cats")))
		c.sock:close()`, "CREATE TABLE\nINSERT 0 2\nSELECT 2 Bob nil J\u00fcrgen 300000 true\nnilcolumn \"nothing\" does not exist\nDROP TABLE\n"},
	{"postgresql", "socket", "", `
		local c = assert(require "pgwire".connect(pg {path = "$PGDIR/.s.PGSQL.$PGPORT"}))
		show(c:query("select inet_client_addr() is null"))
		c.sock:close()`, "t\n"},
	{"postgresql", "TLS and keepalive", "", `
		local pgwire = require "pgwire"
		local pids = {}
		for i = 1, 3 do
			local c = assert(pgwire.connect(pg {ssl = true, verify = true, name = "localhost", pool = "pgtls"}))
			pids[i] = c:query("select pg_backend_pid()")[1][1]
			local row = c:query("select ssl, version from pg_stat_ssl where pid = pg_backend_pid()")[1]
			ngx.say(c.sock:getreusedtimes(), " ", row[1], " ", row[2])
			assert(c.sock:setkeepalive(10000, 2))
		end
		ngx.say(pids[1] == pids[2], pids[2] == pids[3])
		ngx.say(pgwire.connect(pg {ssl = true, verify = true, name = "another"}))
		ngx.say(pgwire.connect(pg {ssl = true, path = "$PGDIR/.s.PGSQL.$PGPORT"}))`,
		"0 t TLSv1.3\n1 t TLSv1.3\n2 t TLSv1.3\ntruetrue\nnilcertificate host mismatch\nnilno TLS there\n"},
	{"postgresql", "refused", "", `
		ngx.say(require "pgwire".connect(pg {password = "wrong"}))`, "nilpassword authentication failed for user \"moon\"\n"},
	{"postgresql", "notices", "", `
		local pgwire = require "pgwire"
		local c = assert(pgwire.connect(pg()))
		c:query("listen news")
		local hears = ngx.thread.spawn(function() return c:notice() end)
		local d = assert(pgwire.connect(pg()))
		d:query("notify news, 'hello'")
		ngx.say(ngx.thread.wait(hears))
		d.sock:close()
		c.sock:close()`, "truenewshello\n"},
	{"postgresql", "many at once", "", `
		local pgwire = require "pgwire"
		local c = assert(pgwire.connect(pg()))
		c:query("select pg_advisory_lock(1)")
		local waiting = {}
		for i = 1, 8 do
			waiting[i] = ngx.thread.spawn(function()
				local d = assert(pgwire.connect(pg()))
				local n = d:query("select pg_advisory_xact_lock_shared(1), " .. i .. " * 10")[1][2]
				d.sock:close()
				return n
			end)
		end
		repeat
			local n = c:query("select count(*) from pg_locks where locktype = 'advisory' and not granted")[1][1]
		until n == "8"
		c:query("select pg_advisory_unlock(1)")
		for i = 1, 8 do ngx.print(select(2, ngx.thread.wait(waiting[i])), " ") end
		ngx.say()
		c.sock:close()`, "10 20 30 40 50 60 70 80 \n"},
	{"postgresql", "ended by the server", "", `
		local c = assert(require "pgwire".connect(pg()))
		local d = assert(require "pgwire".connect(pg()))
		d:query("select pg_terminate_backend(" .. c:query("select pg_backend_pid()")[1][1] .. ", 5000)")
		ngx.say(c:query("select 1"))
		d.sock:close()`, "nilclosed\n"},
}

// fetchedTests run libraries that Debian does not package.
var fetchedTests = []databaseTest{
	{"mariadb", "lua-resty-mysql", "resty/mysql.lua", `
		local mysql = require "resty.mysql"
		for i = 1, 2 do
			local db = assert(mysql:new())
			assert(db:connect {path = "$MYDIR/s", database = "test", user = "moon", password = "secret", ssl = true, pool = "library"})
			ngx.say(db:get_reused_times(), " ", db:query("select 6 * 7 as n, null as x; select 2 as m")[1].n)
			ngx.say(db:read_result()[1].m)
			ngx.say(db:query("select * from dogs"))
			assert(db:set_keepalive(10000, 2))
		end`, "0 42\n2\nnilTable 'test.dogs' doesn't exist114642S02\n1 42\n2\nnilTable 'test.dogs' doesn't exist114642S02\n"},
	{"postgresql", "pgmoon", "pgmoon/init.lua", `
		local pgmoon = require "pgmoon"
		for _, user in ipairs {"moon", "sun"} do -- MD5 and SCRAM
			for _, ssl in ipairs {false, true} do
				local db = pgmoon.new {host = "127.0.0.1", port = "$PGPORT", user = user, password = "secret", database = "postgres", ssl = ssl, pool_name = user .. tostring(ssl)}
				assert(db:connect())
				local row = assert(db:query("select 6 * 7 as n, null as x, array[1, 2] as a, ssl from pg_stat_ssl where pid = pg_backend_pid()"))[1]
				ngx.say(user, " ", row.n, " ", row.x == db.NULL, " ", row.a[2], " ", row.ssl)
				if user == "moon" and not ssl then
					db:query("set password_encryption = 'scram-sha-256'; drop user if exists sun; create user sun password 'secret'")
				end
				assert(db:keepalive())
			end
		end
		local db = pgmoon.new {host = "127.0.0.1", port = "$PGPORT", user = "moon", password = "secret", database = "postgres", pool_name = "moonfalse"}
		assert(db:connect())
		ngx.say(db.sock:getreusedtimes(), " ", (select(2, db:query("select nothing"))))`,
		"moon 42 false 2 false\nmoon 42 false 2 true\nsun 42 false 2 false\nsun 42 false 2 true\n1 ERROR: column \"nothing\" does not exist (8)\n"},
	{"", "lua-resty-session", "resty/session.lua", `
		local session = require "resty.session"
		local said = {}
		for _, o in ipairs {
			{storage = "cookie"}, {storage = "shm", shm = {zone = "sessions"}}, {storage = "file", file = {pool = "default", path = "$DIR"}},
		} do
			o.secret = "something secret"
			local first = session.new(o)
			first:set("who", "moon")
			assert(first:save())
			local cookies = ngx.header["Set-Cookie"]
			ngx.req.set_header("Cookie", (type(cookies) == "table" and cookies[#cookies] or cookies):match("[^;]*"))
			local again, err, exists = session.open(o)
			said[#said + 1] = o.storage .. " " .. tostring(exists) .. " " .. tostring(again:get("who")) .. " " .. tostring(again:destroy())
			ngx.header["Set-Cookie"] = nil
		end
		ngx.say(table.concat(said, "\n"))`, "cookie true moon true\nshm true moon true\nfile true moon true\n"},
	{"", "lua-resty-template", "resty/template.lua", `
		local template = require "resty.template"
		template.render_string("{% for i, v in ipairs(list) do %}{{i}}={{v}} {*v*}\n{% end %}", {list = {"a", "<b>"}})
		template.render_string("{[[ {-up-}x{-up-}{(inner)}]]}", {})
		ngx.say(template.compile("{{name}}, {# nothing #}{{1 + 1}}")({name = "moon"}))`, ""},
}

// TestDatabases has Lua talk to MariaDB and PostgreSQL: with Debian's C modules on threads of their own, and over cosockets,
// with clients of our own and, when the variable MOONGATE_LUA_LIBRARIES names a folder with libraries (resty/mysql.lua and so
// on), with those.
func TestDatabases(t *testing.T) {
	workerthread.HasPool = func(*conf.Config, string) bool { return true }
	var (
		both         sync.WaitGroup
		maria, pg    *database
		noMaria, noP string
		errM, errP   error
	)
	both.Go(func() { maria, noMaria, errM = startMariaDB(t) })
	both.Go(func() { pg, noP, errP = startPostgres(t) })
	both.Wait()
	for _, err := range []error{errM, errP} {
		if err != nil {
			t.Fatal(err)
		}
	}
	none := map[string]string{"mariadb": noMaria, "postgresql": noP}
	dir := t.TempDir()
	certs := []byte{}
	where := []string{}
	for name, db := range map[string]*database{"MY": maria, "PG": pg} {
		if db == nil {
			db = &database{}
		} else if cert, err := os.ReadFile(db.dir + "/tls.pem"); err == nil {
			certs = append(certs, cert...)
		}
		where = append(where, "$"+name+"DIR", db.dir, "$"+name+"PORT", cmp.Or(db.port, "0"))
	}
	if err := os.WriteFile(filepath.Join(dir, "certs.pem"), certs, 0o644); err != nil {
		t.Fatal(err)
	}
	own, _ := filepath.Abs("testdata/lua")
	fetched := os.Getenv("MOONGATE_LUA_LIBRARIES")
	modules, _ := filepath.Glob("/usr/lib/*/lua/5.1")
	where = append(where, "$OWN", own, "$FETCHED", cmp.Or(fetched, own), "$MODULES", append(modules, own)[0], "$DIR", dir)

	tests := slices.Concat(databaseTests, fetchedTests)
	locations := ""
	for i, d := range tests {
		locations += fmt.Sprintf("location = /%d { content_by_lua_block { %s\n} }\n", i, d.code)
	}
	s := enginetest.StartIn(t, dir, Set(), strings.NewReplacer(where...).Replace(strings.Replace(databaseSite, "$LOCATIONS", locations, 1)))
	for i, d := range tests {
		t.Run(d.server+"/"+d.name, func(t *testing.T) {
			if none[d.server] != "" {
				t.Skip(none[d.server])
			}
			switch isC := strings.HasSuffix(d.needs, ".so"); {
			case isC && !there(append(modules, own)[0], d.needs):
				t.Skip(d.needs + " is not installed: build/testdeps gets it")
			case !isC && d.needs != "" && !there(fetched, d.needs):
				t.Skip("MOONGATE_LUA_LIBRARIES names no folder that has " + d.needs)
			}
			logged := len(s.ErrorLog())
			if got := unchunk(enginetest.Body(s.Get(fmt.Sprintf("/%d", i)))); got != d.want {
				t.Errorf("got %q\nwant %q\n%s", got, d.want, s.ErrorLog()[logged:])
			}
		})
	}
}

func there(dir, file string) bool {
	_, err := os.Stat(filepath.Join(dir, file))
	return dir != "" && err == nil
}
