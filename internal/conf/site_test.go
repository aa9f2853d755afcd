package conf

import (
	"strings"
	"testing"
	"time"
)

// The modules the tests configure: the names are nginx's, so that the same texts can be
// given to nginx (TestErrorsMatchNginx).

type coreConf struct {
	daemon     Opt[bool]
	workers    Opt[int]
	conns      Opt[int]
	env        []string
	hasHTTP    bool
	unfinished bool
}

type mainConf struct {
	hash  Opt[int]
	types map[string]string
	luas  []string
	inits int
}

type serverConf struct {
	names  []string
	header Opt[time.Duration]
	inits  int
}

type locationConf struct {
	path      string
	sendfile  Opt[bool]
	bodyMax   Opt[int64]
	bodyBuf   Opt[int64]
	timeout   Opt[time.Duration]
	bufs      Opt[Buffers]
	level     Opt[int]
	satisfy   Opt[int]
	next      Opt[uint32]
	access    Opt[uint32]
	temp      Opt[Directory]
	root      Opt[string]
	resolved  Opt[time.Duration]
	headers   []Pair
	lua       string
	luaChunk  string
	hashed    Opt[int]
	merged    string // by OnMerge
	inits     int
	rateAfter Opt[int64]
}

type upstreamConf struct {
	servers []string
}

var (
	coreLevel = NewLevel[coreConf](KindCore).OnInit(func(c *coreConf, s *Scope) error {
		if c.unfinished {
			return s.Errorf("core is unfinished")
		}
		return nil
	})
	mainLevel = NewLevel(KindMain, func(c *mainConf) { c.types = map[string]string{} }).
			OnInit(func(c *mainConf, s *Scope) error { c.inits++; return nil })
	serverLevel = NewLevel[serverConf](KindServer).
			OnInit(func(c *serverConf, s *Scope) error { c.inits++; return nil })
	locationLevel = NewLevel[locationConf](KindLocation).OnMerge(mergeLocation).
			OnInit(func(c *locationConf, s *Scope) error { c.inits++; return nil })
	upstreamLevel = NewLevel[upstreamConf](KindUpstream)
)

// mergeLocation records that it runs after the rows were merged.
func mergeLocation(parent, child *locationConf, s *Scope) error {
	child.merged = parent.merged + "/" + child.path
	if child.root.IsSet && child.root.V == "/forbidden" {
		return s.Errorf("root is forbidden")
	}
	return nil
}

func coreBlock(c *Cmd) error {
	http := NewScope(KindMain, c.Scope)
	if t := coreLevel.Of(c.Scope); t.hasHTTP {
		return c.Duplicate()
	} else {
		t.hasHTTP = true
	}
	if err := c.Block(HTTP, http); err != nil {
		return err
	}
	if err := Merge(nil, http); err != nil {
		return err
	}
	if err := MergeTree(http); err != nil {
		return err
	}
	return Init(http)
}

func locationBlock(in Context) Setter {
	return Func(func(c *Cmd) error {
		s := NewScope(KindLocation, c.Scope)
		if len(c.Args) > 0 {
			locationLevel.Of(s).path = strings.Join(c.Args, " ")
		}
		return c.Block(in, s)
	})
}

var testCore = Module{Name: "core", Directives: []Directive{
	{Name: "daemon", In: Main, Default: "on", Set: Slot(coreLevel, Flag, func(c *coreConf) *Opt[bool] { return &c.daemon }), Doc: "Detaches."},
	{Name: "worker_processes", In: Main, Default: "1", Set: Slot(coreLevel, Or("auto", 2, Number), func(c *coreConf) *Opt[int] { return &c.workers }), Doc: "Counts."},
	{Name: "env", Syntax: "variable", In: Main, Args: Take1, Set: List(coreLevel, Str.Parse, func(c *coreConf) *[]string { return &c.env }), Doc: "Keeps."},
	{Name: "unfinished", In: Main, Set: Func(func(c *Cmd) error { coreLevel.Of(c.Scope).unfinished = true; return nil }), Doc: "Fails."},
	{Name: "events", In: Main, Args: Block, Set: Func(func(c *Cmd) error { return c.Block(Events, NewScope(KindEvents, c.Scope)) }), Doc: "Opens."},
	{Name: "worker_connections", In: Events, Default: "512", Set: Slot(coreLevel, Number, func(c *coreConf) *Opt[int] { return &c.conns }), Doc: "Limits."},
	{Name: "http", In: Main, Args: Block, Set: Func(coreBlock), Doc: "Opens."},
	{Name: "stream", In: Main, Args: Block, Set: Ignore(), Doc: "Skipped."},
}}

var testHTTP = Module{Name: "http", Directives: []Directive{
	{Name: "server", In: HTTP, Args: Block, Set: Func(func(c *Cmd) error { return c.Block(Server, NewScope(KindServer, c.Scope)) }), Doc: "Opens."},
	{Name: "location", Syntax: "[modifier] uri", In: Server | Location, Args: Take12 | Block, Set: locationBlock(Location), Doc: "Opens."},
	{Name: "if", Syntax: "(condition)", In: Server | Location, Args: OneMore | Block, Set: locationBlock(LocationIf), Doc: "Opens."},
	{Name: "limit_except", Syntax: "method ...", In: Location, Args: OneMore | Block, Set: locationBlock(LimitExcept), Doc: "Opens."},
	{Name: "upstream", Syntax: "name", In: HTTP, Args: Take1 | Block, Set: Func(func(c *Cmd) error {
		s := NewScope(KindUpstream, c.Scope)
		if err := c.Block(Upstream, s); err != nil {
			return err
		}
		if upstreamLevel.Of(s).servers == nil {
			return c.Errorf("no servers are inside upstream")
		}
		return nil
	}), Doc: "Opens."},
	{Name: "server", Syntax: "address [parameters]", In: Upstream, Args: OneMore, Set: List(upstreamLevel, Str.Parse, func(c *upstreamConf) *[]string { return &c.servers }), Doc: "Adds."},
	{Name: "server_name", Syntax: "name ...", In: Server, Args: OneMore, Set: Func(func(c *Cmd) error {
		t := serverLevel.Of(c.Scope)
		t.names = append(t.names, c.Args...)
		return nil
	}), Doc: "Names."},
	{Name: "types", In: HTTPServerLocation, Args: Block, Set: Func(func(c *Cmd) error {
		types := mainLevel.Of(c.Scope).types
		entry := func(e *Cmd) error {
			if e.Name == "include" {
				return e.Include()
			}
			for _, ext := range e.Args {
				types[ext] = e.Name
			}
			return nil
		}
		return c.Entries(entry)
	}), Doc: "Maps."},
	{Name: "types_hash_max_size", In: HTTP, Default: "1024", Set: Slot(mainLevel, Number, func(c *mainConf) *Opt[int] { return &c.hash }), Doc: "Limits."},
	{Name: "client_header_timeout", In: HTTP | Server, Default: "60s", Set: Slot(serverLevel, Msec, func(c *serverConf) *Opt[time.Duration] { return &c.header }), Doc: "Limits."},
	{Name: "init_by_lua_block", In: HTTP, Args: NoArgs | Block, Set: Func(func(c *Cmd) error {
		t := mainLevel.Of(c.Scope)
		t.luas = append(t.luas, c.Body)
		return nil
	}), Doc: "Runs."},
}}

func loc[V any](name string, in Context, def string, typ Type[V], field func(*locationConf) *Opt[V]) Directive {
	return Directive{Name: name, In: in, Default: def, Set: Slot(locationLevel, typ, field), Doc: "Sets."}
}

var testLocation = Module{Name: "location", Directives: []Directive{
	loc("sendfile", InRequest|LimitExcept, "off", Flag, func(c *locationConf) *Opt[bool] { return &c.sendfile }),
	loc("client_max_body_size", HTTPServerLocation, "1m", Offset, func(c *locationConf) *Opt[int64] { return &c.bodyMax }),
	loc("client_body_buffer_size", HTTPServerLocation, "16k", Size, func(c *locationConf) *Opt[int64] { return &c.bodyBuf }),
	loc("send_timeout", HTTPServerLocation, "60s", Msec, func(c *locationConf) *Opt[time.Duration] { return &c.timeout }),
	loc("resolver_timeout", HTTPServerLocation, "", Or("off", 0, Sec), func(c *locationConf) *Opt[time.Duration] { return &c.resolved }),
	loc("gzip_buffers", HTTPServerLocation, "16 8k", Bufs, func(c *locationConf) *Opt[Buffers] { return &c.bufs }),
	loc("gzip_comp_level", HTTPServerLocation, "1", Int(1, 9), func(c *locationConf) *Opt[int] { return &c.level }),
	loc("satisfy", HTTPServerLocation, "all", Enum(Case("all", 1), Case("any", 2)), func(c *locationConf) *Opt[int] { return &c.satisfy }),
	loc("proxy_next_upstream", HTTPServerLocation, "error timeout", Bits("error", "timeout", "off"), func(c *locationConf) *Opt[uint32] { return &c.next }),
	loc("proxy_store_access", HTTPServerLocation, "user:rw", Access, func(c *locationConf) *Opt[uint32] { return &c.access }),
	loc("proxy_temp_path", HTTPServerLocation, "proxy_temp", Dir, func(c *locationConf) *Opt[Directory] { return &c.temp }),
	loc("root", InRequest, "html", Path, func(c *locationConf) *Opt[string] { return &c.root }),
	{Name: "add_header", Syntax: "name value", In: InRequest, Args: Take2, Set: List(locationLevel, KeyVal.Parse, func(c *locationConf) *[]Pair { return &c.headers }), Doc: "Adds."},
	{Name: "content_by_lua_block", In: Location | LocationIf, Args: NoArgs | Block, Set: Func(func(c *Cmd) error {
		t := locationLevel.Of(c.Scope)
		if t.luaChunk != "" {
			return c.Duplicate()
		}
		t.lua, t.luaChunk = c.Body, c.ChunkName("content_by_lua")
		return nil
	}), Doc: "Runs."},
	{Name: "limit_rate_after", In: InRequest, Set: Then(Slot(locationLevel, Size, func(c *locationConf) *Opt[int64] { return &c.rateAfter }), old), Doc: "Delays."},
}}

// old warns like a directive whose time is over.
func old(c *Cmd) error {
	c.Warnf("the \"%s\" directive is old", c.Name)
	return nil
}

var testModules = []*Module{&testCore, &testHTTP, &testLocation}

// site loads a configuration text.
func site(t *testing.T, text string) *Config {
	t.Helper()
	cfg, err := Load(Options{Modules: testModules, Prefix: "/srv", Path: "conf/nginx.conf", Text: text})
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// find returns the first scope of the kind whose location path is path, in pre-order.
func find(s *Scope, kind Kind, path string) *Scope {
	if s.Kind == kind && (kind != KindLocation || locationLevel.Of(s).path == path) {
		return s
	}
	for _, child := range s.Children {
		if found := find(child, kind, path); found != nil {
			return found
		}
	}
	return nil
}
