// Package forminput assigns fields of a form in the request body to variables (set_form_input). Where one is asked for, the
// body of a form is read before the directives of the rewrite module run.
package forminput

import (
	"bytes"

	"moongate/internal/base/ascii"
	"moongate/internal/base/nlog"
	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/http1"
	"moongate/internal/mod/rewrite"
	"moongate/internal/setvar"
)

// mainConfig says whether any directive asks for a form.
type mainConfig struct{ used bool }

var mainLevel = conf.NewLevel[mainConfig](conf.KindMain)

// Module is the form-input module; its step stands before those of rewrite.
var Module = engine.Module{
	Module: conf.Module{Name: "form_input", Directives: []conf.Directive{
		{Name: "set_form_input", Syntax: "$variable [field]", In: conf.HTTPServerLocation, Args: conf.Take12, Set: conf.Func(read),
			Doc: "Assigns the first field of a name in a form that was sent with POST or PUT; without a name it is the variable's. The value stays encoded."},
		{Name: "set_form_input_multi", Syntax: "$variable [field]", In: conf.HTTPServerLocation, Args: conf.Take12, Set: conf.Func(read),
			Doc: "Assigns all fields of a name, as an array for array_join and its like."},
	}},
	Steps: []engine.Step{{Phase: engine.Rewrite, Active: func(s *conf.Scope) bool { return mainLevel.Of(s).used }, Run: readForm}},
}

var slot = engine.NewSlot()

// formType is the type of the forms that are read.
const formType = "application/x-www-form-urlencoded"

func readForm(r *engine.Request) engine.Status {
	if r.Ctx(slot) != nil || r.Method != http1.MethodPost && r.Method != http1.MethodPut || !ascii.HasPrefixFold(r.In.Get(http1.HContentType), formType) {
		return engine.Declined
	}
	if st := r.ReadBody(); st != engine.OK {
		return st
	}
	r.SetCtx(slot, true)
	return engine.Declined
}

func read(c *conf.Cmd) error {
	mainLevel.Of(c.Scope).used = true
	name := c.Args[0]
	field := name[min(1, len(name)):]
	if len(c.Args) == 2 {
		field = c.Args[1]
	}
	multi := c.Name == "set_form_input_multi"
	return rewrite.DefineSet(c, name, []string{field}, func(r *engine.Request, args [][]byte) ([]byte, engine.Status) {
		if r.Ctx(slot) == nil {
			return nil, engine.OK
		}
		if r.Body.File != nil {
			r.Logf(nlog.Error, "form-input: in-file buffer found. aborted. consider increasing your client_body_buffer_size setting")
			return nil, engine.OK
		}
		values := fields(r.Body.Mem, args[0], multi)
		switch {
		case multi:
			return setvar.Array(r, values), engine.OK
		case len(values) == 0:
			return nil, engine.OK
		}
		return values[0], engine.OK
	})
}

// fields finds the values of a name, in any case of letters: the first, or all.
func fields(form, name []byte, all bool) (values [][]byte) {
	for len(form) > 0 && len(name) > 0 {
		pair, rest, _ := bytes.Cut(form, []byte{'&'})
		form = rest
		key, value, ok := bytes.Cut(pair, []byte{'='})
		if ok && ascii.EqualFold(key, name) {
			if values = append(values, value); !all {
				break
			}
		}
	}
	return values
}
