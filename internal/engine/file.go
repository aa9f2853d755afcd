package engine

import (
	"os"
	"syscall"

	"moongate/internal/base/nlog"
	"moongate/internal/openfile"
)

// File is an open file that pieces of a response body lie in. Its users are counted; the last one closes it, or gives it
// back to the cache it came from. A File belongs to one worker.
type File struct {
	FD    int
	name  []byte
	refs  int
	w     *Worker
	os    *os.File // set when the File was made of one
	cache *openfile.Cache
	entry *openfile.Entry
	uses  int
	next  *File
}

// NewFile makes a File of an open file, which it will close. The caller has the first reference.
func (w *Worker) NewFile(f *os.File) *File {
	x := w.newFile(int(f.Fd()), f.Name())
	x.os = f
	return x
}

func (w *Worker) newFile(fd int, name string) *File {
	f := w.freeFiles
	if f == nil {
		f = &File{w: w}
	} else {
		w.freeFiles = f.next
	}
	f.FD, f.refs, f.next = fd, 1, nil
	f.name = append(f.name[:0], name...)
	return f
}

// Name is the file's name, for log lines; it lives as long as the File.
func (f *File) Name() string { return str(f.name) }

// Ref takes a reference.
func (f *File) Ref() { f.refs++ }

// Unref gives a reference back.
func (f *File) Unref() {
	if f.refs--; f.refs > 0 {
		return
	}
	switch {
	case f.os != nil:
		f.os.Close()
	case f.cache != nil:
		f.cache.Release(f.entry, f.uses, f.w.Loop.Wall()/1e9)
	default:
		openfile.Close(f.FD)
	}
	f.os, f.cache, f.entry = nil, nil, nil
	f.next = f.w.freeFiles
	f.w.freeFiles = f
}

// ReadAt fills p from offset off on. It reads less only at the end of the file or with an error.
func (f *File) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	for n < len(p) {
		m, err := syscall.Pread(f.FD, p[n:], off+int64(n))
		if err == syscall.EINTR {
			continue
		}
		if m <= 0 {
			return n, err
		}
		n += m
	}
	return n, nil
}

// ReadChunk appends the bytes of a piece of file to dst; what is missing is logged and an error.
func (r *Request) ReadChunk(dst []byte, c *Chunk) ([]byte, error) {
	at := len(dst)
	dst = dst[:at+int(c.Len)]
	n, err := c.File.ReadAt(dst[at:], c.Off)
	if int64(n) == c.Len {
		return dst, nil
	}
	if err != nil {
		r.LogErr(nlog.Crit, err, "pread() \"%s\" failed", c.File.Name())
	} else {
		r.Logf(nlog.Alert, "pread() read only %d of %d from \"%s\"", n, c.Len, c.File.Name())
	}
	return dst[:at], ErrClientGone
}

// copyFilter stands above the filters that want bytes in memory and reads files for them. It waits for the client
// between pieces: only handlers in straight-line code send files.
var copyFilter = Filter{Name: "copy", Body: func(r *Request, c *Chunk) error { return copyBody(r, c) }}

// Copy is the place of reading files in the list of filters.
var Copy = &copyFilter

func copyBody(r *Request, c *Chunk) error {
	if c.File == nil {
		return r.Next(c)
	}
	return r.inPieces(c, r, r.filterPos)
}

// inPieces reads a piece of a file and passes it in memory to the body filters of request to behind place pos.
func (r *Request) inPieces(c *Chunk, to *Request, pos int) error {
	size := r.Core().OutputBuffers.V.Size
	buf := r.W.Buffer(int(min(size, max(c.Len, 1))))
	defer func() { r.W.FreeBuffer(buf) }()
	part := Chunk{File: c.File, Off: c.Off}
	for left := c.Len; ; {
		part.Len = min(left, size)
		p, err := r.ReadChunk(buf[:0], &part)
		if err != nil {
			return err
		}
		left -= part.Len
		part.Off += part.Len
		out := Chunk{Data: p}
		if left == 0 {
			out.Flush, out.Last = c.Flush, c.Last
		}
		if err := to.outputAfter(pos, &out); err != nil || left == 0 {
			return err
		}
		if err := r.Main.Drain(OutputLow); err != nil {
			return err
		}
	}
}

// SendFile answers with a file as the whole response: status, head (with type, validators and ranges) and content. The
// caller keeps its reference to f.
func (r *Request) SendFile(f *File, i *openfile.Info) Status {
	r.Out.Status = 200
	r.Out.ContentLength = i.Size
	r.Out.LastModified = i.MTime
	r.SetETag()
	r.SetContentType()
	r.Out.AcceptRanges = true
	if st := r.SendHead(); st != OK || r.HeadOnly {
		return st
	}
	c := Chunk{Last: true}
	if i.Size > 0 {
		c.File, c.Len = f, i.Size
	}
	if r.Output(&c) != nil {
		return Error
	}
	return OK
}
