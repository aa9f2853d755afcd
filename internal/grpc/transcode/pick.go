package transcode

import (
	"encoding/json"
	"slices"
	"strings"

	"moongate/internal/grpc/descriptor"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// valueOf picks one member of a JSON object.
func valueOf(object []byte, name string) ([]byte, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(object, &members); err != nil {
		return nil, err
	}
	if v, ok := members[name]; ok {
		return v, nil
	}
	return []byte("null"), nil
}

// Table finds the rule for a request.
type Table struct{ rules []*Rule }

// Add compiles and adds all rules of a method.
func (t *Table) Add(m protoreflect.MethodDescriptor) error {
	for _, d := range descriptor.Rules(m) {
		r, err := Compile(m, d)
		if err != nil {
			return err
		}
		t.rules = append(t.rules, r)
	}
	return nil
}

// Sort puts more specific rules first: those with more literal text.
func (t *Table) Sort() {
	weight := func(r *Rule) int {
		n := len(r.suffix)
		for _, s := range r.segments {
			switch s.kind {
			case 0:
				n += 100
			case '*':
				n += 10
			}
		}
		return n
	}
	slices.SortStableFunc(t.rules, func(a, b *Rule) int { return weight(b) - weight(a) })
}

// DiscardUnknown has all rules leave out what bodies have of fields that are not in the message.
func (t *Table) DiscardUnknown() {
	for _, r := range t.rules {
		r.lenient = true
	}
}

// Len is the number of rules.
func (t *Table) Len() int { return len(t.rules) }

// Find gives the rule for a request and the values of its variables. known says, when there is none, that other verbs have
// one for the path.
func (t *Table) Find(verb, path string) (rule *Rule, values []string, known bool) {
	for _, r := range t.rules {
		if values, ok := r.Match(verb, path); ok {
			return r, values, true
		}
		if !known {
			_, known = r.Match(r.Verb, path)
		}
	}
	return nil, nil, known
}

// Path is the path of a request target: what stands before the query.
func Path(target string) string {
	if i := strings.IndexAny(target, "?#"); i >= 0 {
		return target[:i]
	}
	return target
}
