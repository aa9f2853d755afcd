// Package ssi carries out the commands of server side includes in response bodies: <!--#include virtual="/foot" -->.
//
// A body passes as a stream: only a command that is not whole yet is kept. Includes are subrequests that run where they
// stand, one after another, so the order of the output is that of the text. Variables, blocks and settings of commands
// belong to the main request: an included page sees and changes those of the page around it, as in nginx.
package ssi

import (
	"moongate/internal/base/strftime"
	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/http1"
)

type config struct {
	on, silent, lastModified conf.Opt[bool]
	minFileChunk             conf.Opt[int64]
	valueLength              conf.Opt[int]
	types                    [][]string
	set                      *engine.TypeSet
}

var loc = conf.NewLevel[config](conf.KindLocation).OnMerge(func(_, child *config, _ *conf.Scope) error {
	child.set = engine.NewTypeSet(child.types, "text/html")
	return nil
})

const withIf = conf.HTTPServerLocation | conf.LocationIf

func flag(field func(c *config) *conf.Opt[bool]) conf.Setter {
	return conf.Slot(loc, conf.Flag, field)
}

// Module is the ssi family.
var Module = engine.Module{
	Module: conf.Module{Name: "ssi", Directives: []conf.Directive{
		{Name: "ssi", In: withIf, Default: "off", Set: flag(func(c *config) *conf.Opt[bool] { return &c.on }),
			Doc: "Carries out the commands of server side includes in responses."},
		{Name: "ssi_silent_errors", In: conf.HTTPServerLocation, Default: "off", Set: flag(func(c *config) *conf.Opt[bool] { return &c.silent }),
			Doc: "Puts no text in the place of a command that failed."},
		{Name: "ssi_last_modified", In: conf.HTTPServerLocation, Default: "off", Set: flag(func(c *config) *conf.Opt[bool] { return &c.lastModified }),
			Doc: "Keeps the Last-Modified header, and the ETag as a weak one."},
		{Name: "ssi_min_file_chunk", In: conf.HTTPServerLocation, Default: "1k", Set: conf.Slot(loc, conf.Size, func(c *config) *conf.Opt[int64] { return &c.minFileChunk }),
			Doc: "The smallest part of a file that nginx sends by sendfile; accepted, bodies with commands pass through memory."},
		{Name: "ssi_value_length", In: conf.HTTPServerLocation, Default: "256", Set: conf.Slot(loc, conf.Number, func(c *config) *conf.Opt[int] { return &c.valueLength }),
			Doc: "The longest value of a command's parameter."},
		{Name: "ssi_types", Syntax: "mime-type ...", In: conf.HTTPServerLocation, Args: conf.OneMore, Default: "text/html",
			Set: conf.List(loc, engine.ReadTypes("text/html"), func(c *config) *[][]string { return &c.types }),
			Doc: "The types of responses whose commands are carried out, besides text/html; * is any."},
	}},
	Vars: []engine.Var{
		{Name: "date_local", NoCache: true, Get: func(r *engine.Request, _ *engine.Var) ([]byte, bool) { return date(r, true), true },
			Doc: "The local time, in the format of the command config timefmt."},
		{Name: "date_gmt", NoCache: true, Get: func(r *engine.Request, _ *engine.Var) ([]byte, bool) { return date(r, false), true },
			Doc: "The time in GMT, in the format of the command config timefmt."},
	},
}

// Filter carries commands out.
var Filter = engine.Filter{
	Name:   "ssi",
	Active: func(s *conf.Scope) bool { return loc.Of(s).on.V },
	Header: decide, Body: body, InMemory: true,
}

var (
	slot     = engine.NewSlot() // *state
	pageSlot = engine.NewSlot() // *page, of the main request
)

// page is what belongs to all parts of a response.
type page struct {
	vars    map[string][]byte
	blocks  map[string][]byte
	errmsg  []byte
	timefmt []byte
	groups  []int32 // of the last regular expression that matched, in subject
	subject []byte
}

func pageOf(r *engine.Request) *page {
	p, _ := r.Main.Ctx(pageSlot).(*page)
	if p == nil {
		p = &page{vars: map[string][]byte{}, blocks: map[string][]byte{},
			errmsg: []byte("[an error occurred while processing the directive]"), timefmt: []byte("%A, %d-%b-%Y %H:%M:%S %Z")}
		r.Main.SetCtx(pageSlot, p)
	}
	return p
}

func date(r *engine.Request, local bool) []byte {
	format := []byte("%A, %d-%b-%Y %H:%M:%S %Z")
	if p, _ := r.Main.Ctx(pageSlot).(*page); p != nil {
		format = p.timefmt
	}
	t, zone := now(r), "GMT"
	if local {
		zone, _ = t.Zone()
	} else {
		t = t.UTC()
	}
	return strftime.Append(nil, format, t, zone)
}

func decide(r *engine.Request) engine.Status {
	c := loc.Of(r.Scope)
	if r.Out.ContentLength == 0 || !c.set.Has(r.Out.ContentType) {
		return engine.OK
	}
	r.SetCtx(slot, &state{r: r, c: c, page: pageOf(r)})
	r.UseOwnBody()
	if !r.IsMain() {
		return engine.OK
	}
	r.Out.ContentLength = -1
	r.DelHeaderOut(http1.HContentLength)
	r.Out.AcceptRanges = false
	r.DelHeaderOut(http1.HAcceptRanges)
	if c.lastModified.V {
		r.WeakenETag()
		return engine.OK
	}
	r.Out.LastModified = -1
	r.DelHeaderOut(http1.HLastModified)
	r.DelHeaderOut(http1.HETag)
	return engine.OK
}

// body is the filter's part for bodies. A command may wait for a subrequest: what comes where nobody can wait is kept for later.
func body(r *engine.Request, c *engine.Chunk) error {
	s, _ := r.Ctx(slot).(*state)
	if s == nil || s.ended || r.HeadOnly {
		return r.Next(c)
	}
	if !r.MayPark() {
		s.held = append(s.held, c.Data...)
		if c.Last {
			r.WhenFree(func() {
				if !s.ended {
					r.Output(&engine.Chunk{Last: true})
				}
			})
		}
		return nil
	}
	if len(s.held) > 0 {
		held := s.held
		s.held = nil
		if err := s.feed(held, false); err != nil {
			return err
		}
	}
	if err := s.feed(c.Data, c.Last); err != nil {
		return err
	}
	s.ended = c.Last
	if len(s.out) == 0 && !c.Flush && !c.Last {
		return nil
	}
	return s.pass(&engine.Chunk{Data: s.out, Flush: c.Flush, Last: c.Last})
}
