package engine

// Client is the address the request comes from: the connection's, unless a module knows better (realip).
func (r *Request) Client() *Addr {
	if m := r.Main; m.clientSet {
		return &m.client
	}
	return &r.Conn.Remote
}

// SetClient says whom the request comes from, for the main request and all its subrequests.
func (r *Request) SetClient(a Addr) { r.Main.client, r.Main.clientSet = a, true }

// ClientSet reports whether SetClient was called.
func (r *Request) ClientSet() bool { return r.Main.clientSet }
