// Package referer tells whether a request comes from a page of the own site (valid_referers).
package referer

import (
	"bytes"
	"strings"

	"moongate/internal/base/ascii"
	"moongate/internal/base/nlog"
	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/http1"
	"moongate/internal/luajit"
)

// config is what a location says; a level that says anything inherits the expressions only.
type config struct {
	given       bool
	none        bool
	blocked     bool
	serverNames bool
	names       names
	regexes     []*luajit.Regex
	serverRegex []*luajit.Regex
}

// names finds hosts; the value is the beginning that the path must have.
type names struct {
	exact map[string]string
	heads map[string]string // "*.example.com" by ".example.com"
	tails map[string]string // "www.example.*" by "www.example."
}

func (n *names) empty() bool { return len(n.exact)+len(n.heads)+len(n.tails) == 0 }

var loc = conf.NewLevel[config](conf.KindLocation).OnMerge(merge)

// Module is the referer family.
var Module = engine.Module{
	Module: conf.Module{Name: "referer", Directives: []conf.Directive{
		{Name: "valid_referers", Syntax: "none | blocked | server_names | string ...", In: conf.Server | conf.Location, Args: conf.OneMore, Set: conf.Func(read),
			Doc: "The values of the Referer header that make `$invalid_referer` empty: hosts, with `*` at an end and with the beginning of a path, expressions after `~`, the names of the server, no header (`none`), or one without a scheme (`blocked`)."},
		{Name: "referer_hash_max_size", In: conf.Server | conf.Location, Default: "2048", Set: conf.Checked(conf.Number), Doc: "Accepted for compatibility."},
		{Name: "referer_hash_bucket_size", In: conf.Server | conf.Location, Default: "64", Set: conf.Checked(conf.Number), Doc: "Accepted for compatibility."},
	}},
	Vars: []engine.Var{{Name: "invalid_referer", Changeable: true, Get: invalid, Doc: "Empty when the Referer header is one of valid_referers, else `1`."}},
}

func read(c *conf.Cmd) error {
	lc := loc.Of(c.Scope)
	lc.given = true
	for _, a := range c.Args {
		switch {
		case a == "":
			return c.Errorf("invalid referer \"%s\"", a)
		case a == "none":
			lc.none = true
		case a == "blocked":
			lc.blocked = true
		case a == "server_names":
			lc.serverNames = true
		case a == "~":
			return c.Errorf("empty regex in \"%s\"", a)
		case a[0] == '~':
			x, err := luajit.CompileRegex(a[1:], true)
			if err != nil {
				return c.Errorf("%s", err)
			}
			lc.regexes = append(lc.regexes, x)
		default:
			path := ""
			if i := strings.IndexByte(a, '/'); i >= 0 {
				a, path = a[:i], a[i:]
			}
			if problem := lc.names.add(a, path); problem != "" {
				return c.Errorf("%s \"%s\"", problem, a)
			}
		}
	}
	return nil
}

// add adds a host; the result is what is wrong with it.
func (n *names) add(host, path string) string {
	if n.exact == nil {
		n.exact, n.heads, n.tails = map[string]string{}, map[string]string{}, map[string]string{}
	}
	host = strings.ToLower(host)
	if strings.Count(host, "*") > 1 || strings.Contains(host, "..") {
		return "invalid hostname or wildcard"
	}
	put := func(m map[string]string, key string) string {
		if _, ok := m[key]; ok {
			return "conflicting parameter"
		}
		m[key] = path
		return ""
	}
	switch {
	case len(host) > 1 && host[0] == '.':
		if problem := put(n.exact, host[1:]); problem != "" {
			return problem
		}
		return put(n.heads, host)
	case len(host) > 2 && strings.HasPrefix(host, "*."):
		return put(n.heads, host[1:])
	case len(host) > 2 && strings.HasSuffix(host, ".*"):
		return put(n.tails, host[:len(host)-1])
	case strings.Contains(host, "*"):
		return "invalid hostname or wildcard"
	}
	return put(n.exact, host)
}

// find gives the beginning of the path for a host in lower case: the exact one first, then the longest.
func (n *names) find(host []byte) (path string, ok bool) {
	if path, ok = n.exact[string(host)]; ok {
		return path, true
	}
	if len(n.heads) > 0 {
		for i := 1; i < len(host); i++ {
			if host[i] != '.' {
				continue
			}
			if path, ok = n.heads[string(host[i:])]; ok {
				return path, true
			}
		}
	}
	if len(n.tails) > 0 {
		for i := len(host) - 2; i > 0; i-- {
			if host[i] != '.' {
				continue
			}
			if path, ok = n.tails[string(host[:i+1])]; ok {
				return path, true
			}
		}
	}
	return "", false
}

func merge(parent, child *config, s *conf.Scope) error {
	if !child.given {
		*child = *parent
		child.given = false
		return nil
	}
	if child.serverNames {
		conflict := ""
		engine.CoreSrv(s).EachName(func(name string, re *luajit.Regex) {
			if re != nil {
				child.serverRegex = append(child.serverRegex, re)
			} else if problem := child.names.add(name, ""); problem != "" && conflict == "" {
				conflict = problem + " \"" + name + "\""
			}
		})
		if conflict != "" {
			return s.Errorf("%s", conflict)
		}
	}
	if (child.none || child.blocked) && child.names.empty() {
		return &conf.Error{Level: "emerg", Msg: "the \"none\" or \"blocked\" referers are specified in the \"valid_referers\" directive without any valid referer"}
	}
	if child.regexes == nil {
		child.regexes = parent.regexes
	}
	if child.serverRegex == nil {
		child.serverRegex = parent.serverRegex
	}
	return nil
}

var (
	yes = []byte("1")
	no  = []byte{}
)

func invalid(r *engine.Request, _ *engine.Var) ([]byte, bool) {
	c := loc.Of(r.Scope)
	if c.names.empty() && c.regexes == nil && c.serverRegex == nil || c.valid(r) {
		return no, true
	}
	return yes, true
}

// shortest is the length of the shortest header that is looked at: "http://i.ru".
const shortest = 11

func (c *config) valid(r *engine.Request) bool {
	if !r.In.Has(http1.HReferer) {
		return c.none
	}
	ref := r.In.Get(http1.HReferer)
	switch {
	case len(ref) < shortest:
		return c.blocked
	case ascii.HasPrefixFold(ref, "http://"):
		ref = ref[len("http://"):]
	case ascii.HasPrefixFold(ref, "https://"):
		ref = ref[len("https://"):]
	default:
		return c.blocked
	}
	end := bytes.IndexAny(ref, "/:")
	if end < 0 {
		end = len(ref)
	}
	var buf [256]byte
	if end > len(buf) {
		return false
	}
	host := ascii.AppendLower(buf[:0], ref[:end])
	if path, ok := c.names.find(host); ok {
		rest := ref[end:]
		if i := bytes.IndexByte(rest, '/'); i >= 0 {
			rest = rest[i:]
		} else {
			rest = nil
		}
		return bytes.HasPrefix(rest, []byte(path))
	}
	return matches(r, c.serverRegex, host) || matches(r, c.regexes, ref)
}

func matches(r *engine.Request, list []*luajit.Regex, text []byte) bool {
	for _, x := range list {
		switch rc := x.Match(text, nil); {
		case rc > 0:
			return true
		case rc != luajit.RegexNoMatch && rc < 0:
			r.Logf(nlog.Alert, "pcre2_match() failed: %d on \"%s\" using \"%s\"", rc, text, x)
		}
	}
	return false
}
