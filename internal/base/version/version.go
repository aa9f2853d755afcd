// Package version says which program this is, and which nginx it behaves like.
package version

const (
	// Nginx is the nginx whose behaviour is matched; scripts compare it.
	Nginx = "1.27.1"
	// NginxNumber is the same as ngx.config.nginx_version has it.
	NginxNumber = 1027001
	// Lua is the lua-nginx-module whose API is matched (ngx.config.ngx_lua_version).
	Lua = 10032
	// Moongate is this program's own.
	Moongate = "0.1.0"

	// Server is the Server header of the full form.
	Server = "nginx/" + Nginx
	// Build names both. It must not hold a second "/": scripts take what
	// follows the last one for the version.
	Build = "nginx/" + Nginx + " (moongate " + Moongate + ")"
)
