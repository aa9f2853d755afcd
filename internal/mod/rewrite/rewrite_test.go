package rewrite_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/engine/enginetest"
	"moongate/internal/mod/corevars"
	"moongate/internal/mod/rewrite"
)

// third is a module that puts operations of its own among the directives.
var third = engine.Module{Module: conf.Module{Name: "third", Directives: []conf.Directive{
	{Name: "set_join", In: conf.Server | conf.Location | conf.LocationIf, Args: conf.TwoMore, Doc: "-", Set: conf.Func(func(c *conf.Cmd) error {
		return rewrite.DefineSet(c, c.Args[0], c.Args[1:], func(r *engine.Request, args [][]byte) ([]byte, engine.Status) {
			if len(args) == 1 {
				return nil, 500
			}
			out := ""
			for _, a := range args {
				out += "<" + string(a) + ">"
			}
			return r.CopyString(out), engine.OK
		})
	})},
}}}

func set() *engine.Set {
	return &engine.Set{Modules: []*engine.Module{&corevars.Module, &rewrite.Module, &third}}
}

const site = `
	set $top "top$arg_a";
	if ($arg_stop = "1") { return 418 "stopped"; }
	if ($http_x_server) { set $byserver yes; rewrite ^/srv(.*)$ /echo$1 last; }
	location /echo { return 200 "$uri?$args|$is_args|$top|$byserver"; }

	location /last { rewrite ^/last/(.*)$ /echo/$1 last; return 200 no; }
	location /args { rewrite ^/args/(.*)$ /echo/$1?x=$1 last; }
	location /drop { rewrite ^/drop/(.*)$ /echo/$1? last; }
	location /own { rewrite ^/own/(.*)$ /echo/$1?x=$1? last; }
	location /url { rewrite ^/url/(.*)$ http://other.com/$1; }
	location /found { rewrite ^/found/(.*)$ /new/$1 redirect; }
	location /moved { rewrite ^/moved/(.*)$ /new/$1?y=1 permanent; }
	location /bare { rewrite ^/bare/(.*)$ /new/$1? permanent; }
	location /scheme { rewrite ^/scheme/(.*)$ $scheme://$host/$1; }
	location /stay { rewrite ^/stay/(.*)$ /echo/$1 break; return 200 never; }
	location /fall { rewrite ^/fall /x; rewrite ^/x /echo/fall; set $seen $uri; return 200 "$seen"; }
	location /cycle { rewrite ^/cycle(.*)$ /cycle$1x last; }
	location /empty { rewrite ^ "$arg_none" last; }
	location /escaped { rewrite ^/escaped/(.*)$ /echo/?q=$1 last; }
	location /tail { rewrite ^/tail/(.*)$ /new/?q=$1 redirect; }

	location /true { if ($arg_v) { return 200 yes; } return 200 no; }
	location /equal { if ($arg_v = abc) { return 200 eq; } if ( $arg_v != "x y" ) { set $q ne; } return 200 "$q"; }
	location /match {
		if ($arg_v ~ ^(a+)(b*)$) { return 200 "$1,$2"; }
		if ($arg_v ~* ^Z) { return 200 folded; }
		if ($arg_v !~ q) { return 200 "no q,$1"; }
		if ($arg_v !~* R) { return 200 "no r"; }
		return 200 end;
	}
	location /file {
		if (-f $document_root/f.txt) { set $a f; } if (!-f $document_root/no) { set $b F; }
		if (-d $document_root) { set $c d; } if (!-d $document_root/f.txt) { set $d D; }
		if (-e $document_root/sub) { set $e e; } if (!-e $document_root/no) { set $f E; }
		if (-x $document_root/x.sh) { set $g x; } if (!-x $document_root/f.txt) { set $h X; }
		if (-e /dev/null) { set $i no; }
		return 200 "$a$b$c$d$e$f$g$h$i";
	}
	location /in { root /a; if ($arg_v) { root /b; } return 200 $document_root; }
	location ~ ^/group/(.*)/(?<named>.*)$ { set $x $1; set $z "p$2"; return 200 "$x $z $1 $named"; }
	location ~ ^/after/(.*)$ { rewrite ^/after/(.*)$ /y$1; set $x $1; return 200 "$x $uri"; }

	location /setargs { set $args "n=1&$args"; return 200 "$args $arg_n $query_string"; }
	location /204 { return 204; }
	location /301 { return 301 /there; }
	location /302 { return http://a.b/c?$args; }
	location /404 { return 404 "custom $uri $status"; }
	location /403 { return 403 ""; }
	location /299 { return 299 x; }
	location /444 { return 444; }
	location /page { error_page 404 = /echo/page; return 404; }
	location /keep { error_page 500 502 /echo/keep; return 502; }
	location /over { error_page 403 =201 /echo/over; return 403; }
	location /named { error_page 403 @named; return 403; }
	location @named { set $x nm; return 200 "named $uri $x"; }

	location /join { set_join $j "$arg_a-1" lit $uri; return 200 $j; }
	location /fail { set_join $j one; return 200 never; }
	location /quiet { uninitialized_variable_warn off; return 200 "[$j]"; }
	location /warn { return 200 "[$j]"; }
	location /log { rewrite_log on; rewrite ^/no /x; rewrite ^/log /echo/log?b=1 last; }
`

// answer is what matters of a response: status, Location and body; a built-in page is "page".
func answer(r string) string {
	a := enginetest.Status(r)
	if l := enginetest.Header(r, "Location"); l != "" {
		a += " -> " + l
	}
	if b := enginetest.Body(r); strings.HasPrefix(b, "<html>") {
		a += " page"
	} else if b != "" {
		a += " " + b
	}
	return a
}

func TestScripts(t *testing.T) {
	dir := t.TempDir()
	os.MkdirAll(filepath.Join(dir, "html/sub"), 0o755)
	os.WriteFile(filepath.Join(dir, "html/f.txt"), nil, 0o644)
	os.WriteFile(filepath.Join(dir, "html/x.sh"), nil, 0o755)
	s := enginetest.StartIn(t, dir, set(), site)
	base := "http://localhost:" + s.Addr("")[len("127.0.0.1:"):]
	for _, c := range []struct{ uri, want string }{
		{"/echo", "200 OK /echo?||top|"},
		{"/echo?a=1", "200 OK /echo?a=1|?|top1|"},
		{"/echo?stop=1", "418  stopped"},
		{"/last/abc", "200 OK /echo/abc?||top|"},
		{"/last/a%20b%3Fc?q=1", "200 OK /echo/a b?c?q=1|?|top|"},
		{"/args/abc?q=1", "200 OK /echo/abc?x=abc&q=1|?|top|"},
		{"/args/a%20b+c%26", "200 OK /echo/a b+c&?x=a%20b%2Bc%26|?|top|"},
		{"/drop/abc?q=1", "200 OK /echo/abc?||top|"},
		{"/own/abc?q=1", "200 OK /echo/abc?x=abc|?|top|"},
		{"/url/abc?q=1", "302 Moved Temporarily -> http://other.com/abc?q=1 page"},
		{"/url/a%20b", "302 Moved Temporarily -> http://other.com/a%20b page"},
		{"/found/a%20b%25c%C3%A4?q=1", "302 Moved Temporarily -> " + base + "/new/a%20b%25c%C3%A4?q=1 page"},
		{"/moved/abc?q=1", "301 Moved Permanently -> " + base + "/new/abc?y=1&q=1 page"},
		{"/bare/abc?q=1", "301 Moved Permanently -> " + base + "/new/abc page"},
		{"/scheme/abc", "302 Moved Temporarily -> http://localhost/abc page"},
		{"/stay/abc", "404 Not Found page"},
		{"/fall", "200 OK /echo/fall"},
		{"/cycle", "500 Internal Server Error page"},
		{"/empty", "500 Internal Server Error page"},
		{"/escaped/a%20b%26c+d?z=5", "200 OK /echo/?q=a%20b%26c%2Bd&z=5|?|top|"},
		{"/escaped/plain&x", "200 OK /echo/?q=plain&x|?|top|"},
		{"/tail/a%20b%26c", "302 Moved Temporarily -> " + base + "/new/?q=a%20b%26c page"},

		{"/true", "200 OK no"}, {"/true?v=0", "200 OK no"}, {"/true?v=00", "200 OK yes"}, {"/true?v=1", "200 OK yes"},
		{"/equal", "200 OK ne"}, {"/equal?v=abc", "200 OK eq"},
		{"/match?v=aab", "200 OK aa,b"}, {"/match?v=aaa", "200 OK aaa,"}, {"/match?v=zz", "200 OK folded"},
		{"/match?v=o", "200 OK no q,"}, {"/match?v=q", "200 OK no r"}, {"/match?v=qr", "200 OK end"},
		{"/file", "200 OK fFdDeExX"},
		{"/in", "200 OK /a"}, {"/in?v=1", "200 OK /b"},
		{"/group/one/two", "200 OK one ptwo one two"},
		{"/group/a%20b/c+d", "200 OK a%20b pc%2Bd a b c+d"}, // "set" escapes, until a rewrite has matched
		{"/after/a%20b", "200 OK a b /ya b"},

		{"/setargs?a=1", "200 OK n=1&a=1 1 n=1&a=1"},
		{"/204", "204 No Content"},
		{"/301", "301 Moved Permanently -> " + base + "/there page"},
		{"/302?z=1", "302 Moved Temporarily -> http://a.b/c?z=1 page"},
		{"/404", "404 Not Found custom /404 404"},
		{"/403", "403 Forbidden page"},
		{"/299", "299  x"},
		{"/444", ""},
		{"/page", "200 OK /echo/page?||top|"},
		{"/keep", "502 Bad Gateway /echo/keep?||top|"},
		{"/over", "201 Created /echo/over?||top|"},
		{"/named", "403 Forbidden named /named nm"},

		{"/join?a=x", "200 OK <x-1><lit></join>"},
		{"/fail", "500 Internal Server Error page"},
		{"/quiet", "200 OK []"},
	} {
		if got := answer(s.Get(c.uri)); got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.uri, got, c.want)
		}
	}
	if got := answer(s.Get("/srv/x?b=1", "X-Server: 1")); got != "200 OK /echo/x?b=1|?|top|yes" {
		t.Errorf("if in server: %s", got)
	}
	log := s.ErrorLog()
	for _, want := range []string{
		`rewrite or internal redirection cycle while processing "/cyclexxxxxxxxxxx", client: 127.0.0.1`,
		`the rewritten URI has a zero length, client`,
	} {
		if !strings.Contains(log, want) {
			t.Errorf("not in the log: %s\n%s", want, log)
		}
	}
}

func TestLogged(t *testing.T) {
	s := enginetest.Start(t, set(), "error_log logs/all.log notice;"+site)
	s.Get("/log?a=1")
	s.Get("/warn")
	log := s.File("logs/all.log")
	for _, want := range []string{
		`[notice] `, `"^/no" does not match "/log", client: `, `"^/log" matches "/log", client: `,
		`rewritten data: "/echo/log", args: "b=1&a=1", client: `, `using uninitialized "j" variable, client: `,
	} {
		if !strings.Contains(log, want) {
			t.Errorf("not in the log: %s\n%s", want, log)
		}
	}
	s.Get("/quiet")
	if log = s.File("logs/all.log"); strings.Count(log, "uninitialized \"j\"") != 1 {
		t.Errorf("warned in spite of uninitialized_variable_warn: %s", log)
	}
}

func TestErrors(t *testing.T) {
	for text, want := range map[string]string{
		`return;`:                        `invalid number of arguments in "return" directive`,
		`return 1000;`:                   `invalid return code "1000"`,
		`return -1;`:                     `invalid return code "-1"`,
		`return text;`:                   `invalid return code "text"`,
		`return text text;`:              `invalid return code "text"`,
		`return 200 "$";`:                `invalid variable name`,
		`return 200 "${a";`:              `the closing bracket in "a" variable is missing`,
		`return 200 $nowhere;`:           `unknown "nowhere" variable`,
		`rewrite a "";`:                  `empty replacement`,
		`rewrite ( /x;`:                  `pcre2_compile() failed: missing closing parenthesis in "("`,
		`rewrite a /x final;`:            `invalid parameter "final"`,
		`set x y;`:                       `invalid variable name "x"`,
		`set $ y;`:                       `invalid variable name "$"`,
		`set $host y;`:                   `the duplicate "host" variable`,
		`if $a { }`:                      `invalid condition "$a"`,
		`if ($a { }`:                     `invalid condition "$a"`,
		`if () { }`:                      `invalid condition ")"`,
		`if (a) { }`:                     `invalid condition "a"`,
		`if ($host b) { }`:               `invalid condition "$host"`,
		`if ($host == b) { }`:            `unexpected "==" in condition`,
		`if ($host = ) { }`:              `invalid condition "$host"`,
		`if (-f) { }`:                    `invalid condition "-f"`,
		`if (-q x) { }`:                  `invalid condition "-q"`,
		`if (!-q x) { }`:                 `invalid condition "!-q"`,
		`if ($host ~ "(") { }`:           `pcre2_compile() failed`,
		`if ($host) { location /x { } }`: `"location" directive is not allowed here`,
	} {
		_, err := enginetest.Load(t, set(), text, nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

func TestNoGarbage(t *testing.T) {
	s := enginetest.Start(t, set(), `
		location /plain { return 200 "hello"; }
		location /vars { set $a "$uri$arg_x"; if ($a ~ ^(.)(.*)$) { set $b "$2$1"; } return 200 "$b"; }
		location /uri { rewrite ^/uri/(.*)$ /plain/$1?a=$1 last; }`)
	for _, uri := range []string{"/plain", "/vars?x=1", "/uri/x"} {
		if n := s.Allocs("GET " + uri + " HTTP/1.1\r\nHost: a\r\n\r\n"); n >= 1 {
			t.Errorf("%s allocates %v times", uri, n)
		}
	}
}
