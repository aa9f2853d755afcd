package engine

import (
	"moongate/internal/base/ascii"
	"moongate/internal/conf"
	"moongate/internal/http1"
	"moongate/internal/luajit"
)

// GzipConf says to whom compressed responses are sent, whoever compresses them. It is a part of LocConf.
type GzipConf struct {
	Vary    conf.Opt[bool]
	Version conf.Opt[int]
	Proxied conf.Opt[uint32]
	disable []gzipDisable
}

// gzipDisable is one gzip_disable directive.
type gzipDisable struct {
	msie6   bool
	regexes []*luajit.Regex
}

// The words of gzip_proxied, as bits.
const (
	proxiedOff uint32 = 1 << iota
	proxiedExpired
	proxiedNoCache
	proxiedNoStore
	proxiedPrivate
	proxiedNoLastModified
	proxiedNoETag
	proxiedAuth
	proxiedAny
)

var gzipRows = []conf.Directive{
	{Name: "gzip_vary", In: httpAll, Default: "off", Set: conf.Slot(locLevel, conf.Flag, func(c *LocConf) *conf.Opt[bool] { return &c.Gzip.Vary }),
		Doc: "Adds \"Vary: Accept-Encoding\" to responses that are, or for other clients would be, compressed."},
	{Name: "gzip_http_version", In: httpAll, Default: "1.1", Set: conf.Slot(locLevel, conf.Enum(conf.Case("1.0", http1.Version10), conf.Case("1.1", http1.Version11)), func(c *LocConf) *conf.Opt[int] { return &c.Gzip.Version }),
		Doc: "The lowest version of HTTP that compressed responses are sent to."},
	{Name: "gzip_proxied", In: httpAll, Default: "off",
		Set: conf.Slot(locLevel, conf.Bits("off", "expired", "no-cache", "no-store", "private", "no_last_modified", "no_etag", "auth", "any"), func(c *LocConf) *conf.Opt[uint32] { return &c.Gzip.Proxied }),
		Doc: "Which responses to requests of proxies (with a Via header) are compressed: those that may not be cached, by the named signs, or any."},
	{Name: "gzip_disable", In: httpAll, Args: conf.OneMore, Syntax: "regex ...", Set: conf.List(locLevel, readGzipDisable, func(c *LocConf) *[]gzipDisable { return &c.Gzip.disable }),
		Doc: "Sends nothing compressed to clients whose User-Agent matches; the word msie6 stands for Internet Explorer 4 to 6."},
}

func readGzipDisable(c *conf.Cmd) (gzipDisable, error) {
	var d gzipDisable
	for _, a := range c.Args {
		if a == "msie6" {
			d.msie6 = true
			continue
		}
		x, err := luajit.CompileRegex(a, true)
		if err != nil {
			return d, c.Errorf("%s", err)
		}
		d.regexes = append(d.regexes, x)
	}
	return d, nil
}

// GzipOK reports whether the client may be sent a compressed response, by what it accepts and by the directives of the
// location. The answer is found once for a run through the phases.
func (r *Request) GzipOK() bool {
	if r.gzipTested == 0 {
		r.gzipTested = -1
		if r.testGzip() {
			r.gzipTested = 1
		}
	}
	return r.gzipTested > 0
}

func (r *Request) testGzip() bool {
	g := &r.Core().Gzip
	switch {
	case !r.IsMain(), !http1.AcceptsGzip(r.In.Get(http1.HAcceptEncoding)), r.In.Version < g.Version.V:
		return false
	case r.In.Has(http1.HVia) && !r.gzipProxied(g.Proxied.V):
		return false
	}
	ua := r.In.Get(http1.HUserAgent)
	for i := range g.disable {
		d := &g.disable[i]
		if d.msie6 && http1.DetectBrowser(ua)&http1.BrowserMSIE6 != 0 {
			return false
		}
		for _, x := range d.regexes {
			if ua != nil && x.Match(ua, nil) > 0 {
				return false
			}
		}
	}
	return true
}

// gzipProxied applies gzip_proxied to a request that came through a proxy.
func (r *Request) gzipProxied(p uint32) bool {
	switch {
	case p&proxiedOff != 0:
		return false
	case p&proxiedAny != 0, r.In.Has(http1.HAuthorization) && p&proxiedAuth != 0:
		return true
	}
	if e := r.HeaderOut(http1.HExpires); e != nil {
		expires, ok := http1.ParseTime(e.Value)
		date := r.W.Loop.Wall() / 1e9
		if d := r.HeaderOut(http1.HDate); d != nil && ok {
			date, ok = http1.ParseTime(d.Value)
		}
		return p&proxiedExpired != 0 && ok && expires < date
	}
	if r.HeaderOut(http1.HCacheControl) != nil {
		return p&proxiedNoCache != 0 && r.cacheControl("no-cache") ||
			p&proxiedNoStore != 0 && r.cacheControl("no-store") ||
			p&proxiedPrivate != 0 && r.cacheControl("private")
	}
	return !(p&proxiedNoLastModified != 0 && r.HeaderOut(http1.HLastModified) != nil ||
		p&proxiedNoETag != 0 && r.HeaderOut(http1.HETag) != nil)
}

// cacheControl looks for a word in the Cache-Control headers of the response.
func (r *Request) cacheControl(word string) bool {
	for i := range r.Out.List {
		if h := &r.Out.List[i]; h.ID == http1.HCacheControl && h.Name != nil && hasWord(h.Value, word) {
			return true
		}
	}
	return false
}

// hasWord looks for a word without a value in a list separated by commas.
func hasWord(list []byte, word string) bool {
	for len(list) > 0 {
		if ascii.HasPrefixFold(list, word) {
			rest := list[len(word):]
			for len(rest) > 0 && rest[0] == ' ' {
				rest = rest[1:]
			}
			if len(rest) == 0 || rest[0] == ',' {
				return true
			}
		}
		i := 0
		for i < len(list) && list[i] != ',' {
			i++
		}
		list = list[min(i+1, len(list)):]
		for len(list) > 0 && list[0] == ' ' {
			list = list[1:]
		}
	}
	return false
}
