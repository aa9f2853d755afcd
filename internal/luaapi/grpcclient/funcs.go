package grpcclient

import (
	"bytes"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"moongate/internal/engine"
	"moongate/internal/grpc"
	"moongate/internal/h2client"
	"moongate/internal/lua"
	"moongate/internal/luahost"
	"moongate/internal/relay"
	"moongate/internal/upstream"
)

func groupBalancer(w *engine.Worker, ch *channel) *upstream.Balancer {
	return relay.BalancerOf(w.HTTP, w, ch.group)
}

// metadataOf reads metadata: a table of names with values or lists of values, or a list of pairs.
func metadataOf(c *lua.Call, i int) (fields []h2client.Field, bad string) {
	add := func(name string, v lua.Value) {
		name = strings.ToLower(name)
		if grpc.Reserved(name) || !grpc.Sendable(name, nil) {
			bad = "invalid metadata name \"" + name + "\""
			return
		}
		value := v.Text()
		if strings.HasSuffix(name, "-bin") {
			value = grpc.AppendBinary(nil, value)
		} else if !grpc.Sendable(name, value) {
			bad = "invalid value of metadata \"" + name + "\""
			return
		}
		fields = append(fields, h2client.Field{Name: []byte(name), Value: append([]byte(nil), value...)})
	}
	for k, v := range options(c, i).Pairs() {
		switch {
		case k.Type == lua.Number && v.Type == lua.Table:
			t := v.Table()
			add(string(t.Index(1).Text()), t.Index(2))
		case v.Type == lua.Table:
			for _, x := range v.Table().Pairs() {
				add(string(k.Text()), x)
			}
		default:
			add(string(k.Text()), v)
		}
		if bad != "" {
			return nil, bad
		}
	}
	return fields, ""
}

// fail returns nil and a status.
func fail(c *lua.Call, st *grpc.Status) lua.Outcome {
	w := c.Push()
	w.Nil()
	w.Int(int(st.Code))
	w.String(st.Message)
	if len(st.Details) > 0 {
		w.Str(st.Details)
	}
	return c.Return()
}

var gone = &grpc.Status{Code: grpc.Canceled, Message: "the thread was killed"}

// retries are the options of a call's retries.
type retries struct {
	max   int
	delay time.Duration
	codes uint32
}

func retriesOf(o lua.Packed) retries {
	r := retries{max: o.Get("retries").Int(), delay: 50 * time.Millisecond, codes: 1 << grpc.Unavailable}
	if d := o.Get("retry_delay").Num(); d > 0 {
		r.delay = duration(d)
	}
	if list := o.Get("retry_on"); list.Type == lua.Table {
		r.codes = 0
		for _, v := range list.Table().Pairs() {
			if code, ok := grpc.ParseCode(strings.ToUpper(string(v.Text()))); ok && code < 32 {
				r.codes |= 1 << code
			}
		}
	}
	return r
}

// wait is how long to wait before the next try: as long as the server says, or longer each time. Not ok: it says that there
// shall be none.
func (r *retries) wait(try int, pushback string) (wait time.Duration, ok bool) {
	if pushback != "" {
		ms, err := strconv.ParseUint(pushback, 10, 31)
		return time.Duration(ms) * time.Millisecond, err == nil
	}
	return time.Duration(float64(r.delay) * float64(int(1)<<min(try, 10)) * (0.8 + 0.4*rand.Float64())), true
}

func unary(c *lua.Call) lua.Outcome {
	ch := c.Object(1).(*channel)
	path, msg := c.String(2), c.Str(3)
	md, bad := metadataOf(c, 5)
	if bad != "" {
		return fail(c, &grpc.Status{Code: grpc.Internal, Message: bad})
	}
	var o lua.Packed
	var r retries
	if c.Type(6) == lua.Table {
		o = options(c, 6)
		r = retriesOf(o)
	}
	call := (*retries).call
	if !c.MayWait() {
		call = (*retries).callAlone
	}
	reply, st := call(&r, c, placeOf(workerOf(c)), ch, path, md, frame(msg, ch.gzip), int64(duration(c.Num(4))))
	if st.status.Code != grpc.OK {
		return fail(c, st.status)
	}
	w := c.Push()
	if reply == nil {
		reply = []byte{}
	}
	w.Str(reply)
	if o.Get("info").Bool() {
		w.Nil()
		w.Nil()
		w.Nil()
		pushFields(w, st.head)
		pushFields(w, st.trail)
	}
	return c.Return()
}

// callAlone is call for init_worker_by_lua.
func (r *retries) callAlone(c *lua.Call, at *place, ch *channel, path string, md []h2client.Field, b []byte, timeout int64) (reply []byte, st *stream) {
	if err := alone(at.w, func(at *place) { reply, st = r.call(c, at, ch, path, md, b, timeout) }); err != nil {
		st = newStream(at, ch, path, md, 0)
		st.status = &grpc.Status{Code: grpc.Internal, Message: err.Error()}
	}
	return reply, st
}

// call makes a call with one message each way, as often as it may be made. The status is in st.
func (r *retries) call(c *lua.Call, at *place, ch *channel, path string, md []h2client.Field, b []byte, timeout int64) (reply []byte, st *stream) {
	given, deadline := len(md), at.w.Loop.Now()+timeout
	for try := 0; ; try++ {
		if try > 0 { // gRFC A6
			md = append(md[:given:given], h2client.Field{Name: nAttempts, Value: strconv.AppendInt(nil, int64(try), 10)})
		}
		st = newStream(at, ch, path, md, deadline)
		reply, err := st.open(c, true, b)
		if s, ok := err.(*grpc.Status); ok {
			st.status = s
		} else if err != nil {
			st.status = gone
			st.close()
			return nil, st
		}
		st.finish()
		if st.status.Code == grpc.OK || try >= r.max || st.status.Code >= 32 || r.codes>>st.status.Code&1 == 0 {
			return reply, st
		}
		wait, ok := r.wait(try, st.pushback)
		if !ok || st.loop.Now()+int64(wait) >= deadline {
			return nil, st
		}
		if st.loop.Sleep(wait) != nil {
			st.status = gone
			return nil, st
		}
	}
}

func openStream(c *lua.Call) lua.Outcome {
	ch := c.Object(1).(*channel)
	md, bad := metadataOf(c, 4)
	if bad != "" {
		return fail(c, &grpc.Status{Code: grpc.Internal, Message: bad})
	}
	st := newStream(placeOf(workerOf(c)), ch, c.String(2), md, luahost.Loop(c).Now()+int64(duration(c.Num(3))))
	if o := options(c, 5).Get("compression").Str(); o != nil {
		st.x.gzip = string(o) == "gzip"
	}
	if _, err := st.open(c, false, nil); err != nil {
		s, ok := err.(*grpc.Status)
		if !ok {
			s = gone
		}
		st.status = s
		st.close()
		return fail(c, s)
	}
	if h := luahost.RootHolder(c); h != nil {
		h.Hold(&st.Held, st)
	}
	c.Push().Object("grpc_stream", st)
	return c.Return()
}

func send(c *lua.Call) lua.Outcome {
	st := c.Object(1).(*stream)
	if st.over {
		return c.ReturnNilErr("closed")
	}
	if st.sentLast {
		return c.ReturnNilErr("the sending side is closed")
	}
	if err := st.put(frame(c.Str(2), st.x.gzip), c.Bool(3)); err != nil {
		return st.sendFailed(c, err)
	}
	st.sent++
	return c.ReturnBool(true)
}

func (st *stream) sendFailed(c *lua.Call, err error) lua.Outcome {
	if err == h2client.ErrStopped {
		return c.ReturnNilErr("EOF")
	}
	if s := st.failed(err); s != nil {
		return c.ReturnNilErr(s.Error())
	}
	return c.ReturnNilErr("killed")
}

func closeSend(c *lua.Call) lua.Outcome {
	st := c.Object(1).(*stream)
	if st.over {
		return c.ReturnNilErr("closed")
	}
	if st.sentLast || st.status != nil {
		return c.ReturnBool(true)
	}
	if err := st.put(nil, true); err != nil && err != h2client.ErrStopped {
		return st.sendFailed(c, err)
	}
	return c.ReturnBool(true)
}

func recv(c *lua.Call) lua.Outcome {
	st := c.Object(1).(*stream)
	if st.over {
		return fail(c, st.status)
	}
	msg, err := st.read(c)
	switch {
	case err != nil:
		st.close()
		return fail(c, gone)
	case msg != nil || st.status == nil:
		st.received++
		return c.ReturnStr(msg)
	case st.status.Code == grpc.OK:
		st.done(upstream.Good)
		return c.ReturnNil()
	}
	return fail(c, st.status)
}

func header(c *lua.Call) lua.Outcome {
	st := c.Object(1).(*stream)
	if !st.over && !st.headSeen {
		if err := st.readHead(); err != nil {
			if s := st.failed(err); s != nil {
				return fail(c, s)
			}
			return fail(c, gone)
		}
	}
	pushFields(c.Push(), st.head)
	return c.Return()
}

func trailer(c *lua.Call) lua.Outcome {
	pushFields(c.Push(), c.Object(1).(*stream).trail)
	return c.Return()
}

func closeStream(c *lua.Call) lua.Outcome {
	c.Object(1).(*stream).close()
	return c.Return()
}

// pushFields appends metadata as a table.
func pushFields(w *lua.Writer, list []field) {
	w.Begin(0, len(list))
	for _, f := range list {
		if !strings.HasSuffix(string(f.name), "-bin") {
			w.Multi(f.name)
			w.Str(f.value)
			continue
		}
		for part := range bytes.SplitSeq(f.value, []byte(",")) { // values may be joined
			if v, err := grpc.Binary(bytes.TrimSpace(part)); err == nil {
				w.Multi(f.name)
				w.Str(v)
			}
		}
	}
	w.End()
}
