// Package securelink tells whether a link was made by somebody who knows a secret (secure_link): by a hash and a time that
// stand anywhere in the request, or, in the old form, by a hash in the path.
package securelink

import (
	"bytes"
	"crypto/md5"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"

	"moongate/internal/base/ascii"
	"moongate/internal/conf"
	"moongate/internal/engine"
)

type config struct {
	link, text conf.Opt[*engine.Template]
	secret     conf.Opt[string]
}

var loc = conf.NewLevel[config](conf.KindLocation)

// own is what a level says itself, before it inherits: the two forms exclude each other.
type own struct{ link, text, secret bool }

var ownLevel = conf.NewLevel[own](conf.KindLocation).OnMerge(func(_, mine *own, s *conf.Scope) error {
	c := loc.Of(s)
	switch {
	case mine.secret && (mine.link || mine.text):
		return s.Errorf("\"secure_link_secret\" cannot be mixed with \"secure_link\" and \"secure_link_md5\"")
	case mine.secret:
		c.link, c.text = conf.Opt[*engine.Template]{}, conf.Opt[*engine.Template]{}
	case c.link.V != nil || c.text.V != nil:
		c.secret = conf.Opt[string]{}
	}
	return nil
})

// note marks what the level says itself.
func note(s conf.Setter, f func(o *own)) conf.Setter {
	return conf.Then(s, func(c *conf.Cmd) error {
		f(ownLevel.Of(c.Scope))
		return nil
	})
}

// Module is the secure_link family.
var Module = engine.Module{
	Module: conf.Module{Name: "secure_link", Directives: []conf.Directive{
		{Name: "secure_link", Syntax: "expression", In: conf.HTTPServerLocation,
			Set: note(conf.Slot(loc, engine.TemplateType(), func(c *config) *conf.Opt[*engine.Template] { return &c.link }), func(o *own) { o.link = true }),
			Doc: "Where the hash stands, in base64url, and behind a comma the time, in seconds since the epoch, up to which the link is good."},
		{Name: "secure_link_md5", Syntax: "expression", In: conf.HTTPServerLocation,
			Set: note(conf.Slot(loc, engine.TemplateType(), func(c *config) *conf.Opt[*engine.Template] { return &c.text }), func(o *own) { o.text = true }),
			Doc: "What the MD5 hash of the link is made of: the secret, the part of the request that it protects, and the time."},
		{Name: "secure_link_secret", Syntax: "word", In: conf.Location,
			Set: note(conf.Slot(loc, conf.Str, func(c *config) *conf.Opt[string] { return &c.secret }), func(o *own) { o.secret = true }),
			Doc: "The secret of links of the old form: /PREFIX/HASH/LINK, where the hash is the MD5 of the link and the secret."},
	}},
	Vars: []engine.Var{
		{Name: "secure_link", Get: status, Doc: "`1` for a good link, `0` for one whose time is over, empty for a wrong one; in the old form the link."},
		{Name: "secure_link_expires", Get: expires, Doc: "The time in the link, when it has one."},
	},
}

// split gives hash and time of a link; ok is false when the time is none.
func split(link []byte) (hash, until []byte, t int64, ok bool) {
	hash, until, has := bytes.Cut(link, []byte{','})
	if !has {
		return hash, nil, 0, true
	}
	t, ok = ascii.ParseInt(until)
	return hash, until, t, ok && t > 0
}

func status(r *engine.Request, _ *engine.Var) ([]byte, bool) {
	c := loc.Of(r.Scope)
	if c.secret.IsSet {
		return old(r, c.secret.V)
	}
	if c.link.V == nil || c.text.V == nil {
		return nil, false
	}
	encoded, _, t, ok := split(c.link.V.Eval(r))
	if !ok || len(encoded) > 24 {
		return nil, false
	}
	var hash [18]byte
	n, err := base64.RawURLEncoding.Decode(hash[:], bytes.TrimRight(encoded, "="))
	if err != nil || n != md5.Size {
		return nil, false
	}
	sum := md5.Sum(c.text.V.Eval(r))
	switch {
	case subtle.ConstantTimeCompare(sum[:], hash[:n]) == 0:
		return nil, false
	case t > 0 && t < r.W.Loop.Wall()/1e9:
		return zero, true
	}
	return one, true
}

var zero, one = []byte("0"), []byte("1")

// old judges /PREFIX/HASH/LINK.
func old(r *engine.Request, secret string) ([]byte, bool) {
	uri := r.In.Unparsed
	if len(uri) == 0 {
		return nil, false
	}
	_, rest, ok := bytes.Cut(uri[1:], []byte{'/'})
	hash, link, ok2 := bytes.Cut(rest, []byte{'/'})
	if !ok || !ok2 || len(hash) != 2*md5.Size || len(link) == 0 {
		return nil, false
	}
	var want [md5.Size]byte
	if _, err := hex.Decode(want[:], hash); err != nil {
		return nil, false
	}
	text := append(append(r.Alloc(len(link) + len(secret))[:0], link...), secret...)
	sum := md5.Sum(text)
	if subtle.ConstantTimeCompare(sum[:], want[:]) == 0 {
		return nil, false
	}
	return link, true
}

func expires(r *engine.Request, _ *engine.Var) ([]byte, bool) {
	c := loc.Of(r.Scope)
	if c.secret.IsSet || c.link.V == nil || c.text.V == nil {
		return nil, false
	}
	_, until, t, ok := split(c.link.V.Eval(r))
	return until, ok && t > 0
}
