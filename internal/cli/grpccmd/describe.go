package grpccmd

import (
	"fmt"
	"io"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	"moongate/internal/grpc/descriptor"
)

// describe prints declarations as a .proto file would have them.
func (c *command) describe(words []string) error {
	if len(words) == 0 {
		words = c.services()
	}
	for _, name := range words {
		if err := c.describeOne(name); err != nil {
			return err
		}
	}
	return nil
}

func (c *command) describeOne(name string) error {
	name = strings.Replace(strings.Trim(name, "/."), "/", ".", 1)
	d, err := c.set.Files.FindDescriptorByName(protoreflect.FullName(name))
	if err != nil {
		return fmt.Errorf("there is no %s", name)
	}
	switch d := d.(type) {
	case protoreflect.ServiceDescriptor:
		fmt.Fprintf(c.stdout, "service %s {\n", d.FullName())
		for i := range d.Methods().Len() {
			printMethod(c.stdout, "  ", d.Methods().Get(i))
		}
		fmt.Fprintln(c.stdout, "}")
	case protoreflect.MethodDescriptor:
		printMethod(c.stdout, "", d)
		printMessage(c.stdout, "", d.Input(), true)
		printMessage(c.stdout, "", d.Output(), true)
	case protoreflect.MessageDescriptor:
		printMessage(c.stdout, "", d, true)
	case protoreflect.EnumDescriptor:
		printEnum(c.stdout, "", d, true)
	case protoreflect.FieldDescriptor:
		printField(c.stdout, "", d)
	default:
		fmt.Fprintln(c.stdout, d.FullName())
	}
	return nil
}

func printMethod(w io.Writer, in string, m protoreflect.MethodDescriptor) {
	word := func(stream bool) string {
		if stream {
			return "stream "
		}
		return ""
	}
	fmt.Fprintf(w, "%srpc %s(%s%s) returns (%s%s);", in, m.Name(), word(m.IsStreamingClient()), m.Input().FullName(), word(m.IsStreamingServer()), m.Output().FullName())
	for _, r := range descriptor.Rules(m) {
		fmt.Fprintf(w, "  // %s %s", r.Verb, r.Path)
	}
	fmt.Fprintln(w)
}

func printMessage(w io.Writer, in string, m protoreflect.MessageDescriptor, full bool) {
	name := string(m.Name())
	if full {
		name = string(m.FullName())
	}
	fmt.Fprintf(w, "%smessage %s {\n", in, name)
	for i := range m.Enums().Len() {
		printEnum(w, in+"  ", m.Enums().Get(i), false)
	}
	for i := range m.Messages().Len() {
		if sub := m.Messages().Get(i); !sub.IsMapEntry() {
			printMessage(w, in+"  ", sub, false)
		}
	}
	for i := range m.Fields().Len() {
		f := m.Fields().Get(i)
		o := f.ContainingOneof()
		if o == nil || o.IsSynthetic() {
			printField(w, in+"  ", f)
			continue
		}
		if o.Fields().Get(0) != f {
			continue
		}
		fmt.Fprintf(w, "%s  oneof %s {\n", in, o.Name())
		for j := range o.Fields().Len() {
			printField(w, in+"    ", o.Fields().Get(j))
		}
		fmt.Fprintf(w, "%s  }\n", in)
	}
	fmt.Fprintf(w, "%s}\n", in)
}

func printField(w io.Writer, in string, f protoreflect.FieldDescriptor) {
	label := ""
	switch {
	case f.IsList():
		label = "repeated "
	case f.Cardinality() == protoreflect.Required:
		label = "required "
	case f.HasOptionalKeyword():
		label = "optional "
	}
	typ := typeName(f)
	if f.IsMap() {
		typ = "map<" + typeName(f.MapKey()) + ", " + typeName(f.MapValue()) + ">"
	}
	fmt.Fprintf(w, "%s%s%s %s = %d;\n", in, label, typ, f.Name(), f.Number())
}

func typeName(f protoreflect.FieldDescriptor) string {
	switch {
	case f.Message() != nil:
		return string(f.Message().FullName())
	case f.Enum() != nil:
		return string(f.Enum().FullName())
	}
	return f.Kind().String()
}

func printEnum(w io.Writer, in string, e protoreflect.EnumDescriptor, full bool) {
	name := string(e.Name())
	if full {
		name = string(e.FullName())
	}
	fmt.Fprintf(w, "%senum %s {\n", in, name)
	for i := range e.Values().Len() {
		fmt.Fprintf(w, "%s  %s = %d;\n", in, e.Values().Get(i).Name(), e.Values().Get(i).Number())
	}
	fmt.Fprintf(w, "%s}\n", in)
}
