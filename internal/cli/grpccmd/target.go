package grpccmd

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	"moongate/internal/grpc"
	"moongate/internal/grpc/descriptor"
)

func protoUnmarshal(b []byte, m proto.Message) error { return proto.Unmarshal(b, m) }

// target is a server, reached with net/http's HTTP/2.
type target struct {
	base, authority string
	client          *http.Client
	max             int64
	offered         []string // by reflection
}

func newTarget(addr, authority string, cfg *tls.Config, maxReceive int64) *target {
	var p http.Protocols
	scheme := "http"
	if cfg != nil {
		scheme = "https"
		p.SetHTTP2(true)
	} else {
		p.SetUnencryptedHTTP2(true)
	}
	tr := &http.Transport{Protocols: &p, TLSClientConfig: cfg, DisableCompression: true}
	return &target{base: scheme + "://" + addr, authority: authority, client: &http.Client{Transport: tr}, max: maxReceive}
}

// offers says that reflection has named a service.
func (t *target) offers(service string) bool {
	return t.offered == nil || slices.Contains(t.offered, service)
}

// exchange is one call.
type exchange struct {
	path     string
	metadata map[string]string
	timeout  time.Duration
	next     func() ([]byte, error)
	received func(msg []byte) error
	fields   func(what string, fields map[string][]string)
}

// do makes a call; a failure is a *grpc.Status.
func (t *target) do(x *exchange) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if x.timeout > 0 {
		ctx, cancel = context.WithTimeout(ctx, x.timeout)
		defer cancel()
	}
	body, writer := io.Pipe()
	var sendErr error
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		sendErr = send(writer, x.next)
		if sendErr != nil {
			cancel()
		}
		writer.Close()
	}()
	req, err := http.NewRequestWithContext(ctx, "POST", t.base+x.path, body)
	if err != nil {
		return err
	}
	req.Host = t.authority
	req.Header = http.Header{"Content-Type": {"application/grpc"}, "Te": {"trailers"}, "User-Agent": {"moongate-grpc"}, "Grpc-Accept-Encoding": {"identity,gzip"}}
	for k, v := range x.metadata {
		if strings.HasSuffix(k, "-bin") {
			v = string(grpc.AppendBinary(nil, []byte(v)))
		}
		req.Header.Add(k, v)
	}
	if x.timeout > 0 {
		req.Header.Set("Grpc-Timeout", string(grpc.AppendTimeout(nil, x.timeout)))
	}
	resp, err := t.client.Do(req)
	if err == nil {
		err = t.receive(x, resp)
		resp.Body.Close()
	} else {
		err = transportError(ctx, err)
	}
	cancel()
	body.Close()
	<-sent
	if sendErr != nil && !errors.Is(sendErr, io.ErrClosedPipe) {
		return sendErr
	}
	return err
}

func send(w io.Writer, next func() ([]byte, error)) error {
	for {
		msg, err := next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := w.Write(grpc.AppendFrame(nil, 0, msg)); err != nil {
			return io.ErrClosedPipe
		}
	}
}

func transportError(ctx context.Context, err error) error {
	// A server that is quicker to notice resets the stream.
	if d, ok := ctx.Deadline(); ctx.Err() == context.DeadlineExceeded || ok && time.Until(d) < 5*time.Millisecond {
		return &grpc.Status{Code: grpc.DeadlineExceeded, Message: "context deadline exceeded"}
	}
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err
	}
	return &grpc.Status{Code: grpc.Unavailable, Message: err.Error()}
}

func (t *target) receive(x *exchange, resp *http.Response) error {
	if x.fields != nil {
		x.fields("header", resp.Header)
	}
	if resp.StatusCode != 200 || !strings.HasPrefix(resp.Header.Get("Content-Type"), "application/grpc") {
		return &grpc.Status{Code: grpc.FromHTTP(resp.StatusCode), Message: "the server's response is not gRPC: HTTP status " + resp.Status + ", content type " + strconv.Quote(resp.Header.Get("Content-Type"))}
	}
	for {
		var head [grpc.FrameHead]byte
		if _, err := io.ReadFull(resp.Body, head[:]); err == io.EOF {
			break
		} else if err != nil {
			return transportError(resp.Request.Context(), err)
		}
		flags, n := grpc.Head(head[:])
		if int64(n) > t.max {
			return grpc.TooLarge(int64(n), t.max)
		}
		msg := make([]byte, n)
		if _, err := io.ReadFull(resp.Body, msg); err != nil {
			return transportError(resp.Request.Context(), err)
		}
		if flags&grpc.Compressed != 0 {
			var err error
			if msg, err = grpc.Gunzip(msg, t.max); err != nil {
				return err
			}
		}
		if err := x.received(msg); err != nil {
			return err
		}
	}
	fields := resp.Trailer
	if fields.Get("Grpc-Status") == "" {
		fields = resp.Header
	}
	if x.fields != nil {
		x.fields("trailer", resp.Trailer)
	}
	return status(fields)
}

// status is what trailers say; nil for OK.
func status(h http.Header) error {
	text := h.Get("Grpc-Status")
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return &grpc.Status{Code: grpc.Internal, Message: "the server closed the stream without a status"}
	}
	if n == 0 {
		return nil
	}
	st := &grpc.Status{Code: grpc.Code(n), Message: grpc.Message([]byte(h.Get("Grpc-Message")))}
	if d := h.Get("Grpc-Status-Details-Bin"); d != "" {
		st.Details, _ = grpc.Binary([]byte(d))
	}
	return st
}

// reflect asks the server for the descriptors of a symbol, or of all its services.
func (t *target) reflect(symbol string) (*descriptor.Set, error) {
	var err error
	for _, version := range []string{"v1", "v1alpha"} {
		var set *descriptor.Set
		if set, err = t.reflectWith(version, symbol); err == nil {
			return set, nil
		}
		var st *grpc.Status
		if !errors.As(err, &st) || st.Code != grpc.Unimplemented {
			break
		}
	}
	return nil, fmt.Errorf("reflection: %w", err)
}

func (t *target) reflectWith(version, symbol string) (*descriptor.Set, error) {
	// Of a ServerReflectionRequest, field 4 names a symbol and field 7 asks for the services.
	question := func(n protowire.Number, text string) []byte {
		return protowire.AppendString(protowire.AppendTag(nil, n, protowire.BytesType), text)
	}
	files := map[string]*descriptorpb.FileDescriptorProto{}
	ask := func(questions ...[]byte) error {
		return t.do(&exchange{path: "/grpc.reflection." + version + ".ServerReflection/ServerReflectionInfo", timeout: 20 * time.Second,
			next: func() ([]byte, error) {
				if len(questions) == 0 {
					return nil, io.EOF
				}
				q := questions[0]
				questions = questions[1:]
				return q, nil
			},
			received: func(msg []byte) error { return t.answer(msg, files) }})
	}
	if symbol != "" {
		if err := ask(question(4, symbol)); err != nil {
			return nil, err
		}
	} else {
		if err := ask(question(7, "*")); err != nil {
			return nil, err
		}
		var questions [][]byte
		for _, s := range t.offered {
			questions = append(questions, question(4, s))
		}
		if err := ask(questions...); err != nil {
			return nil, err
		}
	}
	var list []*descriptorpb.FileDescriptorProto
	for _, f := range files {
		list = append(list, f)
	}
	slices.SortFunc(list, func(a, b *descriptorpb.FileDescriptorProto) int { return strings.Compare(a.GetName(), b.GetName()) })
	return descriptor.FromFiles(list)
}

// answer takes what a ServerReflectionResponse holds.
func (t *target) answer(msg []byte, files map[string]*descriptorpb.FileDescriptorProto) (err error) {
	descriptor.EachField(msg, func(n protowire.Number, v []byte) {
		switch n {
		case 4:
			descriptor.EachField(v, func(_ protowire.Number, b []byte) {
				f := &descriptorpb.FileDescriptorProto{}
				if proto.Unmarshal(b, f) == nil {
					files[f.GetName()] = f
				}
			})
		case 6:
			descriptor.EachField(v, func(_ protowire.Number, service []byte) {
				descriptor.EachField(service, func(n protowire.Number, name []byte) {
					if n == 1 {
						t.offered = append(t.offered, string(bytes.Clone(name)))
					}
				})
			})
		case 7:
			st := &grpc.Status{Code: grpc.NotFound}
			descriptor.EachField(v, func(n protowire.Number, text []byte) {
				if n == 2 {
					st.Message = string(text)
				}
			})
			err = st
		}
	})
	return err
}
