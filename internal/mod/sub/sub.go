// Package sub replaces words in response bodies (sub_filter). Words are found wherever the pieces of a body are cut: what may
// be the beginning of one is held back until more is known.
package sub

import (
	"moongate/internal/base/ascii"
	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/http1"
)

type config struct {
	pairs        []pair
	once         conf.Opt[bool]
	lastModified conf.Opt[bool]
	types        [][]string
	set          *engine.TypeSet
	fixed        *searcher // nil when a word has variables
}

// pair is one sub_filter.
type pair struct{ word, value *engine.Template }

var loc = conf.NewLevel[config](conf.KindLocation).OnMerge(func(parent, child *config, _ *conf.Scope) error {
	child.set = engine.NewTypeSet(child.types, "text/html")
	child.fixed = nil
	s := &searcher{}
	for i, p := range child.pairs {
		if !p.word.IsLiteral() {
			return nil
		}
		s.words = append(s.words, word{ascii.AppendLower(nil, p.word.Text), i})
	}
	if len(s.words) > 0 {
		s.prepare()
		child.fixed = s
	}
	return nil
})

// Module is the sub_filter family.
var Module = engine.Module{
	Module: conf.Module{Name: "sub", Directives: []conf.Directive{
		{Name: "sub_filter", Syntax: "string replacement", In: conf.HTTPServerLocation, Args: conf.Take2,
			Set: conf.List(loc, readPair, func(c *config) *[]pair { return &c.pairs }),
			Doc: "Replaces a string in the body, in any case of letters; may be repeated. Both may have variables."},
		{Name: "sub_filter_types", Syntax: "mime-type ...", In: conf.HTTPServerLocation, Args: conf.OneMore, Default: "text/html",
			Set: conf.List(loc, engine.ReadTypes("text/html"), func(c *config) *[][]string { return &c.types }),
			Doc: "The types of responses that strings are replaced in, besides text/html; * is any."},
		{Name: "sub_filter_once", In: conf.HTTPServerLocation, Default: "on", Set: conf.Slot(loc, conf.Flag, func(c *config) *conf.Opt[bool] { return &c.once }),
			Doc: "Replaces each string at its first place only."},
		{Name: "sub_filter_last_modified", In: conf.HTTPServerLocation, Default: "off", Set: conf.Slot(loc, conf.Flag, func(c *config) *conf.Opt[bool] { return &c.lastModified }),
			Doc: "Keeps the Last-Modified header, and the ETag as a weak one."},
	}},
	TrimWorker: func(w *engine.Worker) { w.Values[workerSlot] = nil },
}

// maxPairs is nginx's limit.
const maxPairs = 255

func readPair(c *conf.Cmd) (p pair, err error) {
	if c.Args[0] == "" {
		return p, c.Errorf("empty search pattern")
	}
	if len(loc.Of(c.Scope).pairs) == maxPairs {
		return p, c.Errorf("number of search patterns exceeds %d", maxPairs)
	}
	if p.word, err = engine.CompileArg(c, string(ascii.AppendLower(nil, c.Args[0]))); err != nil {
		return p, err
	}
	p.value, err = engine.CompileArg(c, c.Args[1])
	return p, err
}

// Filter replaces.
var Filter = engine.Filter{
	Name:   "sub",
	Active: func(s *conf.Scope) bool { return len(loc.Of(s).pairs) > 0 },
	Header: decide, Body: replace, InMemory: true,
}

var (
	slot       = engine.NewSlot()
	workerSlot = engine.NewWorkerSlot()
)

// state is a response in work; it is the worker's, lent to the response.
type state struct {
	c       *config
	find    *searcher
	own     searcher
	held    []byte // what the last piece ended with and may be the beginning of a word
	out     []byte
	window  []byte
	values  [][]byte // by place, once they were needed
	used    []bool   // by place: replaced, and not to be replaced again
	applied int
	done    bool
	w       *engine.Worker
	end     func()
	next    *state
}

func take(r *engine.Request) *state {
	s, _ := r.W.Values[workerSlot].(*state)
	if s == nil {
		s = &state{w: r.W}
		s.end = s.release
	} else {
		r.W.Values[workerSlot] = s.next
		s.next = nil
	}
	r.Cleanup(s.end)
	return s
}

// keptOut is the size up to which a state keeps its memory.
const keptOut = 4 * passOn

func (s *state) release() {
	if cap(s.out) > keptOut {
		s.out = nil
	}
	clear(s.values)
	clear(s.own.words)
	s.c, s.find = nil, nil
	s.own.words, s.held, s.out, s.values, s.used = s.own.words[:0], s.held[:0], s.out[:0], s.values[:0], s.used[:0]
	s.applied, s.done = 0, false
	s.next, _ = s.w.Values[workerSlot].(*state)
	s.w.Values[workerSlot] = s
}

func decide(r *engine.Request) engine.Status {
	c := loc.Of(r.Scope)
	if r.Out.ContentLength == 0 || !c.set.Has(r.Out.ContentType) {
		return engine.OK
	}
	s := take(r)
	s.c, s.find = c, c.fixed
	if s.find == nil && !s.evaluate(r) {
		return engine.OK
	}
	for range c.pairs {
		s.values = append(s.values, nil)
		if c.once.V {
			s.used = append(s.used, false)
		}
	}
	r.SetCtx(slot, s)
	r.UseOwnBody()
	if !r.IsMain() {
		return engine.OK
	}
	r.Out.ContentLength = -1
	r.DelHeaderOut(http1.HContentLength)
	if c.lastModified.V {
		r.WeakenETag()
		return engine.OK
	}
	r.Out.LastModified = -1
	r.DelHeaderOut(http1.HLastModified)
	r.DelHeaderOut(http1.HETag)
	return engine.OK
}

// evaluate makes the words of a request; false: they are all empty.
func (s *state) evaluate(r *engine.Request) bool {
	for i := range s.c.pairs {
		text := s.c.pairs[i].word.Eval(r)
		if len(text) == 0 {
			continue
		}
		low := r.Copy(text)
		ascii.LowerInPlace(low)
		s.own.words = append(s.own.words, word{low, i})
	}
	if len(s.own.words) == 0 {
		return false
	}
	s.own.prepare()
	s.find = &s.own
	return true
}

// passOn is how much output is gathered before it is passed on.
const passOn = 16 << 10

func replace(r *engine.Request, c *engine.Chunk) error {
	s, _ := r.Ctx(slot).(*state)
	if s == nil || s.done && len(s.held) == 0 {
		return r.Next(c)
	}
	data := c.Data
	if len(s.held) > 0 && len(data) > 0 {
		var err error
		if data, err = s.joint(r, data); err != nil {
			return err
		}
	}
	for len(data) > 0 {
		at, which := len(data), -1
		if !s.done {
			at, which = s.find.find(data, s.used)
		}
		if at == len(data) && len(s.out) == 0 { // nothing to do here
			return r.Next(&engine.Chunk{Data: data, Flush: c.Flush, Last: c.Last})
		}
		if err := s.put(r, data[:at]); err != nil {
			return err
		}
		if which < 0 {
			s.held = append(s.held, data[at:]...)
			break
		}
		data = data[at+len(s.find.words[which].text):]
		if err := s.put(r, s.value(r, which)); err != nil {
			return err
		}
	}
	if c.Last && len(s.held) > 0 {
		s.out = append(s.out, s.held...)
		s.held = s.held[:0]
	}
	if len(s.out) == 0 && !c.Flush && !c.Last {
		return nil
	}
	err := r.Next(&engine.Chunk{Data: s.out, Flush: c.Flush, Last: c.Last})
	s.out = s.out[:0]
	return err
}

// joint looks for words that begin in what was held back, and gives the rest of the piece. What is held back after it is
// followed by nothing.
func (s *state) joint(r *engine.Request, data []byte) ([]byte, error) {
	held := len(s.held)
	more := min(len(data), s.find.max-1)
	s.window = append(append(s.window[:0], s.held...), data[:more]...)
	s.held = s.held[:0]
	w := s.window
	for {
		at, which := s.find.find(w, s.used)
		begun := len(s.window) - len(w) + at // in the window
		if begun >= held {                   // what is left of the window belongs to the piece
			if gap := held - (len(s.window) - len(w)); gap > 0 {
				if err := s.put(r, w[:gap]); err != nil {
					return nil, err
				}
				return data, nil
			}
			return data[len(s.window)-len(w)-held:], nil
		}
		if err := s.put(r, w[:at]); err != nil {
			return nil, err
		}
		if which < 0 { // still not decided, or the piece goes on beyond the window
			s.held = append(s.held, w[at:]...)
			return data[more:], nil
		}
		w = w[at+len(s.find.words[which].text):]
		if err := s.put(r, s.value(r, which)); err != nil {
			return nil, err
		}
		if s.done {
			rest := len(s.window) - len(w)
			if rest < held {
				if err := s.put(r, s.window[rest:held]); err != nil {
					return nil, err
				}
				return data, nil
			}
			return data[rest-held:], nil
		}
	}
}

// value is what takes the place of a word that was found.
func (s *state) value(r *engine.Request, which int) []byte {
	place := s.find.words[which].place
	v := s.values[place]
	if v == nil {
		if v = s.c.pairs[place].value.Eval(r); v == nil {
			v = []byte{}
		}
		s.values[place] = v
	}
	if s.c.once.V {
		s.used[place] = true
		s.applied++
		s.done = s.applied == len(s.find.words)
	}
	return v
}

// put gathers output.
func (s *state) put(r *engine.Request, p []byte) error {
	if len(s.out)+len(p) <= passOn {
		s.out = append(s.out, p...)
		return nil
	}
	if len(s.out) > 0 {
		err := r.Next(&engine.Chunk{Data: s.out})
		s.out = s.out[:0]
		if err != nil || len(p) == 0 {
			return err
		}
	}
	if len(p) < passOn {
		s.out = append(s.out, p...)
		return nil
	}
	return r.Next(&engine.Chunk{Data: p})
}
