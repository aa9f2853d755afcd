package engine

import "os"

// Chunk is a piece of a response body on its way through the body filters.
type Chunk struct {
	Data  []byte   // the caller's, valid until the call returns
	File  *os.File // or a range of a file; the driver keeps a reference of its own until it is sent
	Off   int64    // with File
	Len   int64    // with File
	Flush bool     // all that is buffered shall leave now
	Last  bool     // nothing follows in this request
	Owner *FileRef // with File: what keeps the descriptor open
}

// Size is the number of bytes of body in c.
func (c *Chunk) Size() int64 {
	if c.File != nil {
		return c.Len
	}
	return int64(len(c.Data))
}

// FileRef counts the users of an open file; the last one closes it.
type FileRef struct {
	F *os.File
	n int
	// Release, when set, is called instead of closing (a cache of open files).
	Release func()
}

// NewFileRef takes the first reference.
func NewFileRef(f *os.File) *FileRef { return &FileRef{F: f, n: 1} }

// Ref takes a reference.
func (f *FileRef) Ref() { f.n++ }

// Unref gives a reference back.
func (f *FileRef) Unref() {
	if f.n--; f.n == 0 {
		if f.Release != nil {
			f.Release()
		} else {
			f.F.Close()
		}
	}
}
