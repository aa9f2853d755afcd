package engine

import (
	"io"
	"os"
	"strconv"
	"syscall"

	"moongate/internal/base/nlog"
)

var (
	nameContentLength    = []byte("Content-Length")
	nameTransferEncoding = []byte("Transfer-Encoding")
)

// dropFile closes the file of the body, and deletes it unless it is to be kept.
func (b *Body) dropFile() {
	if b.File == nil {
		return
	}
	if !b.shared {
		if !b.KeepFile {
			os.Remove(b.File.Name())
		}
		b.File.Close()
	}
	b.shared = false
	b.File, b.FileSize, b.KeepFile = nil, 0, false
}

// SetBody replaces the request body by bytes in memory that live until the request ends.
func (r *Request) SetBody(p []byte) {
	b := &r.Body
	b.dropFile()
	b.Mem, b.Read = p, true
	r.setBodyLength(int64(len(p)))
}

// SetBodyFile replaces the request body by an open file, which the request closes at its end, and deletes unless keep.
func (r *Request) SetBodyFile(f *os.File, size int64, keep bool) {
	b := &r.Body
	b.dropFile()
	b.Mem, b.Read = nil, true
	if size == 0 {
		if !keep {
			os.Remove(f.Name())
		}
		f.Close()
	} else {
		b.File, b.FileSize, b.KeepFile = f, size, keep
	}
	r.setBodyLength(size)
}

// setBodyLength makes the request's head say how long the body is.
func (r *Request) setBodyLength(n int64) {
	r.ContentLength, r.ChunkedBody = n, false
	in := r.OwnHead()
	in.Set(nameTransferEncoding, nil)
	in.Set(nameContentLength, strconv.AppendInt(r.Alloc(20)[:0], n, 10))
}

// BodyWriter makes a new request body piece by piece: in memory up to size bytes, in a temporary file beyond it.
type BodyWriter struct {
	r    *Request
	size int
}

// NewBody begins a new request body, which takes the place of the one before.
func (r *Request) NewBody(size int) BodyWriter {
	b := &r.Body
	b.dropFile()
	b.Read = true
	if cap(b.pooled) < size {
		b.pooled = make([]byte, 0, size)
	}
	b.Mem = b.pooled[:0]
	r.ContentLength, r.ChunkedBody = 0, false
	return BodyWriter{r, size}
}

// Write appends to the body; false: the file cannot be written, which has been logged.
func (w BodyWriter) Write(p []byte) bool {
	r, b := w.r, &w.r.Body
	r.ContentLength += int64(len(p))
	if b.File == nil && len(b.Mem)+len(p) <= w.size {
		b.Mem = append(b.Mem, p...)
		return true
	}
	if b.File == nil {
		f, err := r.CreateTemp(r.Core().BodyTemp.V)
		if err != nil {
			return false
		}
		if w.size > 0 {
			r.Logf(nlog.Warn, "a client request body is buffered to a temporary file %s", f.Name())
		}
		b.File = f
		if !r.writeBody(b.Mem) {
			return false
		}
		b.Mem = nil
	}
	return r.writeBody(p)
}

// End makes the request's head say how long the body has become.
func (w BodyWriter) End() { w.r.setBodyLength(w.r.ContentLength) }

// writeBody appends to the file of the body.
func (r *Request) writeBody(p []byte) bool {
	b := &r.Body
	n, err := b.File.WriteAt(p, b.FileSize)
	b.FileSize += int64(n)
	if err != nil {
		r.Logf(nlog.Crit, "write() to \"%s\" failed %s", b.File.Name(), nlog.ErrText(err))
		return false
	}
	return true
}

// Preread takes what has come of the request body into memory, client_body_buffer_size at most, without waiting for
// more; a body that is complete by that is read. It is for handlers that pass the body on as it comes.
func (r *Request) Preread() Status {
	b := &r.Body
	d, ok := r.Stream.(Downstream)
	if b.Read || !ok || r.Parent != nil || r.Discarded || !r.HasBody() {
		return OK
	}
	if !r.Invite(true) {
		return Error
	}
	size := min(int(r.Core().ClientBodyBufferSize.V), max(4<<10, r.Stream.Buffered()))
	buf := b.memory(r.W, size)
	for len(buf) < size {
		n, err := d.TryBody(r, buf[len(buf):size])
		buf = buf[:len(buf)+n]
		b.Received += int64(n)
		if err == io.EOF {
			b.Read = true
			break
		}
		if err == syscall.EAGAIN {
			break
		}
		if err != nil {
			return r.BodyFailed(err)
		}
		if st := r.checkBodySize(r.Core(), n); st != OK {
			return st
		}
	}
	b.Mem = buf
	return OK
}

// BodyMemory gives the request's body memory of about n bytes, for handlers that read it themselves: they append to Mem
// within its capacity.
func (r *Request) BodyMemory(n int) {
	if b := &r.Body; b.Mem == nil {
		b.Mem = b.memory(r.W, n)
	}
}

// DropBodyMemory gives it back; what was in it is gone.
func (r *Request) DropBodyMemory() {
	b := &r.Body
	if b.pooled != nil {
		r.W.FreeBuffer(b.pooled)
		b.pooled = nil
	}
	b.Mem = nil
}
