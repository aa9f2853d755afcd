package engine

import (
	"fmt"

	"moongate/internal/conf"
)

// Template is a compiled value with variables ("$scheme://$host$1").
type Template struct {
	Text  string
	parts []part
	lit   []byte // the whole value when there are no variables
}

type part struct {
	lit []byte
	v   *Var
	// same is the place + 1 of an earlier part with the same variable, whose value is taken: within one text a variable
	// has one value, even one that changes with each use.
	same int
	cap  int // capture group + 1, 0 for none
}

// Literal makes a template of plain text.
func Literal(s string) *Template { return &Template{Text: s, lit: []byte(s)} }

// IsLiteral reports whether the template has no variables.
func (t *Template) IsLiteral() bool { return t.parts == nil }

// Compile parses text with $name, ${name} and $1..$9. The error is nginx's.
func (h *HTTP) Compile(text string) (*Template, error) {
	t := &Template{Text: text}
	var parts []part
	start := 0
	flush := func(end int) {
		if end > start {
			parts = append(parts, part{lit: []byte(text[start:end])})
		}
	}
	for i := 0; i < len(text); {
		if text[i] != '$' {
			i++
			continue
		}
		flush(i)
		i++
		if i == len(text) {
			return nil, fmt.Errorf("invalid variable name")
		}
		if c := text[i]; c >= '1' && c <= '9' {
			parts = append(parts, part{cap: int(c-'0') + 1})
			i++
			start = i
			continue
		}
		brace := text[i] == '{'
		if brace {
			if i++; i == len(text) {
				return nil, fmt.Errorf("invalid variable name")
			}
		}
		n := i
		for n < len(text) && isNameByte(text[n]) {
			n++
		}
		name := text[i:n]
		if brace {
			if n == len(text) || text[n] != '}' {
				return nil, fmt.Errorf("the closing bracket in \"%s\" variable is missing", name)
			}
		}
		if name == "" {
			return nil, fmt.Errorf("invalid variable name")
		}
		i = n
		if brace {
			i++
		}
		p := part{v: h.Var(name)}
		for i := range parts {
			if parts[i].v == p.v {
				p.same = i + 1
				break
			}
		}
		parts = append(parts, p)
		start = i
	}
	flush(len(text))
	if len(parts) == 0 || len(parts) == 1 && parts[0].lit != nil {
		t.lit = []byte(text)
		return t, nil
	}
	t.parts = parts
	return t, nil
}

func isNameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_'
}

func (p *part) value(r *Request) []byte {
	switch {
	case p.lit != nil:
		return p.lit
	case p.v != nil:
		v, _ := r.Var(p.v)
		return v
	}
	return r.Capture(p.cap - 1)
}

// Eval gives the value; the bytes live as long as the request and must not be changed.
func (t *Template) Eval(r *Request) []byte {
	if t.parts == nil {
		return t.lit
	}
	if len(t.parts) == 1 {
		return t.parts[0].value(r)
	}
	// Variables may evaluate templates themselves, so the bytes are gathered before memory is taken.
	n := 0
	w := r.W
	base := len(w.values)
	for i := range t.parts {
		var v []byte
		if same := t.parts[i].same; same > 0 {
			v = w.values[base+same-1]
		} else {
			v = t.parts[i].value(r)
		}
		w.values = append(w.values, v)
		n += len(v)
	}
	b := r.Alloc(n)[:0]
	for _, v := range w.values[base:] {
		b = append(b, v...)
	}
	clear(w.values[base:])
	w.values = w.values[:base]
	return b
}

// EvalString is Eval as a string that lives as long as the request.
func (t *Template) EvalString(r *Request) string { return str(t.Eval(r)) }

// Append appends the value to dst.
func (t *Template) Append(dst []byte, r *Request) []byte {
	if t.parts == nil {
		return append(dst, t.lit...)
	}
	for i := range t.parts {
		dst = append(dst, t.parts[i].value(r)...)
	}
	return dst
}

// Capture gives group n of the last regular expression that matched.
func (r *Request) Capture(n int) []byte {
	if 2*n+1 >= len(r.Captures) {
		return nil
	}
	a, b := r.Captures[2*n], r.Captures[2*n+1]
	if a < 0 || b < a || int(b) > len(r.CaptureSubj) {
		return nil
	}
	return r.CaptureSubj[a:b]
}

// templateType is the configuration type of values with variables.
type templateType struct{}

// TemplateType is the conf type of a value with variables.
func TemplateType() conf.Type[*Template] { return templateType{} }

func (templateType) Parse(c *conf.Cmd) (*Template, error) { return CompileArg(c, c.Args[0]) }
func (templateType) Arity() conf.Arity                    { return conf.Take1 }
func (templateType) String() string                       { return "string" }

// CompileArg compiles one argument of a directive as a template of the http block being read.
func CompileArg(c *conf.Cmd, text string) (*Template, error) {
	t, err := HTTPOf(c).Compile(text)
	if err != nil {
		return nil, c.Errorf("%s", err)
	}
	return t, nil
}
