// Package grpcserver answers gRPC calls with Lua: it binds services of .proto files to Lua modules or to blocks of the
// configuration, and serves them as gRPC, grpc-web, in the Connect protocol, and as JSON over plain HTTP.
//
// A call is one request. What came is decoded in C to Lua tables, by the codec state of the request's VM; all that waits does
// so on the goroutine of the request. A handler that is over its deadline, or whose client has gone, is ended where it waits.
package grpcserver

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/grpc/descriptor"
	"moongate/internal/grpc/transcode"
	"moongate/internal/lua"
	"moongate/internal/luahost"
)

const anywhere = conf.HTTP | conf.Server | conf.Location

// mainConf is what the http block says: the descriptors.
type mainConf struct {
	paths []string
	set   *descriptor.Set
	own   []*descriptor.Set
	// full is set with the services that are served by themselves, encoded its bytes.
	full    *descriptor.Set
	encoded []byte
}

// locConf is what is served in a location.
type locConf struct {
	services []*service // own ones, then inherited
	recvSize conf.Opt[int64]
	sendSize conf.Opt[int64]
	timeout  conf.Opt[time.Duration]
	compress conf.Opt[string]
	minSize  conf.Opt[int64]
	speak    conf.Opt[uint32]
	int64s   conf.Opt[string]
	unknown  conf.Opt[string]
	health   conf.Opt[bool]
	reflect  conf.Opt[bool]

	set     *descriptor.Set
	encoded []byte
	tls     string             // names what is said of TLS to those that calls are passed on to
	methods map[string]*method // by "pkg.Service/Method"
	rules   transcode.Table
	served  map[string]bool // the services, for UNIMPLEMENTED

	passed  map[string]*method // those of grpc_pass that have a filter
	guarded map[string]bool    // services of which no message may pass unseen
}

// Protocols, bits of grpc_protocols.
const (
	speakGRPC = 1 << iota
	speakWeb
	speakConnect
	speakJSON
)

var (
	mainLevel = conf.NewLevel[mainConf](conf.KindMain)
	locLevel  = conf.NewLevel[locConf](conf.KindLocation).OnMerge(mergeLoc).OnInit(initLoc)
)

// Module is the gRPC server.
var Module = engine.Module{
	Module: conf.Module{Name: "grpc_server", Directives: []conf.Directive{
		{Name: "grpc_proto_path", Syntax: "directory ...", In: conf.HTTP, Args: conf.OneMore, Set: conf.Func(readPath),
			Doc: "Directories in which files that .proto files import are looked for. Stands before grpc_proto."},
		{Name: "grpc_proto", Syntax: "file ...", In: conf.HTTP, Args: conf.OneMore, Set: conf.Func(readProto),
			Doc: "Loads .proto files, or binary descriptor sets, whose services and messages become known. Files that are not beside the configuration are looked for where imports are. Stands before what names them."},
		{Name: "grpc_service", Syntax: "service module", In: conf.Server | conf.Location, Args: conf.Take2, Set: conf.Func(readService),
			Doc: "Answers calls of a service with the functions of a Lua module, which are named as the service's methods."},
		{Name: "grpc_method_by_lua_block", Syntax: "service/method { lua-script }", In: conf.Server | conf.Location, Args: conf.Take1 | conf.Block,
			Set: conf.Func(readBlock), Doc: "Answers calls of one method with Lua code: request and call are its variables, what it returns is the reply."},
		{Name: "grpc_method_by_lua_file", Syntax: "service/method path", In: conf.Server | conf.Location, Args: conf.Take2,
			Set: conf.Func(readFile), Doc: "Answers calls of one method with a file of Lua code that returns a function of request and call."},
		{Name: "grpc_transcode", Syntax: "service grpc://server | grpcs://server", In: conf.Server | conf.Location, Args: conf.Take2, Set: conf.Func(readTranscode),
			Doc: "Answers calls of a service, in whichever protocol they come, by calling a gRPC server: an address or an upstream block."},
		{Name: "grpc_message_filter_by_lua_block", Syntax: "service | service/method { lua-script }", In: conf.Server | conf.Location, Args: conf.Take1 | conf.Block,
			Set: conf.Func(readFilterBlock), Doc: "Shows each message of calls that grpc_pass or grpc_transcode passes on to Lua code, whose variables are message, direction (request or response) and call. It returns nothing to let the message go on as it is, a table in its place, or false to drop it."},
		{Name: "grpc_message_filter_by_lua_file", Syntax: "service | service/method path", In: conf.Server | conf.Location, Args: conf.Take2,
			Set: conf.Func(readFilterFile), Doc: "grpc_message_filter_by_lua_block with a file of Lua code, which returns a function of message, direction and call."},
		{Name: "grpc_max_receive_size", In: anywhere, Default: "4m", Set: conf.Slot(locLevel, conf.Offset, func(c *locConf) *conf.Opt[int64] { return &c.recvSize }),
			Doc: "The largest message of a client; larger ones end the call with RESOURCE_EXHAUSTED."},
		{Name: "grpc_max_send_size", In: anywhere, Default: "64m", Set: conf.Slot(locLevel, conf.Offset, func(c *locConf) *conf.Opt[int64] { return &c.sendSize }),
			Doc: "The largest message sent to a client; larger ones end the call with RESOURCE_EXHAUSTED."},
		{Name: "grpc_handler_timeout", In: anywhere, Default: "0", Set: conf.Slot(locLevel, conf.Msec, func(c *locConf) *conf.Opt[time.Duration] { return &c.timeout }),
			Doc: "The longest time a call may take, also when the client gives it more or no deadline. 0 is no limit."},
		{Name: "grpc_compression", In: anywhere, Default: "identity", Set: conf.Slot(locLevel, compressions, func(c *locConf) *conf.Opt[string] { return &c.compress }),
			Doc: "How messages to clients that accept it are compressed, unless call:set_compression says otherwise."},
		{Name: "grpc_compression_min_length", In: anywhere, Default: "1k", Set: conf.Slot(locLevel, conf.Size, func(c *locConf) *conf.Opt[int64] { return &c.minSize }),
			Doc: "Messages shorter than that are not compressed."},
		{Name: "grpc_protocols", In: anywhere, Default: "grpc grpc-web connect json", Set: conf.Slot(locLevel, conf.Bits("grpc", "grpc-web", "connect", "json"), func(c *locConf) *conf.Opt[uint32] { return &c.speak }),
			Doc: "How services may be called: gRPC, grpc-web, the Connect protocol, JSON by google.api.http annotations or at /service/method."},
		{Name: "grpc_int64", In: anywhere, Default: "number", Set: conf.Slot(locLevel, int64Modes, func(c *locConf) *conf.Opt[string] { return &c.int64s }),
			Doc: "What handlers see of 64-bit integers: numbers, which are exact up to 2^53, or, where those are too small, strings that begin with \"#\"."},
		{Name: "grpc_json_unknown_fields", In: anywhere, Default: "reject", Set: conf.Slot(locLevel, unknownModes, func(c *locConf) *conf.Opt[string] { return &c.unknown }),
			Doc: "Whether JSON with fields that the message does not have is INVALID_ARGUMENT, or those fields are ignored, as clients that are newer than the server need it."},
		flag("grpc_health", "Whether grpc.health.v1.Health is served beside the services.", func(c *locConf) *conf.Opt[bool] { return &c.health }),
		flag("grpc_reflection", "Whether server reflection (v1 and v1alpha) is served beside the services.", func(c *locConf) *conf.Opt[bool] { return &c.reflect }),
	}},
	TrimWorker: func(w *engine.Worker) { w.Values[freeCalls] = nil },
	Steps:      []engine.Step{{Phase: engine.Precontent, Active: func(s *conf.Scope) bool { return len(locLevel.Of(s).services) > 0 }, Run: serve}},
}

func flag(name, doc string, f func(*locConf) *conf.Opt[bool]) conf.Directive {
	return conf.Directive{Name: name, In: anywhere, Default: "on", Set: conf.Slot(locLevel, conf.Flag, f), Doc: doc}
}

func oneOf(words ...string) conf.Type[string] {
	return conf.NewType(strings.Join(words, " | "), conf.Take1, func(c *conf.Cmd) (string, error) {
		for _, w := range words {
			if c.Args[0] == w {
				return w, nil
			}
		}
		return "", c.Invalid(c.Args[0])
	})
}

var (
	compressions = oneOf("identity", "gzip")
	int64Modes   = oneOf("number", "string")
	unknownModes = oneOf("reject", "ignore")
)

func readPath(c *conf.Cmd) error {
	m := mainLevel.Of(c.Scope)
	for _, dir := range c.Args {
		m.paths = append(m.paths, c.Config().FullConfName(dir))
	}
	return nil
}

func readProto(c *conf.Cmd) error {
	m := mainLevel.Of(c.Scope)
	var names []string
	sets := m.own
	for _, given := range c.Args {
		name := c.Config().FullConfName(given)
		if strings.HasSuffix(name, ".proto") {
			names = append(names, m.source(c, given, name))
			continue
		}
		b, err := c.Config().ReadFile(name)
		if err != nil {
			return c.Errorf("cannot read descriptor set: %s", err)
		}
		set, err := descriptor.Parse(b)
		if err != nil {
			return c.Errorf("%s: %s", name, err)
		}
		sets = append(sets, set)
	}
	if len(names) > 0 {
		src := descriptor.Sources{Read: c.Config().ReadFile, Paths: m.paths}
		set, err := src.Compile(names...)
		if err != nil {
			return c.Errorf("%s", err)
		}
		sets = append(sets, set)
	}
	all, err := descriptor.Join(sets...)
	if err != nil {
		return c.Errorf("%s", err)
	}
	m.own, m.set = sets, all
	return nil
}

// source is where a .proto file is: beside the configuration, else where imports are.
func (m *mainConf) source(c *conf.Cmd, given, full string) string {
	if given == full {
		return full
	}
	if _, err := c.Config().ReadFile(full); !errors.Is(err, fs.ErrNotExist) {
		return full
	}
	for _, dir := range m.paths {
		if _, err := c.Config().ReadFile(filepath.Join(dir, given)); err == nil {
			return given
		}
	}
	return full
}

// service is a service as bound in a block.
type service struct {
	name   string
	module string               // "": by methods
	code   map[string]*lua.Code // by method
	target string               // whom calls are passed on to, with its scheme
	filter map[string]*lua.Code // of messages passed on, by method; "" is for all others
}

// bound finds or adds a service of a block.
func bound(c *conf.Cmd, name string) (*service, error) {
	m := mainLevel.Of(c.Scope)
	if m.set == nil || m.set.Service(name) == nil {
		return nil, c.Errorf("unknown gRPC service \"%s\" (is it in a file of grpc_proto above?)", name)
	}
	luahost.MainLevel.Of(c.Scope).Used = true
	lc := locLevel.Of(c.Scope)
	for _, s := range lc.services {
		if s.name == name {
			return s, nil
		}
	}
	s := &service{name: name, code: map[string]*lua.Code{}, filter: map[string]*lua.Code{}}
	lc.services = append(lc.services, s)
	return s, nil
}

func readService(c *conf.Cmd) error {
	s, err := bound(c, c.Args[0])
	if err != nil {
		return err
	}
	if s.module != "" {
		return c.Duplicate()
	}
	s.module = c.Args[1]
	return nil
}

func readBlock(c *conf.Cmd) error {
	return bindCode(c, lua.NewCode("return function(request, call) "+c.Body+"\nend", c.ChunkName("grpc_method_by_lua")))
}

func readFile(c *conf.Cmd) error { return bindCode(c, lua.NewFile(c.Config().FullName(c.Args[1]))) }

func bindCode(c *conf.Cmd, code *lua.Code) error {
	name, method, ok := strings.Cut(strings.TrimPrefix(c.Args[0], "/"), "/")
	if !ok {
		return c.Errorf("\"%s\" is not of the form service/method", c.Args[0])
	}
	s, err := bound(c, name)
	if err != nil {
		return err
	}
	if mainLevel.Of(c.Scope).set.Method(name, method) == nil {
		return c.Errorf("the gRPC service \"%s\" has no method \"%s\"", name, method)
	}
	if s.code[method] != nil {
		return c.Duplicate()
	}
	s.code[method] = code
	return nil
}

func readTranscode(c *conf.Cmd) error {
	s, err := bound(c, c.Args[0])
	if err != nil {
		return err
	}
	if s.target != "" {
		return c.Duplicate()
	}
	scheme, rest, ok := strings.Cut(c.Args[1], "://")
	if !ok || scheme != "grpc" && scheme != "grpcs" || rest == "" {
		return c.Errorf("invalid URL prefix in \"%s\"", c.Args[1])
	}
	s.target = c.Args[1]
	return nil
}

func readFilterBlock(c *conf.Cmd) error {
	return bindFilter(c, lua.NewCode("return function(message, direction, call) "+c.Body+"\nend", c.ChunkName("grpc_message_filter_by_lua")))
}

func readFilterFile(c *conf.Cmd) error {
	return bindFilter(c, lua.NewFile(c.Config().FullName(c.Args[1])))
}

func bindFilter(c *conf.Cmd, code *lua.Code) error {
	name, method, _ := strings.Cut(strings.TrimPrefix(c.Args[0], "/"), "/")
	s, err := bound(c, name)
	if err != nil {
		return err
	}
	if method != "" && mainLevel.Of(c.Scope).set.Method(name, method) == nil {
		return c.Errorf("the gRPC service \"%s\" has no method \"%s\"", name, method)
	}
	if s.filter[method] != nil {
		return c.Duplicate()
	}
	s.filter[method] = code
	return nil
}

// mergeLoc lets a block serve what the blocks around it serve, beside its own services. A service that it binds anew has
// the filters from around, unless it has its own.
func mergeLoc(parent, child *locConf, s *conf.Scope) error {
	for _, p := range parent.services {
		own := false
		for _, c := range child.services {
			if c.name != p.name {
				continue
			}
			if own = true; len(c.filter) == 0 {
				c.filter = p.filter
			}
		}
		if !own {
			child.services = append(child.services, p)
		}
	}
	return nil
}
