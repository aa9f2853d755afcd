package luahost

import (
	"time"

	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/lua"
)

// Handler is a by_lua directive as configured: code of the configuration, or a file whose name may have variables.
type Handler struct {
	Name string // of the directive, for messages: init_by_lua, init_by_lua_file
	Code *lua.Code
	// File is the name when it has variables: the code is found at run time.
	File *engine.Template
}

// For gives the code to run for a request.
func (h *Handler) For(r *engine.Request) *lua.Code {
	if h.Code != nil {
		return h.Code
	}
	name := r.H.Config.FullName(string(h.File.Eval(r)))
	w := Of(r).W
	code := w.files[name]
	if code == nil {
		code = lua.NewFile(name)
		if w.files == nil {
			w.files = map[string]*lua.Code{}
		}
		w.files[name] = code
	}
	return code
}

// Conf is what the Lua directives say of a location; the rows are in mod/luamod.
type Conf struct {
	ServerRewrite, Rewrite, Access, Precontent, Content, HeaderFilter, BodyFilter, Log *Handler
	// Those of handshakes: of the server, the last two of the http block.
	ClientHello, Certificate, SessionFetch, SessionStore *Handler
	// Those of handshakes with upstream servers.
	ProxyCert, ProxyVerify *Handler

	CodeCache            conf.Opt[bool]
	NeedRequestBody      conf.Opt[bool]
	DefaultType          conf.Opt[bool]
	HTTP10Buffering      conf.Opt[bool]
	TransformUnderscores conf.Opt[bool]
	CheckClientAbort     conf.Opt[bool]
	LogSocketErrors      conf.Opt[bool]
	SkipDefaultVerify    conf.Opt[bool]

	ConnectTimeout, SendTimeout, ReadTimeout, KeepaliveTimeout conf.Opt[time.Duration]
	BufferSize, SendLowat                                      conf.Opt[int64]
	PoolSize                                                   conf.Opt[int]
	SSL                                                        SSLConf
}

// Level is the location level of the Lua directives.
var Level = conf.NewLevel[Conf](conf.KindLocation).OnMerge(func(p, c *Conf, s *conf.Scope) error {
	inherit(&c.Rewrite, p.Rewrite)
	inherit(&c.Access, p.Access)
	inherit(&c.Precontent, p.Precontent)
	inherit(&c.Content, p.Content)
	inherit(&c.HeaderFilter, p.HeaderFilter)
	inherit(&c.BodyFilter, p.BodyFilter)
	inherit(&c.Log, p.Log)
	inherit(&c.ServerRewrite, p.ServerRewrite)
	inherit(&c.ClientHello, p.ClientHello)
	inherit(&c.Certificate, p.Certificate)
	inherit(&c.SessionFetch, p.SessionFetch)
	inherit(&c.SessionStore, p.SessionStore)
	inherit(&c.ProxyCert, p.ProxyCert)
	inherit(&c.ProxyVerify, p.ProxyVerify)
	inheritOpt(&c.SSL.Certificates, p.SSL.Certificates)
	inheritOpt(&c.SSL.Keys, p.SSL.Keys)
	inheritOpt(&c.SSL.Commands, p.SSL.Commands)
	return nil
}).OnInit(func(c *Conf, s *conf.Scope) error { return c.SSL.load(s.Config()) })

func inheritOpt[V any](c *conf.Opt[V], p conf.Opt[V]) {
	if !c.IsSet {
		*c = p
	}
}

func inherit(c **Handler, p *Handler) {
	if *c == nil {
		*c = p
	}
}

// ConfOf gives the Lua settings in force.
func ConfOf(s *conf.Scope) *Conf { return Level.Of(s) }

// MainConf is what the Lua directives say of the http block.
type MainConf struct {
	Init, InitWorker, ExitWorker *Handler

	PackagePath, PackageCpath conf.Opt[string]
	RewriteNoPostpone         conf.Opt[bool]
	AccessNoPostpone          conf.Opt[bool]
	PrecontentNoPostpone      conf.Opt[bool]
	RegexCacheMax             conf.Opt[int]
	RegexMatchLimit           conf.Opt[int]
	ThreadCacheMax            conf.Opt[int]
	MallocTrim                conf.Opt[int]
	MaxPendingTimers          conf.Opt[int]
	MaxRunningTimers          conf.Opt[int]
	CaptureErrorLog           conf.Opt[int64]
	SaRestart                 conf.Opt[bool]
	PhaseLimits               conf.Opt[bool]
	WorkerThreadPool          conf.Opt[int]
	StallThreshold            conf.Opt[time.Duration]
	SharedDicts               []SharedDict
	Used                      bool // any Lua directive stands in the configuration
	Captures                  bool // one whose code may make subrequests does
}

// SharedDict is a dictionary declared with lua_shared_dict.
type SharedDict struct {
	Name string
	Size int64
}

// MainLevel is the http level of the Lua directives.
var MainLevel = conf.NewLevel[MainConf](conf.KindMain)

// MainOf gives the http level of the Lua directives.
func MainOf(h *engine.HTTP) *MainConf { return MainLevel.Of(h.Scope) }
