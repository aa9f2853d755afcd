package echo

import (
	"moongate/internal/conf"
	"moongate/internal/engine"
)

// NewFilter makes the filter that writes the texts around the body.
func NewFilter() *engine.Filter {
	f := &engine.Filter{Name: "echo", Body: bodyFilter, Active: func(s *conf.Scope) bool {
		c := loc.Of(s)
		return c.before != nil || c.after != nil
	}}
	f.Header = func(r *engine.Request) engine.Status {
		r.Out.ContentLength = -1
		r.Out.AcceptRanges = false
		x := of(r)
		x.beforeSent, x.afterSent = false, false
		r.UseBody(f)
		return engine.OK
	}
	return f
}

func bodyFilter(r *engine.Request, c *engine.Chunk) error {
	cfg, x := loc.Of(r.Scope), of(r)
	if !x.beforeSent {
		x.beforeSent = true
		if err := writeAround(r, cfg.before); err != nil {
			return err
		}
	}
	if len(cfg.after) == 0 || !c.Last || x.afterSent {
		return r.Next(c)
	}
	x.afterSent = true
	c.Last = false
	if c.Size() > 0 || c.Flush {
		if err := r.Next(c); err != nil {
			return err
		}
	}
	if err := writeAround(r, cfg.after); err != nil {
		return err
	}
	return r.Next(&engine.Chunk{Last: true})
}

func writeAround(r *engine.Request, cmds []*cmd) error {
	for _, c := range cmds {
		if err := r.Next(&engine.Chunk{Data: c.line(r)}); err != nil {
			return err
		}
	}
	return nil
}
