package engine

import (
	"bytes"
	"sort"
	"strings"

	"moongate/internal/base/nlog"
	"moongate/internal/conf"
	"moongate/internal/http1"
	"moongate/internal/luajit"
)

// Location is a location block, an "if" or limit_except block within one, or a server's own level.
type Location struct {
	Name    string // as written, without modifier; of a regex: the expression
	Exact   bool
	NoRegex bool // ^~
	Regex   *luajit.Regex
	IsNamed bool
	IsIf    bool
	// AutoRedirect answers a request for the name without its last slash with a 301 (proxied prefixes).
	AutoRedirect bool
	Scope        *conf.Scope
	Core         *LocConf
	Handler      Handler
	Except       *Except
	Parent       *Location
	File         string
	Line         int

	tree  *prefixNode
	exact map[string]*Location
	// redirects finds locations with AutoRedirect by their names without the last slash.
	redirects map[string]*Location
	regexes   []*Location
	subs      []*Location // in the order of the file
	ifs       []*Location
	steps     [phaseCount][]Handler
	order     [phaseCount][]int // the places of steps in the list of all modules' steps
	filters   []*Filter
}

// Except is limit_except: methods outside the list are served with its own configuration.
type Except struct {
	Methods map[http1.Method]bool
	Loc     *Location
}

// Allows reports whether the method is in the list.
func (e *Except) Allows(m http1.Method) bool { return e.Methods[m] }

// prefixNode is a node of the compressed tree of prefix locations.
type prefixNode struct {
	prefix string
	loc    *Location
	kids   []*prefixNode // sorted by first byte
}

func (n *prefixNode) insert(name string, l *Location) {
	for {
		i := sort.Search(len(n.kids), func(i int) bool { return n.kids[i].prefix[0] >= name[0] })
		if i == len(n.kids) || n.kids[i].prefix[0] != name[0] {
			n.kids = append(n.kids, nil)
			copy(n.kids[i+1:], n.kids[i:])
			n.kids[i] = &prefixNode{prefix: name, loc: l}
			return
		}
		k := n.kids[i]
		c := 0
		for c < len(k.prefix) && c < len(name) && k.prefix[c] == name[c] {
			c++
		}
		if c < len(k.prefix) { // split
			low := &prefixNode{prefix: k.prefix[c:], loc: k.loc, kids: k.kids}
			k.prefix, k.loc, k.kids = k.prefix[:c], nil, []*prefixNode{low}
		}
		if c == len(name) {
			k.loc = l
			return
		}
		n, name = k, name[c:]
	}
}

// longest finds the location with the longest prefix of uri.
func (n *prefixNode) longest(uri []byte) *Location {
	var best *Location
	for {
		if n.loc != nil {
			best = n.loc
		}
		if len(uri) == 0 {
			return best
		}
		var next *prefixNode
		for _, k := range n.kids {
			if k.prefix[0] == uri[0] {
				next = k
				break
			}
		}
		if next == nil || len(uri) < len(next.prefix) || str(uri[:len(next.prefix)]) != next.prefix {
			return best
		}
		uri = uri[len(next.prefix):]
		n = next
	}
}

// index makes the lookup structures of the locations directly below l.
func (l *Location) index() {
	l.tree = &prefixNode{}
	l.exact = map[string]*Location{}
	l.regexes = nil
	for _, s := range l.subs {
		switch {
		case s.IsNamed || s.IsIf:
		case s.Regex != nil:
			l.regexes = append(l.regexes, s)
		case s.Exact:
			l.exact[s.Name] = s
		case s.Name == "":
			l.tree.loc = s
		default:
			l.tree.insert(s.Name, s)
		}
		if n := len(s.Name) - 1; s.AutoRedirect && s.Regex == nil && n >= 0 && s.Name[n] == '/' && (s.Exact || l.redirects[s.Name[:n]] == nil) {
			if l.redirects == nil {
				l.redirects = map[string]*Location{}
			}
			l.redirects[s.Name[:n]] = s
		}
		s.index()
	}
}

// find chooses among the locations below l as nginx does: exact, longest prefix, nested, then expressions in order.
func (r *Request) find(l *Location) (*Location, Status) {
	if len(l.subs) == 0 {
		return nil, OK
	}
	if len(l.exact) > 0 {
		if e := l.exact[str(r.URI)]; e != nil {
			return e, Done // found exactly: no expression is looked at
		}
	}
	best := l.tree.longest(r.URI)
	if len(l.redirects) > 0 && (best == nil || len(best.Name) != len(r.URI)) {
		if a := l.redirects[str(r.URI)]; a != nil {
			return a, 301
		}
	}
	noregex := false
	if best != nil {
		noregex = best.NoRegex
		nested, st := r.find(best)
		if nested != nil {
			best = nested
			if st == Done || st == 301 {
				return best, st
			}
			if st == matchedRegex {
				return best, st
			}
		}
	}
	if !noregex {
		for _, x := range l.regexes {
			if !r.MatchRegex(x.Regex, r.URI) {
				continue
			}
			if nested, st := r.find(x); nested != nil {
				if st == Done {
					return nested, st
				}
				return nested, matchedRegex
			}
			return x, matchedRegex
		}
	}
	return best, OK
}

// matchedRegex ends the search for expressions in the enclosing locations.
const matchedRegex Status = -101

// findLocation sets r.Loc. 301: the URI is a location's name without its last slash.
func (r *Request) findLocation() Status {
	root := r.Server.Loc
	l, st := r.find(root)
	if l == nil {
		return OK
	}
	r.Loc = l
	return st
}

// redirectToSlash sends the client to the location's name with its last slash.
func (r *Request) redirectToSlash() Status {
	name := r.Loc.Name
	to := r.Alloc(len(name) + 2*http1.CountEscape(name, http1.EscapeURI) + 1 + len(r.Args))[:0]
	to = http1.AppendEscape(to, name, http1.EscapeURI)
	if len(r.Args) > 0 {
		to = append(append(to, '?'), r.Args...)
	}
	r.Expose(to)
	return 301
}

// MatchRegex matches subject and keeps the captures ($1...) and named captures when it does.
func (r *Request) MatchRegex(x *luajit.Regex, subject []byte) bool {
	return r.ExecRegex(x, subject) > 0
}

// ExecRegex is MatchRegex that tells failures: it returns a positive number for a match, 0 for none, and a negative one
// when the matching failed, which is logged.
func (r *Request) ExecRegex(x *luajit.Regex, subject []byte) int {
	n := 2 * (x.NumCaptures() + 1)
	if cap(r.Captures) < n {
		r.Captures = make([]int32, n)
	}
	var own [2 * 16]int32
	ov := own[:]
	if n > len(own) {
		ov = make([]int32, n)
	}
	if rc := x.Match(subject, ov[:n]); rc <= 0 {
		if rc == luajit.RegexNoMatch {
			return 0
		}
		r.Logf(nlog.Alert, "pcre2_match() failed: %d on \"%s\" using \"%s\"", rc, subject, x)
		return -1
	}
	r.Captures = r.Captures[:n]
	copy(r.Captures, ov[:n])
	r.CaptureSubj = subject
	for _, nm := range x.Names() {
		if v := r.H.table.byName[strings.ToLower(nm.Name)]; v != nil {
			r.SetVar(v, r.Capture(nm.Group))
		}
	}
	return 1
}

// NoCaptures forgets what the last regular expression has captured.
func (r *Request) NoCaptures() { r.Captures = r.Captures[:0] }

// Server is a server block.
type Server struct {
	Scope   *conf.Scope
	Conf    *SrvConf
	Loc     *Location // the server's own level; the root of its locations
	Name    string    // $server_name: the first of server_name
	named   map[string]*Location
	Listens []ListenOpt
	File    string
	Line    int
	TLS     *TLSConf // nil: its directives say nothing that a handshake could be done with
	Asks    *TLSConf // what a server without TLS of its own asks of clients; nil for nothing
	HTTP2   bool     // the directive http2
}

// SpeaksHTTP2 reports whether HTTP/2 is on for a server at an address.
func (a *AddrConf) SpeaksHTTP2(s *Server) bool { return a.HTTP2 || s.HTTP2 }

// nameTable finds a server by host name on one address.
type nameTable struct {
	def   *Server
	exact map[string]*Server
	heads map[string]*Server // "*.example.com" by ".example.com"
	tails map[string]*Server // "www.example.*" by "www.example."
	regex []regexName
	// alone says that names make no difference: there is one server, whose names capture nothing.
	alone bool
}

type regexName struct {
	re  *luajit.Regex
	srv *Server
}

// find gives the server for a lower-case host; nil when no name matches. Captures of an expression go to r unless it is nil.
func (t *nameTable) find(r *Request, host []byte) *Server {
	if len(host) == 0 {
		return t.exact[""]
	}
	if s := t.exact[str(host)]; s != nil {
		return s
	}
	if len(t.heads) > 0 {
		for i := 0; i < len(host); {
			j := bytes.IndexByte(host[i:], '.')
			if j < 0 {
				break
			}
			i += j
			if s := t.heads[str(host[i:])]; s != nil && i > 0 {
				return s
			}
			i++
		}
	}
	if len(t.tails) > 0 {
		for i := len(host) - 1; i > 0; i-- {
			if host[i] == '.' {
				if s := t.tails[str(host[:i+1])]; s != nil && i+1 < len(host) {
					return s
				}
			}
		}
	}
	for i := range t.regex {
		x := &t.regex[i]
		if r != nil {
			if r.MatchRegex(x.re, host) {
				return x.srv
			}
		} else if x.re.Match(host, make([]int32, 2*(x.re.NumCaptures()+1))) > 0 {
			return x.srv
		}
	}
	return nil
}
