package engine

import (
	"moongate/internal/base/nlog"
	"moongate/internal/conf"
	"moongate/internal/http1"
	"moongate/internal/netio"
)

// Conn is a client connection as features see it. Drivers embed it.
type Conn struct {
	ID       uint64 // nginx's connection serial number
	Worker   *Worker
	Listener *Listener
	Remote   Addr
	Local    Addr
	Requests uint64 // requests begun on this connection
	// Proxy is the address pair of the PROXY protocol header, when one was read.
	Proxy *ProxyInfo
	// TLS is the state of a TLS connection, nil on a plain one.
	TLS *TLSState
	// StartMono is when the connection was accepted (monotonic nanoseconds).
	StartMono int64
	watchers  []ClientWatcher
	// Values belongs to modules which keep state per connection.
	Values map[any]any
	// FD is the socket, -1 when the connection is none of its own.
	FD int
	// Sent counts bytes on the wire, of all requests.
	Sent int64
	// Action is what the connection was doing, for error log lines ("reading client request line", ...).
	Action string
}

// ClientWatcher is told that the client has closed its connection while requests are under way.
type ClientWatcher interface{ ClientGone() }

// Watch makes w a watcher of the connection, until Unwatch.
func (c *Conn) Watch(w ClientWatcher) { c.watchers = append(c.watchers, w) }

// Unwatch ends Watch.
func (c *Conn) Unwatch(w ClientWatcher) {
	for i, x := range c.watchers {
		if x == w {
			last := len(c.watchers) - 1
			c.watchers[i] = c.watchers[last]
			c.watchers[last] = nil
			c.watchers = c.watchers[:last]
			return
		}
	}
}

// Watched reports whether there are watchers.
func (c *Conn) Watched() bool { return len(c.watchers) > 0 }

// TellGone is for drivers: it tells all watchers.
func (c *Conn) TellGone() {
	for i := len(c.watchers) - 1; i >= 0; i-- {
		if i < len(c.watchers) {
			c.watchers[i].ClientGone()
		}
	}
}

// Upstream is what a request knows of the servers it was passed on to. It outlives internal redirects.
type Upstream interface {
	// AppendLog appends the server in use for error log lines: `, upstream: "http://127.0.0.1:80/"`.
	AppendLog(dst []byte) []byte
}

// ProxyInfo is what a PROXY protocol header said.
type ProxyInfo struct {
	Src, Dst Addr
	TLVs     []byte
}

// Stream is a driver's side of one request: HTTP/1, HTTP/2, ... Only the engine calls it.
type Stream interface {
	// SendHead queues the response head; last says that no body follows.
	SendHead(r *Request, last bool) error
	// SendBody queues a piece of body. It never parks; what the client does not take is kept in memory.
	SendBody(r *Request, c *Chunk) error
	// Flush pushes out what is queued, as far as the client takes it now.
	Flush(r *Request) error
	// Pending is the number of bytes queued.
	Pending() int64
	// Drain parks until at most max bytes are queued, the client is gone or its send_timeout is over.
	Drain(r *Request, max int64) error
	// ReadBody gives the next bytes of the request body; it parks. io.EOF ends it.
	ReadBody(r *Request, p []byte) (int, error)
	// Continue sends "100 Continue" when the client waits for it.
	Continue(r *Request) error
	// Informational sends an interim response (103) with the given header block.
	// Buffered is how many bytes of the body are there to be read without waiting.
	Buffered() int
	// WaitRead parks until f, a descriptor of the handler's, may be read. Meanwhile what is queued goes on leaving.
	WaitRead(r *Request, f *netio.FD, deadline int64) error
	// Gone reports whether the client has closed its side.
	Gone() bool
}

// Watcher is implemented by Streams that can tell, while a handler waits for something else, that the client has gone.
type Watcher interface {
	// Watch calls f, once and with the baton, when the client has closed its side; nil ends that.
	Watch(f func())
}

// Downstream is implemented by Streams whose bytes a handler may take itself (ngx.req.socket).
type Downstream interface {
	// TryBody is ReadBody that does not park: syscall.EAGAIN.
	TryBody(r *Request, p []byte) (int, error)
	// WaitBody parks until TryBody may give more, or the deadline (monotonic nanoseconds).
	WaitBody(deadline int64) error
	// BodyLeft reports whether a part of the body was not read.
	BodyLeft() bool
	// Hijack gives the connection to the caller, without a response head; it is closed at the end of the request.
	Hijack(r *Request) RawConn
	// Detach is Hijack for a request that waits without a task, see Request.Detach. readable is called, on any task and once
	// for several reasons, when Read may give something; it may park.
	Detach(r *Request, readable func()) RawConn
	// Resume is what the driver does after Serve, for a request that was detached.
	Resume(r *Request)
}

// Rester is implemented by Streams whose requests may wait without a task, see Request.Rest.
type Rester interface {
	// Rest reports whether the request may wait so; it does from now on.
	Rest() bool
	// OnBody calls f, once and soon, when TryBody may give something: more of the body, its end, or an error.
	OnBody(f func())
}

// RawConn is a connection as it is. Read and Write do not park: syscall.EAGAIN; 0 and no error is the end.
type RawConn interface {
	Read(p []byte) (int, error)
	Write(p []byte) (int, error)
	Readable() bool
	WaitRead(deadline int64) error
	WaitWrite(deadline int64) error
}

// HeadersOut is the response head under construction. ContentType, ContentLength and LastModified have their own
// fields; everything else stands in List.
type HeadersOut struct {
	Status      Status
	StatusLine  []byte // "599 Own Words": overrides Status on the wire
	ContentType []byte
	Charset     []byte // of ContentType, which may say it itself
	// OverrideCharset is what the response shall be recoded to, whatever the configuration says (X-Accel-Charset).
	OverrideCharset []byte
	ContentLength   int64          // -1: not known
	LastModified    int64          // seconds since the epoch, -1: none
	AcceptRanges    bool           // parts of the body may be sent: it is what the handler made
	ContentOffset   int64          // place in the whole of what the handler sends first
	VaryEncoding    bool           // the body depends on Accept-Encoding: gzip_vary says so
	OwnLocation     bool           // the Location header was set by Expose
	List            []http1.Header // an entry with a nil Name is deleted
	Trailers        []http1.Header
}

// Request is one HTTP request, or subrequest, from its head to the log phase. It belongs to one worker; it is reused.
type Request struct {
	life
	// own is the head of a subrequest that differs from its parent's.
	own http1.Message
	// captureInto is where the response of a captured subrequest is kept.
	captureInto Captured
}

// life is all of a request that begins anew with each use.
type life struct {
	Conn   *Conn
	W      *Worker
	H      *HTTP // the configuration snapshot the request is served with
	Stream Stream
	Main   *Request // the request of the client; itself for a main request
	Parent *Request // nil for a main request
	Server *Server
	Loc    *Location
	Scope  *conf.Scope // Loc.Scope: the configuration in force

	// In is the head as received; a subrequest shares its parent's. Its Headers may be changed (ngx.req.set_header).
	In      *http1.Message
	RawHead []byte // the whole head as received, request line to empty line

	// Working copies.
	Method     http1.Method
	MethodName []byte
	URI        []byte
	Args       []byte
	Internal   bool
	// ValidUnparsed says that In.Unparsed still is what URI and Args say; ValidLocation, that URI begins with the
	// location's name (a rewrite with "break" ends that).
	ValidUnparsed, ValidLocation bool
	// ContentLength and ChunkedBody frame the request body; -1 and false: there is none.
	ContentLength int64
	ChunkedBody   bool
	expect        expectation
	Out           HeadersOut

	HeaderSent  bool
	BodySent    int64 // body bytes given to the client, before framing
	Sent        int64 // bytes the client's connection took of the response, head and framing included
	HeaderSize  int64 // bytes of the response head
	RequestLen  int64
	Start       int64 // monotonic nanoseconds
	StartWall   int64 // nanoseconds since the epoch
	KeepAlive   bool
	HeadOnly    bool // HEAD: the body is counted out
	NoBody      bool // 204, 304
	Lingering   bool
	Chunked     bool
	ErrStatus   Status // the status error_page works on ($status of the original error)
	errorPage   bool   // in error_page processing
	Explanation []byte // a page of HTML that tells of the error, in the place of the built-in one; while developing
	Discarded   bool   // the request body was thrown away
	Aborted     bool   // the client is gone
	Cut         uint32 // HTTP/2's error code with which a server has ended the response before its time; 0: none that the client shall see
	Logged      bool
	PostAction  bool // the response has been sent; this is about post_action
	HeaderOnlyR bool // only the head shall be sent: expect no body
	LastSent    bool
	Complete    bool // the whole response has left
	RootTested  bool // a file below the root was found or looked for: access_log need not see whether the root exists
	Pipelined   bool // the request was there before the response to the one before it was sent

	// NoConditions says that If-Modified-Since and its like are not to be looked at.
	NoConditions   bool
	instead        bool  // a header filter answered instead of the handler
	LimitReq       uint8 // what limit_req came to, 0: it was not asked; of a main request
	LimitConn      uint8 // likewise limit_conn
	SingleRange    bool  // not more than one part of the body may be sent
	SubRanges      bool  // ranges apply, though this is a subrequest: its part of the body
	ExpectTrailers bool  // fields will follow the body: it must be framed so that they can
	gzipTested     int8  // 1: compressed responses are welcome, -1: they are not

	// Upstream belongs to the package that passes requests on.
	Upstream Upstream

	Body        Body
	Content     Handler // overrides the location's handler (nginx's content_handler)
	Captures    []int32 // of the last regular expression
	CaptureSubj []byte

	uriChanges   int
	uriChanged   bool
	aliasWithURI bool // try_files found a file below an alias that is an expression's
	restartAt    Phase
	subDepth     int
	accessCode   Status
	vars         []varSlot
	gen          uint32
	named        Var // the variable being evaluated by name
	varDepth     int
	varVolatile  bool
	mem          arena
	sink         sink
	filterMask   uint64
	filterPos    int
	headFrom     int  // the first header filter to run: those before have refused the response
	replacing    bool // ReplaceWith was called
	replaced     bool // by the page of a header filter's status
	filters      []*Filter
	chain        []Chunk // the chunk that each filter has in hand
	last         Chunk   // the one that the sink has
	ctx          []any
	cleanups     []func()
	Logger       *nlog.Logger
	// LimitRate bounds the response in bytes per second when LimitRateSet, in place of the location's limit_rate.
	LimitRate    int64
	LimitRateSet bool

	limitAfter    int64
	limitAfterSet bool

	client    Addr // in place of the connection's, when clientSet
	clientSet bool

	delayed    []func()    // see WhenFree
	background int         // children beside the request and its subrequests; of a main request
	beside     int         // of those, children of this subrequest and its own
	released   bool        // it was to be recycled and waits for them
	waiter     *netio.Task // waits for them

	detachable bool // a handler may answer Detached
	detached   bool

	Beside      bool // a subrequest whose answer nobody sees, see Background
	NoLog       bool // subrequests, unless log_subrequest
	Subrequests int
	timedOut    bool
	nextFree    *Request
	scratch     []byte
}

// sink is where filtered output of a request ends: the driver, a parent request or memory.
type sink interface {
	head(r *Request, last bool) error
	body(r *Request, c *Chunk) error
}

// Ctx gives the value a module keeps with the request, by the module's slot.
func (r *Request) Ctx(s Slot) any { return r.ctx[s] }

// SetCtx stores a module's value; it is forgotten when the request is redirected internally or ends.
func (r *Request) SetCtx(s Slot, v any) { r.ctx[s] = v }

// Slot names a module's place in every request.
type Slot int

var slots int

// CtxReleaser is implemented by values that want to know when the request forgets them.
type CtxReleaser interface{ ReleaseCtx() }

// dropCtx forgets what modules kept with the request.
func (r *Request) dropCtx() {
	for i, v := range r.ctx {
		if v != nil {
			r.ctx[i] = nil
			if c, ok := v.(CtxReleaser); ok {
				c.ReleaseCtx()
			}
		}
	}
}

// Forget drops what modules keep with the request, as an internal redirect does.
func (r *Request) Forget() { r.dropCtx() }

// NewSlot gives a module its place in requests; called at package-variable initialisation.
func NewSlot() Slot { slots++; return Slot(slots - 1) }

// Cleanup runs f when the request ends, after the log phase, last registered first.
func (r *Request) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }

// OwnHead gives the request head for changing; a subrequest gets a copy of what it shares with its parent.
func (r *Request) OwnHead() *http1.Message {
	if r.Parent != nil && r.In != &r.own {
		list := append([]http1.Header(nil), r.In.List...)
		r.own = *r.In
		r.own.List = list
		r.In = &r.own
	}
	return r.In
}

// IsMain reports whether r is the client's own request.
func (r *Request) IsMain() bool { return r.Main == r }

// reset makes a request ready for a new life.
func (r *Request) reset() {
	for i := len(r.cleanups) - 1; i >= 0; i-- {
		r.cleanups[i]()
		r.cleanups[i] = nil
	}
	r.cleanups = r.cleanups[:0]
	r.Body.release(r.W)
	r.mem.reset()
	r.dropCtx()
	keep := kept{
		list: r.Out.List[:0], trailers: r.Out.Trailers[:0],
		vars: r.vars, gen: r.gen + 1, mem: r.mem, ctx: r.ctx, cleanups: r.cleanups,
		captures: r.Captures[:0], chain: r.chain, scratch: r.scratch[:0], W: r.W,
	}
	r.life = life{}
	r.Out.List, r.Out.Trailers = keep.list, keep.trailers
	r.vars, r.gen, r.mem, r.ctx, r.cleanups = keep.vars, keep.gen, keep.mem, keep.ctx, keep.cleanups
	r.Captures, r.chain, r.scratch, r.W = keep.captures, keep.chain, keep.scratch, keep.W
}

// kept is the memory a request takes into its next life.
type kept struct {
	list, trailers []http1.Header
	vars           []varSlot
	gen            uint32
	mem            arena
	ctx            []any
	cleanups       []func()
	captures       []int32
	chain          []Chunk
	scratch        []byte
	W              *Worker
}

// begin fills the fields that are not zero at the start of a request or subrequest.
func (r *Request) begin() {
	r.Out.ContentLength = -1
	r.ContentLength = -1
	r.Out.LastModified = -1
	r.uriChanges = maxURIChanges
	r.ValidLocation = true
	if len(r.ctx) < slots {
		r.ctx = make([]any, slots)
	}
	if n := len(r.H.vars); len(r.vars) < n {
		r.vars = make([]varSlot, n)
		r.gen = 1
	}
}

// AddHeader appends a response header; name and value must live until the response head is sent.
func (r *Request) AddHeader(id http1.HeaderID, name, value []byte) {
	r.Out.List = append(r.Out.List, http1.Header{Name: name, Value: value, ID: id})
}

// DelHeaderOut deletes the response headers with a known name.
func (r *Request) DelHeaderOut(id http1.HeaderID) {
	for i := range r.Out.List {
		if h := &r.Out.List[i]; h.ID == id {
			h.Name = nil
		}
	}
}

// HeaderOut gives the first response header with a known name.
func (r *Request) HeaderOut(id http1.HeaderID) *http1.Header {
	for i := range r.Out.List {
		if h := &r.Out.List[i]; h.ID == id && h.Name != nil {
			return h
		}
	}
	return nil
}

// SetHeaderOut replaces the response headers with a known name by one.
func (r *Request) SetHeaderOut(id http1.HeaderID, name, value []byte) {
	set := false
	for i := range r.Out.List {
		if h := &r.Out.List[i]; h.ID == id && h.Name != nil {
			if !set {
				h.Name, h.Value, set = name, value, true
			} else {
				h.Name = nil
			}
		}
	}
	if !set {
		r.AddHeader(id, name, value)
	}
}
