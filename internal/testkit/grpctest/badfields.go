package grpctest

// Fields sends the head or the trailers of an answer, as pairs of names and values; end says that nothing follows.
func (c *BadConn) Fields(id uint32, end bool, fields ...string) {
	c.queue = append(c.queue, piece{frame: c.fields(id, end, fields...), id: id})
}
