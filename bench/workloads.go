package main

import "strings"

// workload is a kind of request and the configuration it needs.
type workload struct {
	name string
	path string
	wrk  []string // more arguments of wrk
	h2   int      // requests at once on each connection, over HTTP/2 by h2load; 0: HTTP/1 by wrk
	tls  bool     // over TLS, by an elliptic key
	http string   // in http{}
	site string   // in server{}
}

var workloads = []workload{
	{name: "return", path: "/", site: `location / { return 200 "hello\n"; }`},
	{name: "hello", path: "/", site: `location / { content_by_lua_block { ngx.say("hello") } }`},
	{name: "api", path: "/api?id=3", site: `
        location = /api {
            content_by_lua_block {
                local headers, args = ngx.req.get_headers(), ngx.req.get_uri_args()
                ngx.header["Content-Type"] = "application/json"
                ngx.say('{"host":"', headers.host, '","id":"', args.id, '","uri":"', ngx.var.uri, '"}')
            }
        }`},
	{name: "dict", path: "/", http: `lua_shared_dict counters 4m;`, site: `
        location / {
            content_by_lua_block {
                local counters = ngx.shared.counters
                ngx.say(counters:incr("n" .. ngx.time() % 100, 1, 0))
            }
        }`},
	{name: "regex", path: "/item/77", site: `
        location / {
            content_by_lua_block {
                local m = ngx.re.match(ngx.var.uri, [[^/item/(\d+)$]], "jo")
                ngx.say(m and m[1])
            }
        }`},
	{name: "subrequest", path: "/", site: `
        location / {
            content_by_lua_block { ngx.print(ngx.location.capture("/inner").body) }
        }
        location = /inner { internal; return 200 "inner\n"; }`},
	{name: "sleep", path: "/", site: `
        location / { content_by_lua_block { ngx.sleep(0.001) ngx.say("hello") } }`},
	{name: "post", path: "/", wrk: []string{"-s", "DIR/post.lua"}, site: `
        location / {
            client_max_body_size 1m; client_body_buffer_size 128k;
            content_by_lua_block { ngx.req.read_body() ngx.say(#(ngx.req.get_body_data() or "")) }
        }`},
	{name: "file", path: "/16k.txt", site: `root DIR/www;`},
	{name: "gzip", path: "/16k.txt", wrk: []string{"-H", "Accept-Encoding: gzip"}, site: `root DIR/www; gzip on; gzip_types text/plain;`},
	{name: "proxy", path: "/", http: `upstream backend { server BACKEND; keepalive 64; }`, site: `
        location / { proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection ""; }`},
	{name: "cached", path: "/16k.txt", http: `proxy_cache_path DIR/cache levels=1:2 use_temp_path=off keys_zone=one:1m; server { listen unix:DIR/origin.sock; root DIR/www; }`, site: `
        location / { proxy_pass http://unix:DIR/origin.sock; proxy_cache one; proxy_cache_valid 1h; }`},
	{name: "h2", path: "/", h2: 10, site: `location / { return 200 "hello\n"; }`},
	{name: "h2-lua", path: "/", h2: 10, site: `location / { content_by_lua_block { ngx.say("hello") } }`},
	{name: "h2-file", path: "/16k.txt", h2: 10, site: `root DIR/www;`},
	{name: "tls", path: "/", tls: true, site: `location / { return 200 "hello\n"; }`},
	handshake("tls12-resumed", "TLSv1.2", ""),
	handshake("tls13-resumed", "TLSv1.3", ""),
	handshake("tls12-full", "TLSv1.2", "ssl_session_tickets off; ssl_session_cache off;"),
	handshake("tls13-full", "TLSv1.3", "ssl_session_tickets off; ssl_session_cache off;"),
	{name: "gate", path: "/", http: `upstream backend { server BACKEND; keepalive 64; }`, site: `
        location / {
            access_by_lua_block {
                if ngx.req.get_headers()["x-key"] == "" then return ngx.exit(403) end
                ngx.req.set_header("X-Checked", "yes")
            }
            proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection "";
        }`},
}

// handshake has a connection for each request, in one version of TLS: what a server's own default is does not count.
func handshake(name, version, sessions string) workload {
	return workload{name: name, path: "/", tls: true, wrk: []string{"-H", "Connection: close"},
		site: "ssl_protocols " + version + "; " + sessions + ` location / { return 200 "hello\n"; }`}
}

// url is where the workload is asked for at an address.
func (w *workload) url(addr string) string {
	if w.tls {
		return "https://" + addr + w.path
	}
	return "http://" + addr + w.path
}

// paths are folders that nginx makes at its start, below its own prefix unless told.
func (c candidate) paths() string {
	if len(c.modules) == 0 {
		return ""
	}
	return "proxy_temp_path DIR/proxy; fastcgi_temp_path DIR/fastcgi; uwsgi_temp_path DIR/uwsgi; scgi_temp_path DIR/scgi;\n    "
}

// listen gives the parameters of listen; the one for HTTP/2 is that which old servers know as well.
func (w *workload) listen(addr string) string {
	switch {
	case w.h2 > 0:
		return addr + " http2"
	case w.tls:
		return addr + " ssl; ssl_certificate DIR/cert.pem; ssl_certificate_key DIR/key.pem"
	}
	return addr
}

// configuration is the whole file for one server.
func (w *workload) configuration(c candidate, dir, listen, backend string) string {
	var b strings.Builder
	for _, m := range c.modules {
		b.WriteString("load_module " + m + ";\n")
	}
	b.WriteString(`worker_processes 1;
error_log DIR/error.log warn;
pid DIR/server.pid;
events { worker_connections 16384; }
http {
    access_log off;
    keepalive_requests 1000000000; keepalive_timeout 600s; keepalive_time 24h;
    default_type text/plain;
    client_body_temp_path DIR/client;
    ` + c.paths() + w.http + `
    server {
        listen ` + w.listen(listen) + `;
        ` + w.site + `
    }
}
`)
	return strings.NewReplacer("DIR", dir, "BACKEND", backend).Replace(b.String())
}
