package grpcclient

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"moongate/internal/grpc"
	"moongate/internal/h2client"
	"moongate/internal/http2"
	"moongate/internal/lua"
	"moongate/internal/luahost"
	"moongate/internal/netio"
	"moongate/internal/upstream"
)

// stream is one call.
type stream struct {
	luahost.Held
	ch       *channel
	s        *h2client.Stream
	loop     *netio.Loop
	choice   upstream.Choice
	chosen   bool
	deadline int64
	begun    int64

	in       []byte // what came and is no whole message
	encoding string
	headSeen bool
	gzip     bool
	sentLast bool
	over     bool         // closed: s is not to be touched
	users    int          // tasks inside of s
	status   *grpc.Status // of the end; its Code may be OK
	trail    []field
	head     []field
}

// field is a header field that was kept.
type field struct{ name, value []byte }

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
)

// maxRefused is how often a call is made again that no server has looked at.
const maxRefused = 5

// open begins a call. The error is a *grpc.Status, or that of a thread that was killed.
func (st *stream) open(c *lua.Call, path string, metadata []h2client.Field) error {
	ch, w := st.ch, workerOf(c)
	if ch.group != nil {
		st.chosen = true
	}
	for try := 0; ; try++ {
		if st.chosen {
			w := workerOf(c)
			groupBalancer(w, ch).Begin(&st.choice, nil)
		}
		conn, err := ch.connection(c, &st.choice, st.deadline)
		if err != nil {
			if killed(err) {
				return err
			}
			return ch.unavailable(err, st.deadline, w.Loop.Now())
		}
		fields := make([]h2client.Field, 0, 16)
		scheme := fHTTP
		if ch.tls != nil {
			scheme = fHTTPS
		}
		fields = append(fields, fPost, scheme,
			h2client.Field{Name: nPath, Value: []byte(path), Static: 4},
			h2client.Field{Name: nAuthority, Value: []byte(ch.authority), Static: 1},
			fTE, fType, fAgent, fAccept)
		if st.gzip {
			fields = append(fields, fGzip)
		}
		if left := st.deadline - w.Loop.Now(); left < int64(1e8*time.Second)/2 {
			fields = append(fields, h2client.Field{Name: nTimeout, Value: grpc.AppendTimeout(nil, time.Duration(left)), Mode: http2.Plain})
		}
		fields = append(fields, metadata...)
		s, err := conn.Open(fields, false)
		if err == nil {
			st.s = s
			return nil
		}
		st.done(upstream.Next)
		if try == maxRefused {
			return &grpc.Status{Code: grpc.Unavailable, Message: err.Error()}
		}
	}
}

// done gives the server of a group back.
func (st *stream) done(out upstream.Outcome) {
	if st.chosen && st.choice.Peer != nil {
		st.choice.Done(&upstream.Result{Outcome: out, Status: 200, Header: -1}, st.loop.Now())
	}
}

// fail turns an error of the transport into the call's status; nil for that of a killed thread.
func (st *stream) fail(err error) *grpc.Status {
	if st.status != nil {
		return st.status
	}
	var he *h2client.Error
	switch {
	case err == netio.ErrTimeout:
		st.status = &grpc.Status{Code: grpc.DeadlineExceeded, Message: "context deadline exceeded"}
	case killed(err):
		return nil
	case errors.As(err, &he) && (he.Closed || he.Refused || he.Sys != nil):
		st.status = &grpc.Status{Code: grpc.Unavailable, Message: he.Error()}
	case errors.As(err, &he):
		st.status = &grpc.Status{Code: grpc.FromReset(uint32(he.Code)), Message: "stream terminated by RST_STREAM with error code: " + he.Code.String()}
	default:
		st.status = &grpc.Status{Code: grpc.Internal, Message: err.Error()}
	}
	return st.status
}

// close ends the call; what is under way is cancelled.
func (st *stream) close() {
	if st.over {
		return
	}
	st.over = true
	st.LetGo()
	out := upstream.Good
	if st.status != nil && st.status.Code == grpc.Unavailable {
		out = upstream.Failed
	}
	st.done(out)
	if st.status == nil {
		st.status = &grpc.Status{Code: grpc.Canceled, Message: "the call was closed"}
	}
	if st.s != nil {
		st.s.Close()
		if st.users == 0 {
			st.release()
		}
	}
}

// release gives the stream back, once no task is inside of it.
func (st *stream) release() {
	st.s.Release()
	st.s = nil
}

// enter and leave bracket what waits in the stream: it may be closed meanwhile.
func (st *stream) enter() { st.users++ }

func (st *stream) leave() {
	if st.users--; st.users == 0 && st.over && st.s != nil {
		st.release()
	}
}

// DropHeld implements luahost.Dropper: the request has ended.
func (st *stream) DropHeld() { st.close() }

// Collected implements lua.Collected.
func (st *stream) Collected() { st.close() }

// write sends a message.
func (st *stream) write(msg []byte, last bool) error {
	if st.status != nil {
		return h2client.ErrStopped
	}
	var b []byte
	if st.gzip && len(msg) >= 64 {
		b = grpc.Gzip(make([]byte, grpc.FrameHead, len(msg)/2+64), msg)
		grpc.PutHead(b, grpc.Compressed, len(b)-grpc.FrameHead)
	} else {
		b = grpc.AppendFrame(make([]byte, 0, len(msg)+grpc.FrameHead), 0, msg)
	}
	return st.put(b, last)
}

func (st *stream) put(b []byte, last bool) error {
	st.enter()
	defer st.leave()
	for {
		n, done := st.s.TrySend(b, last)
		if done {
			st.sentLast = st.sentLast || last
			return nil
		}
		b = b[n:]
		left := st.deadline - st.loop.Now()
		if left <= 0 {
			return netio.ErrTimeout
		}
		if err := st.s.WaitSend(left); err != nil {
			return err
		}
		if st.over {
			return h2client.ErrStopped
		}
	}
}

// readHead waits for the response's head and looks at it.
func (st *stream) readHead() error {
	if st.headSeen {
		return nil
	}
	st.enter()
	defer st.leave()
	head, err := st.s.WaitHead(st.deadline)
	if err != nil {
		return err
	}
	if st.headSeen {
		return nil
	}
	st.headSeen = true
	grpcType := false
	for i := range head.List {
		f := &head.List[i]
		switch string(f.Name) {
		case "content-type":
			grpcType = bytes.HasPrefix(f.Value, []byte("application/grpc"))
		case "grpc-encoding":
			st.encoding = string(f.Value)
		}
	}
	st.head = keepFields(head.List)
	if code := st.s.Status(); code != 200 || !grpcType {
		if s := statusIn(head.List); s != nil && grpcType {
			st.status = s
			return nil
		}
		st.status = &grpc.Status{Code: grpc.FromHTTP(code), Message: fmt.Sprintf("unexpected HTTP status code received from server: %d (%s)", code, http.StatusText(code))}
		if code == 200 {
			st.status = &grpc.Status{Code: grpc.Unknown, Message: "received a response that is not gRPC"}
		}
		return nil
	}
	if st.s.HeadOnly() {
		st.finish(head.List)
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
func (st *stream) finish(list []http2.Field) {
	if st.status != nil {
		return
	}
	st.trail = keepFields(list)
	if st.status = statusIn(list); st.status == nil {
		st.status = &grpc.Status{Code: grpc.Internal, Message: "server closed the stream without sending trailers"}
	}
}

// read gives the next message; nil at the end, when status is set. The error is that of a killed thread.
func (st *stream) read() ([]byte, error) {
	if st.over && st.status == nil || st.s == nil {
		return nil, nil
	}
	st.enter()
	defer st.leave()
	if err := st.readHead(); err != nil {
		return nil, st.ended(err)
	}
	for {
		if st.status != nil && (st.status.Code != grpc.OK || len(st.in) < grpc.FrameHead) {
			return nil, nil
		}
		if msg, ok := st.message(); ok || st.status != nil && st.status.Code != grpc.OK {
			return msg, nil
		}
		data, err := st.s.WaitData(st.deadline)
		if err != nil {
			return nil, st.ended(err)
		}
		if st.over {
			return nil, nil
		}
		if data == nil {
			st.finish(st.s.Trailers().List)
			if len(st.in) > 0 && st.status.Code == grpc.OK {
				st.status = &grpc.Status{Code: grpc.Internal, Message: "unexpected EOF"}
			}
			return nil, nil
		}
		st.in = append(st.in, data...)
		st.s.Consume(len(data))
	}
}

// ended notes why the call is over; the error of a killed thread is passed on.
func (st *stream) ended(err error) error {
	if st.fail(err) == nil {
		return err
	}
	return nil
}

// message takes a whole message off what came; a fault sets the status.
func (st *stream) message() ([]byte, bool) {
	if len(st.in) >= grpc.FrameHead {
		if _, n := grpc.Head(st.in); int64(n) > st.ch.maxRecv {
			st.status = grpc.TooLarge(int64(n), st.ch.maxRecv)
			return nil, false
		}
	}
	flags, msg, rest, ok := grpc.Next(st.in)
	if !ok {
		return nil, false
	}
	st.in = rest
	switch {
	case flags == 0:
		return msg, true
	case flags != grpc.Compressed:
		st.status = &grpc.Status{Code: grpc.Internal, Message: "grpc: received unexpected payload format"}
	case st.encoding == "" || st.encoding == "identity":
		st.status = &grpc.Status{Code: grpc.Internal, Message: "grpc: compressed flag set with identity or empty encoding"}
	case st.encoding != "gzip":
		st.status = &grpc.Status{Code: grpc.Unimplemented, Message: `grpc: Decompressor is not installed for grpc-encoding "` + st.encoding + `"`}
	default:
		out, err := grpc.Gunzip(msg, st.ch.maxRecv)
		if err == nil {
			return out, true
		}
		errors.As(err, &st.status)
	}
	return nil, false
}
