package engine

// Chunk is a piece of a response body on its way through the body filters.
type Chunk struct {
	Data  []byte // the caller's, valid until the call returns
	File  *File  // or a range of a file; who keeps the chunk takes a reference
	Off   int64  // with File
	Len   int64  // with File
	Flush bool   // all that is buffered shall leave now
	Last  bool   // nothing follows in this request
}

// Size is the number of bytes of body in c.
func (c *Chunk) Size() int64 {
	if c.File != nil {
		return c.Len
	}
	return int64(len(c.Data))
}
