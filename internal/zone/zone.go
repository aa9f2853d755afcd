// Package zone is the memory that all workers share under a name (limit_req_zone, limit_conn_zone): its declaration, and a
// table of keys for it that stays within its size.
//
// A zone belongs to the configuration it was read in; whoever declared it takes the table over from the configuration
// before, so that it survives a reload. The package knows neither requests nor what a zone is for.
package zone

import (
	"fmt"
	"strings"

	"moongate/internal/base/nlog"
	"moongate/internal/base/units"
	"moongate/internal/conf"
)

// Levels are the words of limit_req_log_level and limit_conn_log_level.
var Levels = conf.Enum(conf.Case("info", nlog.Info), conf.Case("notice", nlog.Notice), conf.Case("warn", nlog.Warn), conf.Case("error", nlog.Error))

// minSize is what nginx wants at least: eight pages.
const minSize = 8 * 4096

// Zone is a zone by its name.
type Zone struct {
	Name string
	Size int64 // 0 until a directive has said it
	Tag  any   // what it is for
	Data any   // the declaring module's
}

type valuesKey struct{}

type set struct{ list []*Zone }

// setOf is for the time a configuration is read. One that serves is only looked at: see declared.
func setOf(values map[any]any) *set {
	s, _ := values[valuesKey{}].(*set)
	if s == nil {
		s = &set{}
		values[valuesKey{}] = s
	}
	return s
}

// declared lists the zones of a configuration, which may be serving: nothing is written.
func declared(values map[any]any) []*Zone {
	if s, _ := values[valuesKey{}].(*set); s != nil {
		return s.list
	}
	return nil
}

// Add gives the zone of a name for the use that tag stands for; size is 0 where a directive only mentions it. The error is
// nginx's.
func Add(c *conf.Cmd, name string, size int64, tag any) (*Zone, error) {
	s := setOf(c.Config().Values)
	for _, z := range s.list {
		if z.Name != name {
			continue
		}
		if z.Tag != tag {
			return nil, c.Errorf("the shared memory zone \"%s\" is already declared for a different use", name)
		}
		if z.Size == 0 {
			z.Size = size
		}
		if size != 0 && size != z.Size {
			return nil, c.Errorf("the size %d of shared memory zone \"%s\" conflicts with already declared size %d", size, name, z.Size)
		}
		return z, nil
	}
	z := &Zone{Name: name, Size: size, Tag: tag}
	s.list = append(s.list, z)
	return z, nil
}

// Declare is Add for the directive that makes the zone, with what becomes its Data; key says what that has of a key. A zone is
// made once. The errors are nginx's.
func Declare[D any](c *conf.Cmd, name string, size int64, tag any, data *D, key func(*D) string) error {
	if name == "" {
		return c.Errorf("\"%s\" must have \"zone\" parameter", c.Name)
	}
	z, err := Add(c, name, size, tag)
	if err != nil {
		return err
	}
	if had, ok := z.Data.(*D); ok {
		return c.Errorf("%s \"%s\" is already bound to key \"%s\"", c.Name, name, key(had))
	}
	z.Data = data
	return nil
}

// Find gives the zone of a name that was declared for tag, nil when there is none.
func Find(values map[any]any, name string, tag any) *Zone {
	for _, z := range declared(values) {
		if z.Name == name && z.Tag == tag {
			return z
		}
	}
	return nil
}

// Each calls f for the zones that were declared for tag.
func Each(values map[any]any, tag any, f func(z *Zone) error) error {
	for _, z := range declared(values) {
		if z.Tag == tag {
			if err := f(z); err != nil {
				return err
			}
		}
	}
	return nil
}

// Adopt gives the zones declared for tag the tables that zones of the same name and size have in the configuration before,
// which may be nil, or new ones. of tells what a zone's keys are made of and where its table is; what names the directive
// in the error for other keys.
func Adopt[V any](values, before map[any]any, tag any, what string, of func(z *Zone) (key string, table **Table[V])) error {
	return Each(values, tag, func(z *Zone) error {
		key, table := of(z)
		if old := Find(before, z.Name, tag); old != nil && old.Size == z.Size {
			was, had := of(old)
			if was != key {
				return fmt.Errorf("%s \"%s\" uses the \"%s\" key while previously it used the \"%s\" key", what, z.Name, key, was)
			}
			*table = *had
			return nil
		}
		*table = NewTable[V](z.Size)
		return nil
	})
}

// Check reports a zone for tag that was mentioned and never declared, once everything is read. declare is the directive that
// would have declared it, with the zone's name for "%s"; it becomes advice.
func Check(values map[any]any, tag any, declare string) error {
	return Each(values, tag, func(z *Zone) error {
		if z.Size == 0 {
			err := &conf.Error{Level: "emerg", Msg: fmt.Sprintf("zero size shared memory zone \"%s\"", z.Name)}
			return conf.Advise(err, "nothing makes it: write \""+fmt.Sprintf(declare, z.Name)+"\"")
		}
		return nil
	})
}

// Param reads the parameter zone=NAME:SIZE; ok is false when arg is another one.
func Param(c *conf.Cmd, arg string) (name string, size int64, ok bool, err error) {
	text, ok := strings.CutPrefix(arg, "zone=")
	if !ok {
		return "", 0, false, nil
	}
	name, text, ok = strings.Cut(text, ":")
	if ok {
		size, ok = units.Size(text)
	}
	switch {
	case !ok:
		err = c.Errorf("invalid zone size \"%s\"", arg)
	case size < minSize:
		err = c.Errorf("zone \"%s\" is too small", arg)
	}
	return name, size, true, err
}
