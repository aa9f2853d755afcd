package grpcserver

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"

	"moongate/internal/engine"
	"moongate/internal/grpc"
	"moongate/internal/grpc/transcode"
	"moongate/internal/http1"
)

// protoJSON is JSON over plain HTTP: by the rules of google.api.http, or with POST to /service/method. Streams of responses
// are lines of JSON, or events where the client accepts those; streams of requests are JSON values one after the other.
var protoJSON protocol = &plainJSON{}

type plainJSON struct{}

func (*plainJSON) name() string { return "json" }

func (p *plainJSON) recv(c *call) ([]byte, error) {
	if c.m.clientStream && (c.rule == nil || !c.rule.RawRequest()) {
		return p.value(c)
	}
	if c.received > 0 {
		return nil, io.EOF
	}
	body, err := c.whole(c.conf.recvSize.V)
	if err != nil {
		return nil, err
	}
	return p.message(c, body)
}

// message makes the message of a body.
func (p *plainJSON) message(c *call, body []byte) ([]byte, error) {
	if c.rule == nil {
		return c.parse(body)
	}
	m, err := c.rule.Request(c.conf.set.Types, c.values, string(c.r.Args), string(c.r.In.Get(http1.HContentType)), body)
	if err != nil {
		return nil, invalid(err)
	}
	wire, err := transcode.Encode(m)
	if err != nil {
		return nil, invalid(err)
	}
	return wire, nil
}

// value is the next of a stream of JSON values; the members of an array count one by one.
func (p *plainJSON) value(c *call) ([]byte, error) {
	var s scanner
	for {
		if s == (scanner{}) {
			for c.pos < len(c.in) && bytes.IndexByte([]byte(" \t\r\n,[]"), c.in[c.pos]) >= 0 {
				c.pos++
			}
		}
		text := c.in[c.pos:]
		n, complete := s.end(text)
		if int64(n) > c.conf.recvSize.V {
			return nil, grpc.TooLarge(int64(n), c.conf.recvSize.V)
		}
		if complete {
			c.pos += n
			return p.message(c, text[:n])
		}
		switch err := c.more(len(text) + 1); {
		case err == nil:
		case err != io.EOF || len(text) == 0:
			return nil, err
		case s.depth > 0 || s.str:
			return nil, &grpc.Status{Code: grpc.InvalidArgument, Message: "invalid JSON: unexpected end"}
		default:
			c.pos = len(c.in)
			return p.message(c, text)
		}
	}
}

// scanner finds the end of a JSON value that comes in pieces, and looks at each byte once; whether it is a value shows later.
type scanner struct {
	at, depth int
	str, esc  bool
}

// end gives the length of the value that text begins with, or of what was looked at so far. Each text begins with the one
// before it.
func (s *scanner) end(text []byte) (n int, complete bool) {
	for ; s.at < len(text); s.at++ {
		b := text[s.at]
		switch {
		case s.esc:
			s.esc = false
		case s.str && b == '\\':
			s.esc = true
		case s.str && b == '"':
			if s.str = false; s.depth == 0 {
				return s.at + 1, true
			}
		case s.str:
		case s.depth == 0 && s.at > 0 && bytes.IndexByte([]byte("\" \t\r\n,[]{}"), b) >= 0: // behind a number or a word
			return s.at, true
		case b == '"':
			s.str = true
		case b == '{' || b == '[':
			s.depth++
		case b == '}' || b == ']':
			if s.depth--; s.depth <= 0 {
				return s.at + 1, true
			}
		}
	}
	return s.at, false
}

func (p *plainJSON) render(c *call, msg []byte) ([]byte, error) {
	var b []byte
	var err error
	if c.rule != nil {
		b, err = c.rule.Response(c.conf.set.Types, msg)
	} else {
		b, err = transcode.ToJSON(c.conf.set.Types, c.m.desc.Output(), msg)
	}
	if err != nil {
		return nil, &grpc.Status{Code: grpc.Internal, Message: err.Error()}
	}
	return b, nil
}

// events says that the client wants server-sent events.
func events(r *engine.Request) bool {
	for i := range r.In.List {
		if h := &r.In.List[i]; string(lower(h.Name)) == "accept" && bytes.Contains(h.Value, []byte("text/event-stream")) {
			return true
		}
	}
	return false
}

func (p *plainJSON) send(c *call, msg []byte, last bool) error {
	if c.rule != nil && c.rule.RawResponse() {
		return p.sendRaw(c, msg)
	}
	b, err := p.render(c, msg)
	if err != nil {
		return err
	}
	if !c.m.serverStream {
		c.reply, c.ok = b, true
		return nil
	}
	if err := p.streamHead(c); err != nil {
		return err
	}
	return c.output(line(events(c.r), "", b), true, false)
}

// streamHead sends the head of a stream of responses.
func (p *plainJSON) streamHead(c *call) error {
	switch {
	case c.headSent:
		return nil
	case events(c.r):
		c.r.AddHeader(http1.HUnknown, []byte("Cache-Control"), []byte("no-cache"))
		return c.sendHead("text/event-stream")
	}
	return c.sendHead("application/x-ndjson")
}

// sendRaw sends what a google.api.HttpBody holds. The first of a stream says the type.
func (p *plainJSON) sendRaw(c *call, msg []byte) error {
	ctype, data, err := c.rule.Raw(c.conf.set.Types, msg)
	if err != nil {
		return &grpc.Status{Code: grpc.Internal, Message: err.Error()}
	}
	if ctype == "" {
		ctype = "application/octet-stream"
	}
	if !c.m.serverStream {
		c.reply, c.replyType, c.ok = append([]byte(nil), data...), ctype, true
		return nil
	}
	if err := c.sendHead(ctype); err != nil {
		return err
	}
	return c.output(data, true, false)
}

func line(sse bool, event string, b []byte) []byte {
	if !sse {
		return append(b, '\n')
	}
	out := []byte{}
	if event != "" {
		out = append(append(append(out, "event: "...), event...), '\n')
	}
	return append(append(append(out, "data: "...), b...), "\n\n"...)
}

func (p *plainJSON) finish(c *call, st *grpc.Status) error {
	r := c.r
	switch {
	case c.headSent && st.Code == grpc.OK:
		return c.output(nil, false, true)
	case c.headSent && c.rule != nil && c.rule.RawResponse():
		return errGone // nothing can be said any more: the response is cut
	case c.headSent:
		b, _ := json.Marshal(map[string]any{"error": c.plainError(st)})
		return c.output(line(events(r), "error", b), false, true)
	case st.Code == grpc.OK && c.m.serverStream:
		if err := p.streamHead(c); err != nil {
			return err
		}
		return c.output(nil, false, true)
	}
	body, ctype := c.reply, "application/json"
	if c.replyType != "" {
		ctype = c.replyType
	}
	if st.Code != grpc.OK {
		ctype = "application/json"
		r.Out.Status = engine.Status(st.Code.HTTP())
		body, _ = json.Marshal(c.plainError(st))
	}
	r.Out.ContentLength = int64(len(body))
	if err := c.sendHead(ctype); err != nil {
		return err
	}
	return c.output(body, false, true)
}

// plainError is a status as google.rpc.Status has it. Details of types that nobody here knows are bytes.
func (c *call) plainError(st *grpc.Status) map[string]any {
	list := []any{}
	for _, d := range details(st.Details) {
		const host = "type.googleapis.com/"
		if b, err := transcode.AnyToJSON(c.conf.set.Types, host+d.name, d.value); err == nil {
			list = append(list, json.RawMessage(b))
			continue
		}
		list = append(list, map[string]any{"@type": host + d.name, "value": base64.StdEncoding.EncodeToString(d.value)})
	}
	return map[string]any{"code": int(st.Code), "message": st.Message, "details": list}
}
