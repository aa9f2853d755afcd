// Package browser divides browsers into modern and ancient ones by their User-Agent (modern_browser, ancient_browser).
package browser

import (
	"bytes"
	"slices"
	"strings"

	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/http1"
)

type config struct {
	modern       []modern
	unlisted     bool
	ancient      [][]byte
	netscape4    bool
	sorted       bool // modern is complete
	modernValue  conf.Opt[string]
	ancientValue conf.Opt[string]
}

// modern is one browser with the version from which it is modern.
type modern struct {
	kind    int
	version uint64
}

type signs struct {
	name      string
	skip, add int
	mark      string
}

// kinds are the browsers that are known: what stands before the version, where to begin looking for it, and the number of
// its bytes (Opera has either sign behind its name). The order matters: Opera may claim to be another.
var kinds = []signs{
	{"opera", 0, len("Opera "), "Opera"},
	{"msie", len("Mozilla/4.0 (compatible; "), len("MSIE "), "MSIE "},
	{"gecko", len("Mozilla/5.0 ("), len("rv:"), "rv:"},
	{"safari", len("Mozilla/5.0 ("), len("Safari/"), "Safari/"},
	{"konqueror", len("Mozilla/5.0 (compatible; "), len("Konqueror/"), "Konqueror/"},
}

const (
	opera = 0
	never = 4001000000 // the version that no browser reaches
)

var loc = conf.NewLevel[config](conf.KindLocation).OnMerge(merge)

// Module is the browser family.
var Module = engine.Module{
	Module: conf.Module{Name: "browser", Directives: []conf.Directive{
		{Name: "modern_browser", Syntax: "browser version | unlisted", In: conf.HTTPServerLocation, Args: conf.Take12, Set: conf.Func(readModern),
			Doc: "The version from which msie, gecko, opera, safari or konqueror is modern; `unlisted` makes those modern that no directive names."},
		{Name: "ancient_browser", Syntax: "string ...", In: conf.HTTPServerLocation, Args: conf.OneMore, Set: conf.Func(readAncient),
			Doc: "Browsers whose User-Agent has one of the strings are ancient; netscape4 stands for Netscape 4 and before."},
		{Name: "modern_browser_value", In: conf.HTTPServerLocation, Default: "1", Set: conf.Slot(loc, conf.Str, func(c *config) *conf.Opt[string] { return &c.modernValue }),
			Doc: "The value of `$modern_browser` for modern browsers."},
		{Name: "ancient_browser_value", In: conf.HTTPServerLocation, Default: "1", Set: conf.Slot(loc, conf.Str, func(c *config) *conf.Opt[string] { return &c.ancientValue }),
			Doc: "The value of `$ancient_browser` for ancient browsers."},
	}},
	Vars: []engine.Var{
		{Name: "msie", Changeable: true, Doc: "`1` for Internet Explorer.", Get: func(r *engine.Request, _ *engine.Var) ([]byte, bool) {
			if http1.DetectBrowser(r.In.Get(http1.HUserAgent))&http1.BrowserMSIE != 0 {
				return []byte("1"), true
			}
			return []byte{}, true
		}},
		{Name: "modern_browser", Changeable: true, Doc: "The value of modern_browser_value for modern browsers, else empty.", Get: func(r *engine.Request, _ *engine.Var) ([]byte, bool) {
			if c := loc.Of(r.Scope); c.isModern(r) {
				return r.CopyString(c.modernValue.V), true
			}
			return []byte{}, true
		}},
		{Name: "ancient_browser", Changeable: true, Doc: "The value of ancient_browser_value for ancient browsers, else empty.", Get: func(r *engine.Request, _ *engine.Var) ([]byte, bool) {
			if c := loc.Of(r.Scope); !c.isModern(r) {
				return r.CopyString(c.ancientValue.V), true
			}
			return []byte{}, true
		}},
	},
}

func merge(parent, child *config, _ *conf.Scope) error {
	switch {
	case child.modern == nil && !child.unlisted:
		child.modern, child.unlisted, child.sorted = parent.modern, parent.unlisted, true
	case child.modern != nil && !child.sorted:
		child.sorted = true
		if !slices.ContainsFunc(child.modern, func(m modern) bool { return m.kind == opera }) {
			child.modern = append(child.modern, modern{opera, never}) // it may have the signs of another
		}
		slices.SortStableFunc(child.modern, func(a, b modern) int { return a.kind - b.kind })
	}
	if child.ancient == nil && !child.netscape4 {
		child.ancient, child.netscape4 = parent.ancient, parent.netscape4
	}
	return nil
}

func readModern(c *conf.Cmd) error {
	lc := loc.Of(c.Scope)
	if len(c.Args) == 1 {
		if c.Args[0] != "unlisted" {
			return c.Invalid(c.Args[0])
		}
		lc.unlisted = true
		return nil
	}
	kind := slices.IndexFunc(kinds, func(k signs) bool { return strings.EqualFold(k.name, c.Args[0]) })
	if kind < 0 {
		return c.Errorf("unknown browser name \"%s\"", c.Args[0])
	}
	v, n := version([]byte(c.Args[1]), never)
	if n != len(c.Args[1]) {
		return c.Errorf("invalid browser version \"%s\"", c.Args[1])
	}
	lc.modern = append(lc.modern, modern{kind, v})
	return nil
}

func readAncient(c *conf.Cmd) error {
	lc := loc.Of(c.Scope)
	for _, a := range c.Args {
		if a == "netscape4" {
			lc.netscape4 = true
			continue
		}
		lc.ancient = append(lc.ancient, []byte(a))
	}
	return nil
}

// version reads a version, three numbers of which weigh a million, ten thousand and a hundred, and gives the length of its
// text. It stops as soon as the version is above most.
func version(p []byte, most uint64) (v uint64, n int) {
	part, scale := uint64(0), uint64(1000000)
	for ; n < len(p); n++ {
		switch c := p[n]; {
		case c >= '0' && c <= '9':
			part = part*10 + uint64(c-'0')
		case c == '.':
			if v += part * scale; v > most {
				return v, n
			}
			part, scale = 0, scale/100
		default:
			return v + part*scale, n
		}
	}
	return v + part*scale, n
}

func (c *config) isModern(r *engine.Request) bool {
	if !r.In.Has(http1.HUserAgent) {
		return c.unlisted
	}
	ua := r.In.Get(http1.HUserAgent)
	for _, m := range c.modern {
		k := &kinds[m.kind]
		if k.skip >= len(ua) {
			continue
		}
		at := bytes.Index(ua[k.skip:], []byte(k.mark))
		if at < 0 || k.skip+at+k.add >= len(ua) {
			continue
		}
		v, _ := version(ua[k.skip+at+k.add:], m.version)
		return v >= m.version
	}
	if len(c.modern) > 0 && !c.unlisted {
		return false
	}
	if c.netscape4 && len(ua) > len("Mozilla/4.72 ") && bytes.HasPrefix(ua, []byte("Mozilla/")) && ua[8] > '0' && ua[8] < '5' {
		return false
	}
	for _, a := range c.ancient {
		if bytes.Contains(ua, a) {
			return false
		}
	}
	return c.unlisted
}
