package grpcserver

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/url"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/descriptorpb"

	"moongate/internal/engine"
	"moongate/internal/grpc"
	"moongate/internal/http1"
)

// The Connect protocol: unary calls are plain HTTP with the message as body; streams have frames as gRPC, and end with one
// that holds the status as JSON.
var (
	protoConnectUnary  protocol = &connectUnary{}
	protoConnectGet    protocol = &connectUnary{get: true}
	protoConnectStream protocol = &connectStream{}
)

func itoa(n int) string { return strconv.Itoa(n) }

// sideEffectFree says that a method may be called with GET.
func sideEffectFree(m *method) bool {
	o, ok := m.desc.Options().(*descriptorpb.MethodOptions)
	return ok && o.GetIdempotencyLevel() == descriptorpb.MethodOptions_NO_SIDE_EFFECTS
}

func hasArg(args []byte, name string) bool {
	q, err := url.ParseQuery(string(args))
	return err == nil && q.Has(name)
}

func argument(args []byte, name string) string {
	q, _ := url.ParseQuery(string(args))
	return q.Get(name)
}

type connectUnary struct{ get bool }

func (*connectUnary) name() string { return "connect" }

func (p *connectUnary) recv(c *call) ([]byte, error) {
	if c.received > 0 {
		return nil, io.EOF
	}
	msg, err := p.body(c)
	if err != nil {
		return nil, err
	}
	if c.encoding == "gzip" && len(msg) > 0 {
		if msg, err = grpc.Gunzip(msg, c.conf.recvSize.V); err != nil {
			return nil, err
		}
	}
	return c.fromJSON(msg)
}

func (p *connectUnary) body(c *call) ([]byte, error) {
	if !p.get {
		return c.whole(c.conf.recvSize.V)
	}
	q, err := url.ParseQuery(string(c.r.Args))
	if err != nil {
		return nil, &grpc.Status{Code: grpc.InvalidArgument, Message: "invalid query string"}
	}
	c.encoding = ""
	if z := q.Get("compression"); z == "gzip" {
		c.encoding = z
	} else if z != "" && z != "identity" {
		return nil, &grpc.Status{Code: grpc.Unimplemented, Message: "unknown compression " + strconv.Quote(z)}
	}
	msg := q.Get("message")
	if q.Get("base64") != "1" {
		return []byte(msg), nil
	}
	b, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(msg, "="))
	if err != nil {
		return nil, &grpc.Status{Code: grpc.InvalidArgument, Message: "invalid base64 in the query string"}
	}
	return b, nil
}

// send keeps the message: the head depends on the status.
func (p *connectUnary) send(c *call, msg []byte, last bool) error {
	c.reply, c.ok = append([]byte(nil), msg...), true
	return nil
}

func (p *connectUnary) finish(c *call, st *grpc.Status) error {
	r := c.r
	for _, t := range c.trailers {
		c.headers = append(c.headers, http1.Header{Name: append([]byte("trailer-"), t.Name...), Value: t.Value})
	}
	body := c.reply
	ctype := "application/proto"
	if c.json {
		ctype = "application/json"
	}
	if st.Code == grpc.OK && c.ok {
		var err error
		if body, err = c.toJSON(body); err != nil {
			st = statusOf(err)
		} else if c.compressed(len(body)) {
			body = grpc.Gzip(nil, body)
			r.AddHeader(http1.HUnknown, []byte("Content-Encoding"), []byte("gzip"))
		}
	}
	if st.Code != grpc.OK {
		r.Out.Status = engine.Status(st.Code.HTTP())
		body, ctype = connectError(st), "application/json"
	}
	r.Out.ContentLength = int64(len(body))
	if err := c.sendHead(ctype); err != nil {
		return err
	}
	return c.output(body, false, true)
}

// connectError is a status as Connect writes it.
func connectError(st *grpc.Status) []byte {
	b, _ := json.Marshal(errorValue(st))
	return b
}

type errorJSON struct {
	Code    string       `json:"code"`
	Message string       `json:"message,omitempty"`
	Details []detailJSON `json:"details,omitempty"`
}

type detailJSON struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

func errorValue(st *grpc.Status) *errorJSON {
	e := &errorJSON{Code: st.Code.Connect(), Message: st.Message}
	for _, d := range details(st.Details) {
		e.Details = append(e.Details, detailJSON{d.name, base64.RawStdEncoding.EncodeToString(d.value)})
	}
	return e
}

// detail is an Any of a google.rpc.Status.
type detail struct {
	name  string // of its type
	value []byte
}

func details(status []byte) (list []detail) {
	eachBytes(status, func(n protowire.Number, v []byte) {
		if n != 3 {
			return
		}
		var d detail
		eachBytes(v, func(n protowire.Number, v []byte) {
			switch n {
			case 1:
				d.name = string(v)
				d.name = d.name[strings.LastIndexByte(d.name, '/')+1:]
			case 2:
				d.value = v
			}
		})
		list = append(list, d)
	})
	return list
}

// eachBytes calls f for the fields of bytes of a message.
func eachBytes(b []byte, f func(n protowire.Number, v []byte)) {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return
		}
		b = b[n:]
		if typ == protowire.BytesType {
			v, _ := protowire.ConsumeBytes(b)
			f(num, v)
		}
		if n = protowire.ConsumeFieldValue(num, typ, b); n < 0 {
			return
		}
		b = b[n:]
	}
}

type connectStream struct{}

func (*connectStream) name() string { return "connect" }

func (p *connectStream) recv(c *call) ([]byte, error) {
	flags, msg, err := c.frame()
	if err != nil {
		return nil, err
	}
	if flags&grpc.EndStream != 0 {
		return nil, io.EOF
	}
	return c.open(flags, msg)
}

func (p *connectStream) head(c *call) error {
	if c.headSent {
		return nil
	}
	ctype := "application/connect+proto"
	if c.json {
		ctype = "application/connect+json"
	}
	if c.compress != "" {
		c.declared = true
		c.r.AddHeader(http1.HUnknown, []byte("Connect-Content-Encoding"), []byte(c.compress))
	}
	c.r.AddHeader(http1.HUnknown, []byte("Connect-Accept-Encoding"), []byte("gzip"))
	return c.sendHead(ctype)
}

func (p *connectStream) send(c *call, msg []byte, last bool) error {
	msg, err := c.toJSON(msg)
	if err != nil {
		return err
	}
	if err := p.head(c); err != nil {
		return err
	}
	return c.output(c.seal(msg), !last, false)
}

func (p *connectStream) finish(c *call, st *grpc.Status) error {
	if err := p.head(c); err != nil {
		return err
	}
	end := struct {
		Error    *errorJSON          `json:"error,omitempty"`
		Metadata map[string][]string `json:"metadata,omitempty"`
	}{}
	if st.Code != grpc.OK {
		end.Error = errorValue(st)
	}
	for _, t := range c.trailers {
		if end.Metadata == nil {
			end.Metadata = map[string][]string{}
		}
		end.Metadata[string(t.Name)] = append(end.Metadata[string(t.Name)], string(t.Value))
	}
	b, _ := json.Marshal(&end)
	return c.output(grpc.AppendFrame(nil, grpc.EndStream, b), false, true)
}
