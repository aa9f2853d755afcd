package transcode

import (
	"errors"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
)

// A google.api.HttpBody stands for a body as it is, whatever its type.

const (
	httpBody        = "google.api.HttpBody"
	httpContentType = 1
	httpData        = 2
)

// rawField is the place of an HttpBody: a message itself, for which f is nil, or its field.
func rawField(d protoreflect.MessageDescriptor, name string) (f protoreflect.FieldDescriptor, ok bool) {
	if name == "" || name == "*" {
		return nil, d.FullName() == httpBody
	}
	f = d.Fields().ByName(protoreflect.Name(name))
	return f, f != nil && f.Message() != nil && !f.IsList() && !f.IsMap() && f.Message().FullName() == httpBody
}

// RawRequest reports whether the request's body is taken as it is.
func (r *Rule) RawRequest() bool {
	_, ok := rawField(r.Method.Input(), r.body)
	return ok && r.body != ""
}

// RawResponse reports whether the response's body is in an HttpBody.
func (r *Rule) RawResponse() bool {
	_, ok := rawField(r.Method.Output(), r.respBody)
	return ok
}

func (r *Rule) setRaw(m *dynamicpb.Message, contentType string, body []byte) error {
	at := m.ProtoReflect()
	if f, _ := rawField(m.Descriptor(), r.body); f != nil {
		at = at.Mutable(f).Message()
	}
	fields := at.Descriptor().Fields()
	typ, data := fields.ByNumber(httpContentType), fields.ByNumber(httpData)
	if typ == nil || typ.Kind() != protoreflect.StringKind || data == nil || data.Kind() != protoreflect.BytesKind {
		return errors.New("the definition of " + httpBody + " is a wrong one")
	}
	if contentType != "" {
		at.Set(typ, protoreflect.ValueOfString(contentType))
	}
	at.Set(data, protoreflect.ValueOfBytes(append([]byte(nil), body...)))
	return nil
}

// Raw gives the body in an encoded response, and its type.
func (r *Rule) Raw(types *dynamicpb.Types, wire []byte) (contentType string, data []byte, err error) {
	m, err := decode(types, r.Method.Output(), wire)
	if err != nil {
		return "", nil, err
	}
	var at proto.Message = m
	if f, _ := rawField(m.Descriptor(), r.respBody); f != nil {
		at = m.Get(f).Message().Interface()
	}
	fields := at.ProtoReflect().Descriptor().Fields()
	typ, field := fields.ByNumber(httpContentType), fields.ByNumber(httpData)
	if typ == nil || typ.Kind() != protoreflect.StringKind || field == nil || field.Kind() != protoreflect.BytesKind {
		return "", nil, errors.New("the definition of " + httpBody + " is a wrong one")
	}
	contentType = at.ProtoReflect().Get(typ).String()
	for i := range len(contentType) {
		if c := contentType[i]; c < ' ' || c == 0x7f {
			return "", nil, errors.New("invalid content_type of a " + httpBody)
		}
	}
	return contentType, at.ProtoReflect().Get(field).Bytes(), nil
}
