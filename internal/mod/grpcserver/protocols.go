package grpcserver

import (
	"bytes"
	"io"
	"strings"

	"moongate/internal/engine"
	"moongate/internal/grpc"
	"moongate/internal/grpc/transcode"
	"moongate/internal/http1"
)

// kind is how a request calls what.
type kind struct {
	proto  protocol
	method *method
	json   bool
	rule   *transcode.Rule
	values []string
	status engine.Status // to answer with, where it is no call; 0: it is not for us
}

// kindOf says what a request is.
func kindOf(r *engine.Request, lc *locConf) (k kind) {
	ctype := contentType(r)
	speak := lc.speak.V
	m := lc.methods[string(bytes.TrimPrefix(r.URI, []byte("/")))]
	if r.Method == http1.MethodPost {
		k = framed(ctype, speak)
	}
	if k.proto != nil {
		if k.method = m; m == nil {
			if r.Content != nil && !lc.servedPath(r.URI) {
				return kind{} // for the location's handler
			}
			k.method = unknown(lc, string(r.URI))
		}
		return k
	}
	if m != nil {
		return plain(r, m, ctype, speak)
	}
	if speak&speakJSON != 0 && lc.rules.Len() > 0 {
		target := string(r.URI)
		if r.ValidUnparsed {
			target = transcode.Path(string(r.In.Unparsed))
		}
		rule, values, known := lc.rules.Find(string(r.MethodName), target)
		switch {
		case rule != nil:
			m := lc.methods[string(rule.Method.Parent().FullName())+"/"+string(rule.Method.Name())]
			return kind{proto: protoJSON, method: m, rule: rule, values: values}
		case known && r.Content == nil:
			return kind{status: 405}
		}
	}
	return kind{}
}

// framed is the protocol of a content type that belongs to one.
func framed(ctype string, speak uint32) kind {
	base, codec, _ := strings.Cut(ctype, "+")
	json := codec == "json"
	if codec != "" && codec != "proto" && !json {
		return kind{}
	}
	switch {
	case base == "application/grpc" && speak&speakGRPC != 0:
		return kind{proto: protoGRPC, json: json}
	case base == "application/grpc-web" && speak&speakWeb != 0:
		return kind{proto: protoWeb, json: json}
	case base == "application/grpc-web-text" && speak&speakWeb != 0:
		return kind{proto: protoWebText, json: json}
	case base == "application/connect" && speak&speakConnect != 0 && codec != "":
		return kind{proto: protoConnectStream, json: json}
	}
	return kind{}
}

// plain is the protocol of a request for a method whose body is a message without a frame.
func plain(r *engine.Request, m *method, ctype string, speak uint32) kind {
	unary := !m.clientStream && !m.serverStream
	json := ctype == "application/json"
	switch {
	case r.Method == http1.MethodPost && unary && speak&speakConnect != 0 && (json || ctype == "application/proto"):
		return kind{proto: protoConnectUnary, method: m, json: json}
	case r.Method == http1.MethodPost && json && speak&speakJSON != 0:
		return kind{proto: protoJSON, method: m}
	case r.Method == http1.MethodGet && unary && speak&speakConnect != 0 && sideEffectFree(m) && hasArg(r.Args, "message"):
		switch codec := argument(r.Args, "encoding"); codec {
		case "json", "proto":
			return kind{proto: protoConnectGet, method: m, json: codec == "json"}
		}
		return kind{status: 415}
	case r.Method == http1.MethodPost:
		return kind{status: 415}
	}
	return kind{status: 405}
}

// unknown stands for a method that is not there.
func unknown(lc *locConf, uri string) *method {
	service, name, _ := strings.Cut(strings.TrimPrefix(uri, "/"), "/")
	return &method{service: service, name: name, conf: lc}
}

func (lc *locConf) servedPath(uri []byte) bool {
	service, _, _ := strings.Cut(strings.TrimPrefix(string(uri), "/"), "/")
	return lc.served[service]
}

// contentType is the request's content type in lower case, without parameters.
func contentType(r *engine.Request) string {
	v, _, _ := bytes.Cut(r.In.Get(http1.HContentType), []byte(";"))
	return strings.ToLower(string(bytes.TrimSpace(v)))
}

var (
	protoGRPC    = &frames{label: "grpc", ctype: "application/grpc"}
	protoWeb     = &frames{label: "grpc-web", ctype: "application/grpc-web", web: true}
	protoWebText = &frames{label: "grpc-web", ctype: "application/grpc-web-text", web: true, text: true}
)

// frames is gRPC itself and grpc-web: messages with heads of five bytes, a status in trailers, or, in grpc-web, in a last
// frame.
type frames struct {
	label, ctype string
	web, text    bool
}

func (p *frames) name() string { return p.label }

func (p *frames) recv(c *call) ([]byte, error) {
	if p.text {
		if err := c.untext(); err != nil {
			return nil, err
		}
	}
	flags, msg, err := c.frame()
	if err != nil {
		return nil, err
	}
	if p.web && flags&grpc.Trailers != 0 {
		return nil, io.EOF
	}
	if flags > grpc.Compressed {
		return nil, &grpc.Status{Code: grpc.Internal, Message: "grpc: received unexpected payload format"}
	}
	return c.open(flags, msg)
}

// frame reads a frame.
func (c *call) frame() (flags byte, msg []byte, err error) {
	head, err := c.fetch(grpc.FrameHead)
	if err != nil {
		return 0, nil, cut(err)
	}
	flags, n := grpc.Head(head)
	if int64(n) > c.conf.recvSize.V {
		return 0, nil, grpc.TooLarge(int64(n), c.conf.recvSize.V)
	}
	if n == 0 {
		return flags, nil, nil
	}
	msg, err = c.fetch(int(n))
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return flags, msg, cut(err)
}

// cut makes a status of an end within a message.
func cut(err error) error {
	if err == io.ErrUnexpectedEOF {
		return &grpc.Status{Code: grpc.Internal, Message: "unexpected EOF"}
	}
	return err
}

// open turns what a frame holds into a message.
func (c *call) open(flags byte, msg []byte) ([]byte, error) {
	if flags&grpc.Compressed != 0 {
		if c.encoding == "" {
			return nil, &grpc.Status{Code: grpc.Internal, Message: "grpc: compressed flag set with identity or empty encoding"}
		}
		var err error
		if msg, err = grpc.Gunzip(msg, c.conf.recvSize.V); err != nil {
			return nil, err
		}
	}
	return c.fromJSON(msg)
}

// fromJSON is a message as protocol buffers have it.
func (c *call) fromJSON(msg []byte) ([]byte, error) {
	if !c.json {
		return msg, nil
	}
	return c.parse(msg)
}

// parse encodes a message that is given as JSON.
func (c *call) parse(msg []byte) ([]byte, error) {
	from := transcode.FromJSON
	if c.conf.unknown.V == "ignore" {
		from = transcode.FromSomeJSON
	}
	wire, err := from(c.conf.set.Types, c.m.desc.Input(), msg)
	if err != nil {
		return nil, invalid(err)
	}
	return wire, nil
}

// invalid is the status for a body that does not fit. The library puts a no-break space into some of its messages, so that
// nobody relies on them.
func invalid(err error) *grpc.Status {
	msg := strings.ReplaceAll(err.Error(), "\u00a0", " ")
	return &grpc.Status{Code: grpc.InvalidArgument, Message: strings.TrimPrefix(msg, "proto: ")}
}

// toJSON is a message as the client wants it.
func (c *call) toJSON(msg []byte) ([]byte, error) {
	if !c.json {
		return msg, nil
	}
	b, err := transcode.ToJSON(c.conf.set.Types, c.m.desc.Output(), msg)
	if err != nil {
		return nil, &grpc.Status{Code: grpc.Internal, Message: err.Error()}
	}
	return b, nil
}

// untext decodes a whole body of grpc-web-text, at the first use.
func (c *call) untext() error {
	if c.inEOF {
		return nil
	}
	// A frame of the largest size, in base64, and some that may follow.
	if _, err := c.whole((c.conf.recvSize.V+2*grpc.FrameHead)/3*4 + 4<<10); err != nil {
		return err
	}
	var d grpc.TextDecoder
	plain, err := d.Append(make([]byte, 0, len(c.in)), c.in)
	if err != nil || !d.Complete() {
		return &grpc.Status{Code: grpc.Internal, Message: grpc.ErrText.Error()}
	}
	c.in = append(c.in[:0], plain...)
	c.pos = 0
	return nil
}

// compressed says whether a message of n bytes is to be compressed.
func (c *call) compressed(n int) bool { return c.compress == "gzip" && int64(n) >= c.conf.minSize.V }

// seal makes a frame of a message.
func (c *call) seal(msg []byte) []byte {
	if c.compressed(len(msg)) {
		b := grpc.Gzip(append(c.buffer(len(msg)/2+64), 0, 0, 0, 0, 0), msg)
		grpc.PutHead(b, grpc.Compressed, len(b)-grpc.FrameHead)
		return b
	}
	return grpc.AppendFrame(c.buffer(len(msg)+grpc.FrameHead), 0, msg)
}

var (
	nameEncoding = []byte("grpc-encoding")
	nameAccept   = []byte("grpc-accept-encoding")
	accepted     = []byte("identity,gzip")
	gzipWord     = []byte("gzip")
)

func (p *frames) head(c *call) error {
	if c.headSent {
		return nil
	}
	r := c.r
	r.ExpectTrailers = !p.web
	ctype := p.ctype
	switch {
	case c.json:
		ctype += "+json"
	case p.web:
		ctype += "+proto"
	}
	if c.compress != "" {
		c.declared = true
		r.AddHeader(http1.HUnknown, nameEncoding, gzipWord)
	}
	r.AddHeader(http1.HUnknown, nameAccept, accepted)
	return c.sendHead(ctype)
}

func (p *frames) send(c *call, msg []byte, last bool) error {
	msg, err := c.toJSON(msg)
	if err != nil {
		return err
	}
	if err := p.head(c); err != nil {
		return err
	}
	return p.put(c, c.seal(msg), !last, false)
}

func (p *frames) put(c *call, b []byte, flush, last bool) error {
	if p.text {
		b = grpc.AppendText(nil, b)
	}
	return c.output(b, flush, last)
}

func (p *frames) finish(c *call, st *grpc.Status) error {
	if err := p.head(c); err != nil {
		return err
	}
	trailers := c.statusFields(st)
	if !p.web {
		c.r.Out.Trailers = append(c.r.Out.Trailers, trailers...)
		return c.output(nil, false, true)
	}
	b := append(c.buffer(256), 0, 0, 0, 0, 0)
	for _, h := range trailers {
		b = append(append(append(append(b, h.Name...), ": "...), h.Value...), "\r\n"...)
	}
	grpc.PutHead(b, grpc.Trailers, len(b)-grpc.FrameHead)
	return p.put(c, b, false, true)
}

var (
	nameStatus  = []byte("grpc-status")
	nameMessage = []byte("grpc-message")
	nameDetails = []byte("grpc-status-details-bin")
	zero        = []byte("0")
)

// statusFields are the trailers of a call with its status.
func (c *call) statusFields(st *grpc.Status) []http1.Header {
	list := c.trailers
	if st.Code == grpc.OK {
		list = append(list, http1.Header{Name: nameStatus, Value: zero})
	} else {
		list = append(list, http1.Header{Name: nameStatus, Value: c.r.CopyString(itoa(int(st.Code)))})
	}
	if st.Message != "" {
		list = append(list, http1.Header{Name: nameMessage, Value: grpc.AppendMessage(nil, st.Message)})
	}
	if len(st.Details) > 0 {
		list = append(list, http1.Header{Name: nameDetails, Value: grpc.AppendBinary(nil, st.Details)})
	}
	c.trailers = list
	return list
}
