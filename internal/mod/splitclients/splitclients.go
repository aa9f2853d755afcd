// Package splitclients makes variables that divide requests in fixed shares: split_clients.
package splitclients

import (
	"strings"

	"moongate/internal/base/ascii"
	"moongate/internal/conf"
	"moongate/internal/engine"
)

// Module is the split_clients module.
var Module = engine.Module{Module: conf.Module{Name: "split_clients", Directives: []conf.Directive{
	{Name: "split_clients", Syntax: "string $variable { ... }", In: conf.HTTP, Args: conf.Take2 | conf.Block, Set: conf.Func(read),
		Doc: "Makes a variable whose value depends on a hash (MurmurHash2) of the string: each line has a share, such as `0.5%`, and the value for it; `*` takes what is left."},
}}}

// split is a split_clients block.
type split struct {
	source *engine.Template
	parts  []part
}

// part has the hashes below its limit that no part before it has; limit 0 means all.
type part struct {
	limit uint32
	value []byte
}

// whole is 100% in hundredths of a percent.
const whole = 10000

func read(c *conf.Cmd) error {
	s := &split{}
	var err error
	if s.source, err = engine.CompileArg(c, c.Args[0]); err != nil {
		return err
	}
	name := c.Args[1]
	if !strings.HasPrefix(name, "$") {
		return c.Errorf("invalid variable name \"%s\"", name)
	}
	if _, err := engine.HTTPOf(c).DefineVar(engine.Var{Name: name[1:], Get: get, Data: s}); err != nil {
		return c.Errorf("%s", err)
	}
	var shares []int64
	err = c.Entries(func(e *conf.Cmd) error {
		n, ok := share(e.Name)
		if !ok {
			return e.Errorf("invalid percent value \"%s\"", e.Name)
		}
		value := ""
		if len(e.Args) > 0 {
			value = e.Args[0]
		}
		shares = append(shares, n)
		s.parts = append(s.parts, part{value: []byte(value)})
		return nil
	})
	if err != nil {
		return err
	}
	sum, limit := int64(0), uint32(0)
	for i, n := range shares {
		if sum += n; n == 0 {
			sum = whole
		}
		if sum > whole {
			return c.Errorf("percent total is greater than 100%%")
		}
		if sum < whole {
			limit += uint32(n * 0xffffffff / whole)
			s.parts[i].limit = limit
		}
	}
	return nil
}

// share reads a percentage with up to two decimals, in hundredths; "*" is 0.
func share(s string) (int64, bool) {
	if s == "*" {
		return 0, true
	}
	num, ok := strings.CutSuffix(s, "%")
	if !ok {
		return 0, false
	}
	before, after, _ := strings.Cut(num, ".")
	if len(after) > 2 || num == "" {
		return 0, false
	}
	n, ok := ascii.ParseInt(before + after + "00"[len(after):])
	return n, ok && n > 0
}

func get(r *engine.Request, v *engine.Var) ([]byte, bool) {
	s := v.Data.(*split)
	h := murmur2(s.source.Eval(r))
	for i := range s.parts {
		if p := &s.parts[i]; h < p.limit || p.limit == 0 {
			return p.value, true
		}
	}
	return nil, true
}

// murmur2 is the 32 bit MurmurHash2 with the seed 0.
func murmur2(b []byte) uint32 {
	const m = 0x5bd1e995
	h := uint32(len(b))
	for ; len(b) >= 4; b = b[4:] {
		k := uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
		k *= m
		k ^= k >> 24
		h = h*m ^ k*m
	}
	for i := len(b) - 1; i >= 0; i-- {
		h ^= uint32(b[i]) << (8 * i)
	}
	if len(b) > 0 {
		h *= m
	}
	h ^= h >> 13
	h *= m
	return h ^ h>>15
}
