// Package proxy passes requests on to HTTP servers: proxy_pass and its family. It writes requests and reads responses of
// HTTP/1.x; the exchange around that is package relay's.
package proxy

import (
	"slices"
	"strings"

	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/http1"
	"moongate/internal/relay"
	"moongate/internal/upstream"
)

type config struct {
	relay.Conf
	target    *target
	headers   []conf.Pair // as written
	plain     fieldList   // what is sent
	kept      fieldList   // the same when the response is to be kept
	fields2   *relay.FieldSet
	kept2     *relay.FieldSet
	version   conf.Opt[int]
	method    conf.Opt[*engine.Template]
	body      conf.Opt[*engine.Template]
	trailers  conf.Opt[bool]
	redirects []rewrite
	redirOff  bool
	redirOwn  bool // proxy_redirect stands at this level
	domains   cookieRules
	paths     cookieRules
	flags     cookieFlags
}

// target is where a proxy_pass passes requests on to.
type target struct {
	text     string
	template *engine.Template // of one with variables, else nil
	group    *relay.Group
	scheme   string
	vars     vars
	location int // how much of the request's URI the target's replaces
}

// vars is what the parts of the address give.
type vars struct {
	host string // $proxy_host: with the port unless it is the scheme's
	port string
	uri  string
}

var loc = conf.NewLevel[config](conf.KindLocation).OnMerge(merge)

const anywhere = conf.HTTPServerLocation

// Module has the directives and variables.
var Module = engine.Module{
	Module: conf.Module{Name: "proxy", Directives: append([]conf.Directive{
		{Name: "proxy_pass", Syntax: "URL", In: conf.Location | conf.LocationIf | conf.LimitExcept, Args: conf.Take1, Set: conf.Func(readPass),
			Doc: "Passes requests on to an HTTP server or a group of them. A URI in the address replaces what the location's name matched; without one the client's goes up as it came. The address may have variables."},
		{Name: "proxy_set_header", Syntax: "field value", In: anywhere, Args: conf.Take2, Default: "Host $proxy_host", Set: conf.Func(readSetHeader),
			Doc: "A field of the request to the server; an empty value leaves it out. Host is $proxy_host and Connection is close unless set here. A block with any has none of its parent's."},
		{Name: "proxy_method", In: anywhere, Syntax: "method", Set: conf.Slot(loc, engine.TemplateType(), func(c *config) *conf.Opt[*engine.Template] { return &c.method }),
			Doc: "The method of the request to the server."},
		{Name: "proxy_set_body", In: anywhere, Syntax: "value", Set: conf.Slot(loc, engine.TemplateType(), func(c *config) *conf.Opt[*engine.Template] { return &c.body }),
			Doc: "The body of the request to the server."},
		{Name: "proxy_http_version", In: anywhere, Default: "1.0", Set: conf.Slot(loc, conf.Enum(conf.Case("1.0", http1.Version10), conf.Case("1.1", http1.Version11), conf.Case("2", http1.Version20)), func(c *config) *conf.Opt[int] { return &c.version }),
			Doc: "The version of HTTP that requests to servers have; idle connections to them need 1.1 or 2. With 2, requests to a group with keepalive share connections."},
		{Name: "proxy_pass_trailers", In: anywhere, Default: "off", Set: conf.Slot(loc, conf.Flag, func(c *config) *conf.Opt[bool] { return &c.trailers }),
			Doc: "Whether the fields behind a chunked response body are passed on."},
		{Name: "proxy_redirect", Syntax: "default | off | redirect replacement", In: anywhere, Args: conf.Take12, Default: "default", Set: conf.Func(readRedirect),
			Doc: "How Location and Refresh fields of responses are rewritten: text or a regular expression (~, ~* without case) and what takes its place; default undoes what proxy_pass has done to the URI."},
		{Name: "proxy_cookie_domain", Syntax: "off | domain replacement", In: anywhere, Args: conf.Take12, Default: "off", Set: conf.Func(readCookieDomain),
			Doc: "How the Domain of cookies is rewritten."},
		{Name: "proxy_cookie_path", Syntax: "off | path replacement", In: anywhere, Args: conf.Take12, Default: "off", Set: conf.Func(readCookiePath),
			Doc: "How the Path of cookies is rewritten."},
		{Name: "proxy_cookie_flags", Syntax: "off | cookie [flag ...]", In: anywhere, Args: conf.OneMore, Default: "off", Set: conf.Func(readCookieFlags),
			Doc: "Flags that cookies get (secure, httponly, samesite=...) or lose (nosecure, ...)."},
		{Name: "proxy_headers_hash_max_size", In: anywhere, Args: conf.Take1, Default: "512", Syntax: "size", Set: conf.Func(readNumber), Doc: "Accepted for compatibility."},
		{Name: "proxy_headers_hash_bucket_size", In: anywhere, Args: conf.Take1, Default: "64", Syntax: "size", Set: conf.Func(readNumber), Doc: "Accepted for compatibility."},
	}, slices.Concat(relay.Rows("proxy_", loc, confOf), relay.SSLRows("proxy_", loc, confOf), relay.StoreRows("proxy_", loc, confOf), relay.CacheRows("proxy_", loc, confOf))...)},
	Setup: func(h *engine.HTTP) error { return relay.CheckCaches(h, "proxy_") },
	Vars: []engine.Var{
		{Name: "proxy_host", NoCache: true, Get: getHost, Changeable: true, Doc: "The host and port that proxy_pass names."},
		{Name: "proxy_port", NoCache: true, Get: getPort, Changeable: true, Doc: "The port that proxy_pass names, or the scheme's."},
		{Name: "proxy_add_x_forwarded_for", NoCache: true, Get: getForwarded, Doc: "The client's X-Forwarded-For with its address added."},
	},
}

// readNumber checks a number that has no meaning here.
func readNumber(c *conf.Cmd) error {
	_, err := conf.Number.Parse(c)
	return err
}

func confOf(c *config) *relay.Conf { return &c.Conf }

func readPass(c *conf.Cmd) error {
	cf := loc.Of(c.Scope)
	if cf.target != nil {
		return c.Duplicate()
	}
	l := engine.LocationOf(c.Scope)
	l.Handler = handle
	if n := len(l.Name); n > 0 && l.Name[n-1] == '/' {
		l.AutoRedirect = true
	}
	t := &target{text: c.Args[0]}
	cf.target = t
	tmpl, err := engine.CompileArg(c, t.text)
	if err != nil {
		return err
	}
	if !tmpl.IsLiteral() {
		t.template = tmpl
		return nil
	}
	scheme, rest, port := splitScheme(t.text)
	if scheme == "" {
		return c.Errorf("invalid URL prefix")
	}
	u, problem := upstream.ParseURL(rest, port, true)
	if problem != "" {
		return c.Errorf("%s in upstream \"%s\"", problem, rest)
	}
	if t.group, err = relay.Add(c, u); err != nil {
		return err
	}
	t.scheme, t.vars, t.location = scheme, varsOf(&u, port), len(l.Name)
	if l.IsNamed || l.Regex != nil || l.IsIf {
		if t.vars.uri != "" {
			return c.Errorf("\"proxy_pass\" cannot have URI part in location given by regular expression, or inside named location, or inside \"if\" statement, or inside \"limit_except\" block")
		}
		t.location = 0
	}
	return nil
}

// splitScheme cuts "http://" or "https://" off; port is the scheme's.
func splitScheme(url string) (scheme, rest string, port int) {
	switch {
	case len(url) >= 7 && strings.EqualFold(url[:7], "http://"):
		return "http://", url[7:], 80
	case len(url) >= 8 && strings.EqualFold(url[:8], "https://"):
		return "https://", url[8:], 443
	}
	return "", url, 0
}

func varsOf(u *upstream.URL, schemePort int) vars {
	v := vars{uri: u.URI}
	switch {
	case u.Unix:
		v.host = "localhost"
	case u.NoPort || u.Port == schemePort:
		v.host = u.Host
		v.port = "80"
		if schemePort == 443 {
			v.port = "443"
		}
	default:
		v.host, v.port = u.Host+":"+u.PortText, u.PortText
	}
	return v
}

// hiddenFields of responses are not passed on unless proxy_pass_header says so.
var hiddenFields = []string{"Date", "Server", "X-Pad", "X-Accel-Expires", "X-Accel-Redirect", "X-Accel-Limit-Rate", "X-Accel-Buffering", "X-Accel-Charset"}

func merge(parent, child *config, s *conf.Scope) error {
	if l := engine.LocationOf(s); l != nil && l.IsIf && child.target == nil && parent.target != nil {
		child.target = parent.target // the handler stays that of the location around
	}
	if !child.redirOwn {
		child.redirects, child.redirOff = parent.redirects, parent.redirOff
		if child.redirects == nil && !child.redirOff && child.target != nil && child.target.template == nil {
			child.redirects = []rewrite{child.target.defaultRewrite(engine.LocationOf(s))}
		}
	}
	child.domains.inherit(&parent.domains)
	child.paths.inherit(&parent.paths)
	child.flags.inherit(&parent.flags)
	if err := child.Complete("proxy_", &parent.Conf, s, hiddenFields); err != nil {
		return err
	}
	if t := child.target; t != nil && (t.template != nil || t.scheme == "https://") {
		if err := child.CompleteSSL("proxy_", s); err != nil {
			return err
		}
	}
	if child.headers == nil {
		child.headers = parent.headers
	}
	if err := child.compile2(s); err != nil {
		return err
	}
	return child.compile(s)
}
