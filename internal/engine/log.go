package engine

import (
	"moongate/internal/base/nlog"
	"moongate/internal/http1"
)

// LogNumber is the connection's number, for log lines.
func (r *Request) LogNumber() uint64 { return r.Conn.ID }

// readingLine is what a connection does before headers are looked at: log lines do not show them.
const readingLine = "reading client request line"

// AppendLog appends what nginx says of a request behind each log line.
func (r *Request) AppendLog(dst []byte) []byte {
	early := false
	if a := r.Conn.Action; a != "" {
		early = a == readingLine
		dst = append(append(dst, " while "...), a...)
	}
	dst = append(dst, ", client: "...)
	dst = r.Client().AppendIP(dst)
	dst = append(dst, ", server: "...)
	if r.Server != nil {
		dst = append(dst, r.Server.Name...)
	}
	m := r.Main
	if m.In != nil && len(m.In.RequestLine) > 0 {
		dst = append(append(append(dst, ", request: \""...), m.In.RequestLine...), '"')
	}
	if r != m {
		dst = append(append(append(dst, ", subrequest: \""...), r.URI...), '"')
	}
	if r.Upstream != nil {
		dst = r.Upstream.AppendLog(dst)
	}
	if m.In != nil && !early {
		if h := m.In.Get(http1.HHost); h != nil {
			dst = append(append(append(dst, ", host: \""...), h...), '"')
		}
		if h := m.In.Get(http1.HReferer); h != nil {
			dst = append(append(append(dst, ", referrer: \""...), h...), '"')
		}
	}
	return dst
}

// Logf writes a line to the location's error log.
func (r *Request) Logf(level nlog.Level, format string, args ...any) {
	if r.Logger.On(level) {
		r.Logger.Logf(level, r, nil, format, args...)
	}
}

// LogErr writes a line that ends in a system error's text.
func (r *Request) LogErr(level nlog.Level, err error, format string, args ...any) {
	if r.Logger.On(level) {
		r.Logger.Logf(level, r, err, format, args...)
	}
}

// LogNumber is the connection's number, for log lines outside a request.
func (c *Conn) LogNumber() uint64 { return c.ID }

// AppendLog appends what nginx says of a connection that has no request.
func (c *Conn) AppendLog(dst []byte) []byte {
	if c.Action != "" {
		dst = append(append(dst, " while "...), c.Action...)
	}
	dst = append(dst, ", client: "...)
	dst = c.Remote.AppendIP(dst)
	if c.Listener != nil {
		dst = append(append(dst, ", server: "...), c.Listener.Conf().Text...)
	}
	return dst
}
