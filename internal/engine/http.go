package engine

import (
	"net/netip"
	"slices"
	"sort"
	"strconv"
	"strings"

	"moongate/internal/base/units"
	"moongate/internal/conf"
	"moongate/internal/errlog"
	"moongate/internal/http1"
	"moongate/internal/luajit"
	"moongate/internal/plane"
)

// HTTP is an http block: an immutable snapshot that requests are served with.
type HTTP struct {
	Config  *conf.Config
	Scope   *conf.Scope
	Modules []*Module
	Filters []*Filter
	Servers []*Server
	Addrs   []*AddrConf // the addresses to listen on
	Main    *conf.Scope

	table     *varTable
	vars      []*Var
	undefined []*Var
	postpone  int // place in Filters where the output of subrequests joins their parents'
	Values    map[any]any
	use       []usage // by worker
	local     [][]any // by worker, then by WorkerSlot
}

// Set is the list of modules and filters an engine is made of: the one place where order is decided.
type Set struct {
	Modules []*Module
	Filters []*Filter
}

type httpKey struct{}

// HTTPOf gives the http block being read, nil outside of one.
func HTTPOf(c *conf.Cmd) *HTTP {
	h, _ := c.Config().Values[httpKey{}].(*HTTP)
	return h
}

// FromConfig gives the http block of a loaded configuration, nil when it has none.
func FromConfig(cfg *conf.Config) *HTTP {
	h, _ := cfg.Values[httpKey{}].(*HTTP)
	return h
}

// ConfModules lists the configuration modules: the core with its blocks, then the others.
func (s *Set) ConfModules() []*conf.Module {
	rows := append([]conf.Directive{
		{Name: "http", In: conf.Main, Args: conf.NoArgs | conf.Block, Set: conf.Func(s.readHTTP), Doc: "The block of everything that serves HTTP."},
	}, blockRows...)
	rows = append(rows, listenRows...)
	rows = append(rows, coreRows...)
	rows = append(rows, rateRows...)
	rows = append(rows, openFileRows...)
	rows = append(rows, gzipRows...)
	mods := []*conf.Module{{Name: "http_core", Directives: rows}}
	for _, m := range s.Modules {
		mods = append(mods, &m.Module)
	}
	return mods
}

var blockRows = []conf.Directive{
	{Name: "server", In: conf.HTTP, Args: conf.NoArgs | conf.Block, Set: conf.Func(readServer), Doc: "A virtual server."},
	{Name: "location", Syntax: "[ = | ~ | ~* | ^~ ] uri { ... } | @name { ... }", In: conf.Server | conf.Location, Args: conf.Take12 | conf.Block, Set: conf.Func(readLocation),
		Doc: "Configuration for requests whose URI matches: exactly (=), by the longest prefix, or by regular expression (~, ~* without case); ^~ is a prefix that keeps expressions from being tried; @name is reached by internal redirects only."},
	{Name: "limit_except", Syntax: "method ... { ... }", In: conf.Location, Args: conf.OneMore | conf.Block, Set: conf.Func(readLimitExcept),
		Doc: "Access rules for all methods but the given ones; GET includes HEAD."},
	{Name: "server_name", Syntax: "name ...", Default: "\"\"", In: conf.Server, Args: conf.OneMore, Set: conf.Func(readServerName),
		Doc: "The names of a virtual server: exact, with a leading or trailing *, or a regular expression after ~."},
	{Name: "root", In: httpIf, Default: "html", Args: conf.Take1, Syntax: "path", Set: conf.Func(readRoot), Doc: "The folder that URIs are mapped into."},
	{Name: "alias", In: conf.Location, Args: conf.Take1, Syntax: "path", Set: conf.Func(readRoot), Doc: "The folder that replaces the location's part of the URI."},
	{Name: "types", In: httpAll, Args: conf.NoArgs | conf.Block, Default: "text/html html; image/gif gif; image/jpeg jpg;", Set: conf.Func(readTypes), Doc: "MIME types by file extension."},
	{Name: "error_page", Syntax: "code ... [=[response]] uri", In: httpIf, Args: conf.TwoMore, Set: conf.Func(readErrorPage), Doc: "The page, location or redirect that answers for errors."},
}

// readHTTP reads the http block and compiles it.
func (s *Set) readHTTP(c *conf.Cmd) error {
	cfg := c.Config()
	if cfg.Values[httpKey{}] != nil {
		return c.Duplicate()
	}
	h := &HTTP{Config: cfg, Modules: s.Modules, Filters: s.Filters, table: newVarTable(s.Modules), Values: map[any]any{}}
	for i, f := range h.Filters {
		if f.index != i { // the same in every snapshot
			f.index = i
		}
		if f.Name == "postpone" {
			h.postpone = i
		}
	}
	cfg.Values[httpKey{}] = h
	scope := conf.NewScope(conf.KindMain, c.Scope)
	h.Scope, h.Main = scope, scope
	if err := c.Block(conf.HTTP, scope); err != nil {
		return err
	}
	return h.complete()
}

// complete merges the levels, compiles the programs and lets the modules set themselves up.
func (h *HTTP) complete() error {
	if err := conf.Merge(nil, h.Scope, conf.KindMain); err != nil {
		return err
	}
	for _, s := range h.Servers {
		if err := conf.Merge(h.Scope, s.Scope, conf.KindServer, conf.KindLocation); err != nil {
			return err
		}
		if err := h.mergeLocations(s.Loc); err != nil {
			return err
		}
	}
	// Code that belongs to no location (timers) goes by the http block; its defaults must not reach the blocks within.
	if err := conf.Merge(nil, h.Scope, conf.KindServer, conf.KindLocation); err != nil {
		return err
	}
	if err := conf.Init(h.Scope); err != nil {
		return err
	}
	for _, m := range h.Modules {
		if m.Setup != nil {
			if err := m.Setup(h); err != nil {
				return err
			}
		}
	}
	if err := h.checkVars(); err != nil {
		return err
	}
	paths := plane.PathsIn(h.Config.Values)
	h.EachLocation(func(_ *Server, l *Location) { paths.Add(locLevel.Of(l.Scope).BodyTemp.V.Path) })
	for _, s := range h.Servers {
		s.Loc.index()
		h.compile(s.Loc)
	}
	return h.groupListens()
}

func (h *HTTP) mergeLocations(l *Location) error {
	for _, k := range l.Children() {
		if err := conf.Merge(l.Scope, k.Scope, conf.KindLocation); err != nil {
			return err
		}
		if err := h.mergeLocations(k); err != nil {
			return err
		}
	}
	return nil
}

// Children lists the blocks within l in the order of the file: locations, "if"s and limit_except.
func (l *Location) Children() []*Location {
	all := append(append([]*Location{}, l.subs...), l.ifs...)
	if l.Except != nil {
		all = append(all, l.Except.Loc)
	}
	return all
}

// compile makes the program of a location and those within.
func (h *HTTP) compile(l *Location) {
	l.Core = locLevel.Of(l.Scope)
	l.Core.logger = errlog.Of(l.Scope)
	place := 0
	for _, m := range h.Modules {
		for i := range m.Steps {
			st := &m.Steps[i]
			if st.Active == nil || st.Active(l.Scope) {
				l.steps[st.Phase] = append(l.steps[st.Phase], st.Run)
				l.order[st.Phase] = append(l.order[st.Phase], place)
			}
			place++
		}
	}
	for _, f := range h.Filters {
		if f.Active == nil || f.Active(l.Scope) {
			l.filters = append(l.filters, f)
		}
	}
	for _, k := range l.Children() {
		h.compile(k)
	}
}

// EachLocation visits every location of the block, parents first.
func (h *HTTP) EachLocation(f func(s *Server, l *Location)) {
	var walk func(s *Server, l *Location)
	walk = func(s *Server, l *Location) {
		f(s, l)
		for _, k := range l.Children() {
			walk(s, k)
		}
	}
	for _, s := range h.Servers {
		walk(s, s.Loc)
	}
}

func readServer(c *conf.Cmd) error {
	h := HTTPOf(c)
	scope := conf.NewScope(conf.KindServer, c.Scope)
	s := &Server{Scope: scope, Conf: srvLevel.Of(scope), named: map[string]*Location{}, File: c.File, Line: c.Line}
	s.Conf.srv = s
	s.Loc = &Location{Scope: scope, Core: locLevel.Of(scope), File: c.File, Line: c.Line}
	s.Loc.Core.loc = s.Loc
	h.Servers = append(h.Servers, s)
	if err := c.Block(conf.Server, scope); err != nil {
		return err
	}
	if len(s.Listens) == 0 {
		l := ListenOpt{Addr: netip.AddrPortFrom(netip.IPv4Unspecified(), 80), Text: "0.0.0.0:80"}
		if !isRoot() {
			l.Addr, l.Text = netip.AddrPortFrom(netip.IPv4Unspecified(), 8000), "0.0.0.0:8000"
		}
		s.Listens = append(s.Listens, l)
	}
	if len(s.Conf.names) == 0 {
		s.Conf.names = append(s.Conf.names, serverName{text: ""})
	}
	s.Name = s.Conf.names[0].shown
	return nil
}

// LocationOf gives the location of a scope (a server's own level included), nil at the http level.
func LocationOf(s *conf.Scope) *Location { return locLevel.Of(s).loc }

func readLocation(c *conf.Cmd) error {
	parent := LocationOf(c.Scope)
	l := &Location{Parent: parent, File: c.File, Line: c.Line}
	if err := l.parseName(c); err != nil {
		return err
	}
	if parent.Parent != nil { // nested
		switch {
		case parent.Exact:
			return c.Errorf("location \"%s\" cannot be inside the exact location \"%s\"", l.Name, parent.Name)
		case parent.IsNamed:
			return c.Errorf("location \"%s\" cannot be inside the named location \"%s\"", l.Name, parent.Name)
		case l.IsNamed:
			return c.Errorf("named location \"%s\" can be on the server level only", l.Name)
		case l.Regex == nil && !strings.HasPrefix(l.Name, parent.Name):
			return c.Errorf("location \"%s\" is outside location \"%s\"", l.Name, parent.Name)
		}
	}
	l.Scope = conf.NewScope(conf.KindLocation, c.Scope)
	l.Core = locLevel.Of(l.Scope)
	l.Core.loc = l
	for _, s := range parent.subs {
		if s.Name == l.Name && s.Exact == l.Exact && (s.Regex == nil) == (l.Regex == nil) && l.Regex == nil && !s.IsNamed && !l.IsNamed {
			return c.Errorf("duplicate location \"%s\"", l.Name)
		}
	}
	parent.subs = append(parent.subs, l)
	if l.IsNamed {
		srvLevel.Of(c.Scope).srv.named[l.Name] = l
	}
	return c.Block(conf.Location, l.Scope)
}

// parseName reads the modifier and the name of a location.
func (l *Location) parseName(c *conf.Cmd) error {
	mod, name := "", c.Args[0]
	if len(c.Args) == 2 {
		mod, name = c.Args[0], c.Args[1]
		switch mod {
		case "=", "^~", "~", "~*":
		default:
			return c.Errorf("invalid location modifier \"%s\"", mod)
		}
	} else {
		switch {
		case strings.HasPrefix(name, "="):
			mod, name = "=", name[1:]
		case strings.HasPrefix(name, "^~"):
			mod, name = "^~", name[2:]
		case strings.HasPrefix(name, "~*"):
			mod, name = "~*", name[2:]
		case strings.HasPrefix(name, "~"):
			mod, name = "~", name[1:]
		}
	}
	l.Name = name
	switch mod {
	case "=":
		l.Exact = true
	case "^~":
		l.NoRegex = true
	case "~", "~*":
		return l.setRegex(c, name, mod == "~*")
	case "":
		l.IsNamed = strings.HasPrefix(name, "@")
	}
	return nil
}

func (l *Location) setRegex(c *conf.Cmd, pattern string, caseless bool) error {
	re, err := CompileRegex(c, pattern, caseless)
	l.Regex = re
	return err
}

// CompileRegex compiles a regular expression of the configuration and defines variables for its named groups.
func CompileRegex(c *conf.Cmd, pattern string, caseless bool) (*luajit.Regex, error) {
	re, err := luajit.CompileRegex(pattern, caseless)
	if err != nil {
		return nil, c.Errorf("%s", err)
	}
	h := HTTPOf(c)
	for _, n := range re.Names() {
		if _, err := h.DefineVar(Var{Name: n.Name, Get: noGroup}); err != nil {
			return nil, c.Errorf("%s", err)
		}
	}
	return re, nil
}

// noGroup is the Get of a named group's variable: nothing has matched yet.
func noGroup(*Request, *Var) ([]byte, bool) { return nil, false }

// NewIf makes the location of an "if" block in location or server context; the caller reads the block into its Scope.
func NewIf(c *conf.Cmd) *Location {
	outer := LocationOf(c.Scope)
	l := &Location{Name: outer.Name, IsIf: true, Parent: outer, Exact: outer.Exact, NoRegex: outer.NoRegex, Regex: outer.Regex, File: c.File, Line: c.Line}
	l.Scope = conf.NewScope(conf.KindLocation, c.Scope)
	l.Core = locLevel.Of(l.Scope)
	l.Core.loc = l
	outer.ifs = append(outer.ifs, l)
	return l
}

func readLimitExcept(c *conf.Cmd) error {
	outer := LocationOf(c.Scope)
	if outer.Except != nil {
		return c.Duplicate()
	}
	e := &Except{Methods: map[http1.Method]bool{}}
	for _, a := range c.Args {
		m := http1.LookupMethod([]byte(strings.ToUpper(a)))
		if m == http1.MethodUnknown || m == http1.MethodTrace || m == http1.MethodConnect {
			return c.Errorf("invalid method \"%s\"", a)
		}
		e.Methods[m] = true
		if m == http1.MethodGet {
			e.Methods[http1.MethodHead] = true
		}
	}
	l := &Location{Name: outer.Name, IsIf: true, Parent: outer, Exact: outer.Exact, Regex: outer.Regex, File: c.File, Line: c.Line}
	l.Scope = conf.NewScope(conf.KindLocation, c.Scope)
	l.Core = locLevel.Of(l.Scope)
	l.Core.loc = l
	e.Loc = l
	outer.Except = e
	return c.Block(conf.LimitExcept, l.Scope)
}

// EachName visits the names of the server in lower case, as they stand in the configuration; of an expression re is set.
func (c *SrvConf) EachName(f func(name string, re *luajit.Regex)) {
	for _, n := range c.names {
		f(n.text, n.re)
	}
}

type serverName struct {
	text  string // lower case; of an expression: the pattern
	shown string
	re    *luajit.Regex
}

func readServerName(c *conf.Cmd) error {
	sc := srvLevel.Of(c.Scope)
	for _, a := range c.Args {
		n := serverName{shown: a}
		switch {
		case a == "$hostname":
			n.text = strings.ToLower(hostname())
			n.shown = n.text
		case strings.HasPrefix(a, "~"):
			if len(a) == 1 {
				return c.Errorf("empty regex in server name \"%s\"", a)
			}
			caseless := strings.ContainsFunc(a[1:], func(r rune) bool { return r >= 'A' && r <= 'Z' })
			re, err := CompileRegex(c, a[1:], caseless)
			if err != nil {
				return err
			}
			n.re = re
		default:
			n.text = strings.ToLower(a)
			if strings.HasPrefix(a, ".") {
				n.shown = a[1:]
			}
			if strings.HasPrefix(a, "*") && (len(a) < 3 || a[1] != '.') || a == "." {
				return c.Errorf("server name \"%s\" is invalid", a)
			}
			if strings.ContainsRune(a, '/') {
				c.Warnf("server name \"%s\" has suspicious symbols", a)
			}
		}
		sc.names = append(sc.names, n)
	}
	return nil
}

func readRoot(c *conf.Cmd) error {
	lc := locLevel.Of(c.Scope)
	alias := c.Name == "alias"
	if lc.Root.IsSet {
		if lc.Alias == alias {
			return c.Duplicate()
		}
		other := "root"
		if lc.Alias {
			other = "alias"
		}
		return c.Errorf("\"%s\" directive is duplicate, \"%s\" directive was specified earlier", c.Name, other)
	}
	l := lc.loc
	if alias && l.IsNamed {
		return c.Errorf("the \"alias\" directive cannot be used inside the named location")
	}
	text := c.Args[0]
	if strings.Contains(text, "$document_root") || strings.Contains(text, "${document_root}") {
		return c.Errorf("the $document_root variable cannot be used in the \"%s\" directive", c.Name)
	}
	if strings.Contains(text, "$realpath_root") || strings.Contains(text, "${realpath_root}") {
		return c.Errorf("the $realpath_root variable cannot be used in the \"%s\" directive", c.Name)
	}
	if !strings.HasPrefix(text, "$") {
		text = c.Config().FullName(text)
	}
	if !alias && len(text) > 0 && text[len(text)-1] == '/' {
		text = text[:len(text)-1]
	}
	t, err := CompileArg(c, text)
	if err != nil {
		return err
	}
	lc.Root, lc.Alias = conf.Some(t), alias
	if alias {
		if lc.aliasLen = len(l.Name); l.Regex != nil {
			lc.aliasLen = aliasWhole
		}
	}
	return nil
}

func readErrorPage(c *conf.Cmd) error {
	lc := locLevel.Of(c.Scope)
	p := &ErrorPage{Overwrite: -1}
	n := len(c.Args)
	uri := c.Args[n-1]
	codes := c.Args[:n-1]
	if last := codes[len(codes)-1]; strings.HasPrefix(last, "=") {
		if len(codes) == 1 {
			return c.Invalid(last)
		}
		p.Overwrite = 0
		if len(last) > 1 {
			v, err := strconv.Atoi(last[1:])
			if err != nil {
				return c.Invalid(last)
			}
			p.Overwrite = v
		}
		codes = codes[:len(codes)-1]
	}
	t, err := CompileArg(c, uri)
	if err != nil {
		return err
	}
	if t.IsLiteral() && strings.HasPrefix(uri, "/") {
		if i := strings.IndexByte(uri, '?'); i >= 0 {
			p.Args = []byte(uri[i+1:])
			t = Literal(uri[:i])
		}
	}
	p.URI = t
	for _, a := range codes {
		v, err := strconv.Atoi(a)
		if err != nil || v == 499 {
			return c.Invalid(a)
		}
		if v < 300 || v > 599 {
			return c.Errorf("value \"%s\" must be between 300 and 599", a)
		}
		code := Status(v)
		q := *p
		if p.Overwrite == -1 {
			switch code {
			case 494, 495, 496, 497:
				q.Overwrite = 400
			}
		}
		q.Codes = []Status{code}
		lc.ErrorPages = append(lc.ErrorPages, &q)
	}
	return nil
}

var keepaliveType = conf.NewType("timeout [header_timeout]", conf.Take12, func(c *conf.Cmd) (Keepalive, error) {
	var k Keepalive
	d, ok := units.Msec(c.Args[0])
	if !ok {
		return k, c.Bad("invalid value")
	}
	k.Timeout = d
	if len(c.Args) == 2 {
		if k.Header, ok = units.Sec(c.Args[1]); !ok {
			return k, c.Bad("invalid value")
		}
	}
	return k, nil
})

// groupListens sorts the servers by the addresses they listen on.
func (h *HTTP) groupListens() error {
	byText := map[string]*AddrConf{}
	servers := map[*AddrConf][]*Server{}
	for _, s := range h.Servers {
		for i := range s.Listens {
			l := &s.Listens[i]
			a := byText[l.Key()]
			if a == nil {
				a = &AddrConf{ListenOpt: *l, http: h, names: &nameTable{def: s, exact: map[string]*Server{}, heads: map[string]*Server{}, tails: map[string]*Server{}}}
				byText[l.Key()] = a
				h.Addrs = append(h.Addrs, a)
			} else {
				a.combine(l)
			}
			if l.Default {
				a.names.def = s
			}
			servers[a] = append(servers[a], s)
		}
	}
	for _, a := range h.Addrs {
		for _, s := range servers[a] {
			if err := a.addNames(s, len(servers[a]) > 1); err != nil {
				return err
			}
		}
		a.names.alone = len(servers[a]) == 1 && !a.names.captures()
		if err := a.checkTLS(servers[a]); err != nil {
			return err
		}
	}
	h.shareSockets()
	sort.SliceStable(h.Addrs, func(i, j int) bool { return !h.Addrs[i].wildcard() && h.Addrs[j].wildcard() })
	return nil
}

// captures reports whether a name of a server takes something out of the name that a client asks for.
func (t *nameTable) captures() bool {
	return slices.ContainsFunc(t.regex, func(x regexName) bool { return x.re.NumCaptures() > 0 })
}

// addNames makes a server of the address known by its names. An address with one server never looks for a name without
// expressions, so that only others have their names checked.
func (a *AddrConf) addNames(s *Server, checked bool) error {
	put := func(m map[string]*Server, key, name string) {
		if m[key] != nil {
			if !checked {
				return
			}
			s.Scope.Logf("warn", "conflicting server name \"%s\" on %s, ignored", name, a.Text)
			return
		}
		m[key] = s
	}
	for _, n := range s.Conf.names {
		star := strings.Count(n.text, "*")
		switch {
		case n.re != nil:
			a.names.regex = append(a.names.regex, regexName{n.re, s})
		case star > 1 || strings.Contains(n.text, "..") || star == 1 && !strings.HasPrefix(n.text, "*.") && !strings.HasSuffix(n.text, ".*"):
			if checked {
				return &conf.Error{Level: "emerg", Msg: "invalid server name or wildcard \"" + n.text + "\" on " + a.Text}
			}
		case strings.HasPrefix(n.text, "*."):
			put(a.names.heads, n.text[1:], n.text)
		case strings.HasPrefix(n.text, "."):
			put(a.names.heads, n.text, n.text)
			put(a.names.exact, n.text[1:], n.text)
		case star == 1:
			put(a.names.tails, n.text[:len(n.text)-1], n.text)
		default:
			put(a.names.exact, n.text, n.text)
		}
	}
	return nil
}
