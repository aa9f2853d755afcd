// Package addition puts the responses of subrequests before and behind a response body (add_before_body, add_after_body).
package addition

import (
	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/http1"
)

type config struct {
	before, after conf.Opt[string]
	types         [][]string
	set           *engine.TypeSet
}

var loc = conf.NewLevel[config](conf.KindLocation).OnMerge(func(_, child *config, _ *conf.Scope) error {
	child.set = engine.NewTypeSet(child.types, "text/html")
	return nil
})

var uri = conf.NewType("uri", conf.Take1, conf.Str.Parse)

// Module is the addition family.
var Module = engine.Module{
	Module: conf.Module{Name: "addition", Directives: []conf.Directive{
		{Name: "add_before_body", In: conf.HTTPServerLocation, Set: conf.Slot(loc, uri, func(c *config) *conf.Opt[string] { return &c.before }),
			Doc: "Puts what a subrequest answers before the body."},
		{Name: "add_after_body", In: conf.HTTPServerLocation, Set: conf.Slot(loc, uri, func(c *config) *conf.Opt[string] { return &c.after }),
			Doc: "Puts what a subrequest answers behind the body."},
		{Name: "addition_types", Syntax: "mime-type ...", In: conf.HTTPServerLocation, Args: conf.OneMore, Default: "text/html",
			Set: conf.List(loc, engine.ReadTypes("text/html"), func(c *config) *[][]string { return &c.types }),
			Doc: "The types of responses that something is added to, besides text/html; * is any."},
	}},
}

// Filter adds.
var Filter = engine.Filter{
	Name: "addition",
	Active: func(s *conf.Scope) bool {
		c := loc.Of(s)
		return c.before.V != "" || c.after.V != ""
	},
	Header: decide, Body: add,
}

var slot = engine.NewSlot()

// state is a response in work.
type state struct {
	begun, done bool
	held        []byte // what came when nobody could wait for a subrequest
}

func decide(r *engine.Request) engine.Status {
	c := loc.Of(r.Scope)
	if r.Out.Status != 200 || !r.IsMain() || !c.set.Has(r.Out.ContentType) {
		return engine.OK
	}
	r.Out.ContentLength = -1
	r.DelHeaderOut(http1.HContentLength)
	r.Out.AcceptRanges = false
	r.DelHeaderOut(http1.HAcceptRanges)
	r.WeakenETag()
	r.SetCtx(slot, &state{})
	r.UseOwnBody()
	return engine.OK
}

func add(r *engine.Request, c *engine.Chunk) error {
	s, _ := r.Ctx(slot).(*state)
	if s == nil || s.done || r.HeadOnly {
		return r.Next(c)
	}
	if !r.MayPark() {
		if c.File == nil {
			s.held = append(s.held, c.Data...)
		}
		if c.Last {
			r.WhenFree(func() {
				if !s.done {
					r.Output(&engine.Chunk{Last: true})
				}
			})
		}
		return nil
	}
	lc := loc.Of(r.Scope)
	if !s.begun {
		s.begun = true
		if err := include(r, lc.before.V); err != nil {
			return err
		}
	}
	if len(s.held) > 0 {
		held := s.held
		s.held = nil
		if err := r.Next(&engine.Chunk{Data: held}); err != nil {
			return err
		}
	}
	if !c.Last {
		return r.Next(c)
	}
	s.done = true
	if lc.after.V == "" {
		return r.Next(c)
	}
	c.Last = false
	if err := r.Next(c); err != nil {
		return err
	}
	if err := include(r, lc.after.V); err != nil {
		return err
	}
	return r.Next(&engine.Chunk{Last: true})
}

// include serves a subrequest, whose output joins the response here.
func include(r *engine.Request, uri string) error {
	if uri == "" {
		return nil
	}
	sub, st := r.Subrequest(r.CopyString(uri), nil, &engine.SubOptions{KeepBody: true, ShareVars: true})
	if st != engine.OK {
		return engine.ErrClientGone
	}
	sub.Release()
	return nil
}
