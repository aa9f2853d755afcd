package h1

import (
	"moongate/internal/base/nlog"
	"moongate/internal/base/proxyproto"
	"moongate/internal/engine"
)

const readingProxy = "reading PROXY protocol"

// readProxy reads the PROXY protocol header at the beginning of the buffer; a part of one is left there. False means that
// it is none.
func (c *conn) readProxy() bool {
	h, n, err := proxyproto.Parse(c.buf)
	if err == proxyproto.ErrMore {
		return true
	}
	c.Action = readingProxy
	if err != nil {
		c.log(nlog.Error, nil, err.Error())
		return false
	}
	if h.Src.IsValid() {
		c.Proxy = &engine.ProxyInfo{Src: engine.Addr{IP: h.Src}, Dst: engine.Addr{IP: h.Dst}, TLVs: append([]byte(nil), h.TLVs...)}
	}
	c.proxied = false
	c.rpos = n
	c.Action = "waiting for request"
	if len(c.buf) > n {
		c.Action = "reading client request line"
	}
	return true
}
