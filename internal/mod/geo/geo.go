// Package geo makes variables whose values depend on an address: geo.
//
// The networks of a block are kept by their length, the longest that has the address wins. With "ranges" a block has
// ranges of IPv4 addresses instead, in pages of 65536 addresses; a range within another one splits it.
package geo

import (
	"fmt"
	"net/netip"
	"strings"

	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/http1"
)

// Module is the geo module.
var Module = engine.Module{Module: conf.Module{Name: "geo", Directives: []conf.Directive{
	{Name: "geo", Syntax: "[$address] $variable { ... }", In: conf.HTTP, Args: conf.Take12 | conf.Block, Set: conf.Func(read),
		Doc: "Makes a variable whose value depends on the client's address, or on the one in a variable: each line has a network and the value for it. `default` names the value for all other addresses, `delete` takes a network out, `include` reads a file, `ranges` (first of all) has ranges such as `10.0.0.1-10.0.0.9` instead of networks, `proxy` names trusted proxies, for whose requests the address is the last one of X-Forwarded-For, with `proxy_recursive` the last one that is not trusted; `volatile` keeps the value from being remembered."},
}}}

// block is a geo block.
type block struct {
	source    *engine.Var // nil: the client's address
	proxies   engine.Nets
	recursive bool
	ranges    bool

	values map[netip.Prefix][]byte
	v4, v6 [129]bool // the lengths that occur
	pages  map[uint16][]span
	other  []byte
	given  bool // a default was
}

// span is a part of a page.
type span struct {
	start, end uint16
	value      []byte
}

func read(c *conf.Cmd) error {
	b := &block{values: map[netip.Prefix][]byte{}, pages: map[uint16][]span{}}
	name := c.Args[len(c.Args)-1]
	for _, a := range c.Args {
		if !strings.HasPrefix(a, "$") {
			return c.Errorf("invalid variable name \"%s\"", a)
		}
	}
	h := engine.HTTPOf(c)
	if len(c.Args) == 2 {
		b.source = h.Var(c.Args[0][1:])
	}
	v, err := h.DefineVar(engine.Var{Name: name[1:], Get: get, Data: b})
	if err != nil {
		return c.Errorf("%s", err)
	}
	entries := false
	return c.Entries(func(e *conf.Cmd) error {
		if len(e.Args) == 0 {
			switch e.Name {
			case "ranges":
				if entries {
					return e.Errorf("the \"ranges\" directive must be the first directive inside \"geo\" block")
				}
				b.ranges = true
				return nil
			case "proxy_recursive":
				b.recursive = true
				return nil
			case "volatile":
				v.NoCache = true
				return nil
			}
		}
		if len(e.Args) != 1 {
			return e.Errorf("invalid number of the geo parameters")
		}
		switch {
		case e.Name == "include":
			return e.Include()
		case e.Name == "proxy":
			net, err := network(e, e.Args[0])
			b.proxies.Prefixes = append(b.proxies.Prefixes, net)
			return err
		case b.ranges:
			return b.addRange(e)
		}
		entries = true
		return b.addNet(e)
	})
}

// network reads a network; what its length leaves out is cut off with a warning.
func network(e *conf.Cmd, text string) (netip.Prefix, error) {
	net, ok := engine.ParseNet(text)
	if !ok {
		return net, e.Errorf("invalid network \"%s\"", text)
	}
	if net != net.Masked() {
		e.Warnf("low address bits of %s are meaningless", text)
	}
	return net.Masked(), nil
}

var everything = [2]netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}

func (b *block) addNet(e *conf.Cmd) error {
	value := []byte(e.Args[0])
	switch e.Name {
	case "default":
		for _, net := range everything {
			b.put(e, net, value)
		}
		return nil
	case "delete":
		net, err := network(e, e.Args[0])
		if err != nil {
			return err
		}
		if _, ok := b.values[net]; !ok {
			e.Warnf("no network \"%s\" to delete", e.Args[0])
		}
		delete(b.values, net)
		return nil
	}
	net, err := network(e, e.Name)
	if err == nil {
		b.put(e, net, value)
	}
	return err
}

func (b *block) put(e *conf.Cmd, net netip.Prefix, value []byte) {
	if old, ok := b.values[net]; ok {
		e.Warnf("duplicate network \"%s\", value: \"%s\", old value: \"%s\"", e.Name, value, old)
	}
	b.values[net] = value
	if net.Addr().Is4() {
		b.v4[net.Bits()] = true
	} else {
		b.v6[net.Bits()] = true
	}
}

func (b *block) addRange(e *conf.Cmd) error {
	text := e.Name
	switch text {
	case "default":
		if b.given {
			e.Warnf("duplicate default geo range value: \"%s\", old value: \"%s\"", e.Args[0], b.other)
		}
		b.other, b.given = []byte(e.Args[0]), true
		return nil
	case "delete":
		text = e.Args[0]
	}
	from, to, _ := strings.Cut(text, "-")
	start, ok := number(from)
	end, ok2 := number(to)
	// nginx's reader of addresses has no way to tell the last address from a failure.
	if !ok || !ok2 || start > end || start == ^uint32(0) || end == ^uint32(0) {
		return e.Errorf("invalid range \"%s\"", text)
	}
	missing := false
	for n := start; ; n = n&^0xffff + 0x10000 {
		page, s, t := uint16(n>>16), uint16(n), uint16(0xffff)
		if n|0xffff > end {
			t = uint16(end)
		}
		if e.Name == "delete" {
			missing = !b.remove(page, s, t) || missing
		} else if err := b.insert(e, page, span{s, t, []byte(e.Args[0])}); err != nil {
			return err
		}
		if n|0xffff >= end {
			break
		}
	}
	if missing {
		e.Warnf("no address range \"%s\" to delete", text)
	}
	return nil
}

func number(s string) (uint32, bool) {
	a, err := netip.ParseAddr(s)
	if err != nil || !a.Is4() {
		return 0, false
	}
	b := a.As4()
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3]), true
}

// remove takes exactly this span out of a page.
func (b *block) remove(page, s, t uint16) bool {
	for i, old := range b.pages[page] {
		if old.start == s && old.end == t {
			b.pages[page] = append(b.pages[page][:i], b.pages[page][i+1:]...)
			return true
		}
	}
	return false
}

// insert adds a span to a page; it may lie within another one, but not overlap it otherwise.
func (b *block) insert(e *conf.Cmd, page uint16, n span) error {
	list := b.pages[page]
	var out []span
	placed := false
	for i := range list {
		old := &list[i]
		switch {
		case old.end < n.start:
			out = append(out, *old)
		case n.end < old.start:
			if !placed {
				out, placed = append(out, n), true
			}
			out = append(out, *old)
		case n.start < old.start || n.end > old.end:
			dotted := func(low uint16) string { return fmt.Sprintf("%d.%d.%d.%d", page>>8, page&0xff, low>>8, low&0xff) }
			return e.Errorf("range \"%s\" overlaps \"%s-%s\"", e.Name, dotted(old.start), dotted(old.end))
		default:
			if n.start == old.start && n.end == old.end {
				e.Warnf("duplicate range \"%s\", value: \"%s\", old value: \"%s\"", e.Name, n.value, old.value)
			}
			if old.start < n.start {
				out = append(out, span{old.start, n.start - 1, old.value})
			}
			out, placed = append(out, n), true
			if n.end < old.end {
				out = append(out, span{n.end + 1, old.end, old.value})
			}
		}
	}
	if !placed {
		out = append(out, n)
	}
	b.pages[page] = out
	return nil
}

// none is the address that stands for those that are no IPv4 address, as in nginx.
var none = netip.AddrFrom4([4]byte{255, 255, 255, 255})

func get(r *engine.Request, v *engine.Var) ([]byte, bool) {
	b := v.Data.(*block)
	ip := b.address(r)
	if b.ranges {
		return b.inRanges(ip), true
	}
	lengths := &b.v6
	if ip.Is4() {
		lengths = &b.v4
	}
	for n := ip.BitLen(); n >= 0; n-- {
		if !lengths[n] {
			continue
		}
		net, _ := ip.Prefix(n)
		if value, ok := b.values[net]; ok {
			return value, true
		}
	}
	return nil, true
}

// address is what the value depends on.
func (b *block) address(r *engine.Request) netip.Addr {
	a := *r.Client()
	if b.source != nil {
		text, _ := r.Var(b.source)
		var ok bool
		if a, ok = engine.ParseAddr(text); !ok {
			return none
		}
	}
	if b.proxies.Prefixes != nil {
		a, _ = engine.ForwardedAddr(a, &r.In.Headers, http1.HXForwardedFor, &b.proxies, b.recursive)
	}
	if a.Unix {
		return none
	}
	return a.IP.Addr().Unmap()
}

func (b *block) inRanges(ip netip.Addr) []byte {
	if !ip.Is4() {
		ip = none
	}
	a := ip.As4()
	low := uint16(a[2])<<8 | uint16(a[3])
	for _, s := range b.pages[uint16(a[0])<<8|uint16(a[1])] {
		if s.start <= low && low <= s.end {
			return s.value
		}
	}
	return b.other
}
