package grpcclient

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"syscall"
	"time"

	"moongate/internal/grpc"
	"moongate/internal/h2client"
	"moongate/internal/http2"
	"moongate/internal/netio"
)

// exchange is one call at the home of its connection: it is used with that worker's baton. Its tasks are the caller's own
// when that is the same worker, else those of ops.
type exchange struct {
	view
	ch       *channel
	at       *place
	path     string
	metadata []h2client.Field
	deadline int64
	gzip     bool
	away     bool // the caller is another worker
	dial     dialer

	s        *h2client.Stream
	in       []byte // what came and is no whole message
	encoding string
	over     bool // closed: s is not to be touched
	held     bool // keeps a stopping worker alive
	users    int  // tasks inside of s
}

// view is what the caller may know of a call.
type view struct {
	status   *grpc.Status // of the end; its Code may be OK
	head     []field
	trail    []field
	headSeen bool
	sentLast bool
	pushback string // of grpc-retry-pushback-ms
	refused  bool   // the server says that it has not looked at the call
}

// field is a header field that was kept.
type field struct{ name, value []byte }

// target is a server and the key of the connections to it.
type target struct {
	addr syscall.Sockaddr
	key  string
}

var (
	fPost      = h2client.Field{Name: []byte(":method"), Value: []byte("POST"), Static: 2}
	fHTTP      = h2client.Field{Name: []byte(":scheme"), Value: []byte("http"), Static: 6}
	fHTTPS     = h2client.Field{Name: []byte(":scheme"), Value: []byte("https"), Static: 6}
	fTE        = h2client.Field{Name: []byte("te"), Value: []byte("trailers")}
	fType      = h2client.Field{Name: []byte("content-type"), Value: []byte("application/grpc"), Static: 31}
	fAgent     = h2client.Field{Name: []byte("user-agent"), Value: []byte("grpc-lua-moongate"), Static: 58}
	fAccept    = h2client.Field{Name: []byte("grpc-accept-encoding"), Value: []byte("identity,gzip")}
	fGzip      = h2client.Field{Name: []byte("grpc-encoding"), Value: []byte("gzip")}
	nPath      = []byte(":path")
	nAuthority = []byte(":authority")
	nTimeout   = []byte("grpc-timeout")
	nAttempts  = []byte("grpc-previous-rpc-attempts")
)

// begin sends the head of the call.
func (x *exchange) begin(to *target) error {
	ch, w := x.ch, x.at.w
	pool := x.at.shared
	if ch.own {
		pool = x.at.own
	}
	x.dial = dialer{w, ch, to.addr, x.deadline}
	conn, _, err := pool.Get(to.key, &x.dial, x.deadline)
	switch {
	case err != nil:
		return err
	case x.over:
		return netio.ErrKilled
	}
	fields := make([]h2client.Field, 0, 16)
	scheme := fHTTP
	if ch.tls != nil {
		scheme = fHTTPS
	}
	fields = append(fields, fPost, scheme,
		h2client.Field{Name: nPath, Value: []byte(x.path), Static: 4},
		h2client.Field{Name: nAuthority, Value: []byte(ch.authority), Static: 1},
		fTE, fType, fAgent, fAccept)
	if x.gzip {
		fields = append(fields, fGzip)
	}
	if left := x.deadline - w.Loop.Now(); left < int64(1e8*time.Second)/2 {
		fields = append(fields, h2client.Field{Name: nTimeout, Value: grpc.AppendTimeout(nil, time.Duration(left)), Mode: http2.Plain})
	}
	s, err := conn.Open(append(fields, x.metadata...), false)
	if err != nil {
		return err
	}
	if x.s = s; x.away {
		x.held = true
		w.AddBackground(1)
	}
	return nil
}

// call makes a call with one message each way and closes it. The status is in x; the error is that of begin or of a thread
// that was killed.
func (x *exchange) call(to *target, frame []byte) (reply []byte, err error) {
	if err := x.begin(to); err != nil {
		return nil, err
	}
	defer x.close()
	if err := x.put(frame, true); err != nil && err != h2client.ErrStopped {
		if killed(err) {
			return nil, err
		}
		x.fail(err)
		return nil, nil
	}
	reply, err = x.read()
	if err != nil || x.status != nil && x.status.Code != grpc.OK {
		return nil, err
	}
	if reply == nil && x.status != nil {
		x.status = &grpc.Status{Code: grpc.Internal, Message: "cardinality violation: received no response message"}
		return nil, nil
	}
	more, err := x.read()
	if err == nil && (more != nil || x.status == nil) {
		x.status = &grpc.Status{Code: grpc.Internal, Message: "cardinality violation: received more than one response"}
	}
	return reply, err
}

var deadlinePassed = &grpc.Status{Code: grpc.DeadlineExceeded, Message: "context deadline exceeded"}

// late reports whether the deadline has passed, but for what is lost in grpc-timeout's units.
func (x *exchange) late() bool { return x.deadline-netio.Mono() < int64(time.Millisecond) }

// close ends the call; what is under way is cancelled.
func (x *exchange) close() {
	if x.over {
		return
	}
	x.over = true
	if x.status == nil {
		x.status = closed
	}
	if x.s != nil {
		x.s.Close()
		if x.users == 0 {
			x.release()
		}
	}
	if x.held {
		x.held = false
		x.at.w.AddBackground(-1)
	}
}

// release gives the stream back, once no task is inside of it.
func (x *exchange) release() {
	x.s.Release()
	x.s = nil
}

// enter and leave bracket what waits in the stream: it may be closed meanwhile.
func (x *exchange) enter() { x.users++ }

func (x *exchange) leave() {
	if x.users--; x.users == 0 && x.over && x.s != nil {
		x.release()
	}
}

// fail turns an error of the transport into the call's status; nil for that of a killed thread.
func (x *exchange) fail(err error) *grpc.Status {
	if x.status != nil {
		return x.status
	}
	var he *h2client.Error
	switch {
	case err == netio.ErrTimeout:
		x.status = deadlinePassed
	case killed(err):
		return nil
	case errors.As(err, &he) && (he.Closed || he.Refused || he.GoAway || he.Sys != nil):
		x.refused = he.Refused || he.GoAway
		x.status = &grpc.Status{Code: grpc.Unavailable, Message: he.Error()}
	case errors.As(err, &he) && he.Code == http2.Cancel && x.late(): // the server's clock was first
		x.status = deadlinePassed
	case errors.As(err, &he):
		x.status = &grpc.Status{Code: grpc.FromReset(uint32(he.Code)), Message: "stream terminated by RST_STREAM with error code: " + he.Code.String()}
	default:
		x.status = &grpc.Status{Code: grpc.Internal, Message: err.Error()}
	}
	return x.status
}

// put sends a frame, or just the end. ErrStopped says that the server takes no more: reading tells why.
func (x *exchange) put(b []byte, last bool) error {
	if x.over || x.s == nil {
		return h2client.ErrStopped
	}
	x.enter()
	defer x.leave()
	for {
		n, done := x.s.TrySend(b, last)
		if done {
			x.sentLast = x.sentLast || last
			return nil
		}
		b = b[n:]
		left := x.deadline - x.at.w.Loop.Now()
		if left <= 0 {
			return netio.ErrTimeout
		}
		err := x.s.WaitSend(left)
		if x.over || err != nil && !killed(err) && x.s.EndSeen() {
			return h2client.ErrStopped
		}
		if err != nil {
			return err
		}
	}
}

// readHead waits for the response's head and looks at it.
func (x *exchange) readHead() error {
	if x.headSeen || x.over || x.s == nil {
		return nil
	}
	x.enter()
	defer x.leave()
	head, err := x.s.WaitHead(x.deadline)
	if err != nil {
		return err
	}
	if x.headSeen {
		return nil
	}
	x.headSeen = true
	grpcType := false
	for i := range head.List {
		f := &head.List[i]
		switch string(f.Name) {
		case "content-type":
			grpcType = bytes.HasPrefix(f.Value, []byte("application/grpc"))
		case "grpc-encoding":
			x.encoding = string(f.Value)
		}
	}
	x.head = keepFields(head.List)
	if code := x.s.Status(); code != 200 || !grpcType {
		if s := statusIn(head.List); s != nil && grpcType {
			x.status = s
			return nil
		}
		x.status = &grpc.Status{Code: grpc.FromHTTP(code), Message: fmt.Sprintf("unexpected HTTP status code received from server: %d (%s)", code, http.StatusText(code))}
		if code == 200 {
			x.status = &grpc.Status{Code: grpc.Unknown, Message: "received a response that is not gRPC"}
		}
		return nil
	}
	if x.s.HeadOnly() {
		x.finish(head.List)
	}
	return nil
}

// keepFields copies the metadata of a block.
func keepFields(list []http2.Field) []field {
	var out []field
	for i := range list {
		f := &list[i]
		if !grpc.Reserved(string(f.Name)) {
			out = append(out, field{bytes.Clone(f.Name), bytes.Clone(f.Value)})
		}
	}
	return out
}

// statusIn is the status that fields say; nil when they do not.
func statusIn(list []http2.Field) *grpc.Status {
	var st *grpc.Status
	var message string
	var details []byte
	for i := range list {
		f := &list[i]
		switch string(f.Name) {
		case "grpc-status":
			n, err := strconv.ParseUint(string(f.Value), 10, 32)
			if err != nil {
				return &grpc.Status{Code: grpc.Unknown, Message: "malformed grpc-status: " + string(f.Value)}
			}
			st = &grpc.Status{Code: grpc.Code(n)}
		case "grpc-message":
			message = grpc.Message(f.Value)
		case "grpc-status-details-bin":
			details, _ = grpc.Binary(f.Value)
		}
	}
	if st != nil {
		st.Message, st.Details = message, details
	}
	return st
}

// finish takes the status from the fields that end the response.
func (x *exchange) finish(list []http2.Field) {
	if x.status != nil {
		return
	}
	x.trail = keepFields(list)
	for i := range list {
		if string(list[i].Name) == "grpc-retry-pushback-ms" {
			x.pushback = string(list[i].Value)
		}
	}
	if x.status = statusIn(list); x.status == nil {
		x.status = &grpc.Status{Code: grpc.Internal, Message: "server closed the stream without sending trailers"}
	}
}

// read gives the next message; nil at the end, when status is set. The error is that of a killed thread.
func (x *exchange) read() ([]byte, error) {
	if x.over && x.status == nil || x.s == nil {
		return nil, nil
	}
	x.enter()
	defer x.leave()
	if err := x.readHead(); err != nil {
		return nil, x.ended(err)
	}
	for {
		if x.status != nil && (x.status.Code != grpc.OK || len(x.in) < grpc.FrameHead) {
			return nil, nil
		}
		if msg, ok := x.message(); ok || x.status != nil && x.status.Code != grpc.OK {
			return msg, nil
		}
		data, err := x.s.WaitData(x.deadline)
		if err != nil {
			return nil, x.ended(err)
		}
		if x.over {
			return nil, nil
		}
		if data == nil {
			x.finish(x.s.Trailers().List)
			if len(x.in) > 0 && x.status.Code == grpc.OK {
				x.status = &grpc.Status{Code: grpc.Internal, Message: "unexpected EOF"}
			}
			return nil, nil
		}
		x.in = append(x.in, data...)
		x.s.Consume(len(data))
	}
}

// ended notes why the call is over; the error of a killed thread is passed on.
func (x *exchange) ended(err error) error {
	if x.fail(err) == nil {
		return err
	}
	return nil
}

// message takes a whole message off what came; a fault sets the status.
func (x *exchange) message() ([]byte, bool) {
	if len(x.in) >= grpc.FrameHead {
		if _, n := grpc.Head(x.in); int64(n) > x.ch.maxRecv {
			x.status = grpc.TooLarge(int64(n), x.ch.maxRecv)
			return nil, false
		}
	}
	flags, msg, rest, ok := grpc.Next(x.in)
	if !ok {
		return nil, false
	}
	x.in = rest
	switch {
	case flags == 0:
		return msg, true
	case flags != grpc.Compressed:
		x.status = &grpc.Status{Code: grpc.Internal, Message: "grpc: received unexpected payload format"}
	case x.encoding == "" || x.encoding == "identity":
		x.status = &grpc.Status{Code: grpc.Internal, Message: "grpc: compressed flag set with identity or empty encoding"}
	case x.encoding != "gzip":
		x.status = &grpc.Status{Code: grpc.Unimplemented, Message: `grpc: Decompressor is not installed for grpc-encoding "` + x.encoding + `"`}
	default:
		out, err := grpc.Gunzip(msg, x.ch.maxRecv)
		if err == nil {
			return out, true
		}
		errors.As(err, &x.status)
	}
	return nil, false
}
