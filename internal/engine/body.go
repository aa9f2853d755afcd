package engine

import (
	"errors"
	"io"
	"os"
	"syscall"

	"moongate/internal/base/nlog"
	"moongate/internal/http1"
)

// Body is the request body as far as it was read.
type Body struct {
	Mem      []byte   // the whole body, or its beginning when File is set
	File     *os.File // the body when it did not fit client_body_buffer_size
	FileSize int64
	// KeepFile leaves the file behind when the request ends (client_body_in_file_only on).
	KeepFile bool
	// Read says that the whole body is here.
	Read bool
	// Received counts decoded bytes.
	Received int64
	pooled   []byte
	shared   bool // File is the parent's
}

// BodyError is a failure to read the request body, with the status that nginx answers.
type BodyError struct {
	Status Status
	Text   string
}

func (e *BodyError) Error() string { return e.Text }

// Failures of reading a body, made by the drivers.
var (
	ErrBodyTimeout  = &BodyError{408, "client timed out"}
	ErrBodyClosed   = &BodyError{400, "client prematurely closed connection"}
	ErrBodyChunk    = &BodyError{400, "client sent invalid chunked body"}
	ErrBodyTooLarge = &BodyError{413, "client intended to send too large chunked body"}
)

// HasBody reports whether the client announced a body.
func (r *Request) HasBody() bool { return r.ContentLength > 0 || r.ChunkedBody }

// mayFollow reports whether there are bytes to be looked for: those of a body, or, on a stream that was not ended with its
// head, any behind "Content-Length: 0", which make the request a bad one (RFC 9113 8.1.1).
func (r *Request) mayFollow() bool {
	if r.HasBody() {
		return true
	}
	d, ok := r.Stream.(Downstream)
	return ok && r.ContentLength == 0 && r.In.Version >= http1.Version20 && d.BodyLeft()
}

// Size is the length of the body that was read.
func (b *Body) Size() int64 {
	if b.File != nil {
		return b.FileSize
	}
	return int64(len(b.Mem))
}

// memory gives an empty buffer of the worker's with room for size bytes; it is given back when the request ends.
func (b *Body) memory(w *Worker, size int) []byte {
	if cap(b.pooled) < size {
		if b.pooled != nil {
			w.FreeBuffer(b.pooled)
		}
		b.pooled = w.Buffer(size)
	}
	return b.pooled[:0]
}

// release gives the body's memory and file back.
func (b *Body) release(w *Worker) {
	b.dropFile()
	if b.pooled != nil {
		w.FreeBuffer(b.pooled)
	}
	*b = Body{}
}

// ReadBody reads the whole request body, into memory or a temporary file; it parks. Repeated calls do nothing.
// Anything but OK is the status to finish with.
func (r *Request) ReadBody() Status {
	if r.Parent != nil || r.Body.Read || r.Discarded {
		return OK
	}
	b := &r.Body
	b.Read = true
	if !r.Invite(true) {
		return Error
	}
	if !r.mayFollow() {
		return OK
	}
	core := r.Core()
	limit := core.ClientBodyBufferSize.V
	size := limit
	if n := r.ContentLength; n >= 0 && (n <= limit || r.In.Version < http1.Version20 && (n <= limit+limit/4 || n <= int64(r.Stream.Buffered()))) { // no file for what is in memory
		size = n
		limit = n
	}
	if core.BodyInFileOnly.V != BodyFileOff {
		return r.bodyToFile(nil, true)
	}
	buf := b.memory(r.W, int(size))
	for {
		if int64(len(buf)) == limit && int64(len(buf)) == r.ContentLength && r.In.Version < http1.Version20 {
			break // the end is known: no read is needed to find it. A stream may go on, though it must not
		}
		if int64(len(buf)) == size {
			var one [1]byte
			n, err := r.Stream.ReadBody(r, one[:])
			if err == io.EOF {
				break
			}
			if err != nil {
				return r.BodyFailed(err)
			}
			if n > 0 {
				b.Mem = buf
				return r.bodyToFile(one[:n], false)
			}
			continue
		}
		n, err := r.Stream.ReadBody(r, buf[len(buf):size])
		buf = buf[:len(buf)+n]
		b.Received += int64(n)
		if err == io.EOF {
			break
		}
		if err != nil {
			return r.BodyFailed(err)
		}
		if st := r.checkBodySize(core, n); st != OK {
			return st
		}
	}
	b.Mem = buf
	return OK
}

// ReadBodyToFile is ReadBody into a file, whatever the configuration says and however small the body is. A body that was
// read before stays where it is.
func (r *Request) ReadBodyToFile() Status {
	if r.Parent != nil || r.Body.Read || r.Discarded {
		return OK
	}
	r.Body.Read = true
	if !r.Invite(true) {
		return Error
	}
	if !r.mayFollow() {
		f, err := r.CreateTemp(r.Core().BodyTemp.V)
		if err != nil {
			return 500
		}
		r.Body.File = f
		return OK
	}
	return r.bodyToFile(nil, true)
}

// checkBodySize is asked after each piece of n bytes: a body of chunks may become larger than is allowed.
func (r *Request) checkBodySize(core *LocConf, n int) Status {
	if max := core.ClientMaxBodySize.V; max > 0 && r.Body.Received > max {
		r.Logf(nlog.Error, "client intended to send too large chunked body: %d+%d bytes", r.Body.Received-int64(n), n)
		return r.bodyStatus(413)
	}
	return OK
}

func (r *Request) bodyStatus(st Status) Status {
	r.KeepAlive = false
	r.Discarded = true
	return st
}

// BodyFailed ends the reading of a body that does not come: it logs why and gives the status of the answer. A client that
// is too slow nginx does not mention.
func (r *Request) BodyFailed(err error) Status {
	r.KeepAlive = false
	r.Discarded = true // there is nothing more to be had of it
	var be *BodyError
	if !errors.As(err, &be) {
		return Error
	}
	switch {
	case be == ErrBodyTimeout:
	case be.Status == 413 || be == ErrBodyChunk:
		r.Logf(nlog.Error, "%s", be.Text)
	default:
		r.Logf(nlog.Info, "%s", be.Text)
	}
	if be == ErrBodyClosed {
		r.Aborted = true
	}
	r.Discarded = true
	return be.Status
}

// bodyToFile moves what was read and more to a temporary file and reads the rest into it.
func (r *Request) bodyToFile(more []byte, wanted bool) Status {
	b := &r.Body
	core := r.Core()
	f, err := r.CreateTemp(core.BodyTemp.V)
	if err != nil {
		return 500
	}
	if !wanted {
		r.Logf(nlog.Warn, "a client request body is buffered to a temporary file %s", f.Name())
	}
	b.File = f
	b.KeepFile = core.BodyInFileOnly.V == BodyFileOn
	if len(b.Mem)+len(more) > 0 {
		b.Received = int64(len(b.Mem) + len(more))
		if !r.writeBody(b.Mem) || !r.writeBody(more) {
			return r.bodyStatus(500)
		}
	}
	buf := b.memory(r.W, 16<<10)
	buf = buf[:cap(buf)]
	b.Mem = nil
	for {
		n, err := r.Stream.ReadBody(r, buf)
		b.Received += int64(n)
		if n > 0 && !r.writeBody(buf[:n]) {
			return r.bodyStatus(500)
		}
		if err == io.EOF {
			return OK
		}
		if err != nil {
			return r.BodyFailed(err)
		}
		if st := r.checkBodySize(core, n); st != OK {
			return st
		}
	}
}

// DiscardBody lets the client send its body to nowhere, so that the connection stays usable. It does not wait for it, but
// chunks that have come are looked at: faulty ones make a bad request.
func (r *Request) DiscardBody() Status {
	if r.Parent != nil || r.Body.Read || r.Discarded {
		return OK
	}
	if !r.Invite(false) {
		return Error
	}
	r.Discarded = true
	d, ok := r.Stream.(Downstream)
	if !ok || !r.ChunkedBody {
		return OK
	}
	buf := r.W.Buffer(4 << 10)
	defer r.W.FreeBuffer(buf)
	for r.Stream.Buffered() > 0 {
		switch _, err := d.TryBody(r, buf[:cap(buf)]); err {
		case nil:
		case io.EOF, syscall.EAGAIN:
			return OK
		default:
			return r.BodyFailed(err)
		}
	}
	return OK
}
