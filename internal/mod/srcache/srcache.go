// Package srcache keeps whole responses in a cache that is asked and filled by subrequests (srcache_fetch, srcache_store): any
// location can be the cache, most often one with memc_pass. What is stored is a response as it would be sent, head and body.
//
// Unlike OpenResty's module, which is a part of the access phase, the cache is asked when that phase has let the request
// through, whatever "satisfy" says.
package srcache

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/http1"
)

type config struct {
	fetch, store           conf.Opt[*call]
	fetchSkip, storeSkip   conf.Opt[*engine.Template]
	methods                conf.Opt[uint32]
	statuses               []int
	maxSize, headerBuffer  conf.Opt[int64]
	buffer                 conf.Opt[int64]
	maxExpire, expire      conf.Opt[time.Duration]
	obeyRequest, obey      conf.Opt[bool]
	private, noStore       conf.Opt[bool]
	noCache, ranges        conf.Opt[bool]
	ignoreEncoding         conf.Opt[bool]
	hide, pass             []string
	hidden                 []string
	hidesType, hidesChange bool // Content-Type, Last-Modified
}

// call is the subrequest of srcache_fetch or srcache_store.
type call struct {
	method    http1.Method
	name      []byte
	uri, args *engine.Template // args may be nil
}

// never are the headers that are of a connection, or of one client.
var never = []string{"Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "TE", "Trailers", "Transfer-Encoding", "Upgrade", "Set-Cookie"}

// cacheable are the statuses that are stored when the configuration names none.
var cacheable = []int{200, 301, 302, 307, 308}

// The words of srcache_methods as they are in the mask, and those that are always there.
var (
	methodWords  = conf.Bits("GET", "HEAD", "POST", "PUT", "DELETE")
	methodPlaces = []http1.Method{http1.MethodGet, http1.MethodHead, http1.MethodPost, http1.MethodPut, http1.MethodDelete}
)

const alwaysMethods = 1<<0 | 1<<1

var loc = conf.NewLevel[config](conf.KindLocation).OnMerge(func(parent, child *config, _ *conf.Scope) error {
	if child.statuses == nil {
		child.statuses = parent.statuses
	}
	if child.statuses == nil {
		child.statuses = cacheable
	}
	child.methods.V |= alwaysMethods
	child.hidden = slices.Clone(never)
	child.hidden = append(child.hidden, child.hide...)
	child.hidden = slices.DeleteFunc(child.hidden, func(h string) bool {
		return slices.ContainsFunc(child.pass, func(p string) bool { return strings.EqualFold(p, h) })
	})
	child.hidesType, child.hidesChange = child.hides([]byte("Content-Type")), child.hides([]byte("Last-Modified"))
	return nil
})

// takes reports whether the cache serves requests with a method.
func (c *config) takes(m http1.Method) bool {
	i := slices.Index(methodPlaces, m)
	return i >= 0 && c.methods.V&(1<<i) != 0
}

func (c *config) hides(name []byte) bool {
	for _, h := range c.hidden {
		if len(h) == len(name) && strings.EqualFold(h, string(name)) {
			return true
		}
	}
	return false
}

func onOff(name, def, doc string, field func(c *config) *conf.Opt[bool]) conf.Directive {
	return conf.Directive{Name: name, In: conf.HTTPServerLocation, Default: def, Set: conf.Slot(loc, conf.Flag, field), Doc: doc}
}

func bytesOf(name, def, doc string, field func(c *config) *conf.Opt[int64]) conf.Directive {
	return conf.Directive{Name: name, In: conf.InRequest, Default: def, Set: conf.Slot(loc, conf.Size, field), Doc: doc}
}

func seconds(name, def, doc string, field func(c *config) *conf.Opt[time.Duration]) conf.Directive {
	return conf.Directive{Name: name, In: conf.InRequest, Default: def, Set: conf.Slot(loc, conf.Sec, field), Doc: doc}
}

func text(name, doc string, field func(c *config) *conf.Opt[*engine.Template]) conf.Directive {
	return conf.Directive{Name: name, Syntax: "flag", In: conf.InRequest, Set: conf.Slot(loc, engine.TemplateType(), field), Doc: doc}
}

func subrequest(name, doc string, field func(c *config) *conf.Opt[*call]) conf.Directive {
	return conf.Directive{Name: name, In: conf.InRequest, Set: conf.Slot(loc, callType, field), Doc: doc}
}

func header(name, doc string, field func(c *config) *[]string) conf.Directive {
	return conf.Directive{Name: name, Syntax: "header", In: conf.HTTPServerLocation, Args: conf.Take1, Doc: doc,
		Set: conf.List(loc, func(c *conf.Cmd) (string, error) { return c.Args[0], nil }, field)}
}

// Module is srcache.
var Module = engine.Module{
	Module: conf.Module{Name: "srcache", Directives: []conf.Directive{
		subrequest("srcache_fetch", "Asks a location for the response before any content is made.", func(c *config) *conf.Opt[*call] { return &c.fetch }),
		subrequest("srcache_store", "Gives the response to a location, as the body of a request.", func(c *config) *conf.Opt[*call] { return &c.store }),
		text("srcache_fetch_skip", "Does not ask the cache when the value is neither empty nor 0.", func(c *config) *conf.Opt[*engine.Template] { return &c.fetchSkip }),
		text("srcache_store_skip", "Does not store when the value is neither empty nor 0; it is looked at before and after the body.", func(c *config) *conf.Opt[*engine.Template] { return &c.storeSkip }),
		{Name: "srcache_methods", Syntax: "method ...", In: conf.HTTPServerLocation, Default: "GET HEAD", Set: conf.Slot(loc, methodWords, func(c *config) *conf.Opt[uint32] { return &c.methods }),
			Doc: "Methods of requests that the cache is for, besides GET and HEAD; answers to HEAD are never stored."},
		{Name: "srcache_store_statuses", Syntax: "status ...", In: conf.InRequest, Args: conf.OneMore, Default: "200 301 302 307 308", Set: conf.Func(readStatuses),
			Doc: "Statuses of responses that are stored."},
		bytesOf("srcache_store_max_size", "0", "The largest response, with its head, that is stored; 0 is any.", func(c *config) *conf.Opt[int64] { return &c.maxSize }),
		bytesOf("srcache_header_buffer_size", "4k", "The largest header line that the cache may give.", func(c *config) *conf.Opt[int64] { return &c.headerBuffer }),
		bytesOf("srcache_buffer", "4k", "Has no effect, as in OpenResty.", func(c *config) *conf.Opt[int64] { return &c.buffer }),
		seconds("srcache_max_expire", "0", "The largest $srcache_expire; 0 is any.", func(c *config) *conf.Opt[time.Duration] { return &c.maxExpire }),
		seconds("srcache_default_expire", "60s", "$srcache_expire of responses that do not say how long they are fresh.", func(c *config) *conf.Opt[time.Duration] { return &c.expire }),
		onOff("srcache_request_cache_control", "off", "Does not ask the cache when the client says no-cache, nor stores when it says no-store, too.", func(c *config) *conf.Opt[bool] { return &c.obeyRequest }),
		onOff("srcache_response_cache_control", "on", "Does not store what Cache-Control or Expires forbid.", func(c *config) *conf.Opt[bool] { return &c.obey }),
		onOff("srcache_store_private", "off", "Stores responses with Cache-Control: private.", func(c *config) *conf.Opt[bool] { return &c.private }),
		onOff("srcache_store_no_store", "off", "Stores responses with Cache-Control: no-store.", func(c *config) *conf.Opt[bool] { return &c.noStore }),
		onOff("srcache_store_no_cache", "off", "Stores responses with Cache-Control: no-cache.", func(c *config) *conf.Opt[bool] { return &c.noCache }),
		onOff("srcache_store_ranges", "off", "Stores parts that clients asked for with Range; the key should tell them from the whole.", func(c *config) *conf.Opt[bool] { return &c.ranges }),
		onOff("srcache_ignore_content_encoding", "off", "Stores encoded responses.", func(c *config) *conf.Opt[bool] { return &c.ignoreEncoding }),
		header("srcache_store_hide_header", "Leaves a header out of what is stored; may be repeated.", func(c *config) *[]string { return &c.hide }),
		header("srcache_store_pass_header", "Stores a header that is left out otherwise; may be repeated.", func(c *config) *[]string { return &c.pass }),
	}},
	Vars: []engine.Var{
		{Name: "srcache_expire", NoCache: true, Get: expireText, Doc: "How many seconds the response that is being stored is fresh."},
		{Name: "srcache_fetch_status", NoCache: true, Get: fetchStatus, Doc: "HIT, MISS or BYPASS."},
		{Name: "srcache_store_status", NoCache: true, Get: storeStatus, Doc: "STORE or BYPASS."},
	},
	Steps: []engine.Step{{Phase: engine.Precontent, Active: active, Run: fetch}},
}

func active(s *conf.Scope) bool {
	c := loc.Of(s)
	return c.fetch.V != nil || c.store.V != nil
}

// callType is a subrequest: method, URI, arguments.
var callType = conf.NewType("method uri [args]", conf.Take23, func(c *conf.Cmd) (*call, error) {
	k := &call{method: http1.LookupMethod([]byte(c.Args[0])), name: []byte(c.Args[0])}
	switch k.method {
	case http1.MethodUnknown, http1.MethodPatch, http1.MethodConnect:
		return nil, c.Errorf("%s specifies bad HTTP method %s", c.Name, c.Args[0])
	}
	var err error
	if k.uri, err = engine.CompileArg(c, c.Args[1]); err != nil || len(c.Args) == 2 || c.Args[2] == "" {
		return k, err
	}
	k.args, err = engine.CompileArg(c, c.Args[2])
	return k, err
})

func readStatuses(c *conf.Cmd) error {
	lc := loc.Of(c.Scope)
	if lc.statuses != nil {
		return c.Duplicate()
	}
	for _, a := range c.Args {
		n, err := strconv.ParseUint(a, 10, 31)
		if err != nil {
			return c.Errorf("status code \"%s\" is an invalid number", a)
		}
		lc.statuses = append(lc.statuses, int(n))
	}
	return nil
}

// address makes the URI and the arguments of a subrequest, which live as long as r; false: there is no such URI.
func (k *call) address(r *engine.Request) (uri, args []byte, ok bool) {
	uri = r.Copy(k.uri.Eval(r))
	if k.args != nil {
		args = r.Copy(k.args.Eval(r))
	}
	if len(uri) == 0 {
		return nil, nil, false
	}
	return checked(r, uri, args)
}
