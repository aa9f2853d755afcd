package descriptor

import (
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Rule is one way to call a method over plain HTTP: google.api.http.
type Rule struct {
	Verb, Path         string
	Body, ResponseBody string
}

// The extension of MethodOptions, and the fields of HttpRule.
const (
	httpExtension  = 72295728
	fieldBody      = 7
	fieldCustom    = 8
	fieldMore      = 11
	fieldRespBody  = 12
	fieldCustomVrb = 1
	fieldCustomPth = 2
)

var verbs = map[protowire.Number]string{2: "GET", 3: "PUT", 4: "POST", 5: "DELETE", 6: "PATCH"}

// Rules are the rules that the options of a method give, its additional bindings too.
func Rules(m protoreflect.MethodDescriptor) []Rule {
	if m.Options() == nil {
		return nil
	}
	b, err := proto.Marshal(m.Options())
	if err != nil {
		return nil
	}
	var rules []Rule
	EachField(b, func(n protowire.Number, v []byte) {
		if n == httpExtension {
			rules = append(rules, readRule(v)...)
		}
	})
	return rules
}

func readRule(b []byte) []Rule {
	var r Rule
	var more []Rule
	EachField(b, func(n protowire.Number, v []byte) {
		switch n {
		case 2, 3, 4, 5, 6:
			r.Verb, r.Path = verbs[n], string(v)
		case fieldBody:
			r.Body = string(v)
		case fieldRespBody:
			r.ResponseBody = string(v)
		case fieldMore:
			more = append(more, readRule(v)...)
		case fieldCustom:
			EachField(v, func(n protowire.Number, v []byte) {
				switch n {
				case fieldCustomVrb:
					r.Verb = string(v)
				case fieldCustomPth:
					r.Path = string(v)
				}
			})
		}
	})
	if r.Path == "" {
		return more
	}
	return append([]Rule{r}, more...)
}

// EachField calls f for the length-delimited fields of a message.
func EachField(b []byte, f func(n protowire.Number, v []byte)) {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return
		}
		b = b[n:]
		if typ == protowire.BytesType {
			v, n := protowire.ConsumeBytes(b)
			if n < 0 {
				return
			}
			f(num, v)
			b = b[n:]
			continue
		}
		if n = protowire.ConsumeFieldValue(num, typ, b); n < 0 {
			return
		}
		b = b[n:]
	}
}
