// Package transcode translates between plain HTTP requests with JSON and the messages of gRPC methods, as the options of
// google.api.http say: path templates, query parameters, request and response bodies.
//
// It knows no connection. Errors of what a client sent are of the kind InvalidArgument.
package transcode

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/anypb"

	"moongate/internal/grpc/descriptor"
)

// segment is one part of a path template between slashes.
type segment struct {
	kind    byte // '*' one of any text, '#' ("**") the rest, 0 the literal
	literal string
}

type variable struct {
	field    string // dotted
	from, to int    // segments [from, to)
}

// Rule is a compiled way to call a method.
type Rule struct {
	Method protoreflect.MethodDescriptor
	Verb   string // of HTTP; "*" is any

	segments []segment
	vars     []variable
	suffix   string // after ':'
	body     string // "*", a field, or none
	respBody string
	lenient  bool // what is not in the message is left out
}

// Compile reads a rule of a method.
func Compile(m protoreflect.MethodDescriptor, d descriptor.Rule) (*Rule, error) {
	r := &Rule{Method: m, Verb: d.Verb, body: d.Body, respBody: d.ResponseBody}
	p := &parser{r: r, s: d.Path}
	if err := p.parse(); err != nil {
		return nil, fmt.Errorf("invalid path template %q of %s: %w", d.Path, m.FullName(), err)
	}
	for _, v := range r.vars {
		if _, err := path(m.Input(), v.field); err != nil {
			return nil, fmt.Errorf("path template %q of %s: %w", d.Path, m.FullName(), err)
		}
	}
	if b := r.body; b != "" && b != "*" && m.Input().Fields().ByName(protoreflect.Name(b)) == nil {
		return nil, fmt.Errorf("%s: there is no field %q for the body in %s", m.FullName(), b, m.Input().FullName())
	}
	if b := r.respBody; b != "" && m.Output().Fields().ByName(protoreflect.Name(b)) == nil {
		return nil, fmt.Errorf("%s: there is no field %q for the body in %s", m.FullName(), b, m.Output().FullName())
	}
	return r, nil
}

type parser struct {
	r *Rule
	s string
}

func (p *parser) parse() error {
	if !strings.HasPrefix(p.s, "/") {
		return fmt.Errorf(`it does not begin with "/"`)
	}
	p.s = p.s[1:]
	for {
		if err := p.part(); err != nil {
			return err
		}
		switch {
		case p.s == "":
			return p.check()
		case p.s[0] == '/':
			p.s = p.s[1:]
		case p.s[0] == ':':
			p.r.suffix = p.s[1:]
			p.s = ""
			return p.check()
		default:
			return fmt.Errorf("unexpected %q", p.s)
		}
	}
}

func (p *parser) check() error {
	for i, s := range p.r.segments {
		if s.kind == '#' && i != len(p.r.segments)-1 {
			return fmt.Errorf(`"**" is not last`)
		}
	}
	return nil
}

// part reads a segment or a variable.
func (p *parser) part() error {
	if !strings.HasPrefix(p.s, "{") {
		return p.segment("/:")
	}
	end := strings.IndexByte(p.s, '}')
	if end < 0 {
		return fmt.Errorf(`no "}"`)
	}
	name, inner, ok := strings.Cut(p.s[1:end], "=")
	if !ok {
		inner = "*"
	}
	rest := p.s[end+1:]
	v := variable{field: name, from: len(p.r.segments)}
	if name == "" {
		return fmt.Errorf("a variable without name")
	}
	for p.s = inner; ; p.s = p.s[1:] {
		if err := p.segment("/"); err != nil {
			return err
		}
		if p.s == "" {
			break
		}
	}
	v.to = len(p.r.segments)
	p.r.vars = append(p.r.vars, v)
	p.s = rest
	return nil
}

func (p *parser) segment(stop string) error {
	n := strings.IndexAny(p.s, stop)
	if n < 0 {
		n = len(p.s)
	}
	s := segment{literal: p.s[:n]}
	p.s = p.s[n:]
	switch {
	case s.literal == "*":
		s.kind = '*'
	case s.literal == "**":
		s.kind = '#'
	case s.literal == "" && len(p.r.segments) > 0, strings.ContainsAny(s.literal, "{}*="):
		return fmt.Errorf("invalid segment %q", s.literal)
	}
	p.r.segments = append(p.r.segments, s)
	return nil
}

// Match reports whether a rule is for a request, and what its variables stand for. path is as the client sent it, without
// the query.
func (r *Rule) Match(verb, path string) (values []string, ok bool) {
	if r.Verb != "*" && r.Verb != verb || !strings.HasPrefix(path, "/") {
		return nil, false
	}
	path = path[1:]
	if r.suffix != "" {
		if path, ok = strings.CutSuffix(path, ":"+r.suffix); !ok {
			return nil, false
		}
	}
	starts := make([]int, 0, 8)
	at := 0
	for i, s := range r.segments {
		if at > len(path) {
			if s.kind == '#' { // nothing is left: "**" takes that too
				starts = append(starts, len(path))
				continue
			}
			return nil, false
		}
		starts = append(starts, at)
		if s.kind == '#' {
			at = len(path) + 1
			break
		}
		n := strings.IndexByte(path[at:], '/')
		if n < 0 {
			n = len(path) - at
		}
		if part := path[at : at+n]; s.kind == 0 && unescape(part, false) != s.literal || s.kind == '*' && part == "" {
			return nil, false
		}
		at += n + 1
		if i == len(r.segments)-1 && at <= len(path) {
			return nil, false
		}
	}
	if at <= len(path) && len(r.segments) > 0 {
		return nil, false
	}
	starts = append(starts, len(path)+1)
	for _, v := range r.vars {
		from, to := starts[v.from], starts[v.to]-1
		raw := path[from:max(from, min(to, len(path)))]
		// What spans several segments keeps its encoded slashes.
		values = append(values, unescape(raw, v.to-v.from > 1 || r.segments[v.from].kind == '#'))
	}
	return values, true
}

// unescape decodes %XX; keepSlash leaves %2F as it is.
func unescape(s string, keepSlash bool) string {
	if strings.IndexByte(s, '%') < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil && !(keepSlash && n == '/') {
				b = append(b, byte(n))
				i += 2
				continue
			}
		}
		b = append(b, s[i])
	}
	return string(b)
}

// Request makes the message of a request: values are Match's, query is the query string. types finds what Any holds.
// contentType is that of a body which is taken as it is.
func (r *Rule) Request(types *dynamicpb.Types, values []string, query, contentType string, body []byte) (proto.Message, error) {
	m := dynamicpb.NewMessage(r.Method.Input())
	if r.RawRequest() {
		if err := r.setRaw(m, contentType, body); err != nil {
			return nil, err
		}
	} else if err := r.readBody(types, m, body); err != nil {
		return nil, err
	}
	if r.body != "*" {
		if err := r.readQuery(m, query); err != nil {
			return nil, err
		}
	}
	for i, v := range r.vars {
		if err := Set(m, v.field, values[i]); err != nil {
			return nil, err
		}
	}
	return m, proto.CheckInitialized(m)
}

func (r *Rule) readBody(types *dynamicpb.Types, m *dynamicpb.Message, body []byte) error {
	if r.body == "" || len(body) == 0 {
		return nil
	}
	opt := protojson.UnmarshalOptions{Resolver: types, AllowPartial: true, DiscardUnknown: r.lenient} // what is required may be in the path
	if r.body == "*" {
		return opt.Unmarshal(body, m)
	}
	f := m.Descriptor().Fields().ByName(protoreflect.Name(r.body))
	if f.Message() != nil && !f.IsList() && !f.IsMap() {
		return opt.Unmarshal(body, m.Mutable(f).Message().Interface())
	}
	if !json.Valid(body) { // so that it stays one value within the object
		return errors.New("the body is no JSON")
	}
	whole := append([]byte(`{`+strconv.Quote(f.JSONName())+`:`), body...)
	return opt.Unmarshal(append(whole, '}'), m)
}

func (r *Rule) readQuery(m *dynamicpb.Message, query string) error {
	for query != "" {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		name, value, _ := strings.Cut(pair, "=")
		name = unescape(strings.ReplaceAll(name, "+", " "), false)
		fields, err := path(m.Descriptor(), name)
		if err != nil {
			continue // parameters of others
		}
		if r.body != "" && string(fields[0].Name()) == r.body || slices.ContainsFunc(r.vars, func(v variable) bool { return sameFields(m.Descriptor(), v.field, fields) }) {
			continue
		}
		if err := Set(m, name, unescape(strings.ReplaceAll(value, "+", " "), false)); err != nil {
			return err
		}
	}
	return nil
}

// sameFields says that a dotted path, which is a valid one, is that of fields.
func sameFields(d protoreflect.MessageDescriptor, dotted string, fields []protoreflect.FieldDescriptor) bool {
	own, _ := path(d, dotted)
	return slices.Equal(own, fields)
}

// path finds the fields of a dotted path, by names as declared or as in JSON.
func path(d protoreflect.MessageDescriptor, dotted string) ([]protoreflect.FieldDescriptor, error) {
	var list []protoreflect.FieldDescriptor
	for part := range strings.SplitSeq(dotted, ".") {
		if d == nil {
			return nil, fmt.Errorf("%s is no message", list[len(list)-1].FullName())
		}
		f := d.Fields().ByName(protoreflect.Name(part))
		if f == nil {
			f = d.Fields().ByJSONName(part)
		}
		if f == nil {
			return nil, fmt.Errorf("there is no field %q in %s", part, d.FullName())
		}
		list = append(list, f)
		d = f.Message()
		if f.IsList() || f.IsMap() {
			d = nil
		}
	}
	return list, nil
}

// Set sets a field, by a dotted path, to what text says; of a repeated field it adds an element.
func Set(m *dynamicpb.Message, dotted, text string) error {
	fields, err := path(m.Descriptor(), dotted)
	if err != nil {
		return err
	}
	at := m.ProtoReflect()
	for _, f := range fields[:len(fields)-1] {
		at = at.Mutable(f).Message()
	}
	f := fields[len(fields)-1]
	if f.IsMap() {
		return fmt.Errorf("field %q is a map", dotted)
	}
	if f.Message() != nil {
		return setMessage(at, f, dotted, text)
	}
	v, err := scalar(f, text)
	if err != nil {
		return fmt.Errorf("invalid value %q of field %q", text, dotted)
	}
	if f.IsList() {
		at.Mutable(f).List().Append(v)
	} else {
		at.Set(f, v)
	}
	return nil
}

// setMessage sets a message that JSON writes as a string or a number: Timestamp, wrappers, FieldMask, ...
func setMessage(at protoreflect.Message, f protoreflect.FieldDescriptor, dotted, text string) error {
	var sub protoreflect.Message
	if f.IsList() {
		sub = at.Mutable(f).List().AppendMutable().Message()
	} else {
		sub = at.Mutable(f).Message()
	}
	if f.Message().FullName() == "google.protobuf.FieldMask" && strings.Contains(text, "_") {
		return setMask(sub, dotted, text)
	}
	quoted, _ := json.Marshal(text)
	for _, form := range [][]byte{quoted, []byte(text)} {
		if protojson.Unmarshal(form, sub.Interface()) == nil {
			return nil
		}
	}
	return fmt.Errorf("invalid value %q of field %q", text, dotted)
}

// setMask sets a FieldMask whose paths are written as fields are declared, where JSON has them in camel case.
func setMask(mask protoreflect.Message, dotted, text string) error {
	f := mask.Descriptor().Fields().ByName("paths")
	if f == nil || !f.IsList() || f.Kind() != protoreflect.StringKind || !utf8.ValidString(text) {
		return fmt.Errorf("invalid value %q of field %q", text, dotted)
	}
	for part := range strings.SplitSeq(text, ",") {
		mask.Mutable(f).List().Append(protoreflect.ValueOfString(part))
	}
	return nil
}

func scalar(f protoreflect.FieldDescriptor, s string) (protoreflect.Value, error) {
	switch f.Kind() {
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(s), nil
	case protoreflect.BytesKind:
		s = strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(s, "="))
		b, err := base64.RawStdEncoding.DecodeString(s)
		return protoreflect.ValueOfBytes(b), err
	case protoreflect.BoolKind:
		b, err := strconv.ParseBool(s)
		return protoreflect.ValueOfBool(b), err
	case protoreflect.EnumKind:
		if v := f.Enum().Values().ByName(protoreflect.Name(s)); v != nil {
			return protoreflect.ValueOfEnum(v.Number()), nil
		}
		n, err := strconv.ParseInt(s, 10, 32)
		return protoreflect.ValueOfEnum(protoreflect.EnumNumber(n)), err
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		n, err := strconv.ParseInt(s, 10, 32)
		return protoreflect.ValueOfInt32(int32(n)), err
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		n, err := strconv.ParseUint(s, 10, 32)
		return protoreflect.ValueOfUint32(uint32(n)), err
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		n, err := strconv.ParseInt(s, 10, 64)
		return protoreflect.ValueOfInt64(n), err
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		n, err := strconv.ParseUint(s, 10, 64)
		return protoreflect.ValueOfUint64(n), err
	case protoreflect.FloatKind:
		x, err := strconv.ParseFloat(s, 32)
		return protoreflect.ValueOfFloat32(float32(x)), err
	}
	x, err := strconv.ParseFloat(s, 64)
	return protoreflect.ValueOfFloat64(x), err
}

// Response is the JSON of an encoded response.
func (r *Rule) Response(types *dynamicpb.Types, wire []byte) ([]byte, error) {
	if r.respBody == "" {
		return ToJSON(types, r.Method.Output(), wire)
	}
	m, err := decode(types, r.Method.Output(), wire)
	if err != nil {
		return nil, err
	}
	f := m.Descriptor().Fields().ByName(protoreflect.Name(r.respBody))
	if f.Message() != nil && !f.IsList() && !f.IsMap() {
		return marshal(types, m.Get(f).Message().Interface())
	}
	part := dynamicpb.NewMessage(m.Descriptor())
	if m.Has(f) {
		part.Set(f, m.Get(f))
	}
	b, err := marshal(types, part)
	if err != nil {
		return nil, err
	}
	// The only field but for those that are there by default: find its value.
	return valueOf(b, f.JSONName())
}

// ToJSON is the JSON of an encoded message.
func ToJSON(types *dynamicpb.Types, d protoreflect.MessageDescriptor, wire []byte) ([]byte, error) {
	m, err := decode(types, d, wire)
	if err != nil {
		return nil, err
	}
	return marshal(types, m)
}

// AnyToJSON is the JSON of what an Any holds; its type has to be known.
func AnyToJSON(types *dynamicpb.Types, url string, value []byte) ([]byte, error) {
	return marshal(types, &anypb.Any{TypeUrl: url, Value: value})
}

// FromJSON encodes a message that is given as JSON.
func FromJSON(types *dynamicpb.Types, d protoreflect.MessageDescriptor, text []byte) (wire []byte, err error) {
	return fromJSON(protojson.UnmarshalOptions{Resolver: types}, d, text)
}

// FromSomeJSON is FromJSON that leaves out what the message has no field for.
func FromSomeJSON(types *dynamicpb.Types, d protoreflect.MessageDescriptor, text []byte) (wire []byte, err error) {
	return fromJSON(protojson.UnmarshalOptions{Resolver: types, DiscardUnknown: true}, d, text)
}

func fromJSON(opt protojson.UnmarshalOptions, d protoreflect.MessageDescriptor, text []byte) (wire []byte, err error) {
	m := dynamicpb.NewMessage(d)
	if len(text) > 0 {
		if err := opt.Unmarshal(text, m); err != nil {
			return nil, err
		}
	}
	return Encode(m)
}

// Encode is the wire form of a message.
func Encode(m proto.Message) ([]byte, error) {
	return proto.MarshalOptions{AllowPartial: true}.Marshal(m)
}

// decode reads a message; some input makes the library panic, which is an error here.
func decode(types *dynamicpb.Types, d protoreflect.MessageDescriptor, wire []byte) (m *dynamicpb.Message, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("invalid message: %v", p)
		}
	}()
	m = dynamicpb.NewMessage(d)
	return m, proto.UnmarshalOptions{AllowPartial: true, Resolver: types, RecursionLimit: 100}.Unmarshal(wire, m)
}

func marshal(types *dynamicpb.Types, m proto.Message) ([]byte, error) {
	return protojson.MarshalOptions{AllowPartial: true, Resolver: types, EmitDefaultValues: true}.Marshal(m)
}
