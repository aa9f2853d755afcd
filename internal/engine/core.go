package engine

import (
	"bytes"
	"strings"
	"time"

	"moongate/internal/base/nlog"
	"moongate/internal/conf"
	"moongate/internal/http1"
	"moongate/internal/resolve"
)

// SrvConf is the core's configuration of a server block.
type SrvConf struct {
	ConnectionPoolSize   conf.Opt[int64]
	RequestPoolSize      conf.Opt[int64]
	ClientHeaderTimeout  conf.Opt[time.Duration]
	ClientHeaderBuffer   conf.Opt[int64]
	LargeHeaderBuffers   conf.Opt[conf.Buffers]
	MaxHeaders           conf.Opt[int]
	IgnoreInvalidHeaders conf.Opt[bool]
	MergeSlashes         conf.Opt[bool]
	Underscores          conf.Opt[bool]
	AllowConnect         conf.Opt[bool]
	EarlyRead            conf.Opt[Predicates]
	names                []serverName
	limits               http1.Limits
	srv                  *Server
}

// Satisfy says how the access modules are combined.
type Satisfy int

// Values of "satisfy".
const (
	SatisfyAll Satisfy = iota
	SatisfyAny
)

// BodyFile is client_body_in_file_only.
type BodyFile int

// Values of client_body_in_file_only.
const (
	BodyFileOff BodyFile = iota
	BodyFileOn
	BodyFileClean
)

// serverTokens are the words of server_tokens; any other text is the Server header's value itself.
var serverTokens = map[string]*Template{
	"off":   {lit: []byte(ServerName)},
	"on":    {lit: []byte(ServerVersion)},
	"build": {lit: []byte(ServerVersion + " (" + Build + ")")},
}

var tokensType = conf.NewType("on | off | build | string", conf.Take1, func(c *conf.Cmd) (*Template, error) {
	if t := serverTokens[c.Args[0]]; t != nil {
		return t, nil
	}
	return CompileArg(c, c.Args[0])
})

// Lingering is lingering_close.
type Lingering int

// Values of lingering_close.
const (
	LingerOff Lingering = iota
	LingerOn
	LingerAlways
)

// ModSince is if_modified_since.
type ModSince int

// Values of if_modified_since.
const (
	ModSinceOff ModSince = iota
	ModSinceExact
	ModSinceBefore
)

// Keepalive is keepalive_timeout: how long an idle connection is kept, and what the Keep-Alive header says.
type Keepalive struct{ Timeout, Header time.Duration }

// LocConf is the core's configuration of a location.
type LocConf struct {
	loc    *Location
	logger *nlog.Logger

	Root     conf.Opt[*Template]
	Alias    bool
	aliasLen int // of the location's name; aliasWhole
	Types    *Types
	types    *Types // as written at this level

	DefaultType          conf.Opt[string]
	ClientMaxBodySize    conf.Opt[int64]
	ClientBodyBufferSize conf.Opt[int64]
	ClientBodyTimeout    conf.Opt[time.Duration]
	BodyInFileOnly       conf.Opt[BodyFile]
	BodyInSingleBuffer   conf.Opt[bool]
	BodyTemp             conf.Opt[conf.Directory]
	Satisfy              conf.Opt[Satisfy]
	Internal             conf.Opt[bool]
	Sendfile             conf.Opt[bool]
	SendfileMaxChunk     conf.Opt[int64]
	TCPNodelay           conf.Opt[bool]
	TCPNopush            conf.Opt[bool]
	SendTimeout          conf.Opt[time.Duration]
	PostponeOutput       conf.Opt[int64]
	OutputBuffers        conf.Opt[conf.Buffers]
	DirectIO             conf.Opt[int64]
	KeepaliveTimeout     conf.Opt[Keepalive]
	KeepaliveTime        conf.Opt[time.Duration]
	KeepaliveMinTimeout  conf.Opt[time.Duration]
	KeepaliveRequests    conf.Opt[int]
	KeepaliveDisable     conf.Opt[uint32]
	LingeringClose       conf.Opt[Lingering]
	LingeringTime        conf.Opt[time.Duration]
	LingeringTimeout     conf.Opt[time.Duration]
	ResetTimedout        conf.Opt[bool]
	AbsoluteRedirect     conf.Opt[bool]
	ServerNameInRedirect conf.Opt[bool]
	PortInRedirect       conf.Opt[bool]
	MSIEPadding          conf.Opt[bool]
	MSIERefresh          conf.Opt[bool]
	LogNotFound          conf.Opt[bool]
	LogSubrequest        conf.Opt[bool]
	RecursiveErrorPages  conf.Opt[bool]
	ChunkedTransfer      conf.Opt[bool]
	Etag                 conf.Opt[bool]
	IfModifiedSince      conf.Opt[ModSince]
	MaxRanges            conf.Opt[int]
	ServerTokens         conf.Opt[*Template]
	SubrequestBuffer     conf.Opt[int64]
	LimitRate            conf.Opt[*Template]
	LimitRateAfter       conf.Opt[*Template]
	ErrorPages           []*ErrorPage
	Files                FileConf
	Gzip                 GzipConf
	AuthDelay            conf.Opt[time.Duration]
	EarlyHints           conf.Opt[Predicates]
	PostAction           conf.Opt[string]
	ResolverTimeout      conf.Opt[time.Duration]
	Resolver             conf.Opt[*resolve.Config]
}

// Levels of the core.
var (
	srvLevel = conf.NewLevel[SrvConf](conf.KindServer).OnInit(initServer)
	locLevel = conf.NewLevel[LocConf](conf.KindLocation).OnMerge(mergeLoc)
)

// initServer derives what drivers need from the settings of a server.
func initServer(c *SrvConf, s *conf.Scope) error {
	c.limits = http1.Limits{
		HeaderBuffer: int(c.ClientHeaderBuffer.V), LargeCount: c.LargeHeaderBuffers.V.Num, LargeSize: int(c.LargeHeaderBuffers.V.Size),
		MaxHeaders: c.MaxHeaders.V, IgnoreInvalid: c.IgnoreInvalidHeaders.V, Underscores: c.Underscores.V, AllowConnect: c.AllowConnect.V,
	}
	if c.LargeHeaderBuffers.IsSet && c.LargeHeaderBuffers.V.Size < c.ConnectionPoolSize.V {
		return s.Errorf("the \"large_client_header_buffers\" size must be equal to or greater than \"connection_pool_size\"")
	}
	return nil
}

// Limits are the parser's limits for requests that arrive at this server's addresses.
func (c *SrvConf) Limits() *http1.Limits { return &c.limits }

// BadKeepalive reports whether the client is one that keepalive_disable names; mask is its value.
func (r *Request) BadKeepalive(mask uint32) bool {
	if mask&2 != 0 && r.Method == http1.MethodPost { // msie6 misbehaves after a POST
		ua := r.In.Get(http1.HUserAgent)
		if i := bytes.Index(ua, []byte("MSIE ")); i >= 0 && i+6 < len(ua) && ua[i+5] <= '6' && ua[i+6] == '.' {
			return true
		}
	}
	if mask&4 == 0 {
		return false
	}
	ua := r.In.Get(http1.HUserAgent)
	return bytes.Contains(ua, []byte("Safari/")) && bytes.Contains(ua, []byte("Mac OS X")) && !bytes.Contains(ua, []byte("Chrome/"))
}

// CoreSrv gives the core's configuration of a server scope.
func CoreSrv(s *conf.Scope) *SrvConf { return srvLevel.Of(s) }

// Core is the core's configuration in force for the request.
func (r *Request) Core() *LocConf { return r.Loc.Core }

// CoreOf gives the core settings of a scope.
func CoreOf(s *conf.Scope) *LocConf { return locLevel.Of(s) }

// ServerToken is the Server header's value, which is empty when none is to be sent. The bytes live as long as the request.
func (r *Request) ServerToken() []byte {
	t := r.Core().ServerTokens.V
	v := t.Eval(r)
	if !t.IsLiteral() && bytes.ContainsAny(v, "\r\n\x00") {
		return nil // a field of the client's making must not become two
	}
	return v
}

// Logger is the error log of the location.
func (c *LocConf) Logger() *nlog.Logger { return c.logger }

const (
	httpAll = conf.HTTP | conf.Server | conf.Location
	httpIf  = httpAll | conf.LocationIf
	httpSrv = conf.HTTP | conf.Server
	lgNever = int64(1) << 62
)

// aioType is the value of aio, of which nothing is needed.
var aioType = conf.NewType("on | off | threads[=pool]", conf.Take1, func(c *conf.Cmd) (string, error) {
	a := c.Args[0]
	if a == "on" || a == "off" || a == "threads" || strings.HasPrefix(a, "threads=") {
		return a, nil
	}
	return "", c.Bad("invalid value")
})

// poolSize is a size that nginx could make a memory pool of.
var poolSize = conf.NewType("size", conf.Take1, func(c *conf.Cmd) (int64, error) {
	n, err := conf.Size.Parse(c)
	switch {
	case err != nil:
	case n < 112:
		err = c.Errorf("the pool size must be no less than 112")
	case n%16 != 0:
		err = c.Errorf("the pool size must be a multiple of 16")
	}
	return n, err
})

// coreRows are the directives of the core that describe values; blocks and listen have files of their own.
var coreRows = []conf.Directive{
	{Name: "connection_pool_size", In: httpSrv, Default: "512", Set: conf.Slot(srvLevel, poolSize, func(c *SrvConf) *conf.Opt[int64] { return &c.ConnectionPoolSize }),
		Doc: "Accepted for compatibility; memory of connections is not pooled by size."},
	{Name: "request_pool_size", In: httpSrv, Default: "4k", Set: conf.Slot(srvLevel, poolSize, func(c *SrvConf) *conf.Opt[int64] { return &c.RequestPoolSize }),
		Doc: "Accepted for compatibility; the arena of a request grows by itself."},
	{Name: "client_header_timeout", In: httpSrv, Default: "60s", Set: conf.Slot(srvLevel, conf.Msec, func(c *SrvConf) *conf.Opt[time.Duration] { return &c.ClientHeaderTimeout }),
		Doc: "How long a client may take to send the whole request head; then 408."},
	{Name: "client_header_buffer_size", In: httpSrv, Default: "1k", Set: conf.Slot(srvLevel, conf.Size, func(c *SrvConf) *conf.Opt[int64] { return &c.ClientHeaderBuffer }),
		Doc: "The size up to which a request head needs no large buffer."},
	{Name: "large_client_header_buffers", In: httpSrv, Default: "4 8k", Set: conf.Slot(srvLevel, conf.Bufs, func(c *SrvConf) *conf.Opt[conf.Buffers] { return &c.LargeHeaderBuffers }),
		Doc: "Number and size of buffers for long request lines and header lines: a longer request line gives 414, a longer header line 400."},
	{Name: "max_headers", In: httpSrv, Default: "1000", Set: conf.Slot(srvLevel, conf.Number, func(c *SrvConf) *conf.Opt[int] { return &c.MaxHeaders }),
		Doc: "The number of header lines a request may have; more gives 400."},
	{Name: "ignore_invalid_headers", In: httpSrv, Default: "on", Set: conf.Slot(srvLevel, conf.Flag, func(c *SrvConf) *conf.Opt[bool] { return &c.IgnoreInvalidHeaders }),
		Doc: "Ignores header lines whose names have bytes other than letters, digits, hyphens and (see underscores_in_headers) underscores."},
	{Name: "merge_slashes", In: httpSrv, Default: "on", Set: conf.Slot(srvLevel, conf.Flag, func(c *SrvConf) *conf.Opt[bool] { return &c.MergeSlashes }),
		Doc: "Makes one slash of several in the URI."},
	{Name: "underscores_in_headers", In: httpSrv, Default: "off", Set: conf.Slot(srvLevel, conf.Flag, func(c *SrvConf) *conf.Opt[bool] { return &c.Underscores }),
		Doc: "Takes header names with underscores for valid."},
	{Name: "allow_connect", In: httpSrv, Default: "off", Set: conf.Slot(srvLevel, conf.Flag, func(c *SrvConf) *conf.Opt[bool] { return &c.AllowConnect }),
		Doc: "Lets CONNECT requests reach the handlers."},
	{Name: "client_body_early_read", In: httpSrv, Set: conf.Slot(srvLevel, predicates, func(c *SrvConf) *conf.Opt[Predicates] { return &c.EarlyRead }),
		Doc: "Reads the request body before the phases when one of the values is neither empty nor 0."},

	{Name: "default_type", In: httpAll, Default: "text/plain", Set: conf.Slot(locLevel, conf.Str, func(c *LocConf) *conf.Opt[string] { return &c.DefaultType }),
		Doc: "The MIME type of responses whose file extension is not in types."},
	{Name: "client_max_body_size", In: httpAll, Default: "1m", Set: conf.Slot(locLevel, conf.Offset, func(c *LocConf) *conf.Opt[int64] { return &c.ClientMaxBodySize }),
		Doc: "The largest request body; a larger one gives 413. 0 takes any."},
	{Name: "client_body_buffer_size", In: httpAll, Default: "16k", Set: conf.Slot(locLevel, conf.Size, func(c *LocConf) *conf.Opt[int64] { return &c.ClientBodyBufferSize }),
		Doc: "The size up to which a request body stays in memory."},
	{Name: "client_body_timeout", In: httpAll, Default: "60s", Set: conf.Slot(locLevel, conf.Msec, func(c *LocConf) *conf.Opt[time.Duration] { return &c.ClientBodyTimeout }),
		Doc: "How long a client may pause between two pieces of the body; then 408."},
	{Name: "client_body_in_file_only", In: httpAll, Default: "off", Set: conf.Slot(locLevel, conf.Enum(conf.Case("off", BodyFileOff), conf.Case("on", BodyFileOn), conf.Case("clean", BodyFileClean)), func(c *LocConf) *conf.Opt[BodyFile] { return &c.BodyInFileOnly }),
		Doc: "Saves every request body to a file; clean removes it after the request."},
	{Name: "client_body_in_single_buffer", In: httpAll, Default: "off", Set: conf.Slot(locLevel, conf.Flag, func(c *LocConf) *conf.Opt[bool] { return &c.BodyInSingleBuffer }),
		Doc: "Accepted for compatibility: a body in memory always is one buffer."},
	{Name: "client_body_temp_path", In: httpAll, Default: "client_body_temp", Set: conf.Slot(locLevel, conf.Dir, func(c *LocConf) *conf.Opt[conf.Directory] { return &c.BodyTemp }),
		Syntax: "path [level1 [level2 [level3]]]", Doc: "The folder for request bodies that do not stay in memory."},
	{Name: "satisfy", In: httpAll, Default: "all", Set: conf.Slot(locLevel, conf.Enum(conf.Case("all", SatisfyAll), conf.Case("any", SatisfyAny)), func(c *LocConf) *conf.Opt[Satisfy] { return &c.Satisfy }),
		Doc: "Whether all access modules must let a request in, or any one."},
	{Name: "auth_delay", In: httpAll, Default: "0s", Set: conf.Slot(locLevel, conf.Msec, func(c *LocConf) *conf.Opt[time.Duration] { return &c.AuthDelay }),
		Doc: "Holds answers back that ask for credentials (401), against guessing and the measuring of times."},
	{Name: "early_hints", In: httpAll, Set: conf.Slot(locLevel, predicates, func(c *LocConf) *conf.Opt[Predicates] { return &c.EarlyHints }),
		Doc: "Passes the early hints (103) of servers on to clients when one of the values is neither empty nor 0."},
	{Name: "post_action", In: httpIf, Syntax: "uri", Set: conf.Slot(locLevel, postActionType, func(c *LocConf) *conf.Opt[string] { return &c.PostAction }),
		Doc: "A location, by URI or name, that requests are passed to once their responses have been sent; what it answers goes nowhere. off is for none."},
	{Name: "internal", In: conf.Location, Args: conf.NoArgs, Set: conf.Func(func(c *conf.Cmd) error {
		locLevel.Of(c.Scope).Internal = conf.Opt[bool]{V: true, IsSet: true}
		return nil
	}), Doc: "Keeps a location for internal redirects and subrequests; clients get 404."},
	{Name: "sendfile", In: httpIf, Default: "off", Set: conf.Slot(locLevel, conf.Flag, func(c *LocConf) *conf.Opt[bool] { return &c.Sendfile }),
		Doc: "Lets the kernel copy files to sockets. It is used either way where it costs less; the switch is accepted for compatibility."},
	{Name: "sendfile_max_chunk", In: httpIf, Default: "2m", Set: conf.Slot(locLevel, conf.Size, func(c *LocConf) *conf.Opt[int64] { return &c.SendfileMaxChunk }),
		Doc: "How much one connection may send before others have their turn."},
	{Name: "tcp_nodelay", In: httpAll, Default: "on", Set: conf.Slot(locLevel, conf.Flag, func(c *LocConf) *conf.Opt[bool] { return &c.TCPNodelay }),
		Doc: "Sends small packets at once on kept-alive connections."},
	{Name: "tcp_nopush", In: httpAll, Default: "off", Set: conf.Slot(locLevel, conf.Flag, func(c *LocConf) *conf.Opt[bool] { return &c.TCPNopush }),
		Doc: "Sends the response head and the beginning of a file in one packet."},
	{Name: "send_timeout", In: httpAll, Default: "60s", Set: conf.Slot(locLevel, conf.Msec, func(c *LocConf) *conf.Opt[time.Duration] { return &c.SendTimeout }),
		Doc: "How long a client may take nothing of the response before the connection is closed."},
	{Name: "postpone_output", In: httpAll, Default: "1460", Set: conf.Slot(locLevel, conf.Size, func(c *LocConf) *conf.Opt[int64] { return &c.PostponeOutput }),
		Doc: "Gathers output until that many bytes wait, if nobody flushes before."},
	{Name: "output_buffers", In: httpAll, Default: "2 32k", Set: conf.Slot(locLevel, conf.Bufs, func(c *LocConf) *conf.Opt[conf.Buffers] { return &c.OutputBuffers }),
		Doc: "The size of pieces in which files are read that cannot be sent by the kernel."},
	{Name: "directio", In: httpAll, Default: "off", Set: conf.Slot(locLevel, conf.Or("off", lgNever, conf.Offset), func(c *LocConf) *conf.Opt[int64] { return &c.DirectIO }),
		Doc: "Accepted for compatibility: files are read through the page cache."},
	{Name: "directio_alignment", In: httpAll, Set: conf.Checked(conf.Offset), Default: "512", Doc: "Accepted for compatibility, see directio."},
	{Name: "aio", In: httpAll, Set: conf.Checked(aioType), Default: "off", Doc: "Accepted for compatibility: blocking reads of files leave the worker by themselves."},
	{Name: "aio_write", In: httpAll, Set: conf.Checked(conf.Flag), Default: "off", Doc: "Accepted for compatibility."},
	{Name: "read_ahead", In: httpAll, Set: conf.Checked(conf.Size), Default: "0", Doc: "Accepted for compatibility: the kernel reads ahead."},
	{Name: "keepalive_timeout", In: httpAll, Default: "75s", Syntax: "timeout [header_timeout]", Set: conf.Slot(locLevel, keepaliveType, func(c *LocConf) *conf.Opt[Keepalive] { return &c.KeepaliveTimeout }),
		Doc: "How long an idle kept-alive connection stays open; 0 switches keep-alive off. The second value is announced in the Keep-Alive header."},
	{Name: "keepalive_time", In: httpAll, Default: "1h", Set: conf.Slot(locLevel, conf.Msec, func(c *LocConf) *conf.Opt[time.Duration] { return &c.KeepaliveTime }),
		Doc: "The age at which a connection is closed after its current request."},
	{Name: "keepalive_min_timeout", In: httpAll, Default: "0", Set: conf.Slot(locLevel, conf.Msec, func(c *LocConf) *conf.Opt[time.Duration] { return &c.KeepaliveMinTimeout }),
		Doc: "How long an idle connection is kept at least when the worker stops."},
	{Name: "keepalive_requests", In: httpAll, Default: "1000", Set: conf.Slot(locLevel, conf.Number, func(c *LocConf) *conf.Opt[int] { return &c.KeepaliveRequests }),
		Doc: "The number of requests one connection may carry."},
	{Name: "keepalive_disable", In: httpAll, Default: "msie6", Syntax: "none | browser ...", Set: conf.Slot(locLevel, conf.Bits("none", "msie6", "safari"), func(c *LocConf) *conf.Opt[uint32] { return &c.KeepaliveDisable }),
		Doc: "Switches keep-alive off for browsers that misbehave with it."},
	{Name: "lingering_close", In: httpAll, Default: "on", Set: conf.Slot(locLevel, conf.Enum(conf.Case("off", LingerOff), conf.Case("on", LingerOn), conf.Case("always", LingerAlways)), func(c *LocConf) *conf.Opt[Lingering] { return &c.LingeringClose }),
		Doc: "Whether more is read from a client before its connection is closed, so that it can read the answer."},
	{Name: "lingering_time", In: httpAll, Default: "30s", Set: conf.Slot(locLevel, conf.Msec, func(c *LocConf) *conf.Opt[time.Duration] { return &c.LingeringTime }),
		Doc: "How long lingering_close may last in all."},
	{Name: "lingering_timeout", In: httpAll, Default: "5s", Set: conf.Slot(locLevel, conf.Msec, func(c *LocConf) *conf.Opt[time.Duration] { return &c.LingeringTimeout }),
		Doc: "How long lingering_close waits for the next bytes."},
	{Name: "reset_timedout_connection", In: httpAll, Default: "off", Set: conf.Slot(locLevel, conf.Flag, func(c *LocConf) *conf.Opt[bool] { return &c.ResetTimedout }),
		Doc: "Resets connections that timed out, which frees the kernel's memory at once."},
	{Name: "absolute_redirect", In: httpAll, Default: "on", Set: conf.Slot(locLevel, conf.Flag, func(c *LocConf) *conf.Opt[bool] { return &c.AbsoluteRedirect }),
		Doc: "Whether redirects carry scheme and host."},
	{Name: "server_name_in_redirect", In: httpAll, Default: "off", Set: conf.Slot(locLevel, conf.Flag, func(c *LocConf) *conf.Opt[bool] { return &c.ServerNameInRedirect }),
		Doc: "Whether absolute redirects name the server_name instead of the Host of the request."},
	{Name: "port_in_redirect", In: httpAll, Default: "on", Set: conf.Slot(locLevel, conf.Flag, func(c *LocConf) *conf.Opt[bool] { return &c.PortInRedirect }),
		Doc: "Whether absolute redirects carry the port."},
	{Name: "msie_padding", In: httpAll, Default: "on", Set: conf.Slot(locLevel, conf.Flag, func(c *LocConf) *conf.Opt[bool] { return &c.MSIEPadding }),
		Doc: "Pads error pages for old Internet Explorer."},
	{Name: "msie_refresh", In: httpAll, Default: "off", Set: conf.Slot(locLevel, conf.Flag, func(c *LocConf) *conf.Opt[bool] { return &c.MSIERefresh }),
		Doc: "Redirects old Internet Explorer by a page."},
	{Name: "log_not_found", In: httpAll, Default: "on", Set: conf.Slot(locLevel, conf.Flag, func(c *LocConf) *conf.Opt[bool] { return &c.LogNotFound }),
		Doc: "Whether missing files are logged."},
	{Name: "log_subrequest", In: httpAll, Default: "off", Set: conf.Slot(locLevel, conf.Flag, func(c *LocConf) *conf.Opt[bool] { return &c.LogSubrequest }),
		Doc: "Whether subrequests have their own access log lines."},
	{Name: "recursive_error_pages", In: httpAll, Default: "off", Set: conf.Slot(locLevel, conf.Flag, func(c *LocConf) *conf.Opt[bool] { return &c.RecursiveErrorPages }),
		Doc: "Whether an error of an error page follows error_page again."},
	{Name: "chunked_transfer_encoding", In: httpAll, Default: "on", Set: conf.Slot(locLevel, conf.Flag, func(c *LocConf) *conf.Opt[bool] { return &c.ChunkedTransfer }),
		Doc: "Whether bodies of unknown length are chunked in HTTP/1.1; off ends them with the connection."},
	{Name: "etag", In: httpAll, Default: "on", Set: conf.Slot(locLevel, conf.Flag, func(c *LocConf) *conf.Opt[bool] { return &c.Etag }),
		Doc: "Whether static files have an ETag."},
	{Name: "if_modified_since", In: httpAll, Default: "exact", Set: conf.Slot(locLevel, conf.Enum(conf.Case("off", ModSinceOff), conf.Case("exact", ModSinceExact), conf.Case("before", ModSinceBefore)), func(c *LocConf) *conf.Opt[ModSince] { return &c.IfModifiedSince }),
		Doc: "How If-Modified-Since is compared with the file's time."},
	{Name: "max_ranges", In: httpAll, Default: "2147483647", Set: conf.Slot(locLevel, conf.Number, func(c *LocConf) *conf.Opt[int] { return &c.MaxRanges }),
		Doc: "The number of byte ranges one request may ask for; with more the whole file is sent."},
	{Name: "server_tokens", In: httpAll, Default: "on", Set: conf.Slot(locLevel, tokensType, func(c *LocConf) *conf.Opt[*Template] { return &c.ServerTokens }),
		Doc: "Whether the Server header and error pages carry the version; or their text, which may have variables: an empty one sends no Server header."},
	{Name: "subrequest_output_buffer_size", In: httpAll, Default: "4k", Set: conf.Slot(locLevel, conf.Size, func(c *LocConf) *conf.Opt[int64] { return &c.SubrequestBuffer }),
		Doc: "The size of responses that modules keep in memory for their own subrequests."},
	{Name: "resolver_timeout", In: httpAll, Default: "30s", Set: conf.Slot(locLevel, conf.Msec, func(c *LocConf) *conf.Opt[time.Duration] { return &c.ResolverTimeout }),
		Doc: "How long a name may take to be resolved."},
	{Name: "resolver", In: httpAll, Args: conf.OneMore, Set: conf.Slot(locLevel, resolve.Type, func(c *LocConf) *conf.Opt[*resolve.Config] { return &c.Resolver }),
		Doc: "Name servers for names that are resolved at run time. local=on, which is our own, adds /etc/hosts and what /etc/resolv.conf says."},
	{Name: "types_hash_max_size", In: httpAll, Set: conf.Checked(conf.Number), Default: "1024", Doc: "Accepted for compatibility."},
	{Name: "types_hash_bucket_size", In: httpAll, Set: conf.Checked(conf.Number), Default: "64", Doc: "Accepted for compatibility."},
	{Name: "server_names_hash_max_size", In: conf.HTTP, Set: conf.Checked(conf.Number), Default: "512", Doc: "Accepted for compatibility."},
	{Name: "server_names_hash_bucket_size", In: conf.HTTP, Set: conf.Checked(conf.Number), Default: "64", Doc: "Accepted for compatibility."},
	{Name: "variables_hash_max_size", In: conf.HTTP, Set: conf.Checked(conf.Number), Default: "1024", Doc: "Accepted for compatibility."},
	{Name: "variables_hash_bucket_size", In: conf.HTTP, Set: conf.Checked(conf.Number), Default: "64", Doc: "Accepted for compatibility."},
	{Name: "send_lowat", In: httpAll, Set: conf.Checked(conf.Size), Default: "0", Doc: "Accepted for compatibility."},
}
