package engine

import (
	"syscall"
	"time"

	"moongate/internal/base/nlog"
	"moongate/internal/http1"
	"moongate/internal/netio"
	"moongate/internal/openfile"
)

// Worker is one poller with its connections and one Lua VM. All of it is used with the loop's baton.
type Worker struct {
	ID    int
	Plane *Plane
	Loop  *netio.Loop
	HTTP  *HTTP // the newest snapshot
	// Values belongs to modules which keep state per worker, by WorkerSlot.
	Values []any

	blocks     [][]byte // of arenas, and first ones
	firsts     [][]byte
	bufs       [numClasses][][]byte
	freeReqs   *Request
	freeFiles  *File
	fileCaches map[*FileCache]*openfile.Cache
	reqs       int

	Conns    int // open client connections
	Active   int // requests in flight
	Reading  int // connections of which a part of a request head has come
	Requests uint64
	Stopping bool // graceful: no new connections
	// Background is the work that keeps a stopping worker alive, see AddBackground.
	Background int
	finished   bool
	ended      chan struct{} // closed when its loop runs no more

	counters counters
	calm     calmness
	trims    []func()

	first   *connNode
	accepts []*accept

	values   [][]byte // a stack: the parts of templates being evaluated
	dateSec  int64
	date     []byte
	clockSec int64
	local    []byte
	iso      []byte
}

// NewScratch makes a worker that serves nobody: code which waits before the workers run needs a loop and buffers. Its user
// runs the Loop, and closes it.
func NewScratch(p *Plane, h *HTTP) (*Worker, error) {
	loop, err := netio.NewLoop()
	if err != nil {
		return nil, err
	}
	return &Worker{Plane: p, HTTP: h, Loop: loop, Values: make([]any, workerSlots)}, nil
}

// WorkerSlot names a module's place in every worker.
type WorkerSlot int

var workerSlots int

// NewWorkerSlot gives a module its place in workers; called at package-variable initialisation.
func NewWorkerSlot() WorkerSlot { workerSlots++; return WorkerSlot(workerSlots - 1) }

// OnTrim has f called when the memory of a past load is given back, as Module.TrimWorker is: for drivers.
func (w *Worker) OnTrim(f func()) { w.trims = append(w.trims, f) }

// block takes an arena block of one of the two sizes.
func (w *Worker) block(size int) []byte {
	l := w.blocksOf(size)
	if n := len(*l); n > 0 {
		b := (*l)[n-1]
		*l = (*l)[:n-1]
		return b
	}
	return make([]byte, 0, size)
}

func (w *Worker) freeBlock(b []byte) {
	l := w.blocksOf(cap(b))
	*l = append(*l, b[:0])
}

func (w *Worker) blocksOf(size int) *[][]byte {
	if size == firstBlock {
		return &w.firsts
	}
	return &w.blocks
}

// Buffer classes: powers of four from 4 KiB to 1 MiB.
const (
	minClass   = 12
	numClasses = 5
)

func classOf(n int) int {
	c := 0
	for c < numClasses && n > 1<<(minClass+2*c) {
		c++
	}
	return c
}

// Buffer takes a buffer of at least n bytes, length 0, from the worker's free list.
func (w *Worker) Buffer(n int) []byte {
	c := classOf(n)
	if c == numClasses {
		return make([]byte, 0, n)
	}
	l := w.bufs[c]
	if k := len(l); k > 0 {
		b := l[k-1]
		w.bufs[c] = l[:k-1]
		return b
	}
	return make([]byte, 0, 1<<(minClass+2*c))
}

// FreeBuffer gives a buffer back; the caller forgets it.
func (w *Worker) FreeBuffer(b []byte) {
	c := classOf(cap(b))
	if c < numClasses && cap(b) == 1<<(minClass+2*c) {
		w.bufs[c] = append(w.bufs[c], b[:0])
	}
}

// newRequest takes a request from the free list.
func (w *Worker) newRequest() *Request {
	r := w.freeReqs
	if r == nil {
		r = &Request{}
		r.W = w
		r.mem.w = w
		w.reqs++
		return r
	}
	w.freeReqs = r.nextFree
	r.nextFree = nil
	return r
}

func (w *Worker) freeRequest(r *Request) {
	r.reset()
	r.nextFree = w.freeReqs
	w.freeReqs = r
}

// Date is the current time as a Date header's value.
func (w *Worker) Date() []byte {
	if sec := w.Loop.Wall() / 1e9; sec != w.dateSec {
		w.dateSec = sec
		w.date = http1.AppendTime(w.date[:0], sec)
	}
	return w.date
}

// TimeLocal is the current time as $time_local; the bytes are the worker's and change with the second.
func (w *Worker) TimeLocal() []byte {
	w.renewClock()
	return w.local
}

// TimeISO is the current time as $time_iso8601; the bytes are the worker's and change with the second.
func (w *Worker) TimeISO() []byte {
	w.renewClock()
	return w.iso
}

func (w *Worker) renewClock() {
	sec := w.Loop.Wall() / 1e9
	if sec == w.clockSec {
		return
	}
	w.clockSec = sec
	t := time.Unix(sec, 0)
	w.local = t.AppendFormat(w.local[:0], "02/Jan/2006:15:04:05 -0700")
	w.iso = t.AppendFormat(w.iso[:0], "2006-01-02T15:04:05-07:00")
}

// Begin makes the request of a connection whose head was parsed into in. It is the driver's to end with End.
func (w *Worker) Begin(c *Conn, h *HTTP, s Stream, in *http1.Message) *Request {
	r := w.newRequest()
	r.Conn, r.H, r.Stream, r.In = c, h, s, in
	r.Main = r
	r.sink = driverSink{}
	r.Start, r.StartWall = w.Loop.Now(), w.Loop.Wall()
	r.begin()
	c.Requests++
	w.Requests++
	w.Active++
	h.use[w.ID].n++
	return r
}

// Route chooses the server and fills the working copies of the head; in has passed Check and DecodeURI.
func (r *Request) Route(a *AddrConf) {
	in := r.In
	r.Method, r.MethodName = in.Method, in.MethodName
	r.URI, r.Args = in.URI, in.Args
	r.ValidUnparsed = in.ValidUnparsed()
	r.ContentLength, r.ChunkedBody = in.ContentLength, in.Chunked
	r.KeepAlive = in.KeepAlive && !r.W.Stopping
	r.SetServer(a.names.def)
	if s := a.names.find(r, in.Server); s != nil {
		r.SetServer(s)
	}
}

// SetServer makes s the request's server, before the phases.
func (r *Request) SetServer(s *Server) {
	r.Server = s
	r.Loc = s.Loc
	r.Scope, r.filters, r.Logger = s.Loc.Scope, s.Loc.filters, s.Loc.Core.logger
}

// End recycles the request; the log phase has run.
func (w *Worker) End(r *Request) {
	w.Active--
	h := r.H
	w.freeRequest(r)
	w.Release(h)
	if w.Stopping {
		w.maybeFinished()
	}
}

// usage counts what a worker does with a snapshot.
type usage struct {
	n       int
	retired func() // set once the snapshot has been replaced
	_       [48]byte
}

// forWorkers makes room for what n workers keep with the snapshot.
func (h *HTTP) forWorkers(n int) {
	h.use = make([]usage, n)
	h.local = make([][]any, n)
	for i := range h.local {
		h.local[i] = make([]any, workerSlots)
	}
}

// Local gives what a module keeps per snapshot and worker.
func (h *HTTP) Local(w *Worker, s WorkerSlot) any { return h.local[w.ID][s] }

// SetLocal stores what a module keeps per snapshot and worker.
func (h *HTTP) SetLocal(w *Worker, s WorkerSlot, v any) { h.local[w.ID][s] = v }

// Hold keeps a snapshot in use (a timer, a background task); Release ends it.
func (w *Worker) Hold(h *HTTP) { h.use[w.ID].n++ }

// Release gives a snapshot up.
func (w *Worker) Release(h *HTTP) {
	u := &h.use[w.ID]
	if u.n--; u.n == 0 && u.retired != nil {
		u.retired()
		u.retired = nil
	}
}

// retire calls f once this worker does not use h any more.
func (w *Worker) retire(h *HTTP, f func()) {
	u := &h.use[w.ID]
	if u.n == 0 {
		f()
		return
	}
	u.retired = f
}

// connNode links the open connections of a worker.
type connNode struct {
	prev, next *connNode
	c          Closer
	listener   *Listener
	held       *HTTP // a snapshot in use for this connection, whose address newer ones do not have
}

// Closer is a connection that can be told that its worker stops: it closes when idle, or after its request.
type Closer interface{ Shutdown(now bool) }

// Enter adds a connection, accepted by l, to the worker's list.
func (w *Worker) Enter(n *ConnLink, c Closer, l *Listener) {
	n.c, n.listener = c, l
	n.next = w.first
	if w.first != nil {
		w.first.prev = &n.connNode
	}
	w.first = &n.connNode
	w.Conns++
	stats.active.Add(1)
}

// ConnLink is a connection's place in its worker's list; drivers embed it.
type ConnLink struct{ connNode }

// Leave removes a connection from the worker's list.
func (w *Worker) Leave(n *ConnLink) {
	if n.prev != nil {
		n.prev.next = n.next
	} else {
		w.first = n.next
	}
	if n.next != nil {
		n.next.prev = n.prev
	}
	n.prev, n.next = nil, nil
	w.Conns--
	w.calm.closed++
	stats.active.Add(-1)
	if h := n.held; h != nil {
		n.held = nil
		w.Release(h)
	}
	if w.Stopping {
		w.maybeFinished()
	}
}

// accept takes connections from one listening socket.
type accept struct {
	w     *Worker
	l     *Listener
	fd    *netio.FD
	alone bool // no other worker accepts from the socket
	calm  int  // events to come at which one connection is enough
}

// At an event one connection waits, most often not more, and asking for another one that is not there costs a system call. Under
// a load of new connections many wait. So several are taken while that succeeds; when it does not, it is not tried for
// some events. Workers that share a socket take one each.
const (
	acceptMost = 8
	acceptCalm = 16
)

// Ready accepts what waits.
func (a *accept) Ready(*netio.FD) {
	if !a.one() || !a.alone {
		return
	}
	if a.calm > 0 {
		a.calm--
		return
	}
	for range acceptMost - 1 {
		if !a.one() {
			a.calm = acceptCalm
			return
		}
	}
}

// takeAll accepts what waits, for a worker that accepts no more: closing the socket would cut those connections.
func (a *accept) takeAll() {
	for a.one() {
	}
}

// one accepts a connection; false: there is none.
func (a *accept) one() bool {
	var sa rawSockaddr
	for {
		fd, n, e := accept4(a.fd.Sysfd(), &sa)
		switch e {
		case 0:
			if w := a.w; w.Plane.Params().Connections > 0 && w.Conns >= w.Plane.Params().Connections {
				syscall.Close(fd)
				w.Plane.log().Logf(nlog.Alert, nil, nil, "%d worker_connections are not enough", w.Plane.Params().Connections)
				return false
			}
			stats.accepted.Add(1)
			a.w.Plane.NewConn(a.w, a.l, fd, sa.addr(n))
			return true
		case syscall.ECONNABORTED, syscall.EINTR:
			continue
		case syscall.EAGAIN:
		case syscall.EMFILE, syscall.ENFILE:
			a.w.Plane.log().Log(nlog.Crit, nil, e, "accept4() failed")
		default:
			a.w.Plane.log().Log(nlog.Alert, nil, e, "accept4() failed")
		}
		return false
	}
}
