package grpccmd

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"moongate/internal/grpc"
)

// target is a server, reached with net/http's HTTP/2.
type target struct {
	base, authority string
	client          *http.Client
	max             int64
	agent           string
	forReflection   []field  // metadata of calls to reflection
	offered         []string // by reflection
}

// field is one of metadata.
type field struct{ name, value string }

// newTarget prepares calls to an address, host:port or unix:/path.
func newTarget(addr, authority string, cfg *tls.Config, maxReceive int64, connect time.Duration) *target {
	var p http.Protocols
	scheme := "http"
	if cfg != nil {
		scheme = "https"
		p.SetHTTP2(true)
	} else {
		p.SetUnencryptedHTTP2(true)
	}
	d := &net.Dialer{Timeout: connect}
	tr := &http.Transport{Protocols: &p, TLSClientConfig: cfg, DisableCompression: true, TLSHandshakeTimeout: connect, DialContext: d.DialContext}
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		addr = "localhost"
		tr.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) { return d.DialContext(ctx, "unix", path) }
	}
	return &target{base: scheme + "://" + addr, authority: authority, client: &http.Client{Transport: tr}, max: maxReceive, agent: "moongate-grpc"}
}

// exchange is one call.
type exchange struct {
	path     string
	metadata []field
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
	req.Header = http.Header{"Content-Type": {"application/grpc"}, "Te": {"trailers"}, "User-Agent": {t.agent}, "Grpc-Accept-Encoding": {"identity,gzip"}}
	for _, f := range x.metadata {
		if strings.HasSuffix(f.name, "-bin") {
			f.value = binary(f.value)
		}
		req.Header.Add(f.name, f.value)
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

// binary is the value of a field of bytes as it is sent: it is given in any spelling of base64, or as text.
func binary(v string) string {
	raw := []byte(v)
	bare := strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(v, "="))
	if b, err := base64.RawStdEncoding.DecodeString(bare); err == nil {
		raw = b
	}
	return string(grpc.AppendBinary(nil, raw))
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
