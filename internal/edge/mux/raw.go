package mux

import (
	"io"
	"syscall"

	"moongate/internal/engine"
	"moongate/internal/http1"
)

// Bytes is a stream whose bytes go both ways as they are.
type Bytes interface {
	engine.Stream
	engine.Downstream
	// Over reports whether nothing more will come from the client.
	Over() bool
}

// Raw is a stream that a handler has taken (engine.Downstream.Hijack).
type Raw struct {
	S Bytes
	R *engine.Request
}

var _ engine.RawConn = Raw{}

// Read gives what is there.
func (x Raw) Read(p []byte) (int, error) {
	n, err := x.S.TryBody(x.R, p)
	switch {
	case err == io.EOF:
		return 0, nil
	case err == syscall.EAGAIN:
		return 0, err
	case err != nil:
		return 0, syscall.ECONNRESET
	}
	return n, nil
}

// Write queues some, as long as not too much waits.
func (x Raw) Write(p []byte) (int, error) {
	if x.S.Gone() {
		return 0, syscall.EPIPE
	}
	if x.S.Pending() > engine.OutputLow {
		return 0, syscall.EAGAIN
	}
	p = p[:min(len(p), engine.OutputLow)]
	if x.S.SendBody(x.R, &engine.Chunk{Data: p, Flush: true}) != nil {
		return 0, syscall.EPIPE
	}
	return len(p), nil
}

// Readable reports whether a read may give bytes or the end.
func (x Raw) Readable() bool { return x.S.Buffered() > 0 || x.S.Over() }

// WaitRead parks until a read may give something.
func (x Raw) WaitRead(deadline int64) error { return x.S.WaitBody(deadline) }

// WaitWrite parks until the client may take more.
func (x Raw) WaitWrite(deadline int64) error { return x.S.Drain(x.R, engine.OutputLow) }

// Forbidden reports whether a response must not have a field (RFC 9113 8.2.2, RFC 9114 4.2).
func Forbidden(h *http1.Header) bool {
	switch h.ID {
	case http1.HConnection, http1.HKeepAlive, http1.HProxyConnection, http1.HTransferEncoding, http1.HUpgrade:
		return true
	}
	return len(h.Name) == 0
}
