package engine_test

import (
	"strings"
	"testing"

	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/engine/enginetest"
)

// slash makes a location redirect to its last slash, as proxy_pass does.
var slash = engine.Module{Module: conf.Module{Name: "slash", Directives: []conf.Directive{
	{Name: "slash", In: conf.Location, Args: conf.NoArgs, Doc: "-", Set: conf.Func(func(c *conf.Cmd) error {
		engine.LocationOf(c.Scope).AutoRedirect = true
		return nil
	})},
}}}

func TestLocations(t *testing.T) {
	set := siteSet()
	set.Modules = append(set.Modules, &slash)
	s := enginetest.Start(t, set, `
		location / { return 200 root; }
		location /p { return 200 p; }
		location /pre { return 200 pre; }
		location /prefix/long { return 200 long; }
		location = /exact { return 200 exact; }
		location /exact { return 200 inexact; }
		location ~ \.php$ { return 200 "php $uri"; }
		location ~* ^/CASE { return 200 caseless; }
		location ^~ /static { return 200 static; location /static/in { return 200 "static in"; } }
		location /nest { return 200 nest; location /nest/a { return 200 "nest a"; location ~ x$ { return 200 "nest a x"; } } location ~ y$ { return 200 "nest y"; } location = /nest/e { return 200 "nest e"; } }
		location /outer { return 200 outer; location ^~ /outer/in { return 200 "outer in"; } }
		location ~ ^/outer/in/re { return 200 "outer re"; }
		location ~ ^/re/(.*)$ { return 200 "re $1"; location ~ deep { return 200 deep; } }
		location ~ second { return 200 second; }
		location ~ sec { return 200 never; }
		location /s1/ { slash; return 200 s1; }
		location = /s2/ { slash; return 200 s2; }
		location /s3/ { slash; return 200 s3; } location = /s3 { return 200 "no slash"; }
		location "/s 4/" { slash; return 200 s4; }
		location /s5/ { slash; internal; return 200 s5; }`)
	for uri, want := range map[string]string{
		"/": "root", "/x": "root", "/p": "p", "/pr": "p", "/pre": "pre", "/prefix": "pre", "/prefix/lon": "pre", "/prefix/longer": "long",
		"/exact": "exact", "/exact/": "inexact", "/exactly": "inexact", "/a.php": "php /a.php", "/a.php5": "root", "/case": "caseless", "/pre.php": "php /pre.php",
		"/static/a.php": "static", "/static/in.php": "static in", "/nest": "nest", "/nest/ax": "nest a x", "/nest/ay": "nest y", "/nest/b.php": "php /nest/b.php", "/nest/e": "nest e", "/nest/by": "nest y",
		"/outer/in": "outer in", "/outer/in/re": "outer re", "/re/a": "re a", "/re/deep": "deep", "/second": "second",
		"/s1": "301 http://localhost:PORT/s1/", "/s1?a=b": "301 http://localhost:PORT/s1/?a=b", "/s1/": "s1", "/s2": "301 http://localhost:PORT/s2/", "/s2/": "s2", "/s2/x": "root", "/s3": "no slash", "/s%204": "301 http://localhost:PORT/s%204/", "/s5": "404 ",
	} {
		status, location, body := ask(s, "GET", uri)
		if status != "200 OK" {
			body = status[:3] + " " + location
		}
		if body != want {
			t.Errorf("%s: %s, want %s", uri, body, want)
		}
	}
}

func TestLimitExcept(t *testing.T) {
	s := enginetest.Start(t, siteSet(), `
		location /get { limit_except GET { deny all; } return 204; }
		location /put { limit_except put DELETE { deny all; } error_page 403 = /page; return 204; }
		location /page { return 200 page; }
		location /handler { limit_except POST { deny all; } }`)
	for req, want := range map[string]string{
		"GET /handler": "403", "POST /handler": "404", "FOO /handler": "403",
	} {
		method, uri, _ := strings.Cut(req, " ")
		if status, _, _ := ask(s, method, uri); status[:3] != want {
			t.Errorf("%s: %s, want %s", req, status, want)
		}
	}
}

// Errors of the blocks of a site, in nginx's words.
func TestSiteErrors(t *testing.T) {
	for text, want := range map[string]string{
		"location /a { } location /a { }":    `duplicate location "/a"`,
		"location ^~ /a { } location /a { }": `duplicate location "/a"`,
		"location = /a { } location /a { } location ~ a { } location ~ a { } location @a { } location @a { }": "",
		"location ~ ( { }":                                         `pcre2_compile() failed: missing closing parenthesis in "("`,
		"location x /a { }":                                        `invalid location modifier "x"`,
		"location /a { location /b { } }":                          `location "/b" is outside location "/a"`,
		"location ~ ^/a { location /b { } }":                       `location "/b" is outside location "^/a"`,
		"location = /a { location /a/b { } }":                      `location "/a/b" cannot be inside the exact location "/a"`,
		"location @a { location /b { } }":                          `location "/b" cannot be inside the named location "@a"`,
		"location /a { location @b { } }":                          `named location "@b" can be on the server level only`,
		"location / { alias /a; root /b; }":                        `"root" directive is duplicate, "alias" directive was specified earlier`,
		"location / { alias /a; alias /b; }":                       `"alias" directive is duplicate`,
		"location @a { alias /x; }":                                `the "alias" directive cannot be used inside the named location`,
		"root ${document_root}/x;":                                 `the $document_root variable cannot be used in the "root" directive`,
		"error_page 404 403;":                                      "",
		"error_page =200 /x;":                                      `invalid value "=200"`,
		"error_page 499 /x;":                                       `invalid value "499"`,
		"error_page 200 /x;":                                       `value "200" must be between 300 and 599`,
		"location / { limit_except FOO { } }":                      `invalid method "FOO"`,
		"location / { limit_except GET { } limit_except GET { } }": `"limit_except" directive is duplicate`,
		"server_name *;":                                           `server name "*" is invalid`,
		"server_name a*b;":                                         "",
		"server_name a*b; } server { listen 127.0.0.1:8080;":       `invalid server name or wildcard "a*b" on 127.0.0.1:8080`,
		"listen 127.0.0.1:8080;":                                   "a duplicate listen 127.0.0.1:8080",
		"listen 127.0.0.1:8081 backlog=5; } server { listen 127.0.0.1:8081 backlog=6;":           "duplicate listen options for 127.0.0.1:8081",
		"listen 127.0.0.1:8081 default_server; } server { listen 127.0.0.1:8081 default_server;": "a duplicate default server for 127.0.0.1:8081",
		"listen 127.0.0.1:9-8;":         `invalid port range in "127.0.0.1:9-8" of the "listen" directive`,
		"request_pool_size 100;":        "the pool size must be no less than 112",
		"aio sometimes;":                `"aio" directive invalid value`,
		"open_file_cache max=0;":        `invalid "open_file_cache" parameter "max=0"`,
		"open_file_cache inactive=5;":   `"open_file_cache" must have the "max" parameter`,
		"disable_symlinks from=/a;":     `"disable_symlinks" must have "off", "on" or "if_not_owner" parameter`,
		"disable_symlinks on off;":      `duplicate parameters "on off"`,
		"disable_symlinks off from=/a;": `"from=" cannot be used with "off" parameter`,
	} {
		_, err := enginetest.Load(t, siteSet(), "server { listen 127.0.0.1:8080; "+text+" }", nil)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
