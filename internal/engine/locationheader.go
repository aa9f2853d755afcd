package engine

import (
	"strconv"

	"moongate/internal/http1"
)

// AbsoluteLocation makes the Location header, when it was set by Expose and begins with a slash, what absolute_redirect and
// its like say, and reports whether it did. Drivers call it before they write the head.
func (r *Request) AbsoluteLocation(core *LocConf) bool {
	o := &r.Out
	if !o.OwnLocation || !core.AbsoluteRedirect.V {
		return false
	}
	loc := r.HeaderOut(http1.HLocation)
	if loc == nil || len(loc.Value) == 0 || loc.Value[0] != '/' {
		return false
	}
	b := r.Alloc(len(loc.Value) + len(r.Server.Name) + len(r.In.Server) + 64)[:0]
	b = append(b, "http"...)
	port := 80
	if r.Conn.TLS != nil {
		b = append(b, 's')
		port = 443
	}
	b = append(b, "://"...)
	local := r.Conn.LocalAddr()
	switch {
	case core.ServerNameInRedirect.V:
		b = append(b, r.Server.Name...)
	case len(r.In.Server) > 0:
		b = append(b, r.In.Server...)
	default:
		b = local.AppendIP(b)
	}
	if p := int(local.IP.Port()); core.PortInRedirect.V && !local.Unix && p != port && p != 0 {
		b = append(b, ':')
		b = strconv.AppendInt(b, int64(p), 10)
	}
	loc.Value = append(b, loc.Value...)
	return true
}
