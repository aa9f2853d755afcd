package engine

import (
	"bytes"
	"net"
	"net/netip"
	"strings"

	"moongate/internal/conf"
)

// Types maps file extensions to MIME types.
type Types struct{ m map[string][]byte }

var defaultTypes = &Types{m: map[string][]byte{
	"html": []byte("text/html"), "gif": []byte("image/gif"), "jpg": []byte("image/jpeg"),
}}

func readTypes(c *conf.Cmd) error {
	lc := locLevel.Of(c.Scope)
	if lc.types == nil {
		lc.types = &Types{m: map[string][]byte{}}
	}
	return c.Entries(func(e *conf.Cmd) error {
		if e.Name == "include" {
			return e.Include()
		}
		for _, ext := range e.Args {
			ext = strings.ToLower(ext)
			if old, ok := lc.types.m[ext]; ok {
				e.Warnf("duplicate extension \"%s\", content type: \"%s\", previous content type: \"%s\"", ext, e.Name, old)
			}
			lc.types.m[ext] = []byte(e.Name)
		}
		return nil
	})
}

// mergeLoc is the part of merging that rows do not describe.
func mergeLoc(parent, child *LocConf, s *conf.Scope) error {
	if child.types == nil {
		child.types = parent.types
	}
	child.Types = child.types
	if child.Types == nil {
		child.Types = defaultTypes
	}
	if !child.Root.IsSet {
		child.Root, child.Alias, child.aliasLen = parent.Root, parent.Alias, parent.aliasLen
		if !child.Root.IsSet {
			child.Root = conf.Some(Literal(s.Config().FullName("html")))
		}
	}
	if child.ErrorPages == nil {
		child.ErrorPages = parent.ErrorPages
	}
	return nil
}

// Exten is the extension of the URI's last component, without the dot.
func (r *Request) Exten() []byte {
	for i := len(r.URI) - 1; i >= 0; i-- {
		switch r.URI[i] {
		case '.':
			if i == 0 || r.URI[i-1] == '/' {
				return nil
			}
			return r.URI[i+1:]
		case '/':
			return nil
		}
	}
	return nil
}

// SetContentType sets the response's type from the extension of the URI, or default_type.
func (r *Request) SetContentType() {
	if r.Out.ContentType != nil {
		return
	}
	core := r.Core()
	if ext := r.Exten(); len(ext) > 0 {
		t := core.Types.m[str(ext)]
		if t == nil && bytes.IndexFunc(ext, func(c rune) bool { return c >= 'A' && c <= 'Z' }) >= 0 {
			t = core.Types.m[str(bytes.ToLower(ext))]
		}
		if t != nil {
			r.Out.ContentType = t
			return
		}
	}
	r.Out.ContentType = bytesOf(core.DefaultType.V)
}

// LookupHost finds the addresses of a name while the configuration is read.
func LookupHost(name string) ([]netip.Addr, error) {
	ips, err := net.LookupIP(name)
	var out []netip.Addr
	for _, ip := range ips {
		if a, ok := netip.AddrFromSlice(ip); ok {
			out = append(out, a.Unmap())
		}
	}
	return out, err
}
