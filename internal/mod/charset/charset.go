// Package charset names the character set of responses in their Content-Type (charset), and recodes them where the
// configuration says what they are in (source_charset) and how to get from one to the other (charset_map).
package charset

import (
	"bytes"
	"fmt"
	"strings"

	"moongate/internal/base/ascii"
	"moongate/internal/base/nlog"
	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/http1"
)

// mainConfig is what an http block knows.
type mainConfig struct {
	sets []*set
}

// set is a character set that the configuration names.
type set struct {
	name   []byte
	utf8   bool
	tables map[*set]*table // to others
}

// table recodes; one of its parts is set.
type table struct {
	bytes *[256]byte
	to    *[256][]byte     // to UTF-8
	from  *[256]*[256]byte // from UTF-8, by the high byte of the character; 0: there is none
}

// choice is the value of charset and source_charset; the zero value is off.
type choice struct {
	set *set
	v   *engine.Var
}

type config struct {
	charset  conf.Opt[choice]
	source   conf.Opt[choice]
	override conf.Opt[bool]
	types    [][]string
	typeSet  *engine.TypeSet
}

var (
	mainLevel = conf.NewLevel[mainConfig](conf.KindMain)
	loc       = conf.NewLevel[config](conf.KindLocation).OnMerge(func(_, child *config, _ *conf.Scope) error {
		child.typeSet = engine.NewTypeSet(child.types, "text/html")
		return nil
	})
)

const defaultTypes = "text/xml text/plain text/vnd.wap.wml application/javascript application/rss+xml"

// Module is the charset family.
var Module = engine.Module{
	Module: conf.Module{Name: "charset", Directives: []conf.Directive{
		{Name: "charset", In: conf.InRequest, Default: "off", Set: conf.Slot(loc, choiceType("charset | $variable | off", true), func(c *config) *conf.Opt[choice] { return &c.charset }),
			Doc: "Adds the character set to the Content-Type of responses of the types in charset_types that do not say it themselves."},
		{Name: "source_charset", In: conf.InRequest, Set: conf.Slot(loc, choiceType("charset | $variable", false), func(c *config) *conf.Opt[choice] { return &c.source }),
			Doc: "What responses are in that do not say it; when it differs from charset, they are recoded."},
		{Name: "override_charset", In: conf.InRequest, Default: "off", Set: conf.Slot(loc, conf.Flag, func(c *config) *conf.Opt[bool] { return &c.override }),
			Doc: "Recodes responses of other servers, too, that say what they are in."},
		{Name: "charset_types", Syntax: "mime-type ...", In: conf.HTTPServerLocation, Args: conf.OneMore, Default: defaultTypes,
			Set: conf.List(loc, engine.ReadTypes("text/html"), func(c *config) *[][]string { return &c.types }),
			Doc: "The types of responses that charset is for, besides text/html; * is any."},
		{Name: "charset_map", Syntax: "charset1 charset2 { ... }", In: conf.HTTP, Args: conf.Take2 | conf.Block, Set: conf.Func(readMap),
			Doc: "How bytes of one character set become those of another, and back: pairs of hexadecimal codes. The second may be utf-8, with codes of up to three bytes."},
	}},
	Setup:      complete,
	TrimWorker: func(w *engine.Worker) { w.Values[workerSlot] = nil },
}

// Filter says the character set and recodes.
var Filter = engine.Filter{
	Name: "charset",
	// X-Accel-Charset and the main request of a subrequest may ask for it anywhere, if there is anything to ask for.
	Active: func(s *conf.Scope) bool { return len(mainLevel.Of(s).sets) > 0 || loc.Of(s).charset.V != choice{} },
	Header: decide, Body: recode, InMemory: true,
}

func (m *mainConfig) add(name string) *set {
	if s := m.find([]byte(name)); s != nil {
		return s
	}
	s := &set{name: []byte(name), utf8: strings.EqualFold(name, "utf-8"), tables: map[*set]*table{}}
	m.sets = append(m.sets, s)
	return s
}

func (m *mainConfig) find(name []byte) *set {
	for _, s := range m.sets {
		if ascii.EqualFold(s.name, name) {
			return s
		}
	}
	return nil
}

func choiceType(syntax string, off bool) conf.Type[choice] {
	return conf.NewType(syntax, conf.Take1, func(c *conf.Cmd) (choice, error) {
		name := c.Args[0]
		switch {
		case off && name == "off":
			return choice{}, nil
		case strings.HasPrefix(name, "$"):
			return choice{v: engine.HTTPOf(c).Var(name[1:])}, nil
		}
		return choice{set: mainLevel.Of(c.Scope).add(name)}, nil
	})
}

func readMap(c *conf.Cmd) error {
	m := mainLevel.Of(c.Scope)
	src, dst := m.add(c.Args[0]), m.add(c.Args[1])
	switch {
	case src == dst:
		return c.Errorf("\"charset_map\" between the same charsets \"%s\" and \"%s\"", c.Args[0], c.Args[1])
	case src.utf8:
		return c.Errorf("\"charset_map\" with \"utf-8\" charset should be given in the second column")
	case src.tables[dst] != nil:
		return c.Errorf("duplicate \"charset_map\" between \"%s\" and \"%s\"", c.Args[0], c.Args[1])
	}
	there, back := newTables(dst.utf8)
	src.tables[dst], dst.tables[src] = there, back
	return c.Entries(func(e *conf.Cmd) error {
		if len(e.Args) != 1 {
			return e.Errorf("invalid parameters number")
		}
		from, ok := hex([]byte(e.Name))
		if !ok {
			return e.Invalid(e.Name)
		}
		code := []byte(e.Args[0])
		if !dst.utf8 {
			to, ok := hex(code)
			if !ok {
				return e.Invalid(e.Args[0])
			}
			there.bytes[from], back.bytes[to] = to, from
			return nil
		}
		if !there.addUTF8(back, from, code) {
			return e.Invalid(e.Args[0])
		}
		return nil
	})
}

// newTables makes the tables of a map: ASCII is the same in all, the rest is not known.
func newTables(utf8 bool) (there, back *table) {
	if !utf8 {
		there, back = &table{bytes: new([256]byte)}, &table{bytes: new([256]byte)}
		for i := range 256 {
			b := byte(i)
			if i >= 128 {
				b = '?'
			}
			there.bytes[i], back.bytes[i] = b, b
		}
		return there, back
	}
	there, back = &table{to: new([256][]byte)}, &table{from: new([256]*[256]byte)}
	back.from[0] = new([256]byte)
	for i := range 256 {
		there.to[i] = []byte{'?'}
		if i < 128 {
			there.to[i] = []byte{byte(i)}
			back.from[0][i] = byte(i)
		}
	}
	return there, back
}

func (t *table) addUTF8(back *table, from byte, code []byte) bool {
	if len(code)%2 != 0 || len(code)/2 > maxUTF8-1 {
		return false
	}
	var b []byte
	for ; len(code) > 0; code = code[min(2, len(code)):] {
		v, ok := hex(code[:min(2, len(code))])
		if !ok {
			return false
		}
		b = append(b, v)
	}
	n, _ := decodeAny(b)
	if n > 0xffff {
		return false
	}
	t.to[from] = b
	page := &back.from[n>>8]
	if *page == nil {
		*page = new([256]byte)
	}
	(*page)[n&0xff] = from
	return true
}

// hex reads a byte.
func hex(s []byte) (byte, bool) {
	n := 0
	for _, c := range s {
		v, ok := ascii.Hex(c)
		if n = n<<4 | int(v); !ok || n > 255 {
			return 0, false
		}
	}
	return byte(n), len(s) > 0
}

// complete finds locations that ask for what nobody says how to do.
func complete(h *engine.HTTP) (err error) {
	h.EachLocation(func(_ *engine.Server, l *engine.Location) {
		c := loc.Of(l.Scope)
		dst, src := c.charset.V.set, c.source.V.set
		if err == nil && dst != nil && src != nil && dst != src && src.tables[dst] == nil {
			err = &conf.Error{Level: "emerg", Msg: fmt.Sprintf("no \"charset_map\" between the charsets \"%s\" and \"%s\"", src.name, dst.name)}
		}
	})
	return err
}

// wanted is a character set of a request; set is nil for one that the configuration does not know.
type wanted struct {
	set  *set
	name []byte
}

// eval gives what a directive chose; ok is false when its variable has no value.
func (c choice) eval(r *engine.Request) (w wanted, ok bool) {
	if c.v == nil {
		return wanted{c.set, c.set.name}, true
	}
	name, found := r.Var(c.v)
	return wanted{mainLevel.Of(r.Scope).find(name), name}, found
}

func decide(r *engine.Request) engine.Status {
	c := loc.Of(r.Scope)
	dst, st := destination(r, c)
	if st != engine.OK {
		return st
	}
	var src wanted
	o := &r.Out
	switch {
	case len(o.Charset) > 0:
		src = wanted{mainLevel.Of(r.Scope).find(o.Charset), o.Charset}
	case c.source.V == choice{}:
		say(r, dst.name)
		return engine.OK
	default:
		var ok bool
		if src, ok = c.source.V.eval(r); !ok {
			return engine.Error
		}
	}
	switch {
	case dst.set == nil || src.set == nil:
		if dst.set != src.set || !ascii.EqualFold(dst.name, src.name) {
			complain(r, src, dst)
			return engine.OK
		}
		say(r, dst.name)
		return engine.OK
	case dst.set == src.set:
		dropParams(r)
		say(r, dst.name)
		return engine.OK
	}
	if h := r.HeaderOut(http1.HContentEncoding); h != nil && len(h.Value) > 0 {
		return engine.OK
	}
	t := src.set.tables[dst.set]
	if t == nil {
		complain(r, src, dst)
		return engine.OK
	}
	dropParams(r)
	say(r, dst.name)
	begin(r, t, dst)
	return engine.OK
}

func complain(r *engine.Request, src, dst wanted) {
	r.Logf(nlog.Error, "no \"charset_map\" between the charsets \"%s\" and \"%s\"", src.name, dst.name)
}

// destination is what the response shall be in. The status is Declined when there is nothing to do.
func destination(r *engine.Request, c *config) (wanted, engine.Status) {
	if !r.IsMain() {
		name := r.Main.Out.Charset
		if s, _ := r.Main.Ctx(slot).(*state); s != nil {
			return s.dst, engine.OK
		}
		if len(name) == 0 {
			return wanted{}, engine.Declined
		}
		return wanted{mainLevel.Of(r.Scope).find(name), name}, engine.OK
	}
	o := &r.Out
	switch {
	case len(o.ContentType) == 0:
		return wanted{}, engine.Declined
	case len(o.OverrideCharset) > 0:
		s := mainLevel.Of(r.Scope).find(o.OverrideCharset)
		if s == nil {
			r.Logf(nlog.Error, "unknown charset \"%s\" to override", o.OverrideCharset)
			return wanted{}, engine.Declined
		}
		return wanted{s, o.OverrideCharset}, engine.OK
	case c.charset.V == choice{}:
		return wanted{}, engine.Declined
	case len(o.Charset) > 0:
		if !c.override.V {
			return wanted{}, engine.Declined
		}
	case !c.typeSet.Has(o.ContentType):
		return wanted{}, engine.Declined
	}
	w, ok := c.charset.V.eval(r)
	if !ok {
		return w, engine.Error
	}
	return w, engine.OK
}

// say names the character set in the response head. A redirect has none: very old browsers took it for the next page's.
func say(r *engine.Request, name []byte) {
	switch {
	case !r.IsMain():
	case r.Out.Status == 301 || r.Out.Status == 302:
		r.Out.Charset = nil
	default:
		r.Out.Charset = name
	}
}

// dropParams makes room for another charset parameter.
func dropParams(r *engine.Request) {
	if i := bytes.IndexByte(r.Out.ContentType, ';'); i >= 0 {
		r.Out.ContentType = r.Out.ContentType[:i]
	}
}
