package engine

import (
	"moongate/internal/base/nlog"
	"moongate/internal/base/units"
	"moongate/internal/conf"
)

var rateRows = []conf.Directive{
	{Name: "limit_rate", In: httpIf, Default: "0", Syntax: "rate", Set: conf.Slot(locLevel, sizeTemplate, func(c *LocConf) *conf.Opt[*Template] { return &c.LimitRate }),
		Doc: "Bounds the speed of a response in bytes per second; 0 does not. The value may have variables, and `$limit_rate` takes its place for one request."},
	{Name: "limit_rate_after", In: httpIf, Default: "0", Syntax: "size", Set: conf.Slot(locLevel, sizeTemplate, func(c *LocConf) *conf.Opt[*Template] { return &c.LimitRateAfter }),
		Doc: "The number of bytes that limit_rate does not count."},
}

// sizeTemplate is a size that may have variables.
var sizeTemplate = conf.NewType("size", conf.Take1, func(c *conf.Cmd) (*Template, error) {
	if c.IsDefault() {
		return Literal(c.Args[0]), nil
	}
	t, err := CompileArg(c, c.Args[0])
	if err != nil {
		return nil, err
	}
	if _, ok := units.Size(t.Text); t.IsLiteral() && !ok {
		return nil, c.Bad("invalid value")
	}
	return t, nil
})

// SizeTemplateType is the conf type of a size that may have variables.
func SizeTemplateType() conf.Type[*Template] { return sizeTemplate }

// RateLimit is the speed that the response is bounded to, in bytes per second, 0 for none, and the number of bytes that
// are free of it.
func (r *Request) RateLimit() (rate, after int64) {
	core := r.Core()
	if !r.LimitRateSet {
		r.LimitRate, r.LimitRateSet = r.evalSize(core.LimitRate.V), true
	}
	if r.LimitRate > 0 && !r.limitAfterSet {
		r.limitAfter, r.limitAfterSet = r.evalSize(core.LimitRateAfter.V), true
	}
	return r.LimitRate, r.limitAfter
}

func (r *Request) evalSize(t *Template) int64 {
	if t == nil {
		return 0
	}
	n, ok := units.Size(t.EvalString(r))
	if !ok {
		r.Logf(nlog.Error, "invalid size \"%s\"", t.Eval(r))
		return 0
	}
	return n
}
