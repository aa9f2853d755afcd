package proxy

import (
	"bytes"
	"strings"

	"moongate/internal/base/ascii"
	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/luajit"
	"moongate/internal/relay"
)

// rewrite is one proxy_redirect, proxy_cookie_domain or proxy_cookie_path.
type rewrite struct {
	regex   *luajit.Regex // or
	pattern *engine.Template
	to      *engine.Template
	domain  bool // the whole of the value, without case and a dot before it
}

// apply rewrites v from prefix on; false: it does not match.
func (w *rewrite) apply(r *engine.Request, v []byte, prefix int) ([]byte, bool) {
	n := len(v) - prefix
	switch {
	case w.regex != nil:
		if !r.MatchRegex(w.regex, v[prefix:]) {
			return v, false
		}
	case w.domain:
		p := w.pattern.Eval(r)
		if n > 0 && v[prefix] == '.' {
			prefix++
			n--
		}
		if len(p) != n || !ascii.EqualFold(v[prefix:], string(p)) {
			return v, false
		}
	default:
		p := w.pattern.Eval(r)
		if !bytes.HasPrefix(v[prefix:], p) {
			return v, false
		}
		n = len(p)
	}
	to := w.to.Eval(r)
	out := r.Alloc(len(v) - n + len(to))[:0]
	return append(append(append(out, v[:prefix]...), to...), v[prefix+n:]...), true
}

// compileRewrite reads pattern and replacement; tilde says what ~ alone means.
func compileRewrite(c *conf.Cmd, pattern, to string, caseless bool) (rewrite, error) {
	var w rewrite
	var err error
	if p, ok := strings.CutPrefix(pattern, "~"); ok {
		if q, ok := strings.CutPrefix(p, "*"); ok && !caseless {
			p, caseless = q, true
		}
		w.regex, err = engine.CompileRegex(c, p, caseless)
	} else {
		w.pattern, err = engine.CompileArg(c, pattern)
	}
	if err != nil {
		return w, err
	}
	w.to, err = engine.CompileArg(c, to)
	return w, err
}

// defaultRewrite undoes what proxy_pass does to the URI.
func (t *target) defaultRewrite(l *engine.Location) rewrite {
	if t.vars.uri != "" {
		name := ""
		if l != nil {
			name = l.Name[:t.location]
		}
		return rewrite{pattern: engine.Literal(t.text), to: engine.Literal(name)}
	}
	return rewrite{pattern: engine.Literal(t.text + "/"), to: engine.Literal("/")}
}

func readRedirect(c *conf.Cmd) error {
	cf := loc.Of(c.Scope)
	if cf.redirOff {
		return c.Duplicate()
	}
	if len(c.Args) == 1 {
		switch c.Args[0] {
		case "off":
			if cf.redirects != nil {
				return c.Duplicate()
			}
			cf.redirOff, cf.redirOwn = true, true
			return nil
		case "default":
			t := cf.target
			switch {
			case t == nil:
				return c.Errorf("\"proxy_redirect default\" should be placed after the \"proxy_pass\" directive")
			case t.template != nil:
				return c.Errorf("\"proxy_redirect default\" cannot be used with \"proxy_pass\" directive with variables")
			}
			cf.redirOwn = true
			cf.redirects = append(cf.redirects, t.defaultRewrite(engine.LocationOf(c.Scope)))
			return nil
		}
		return c.InvalidParameter(c.Args[0])
	}
	w, err := compileRewrite(c, c.Args[0], c.Args[1], false)
	if err != nil {
		return err
	}
	cf.redirOwn = true
	cf.redirects = append(cf.redirects, w)
	return nil
}

// Location rewrites the URL in a Location or Refresh field.
func (protocol) Location(x *relay.Exchange, v []byte, prefix int) ([]byte, bool) {
	c := x.Data.(*exchange).conf
	for i := range c.redirects {
		if out, ok := c.redirects[i].apply(x.R, v, prefix); ok {
			return out, true
		}
	}
	return v, false
}

// cookieRules are the proxy_cookie_domain or proxy_cookie_path of a level.
type cookieRules struct {
	list []rewrite
	own  bool
}

func (k *cookieRules) inherit(parent *cookieRules) {
	if !k.own {
		k.list = parent.list
	}
}

func (k *cookieRules) read(c *conf.Cmd, domain bool) error {
	if len(c.Args) == 1 {
		if c.Args[0] != "off" {
			return c.InvalidParameter(c.Args[0])
		}
		if k.own {
			return c.Duplicate()
		}
		k.own = true
		return nil
	}
	if k.own && k.list == nil {
		return c.Duplicate()
	}
	pattern, to := c.Args[0], c.Args[1]
	regex := strings.HasPrefix(pattern, "~")
	if domain && !regex {
		pattern, to = strings.TrimPrefix(pattern, "."), strings.TrimPrefix(to, ".")
	}
	w, err := compileRewrite(c, pattern, to, domain)
	if err != nil {
		return err
	}
	w.domain = domain && !regex
	k.own = true
	k.list = append(k.list, w)
	return nil
}

func (k *cookieRules) apply(r *engine.Request, v []byte) ([]byte, bool) {
	for i := range k.list {
		if out, ok := k.list[i].apply(r, v, 0); ok {
			return out, true
		}
	}
	return v, false
}

func readCookieDomain(c *conf.Cmd) error { return loc.Of(c.Scope).domains.read(c, true) }
func readCookiePath(c *conf.Cmd) error   { return loc.Of(c.Scope).paths.read(c, false) }

// cookieFlags are the proxy_cookie_flags of a level.
type cookieFlags struct {
	list []flagRule
	own  bool
}

type flagRule struct {
	regex *luajit.Regex
	name  *engine.Template
	flags []*engine.Template
}

func (k *cookieFlags) inherit(parent *cookieFlags) {
	if !k.own {
		k.list = parent.list
	}
}

func readCookieFlags(c *conf.Cmd) error {
	k := &loc.Of(c.Scope).flags
	if k.own && k.list == nil {
		return c.Duplicate()
	}
	if len(c.Args) == 1 {
		if c.Args[0] != "off" {
			return c.InvalidParameter(c.Args[0])
		}
		if k.own {
			return c.Duplicate()
		}
		k.own = true
		return nil
	}
	var f flagRule
	var err error
	if p, ok := strings.CutPrefix(c.Args[0], "~"); ok {
		f.regex, err = engine.CompileRegex(c, p, true)
	} else {
		f.name, err = engine.CompileArg(c, c.Args[0])
	}
	if err != nil {
		return err
	}
	for _, a := range c.Args[1:] {
		t, err := engine.CompileArg(c, a)
		if err != nil {
			return err
		}
		f.flags = append(f.flags, t)
	}
	k.own = true
	k.list = append(k.list, f)
	return nil
}

func (f *flagRule) matches(r *engine.Request, cookie []byte) bool {
	if f.regex != nil {
		return r.MatchRegex(f.regex, cookie)
	}
	return ascii.EqualFold(cookie, string(f.name.Eval(r)))
}

// attr is an attribute of a cookie, its name and value the first.
type attr struct {
	key, val []byte
	hasVal   bool
	gone     bool
}

func parseCookie(v []byte) []attr {
	var out []attr
	for {
		part, rest, more := bytes.Cut(v, []byte{';'})
		key, val, has := bytes.Cut(part, []byte{'='})
		out = append(out, attr{key: bytes.Trim(key, " "), val: bytes.Trim(val, " "), hasVal: has})
		if !more {
			return out
		}
		v = rest
	}
}

// Cookie rewrites a Set-Cookie field.
func (protocol) Cookie(x *relay.Exchange, v []byte) []byte {
	c, r := x.Data.(*exchange).conf, x.R
	if c.domains.list == nil && c.paths.list == nil && c.flags.list == nil {
		return v
	}
	attrs := parseCookie(v)
	if !attrs[0].hasVal {
		return v
	}
	changed := false
	for i := 1; i < len(attrs); i++ {
		a := &attrs[i]
		rules := &c.paths
		switch {
		case !a.hasVal:
			continue
		case ascii.EqualFold(a.key, "domain"):
			rules = &c.domains
		case !ascii.EqualFold(a.key, "path"):
			continue
		}
		if val, ok := rules.apply(r, a.val); ok {
			a.val, changed = val, true
		}
	}
	for i := range c.flags.list {
		if f := &c.flags.list[i]; f.matches(r, attrs[0].key) {
			var edited bool
			attrs, edited = f.edit(r, attrs)
			changed = changed || edited
			break
		}
	}
	if !changed {
		return v
	}
	out := r.Alloc(len(v) + 256)[:0]
	for i := range attrs {
		a := &attrs[i]
		if a.gone {
			continue
		}
		if i > 0 {
			out = append(out, "; "...)
		}
		out = append(out, a.key...)
		if a.hasVal {
			out = append(append(out, '='), a.val...)
		}
	}
	return out
}

// edit adds and removes flags.
func (f *flagRule) edit(r *engine.Request, attrs []attr) ([]attr, bool) {
	edited := false
	for _, t := range f.flags {
		word := strings.ToLower(string(t.Eval(r)))
		name, val, has := strings.Cut(word, "=")
		remove := strings.HasPrefix(name, "no")
		name = strings.TrimPrefix(name, "no")
		var shown string
		switch {
		case name == "secure" && !has:
			shown = "Secure"
		case name == "httponly" && !has:
			shown = "HttpOnly"
		case name == "samesite" && (has != remove):
			shown = "SameSite"
			switch {
			case remove:
			case val == "strict" || val == "lax" || val == "none":
				val = strings.ToUpper(val[:1]) + val[1:]
			default:
				continue
			}
		default:
			continue
		}
		edited = true
		found := false
		for i := 1; i < len(attrs); i++ {
			a := &attrs[i]
			if a.gone || !ascii.EqualFold(a.key, name) {
				continue
			}
			found = true
			switch {
			case remove:
				a.gone = true
			case has && !ascii.EqualFold(a.val, val):
				a.key, a.val, a.hasVal = []byte(shown), []byte(val), true
			}
		}
		if !found && !remove {
			attrs = append(attrs, attr{key: []byte(shown), val: []byte(val), hasVal: has})
		}
	}
	return attrs, edited
}
