package conf

import (
	"errors"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"
)

type gearConf struct {
	speed  Opt[int]
	delay  Opt[time.Duration]
	words  Opt[[]string]
	pair   Opt[Pair]
	file   Opt[string]
	blocks []string
	order  []string
}

var gear = NewLevel[gearConf](KindCore)

// gears loads a text for directives of the process level.
func gears(text string, rows ...Directive) (*gearConf, error) {
	for i := range rows {
		rows[i].In = Main
	}
	cfg, err := Load(Options{Modules: []*Module{{Name: "gear", Directives: rows}}, Prefix: "/srv", Path: "conf/n", Text: text})
	if err != nil {
		return nil, err
	}
	return gear.Of(cfg.Core), nil
}

func speed(typ Type[int]) Setter {
	return Slot(gear, typ, func(c *gearConf) *Opt[int] { return &c.speed })
}

func TestThen(t *testing.T) {
	set := Then(Then(speed(Int(2, Unbounded)), func(c *Cmd) error {
		t := gear.Of(c.Scope)
		t.order = append(t.order, "first")
		if t.speed.V == 3 {
			return errors.New("three is odd")
		}
		return nil
	}), func(c *Cmd) error {
		t := gear.Of(c.Scope)
		t.order = append(t.order, "second")
		return nil
	})
	row := Directive{Name: "speed", Default: "7", Set: set}
	c, err := gears("speed 4;", row)
	if err != nil || c.speed != Some(4) || !slices.Equal(c.order, []string{"first", "second"}) {
		t.Errorf("%+v, %v", c, err)
	}
	if c, err = gears("\n", row); err != nil || c.speed != Some(7) || c.order != nil {
		t.Errorf("default: %+v, %v", c, err)
	}
	for text, want := range map[string]string{
		"speed 3;":   "three is odd in /srv/conf/n:1",
		"speed 1;":   "value must be equal to or greater than 2 in /srv/conf/n:1",
		"speed 4 5;": `invalid number of arguments in "speed" directive in /srv/conf/n:1`,
	} {
		if _, err := gears(text, row); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func TestListDefault(t *testing.T) {
	row := Directive{Name: "block", Args: Take1, Default: "std",
		Set: List(gear, Str.Parse, func(c *gearConf) *[]string { return &c.blocks })}
	if c, err := gears("\n", row); err != nil || !slices.Equal(c.blocks, []string{"std"}) {
		t.Errorf("%+v, %v", c, err)
	}
	if c, err := gears("block a; block b;", row); err != nil || !slices.Equal(c.blocks, []string{"a", "b"}) {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestTypesOfSeveralArguments(t *testing.T) {
	rows := func() []Directive {
		return []Directive{
			{Name: "words", Set: Slot(gear, Or("off", nil, Strs), func(c *gearConf) *Opt[[]string] { return &c.words })},
			{Name: "pair", Set: Slot(gear, Or("off", Pair{}, KeyVal), func(c *gearConf) *Opt[Pair] { return &c.pair })},
			{Name: "delay", Set: Slot(gear, Or("off", 0, Msec), func(c *gearConf) *Opt[time.Duration] { return &c.delay })},
			{Name: "file", Set: Slot(gear, ConfPath, func(c *gearConf) *Opt[string] { return &c.file })},
		}
	}
	c, err := gears("words a b; pair k v; delay 5ms; file x.pem;", rows()...)
	if err != nil || !slices.Equal(c.words.V, []string{"a", "b"}) || c.pair.V != (Pair{"k", "v"}) ||
		c.delay.V != 5*time.Millisecond || c.file.V != "/srv/conf/x.pem" {
		t.Errorf("%+v, %v", c, err)
	}
	c, err = gears("words off; pair off; delay off; file /x;", rows()...)
	if err != nil || !c.words.IsSet || c.words.V != nil || c.pair != Some(Pair{}) || c.delay != Some(time.Duration(0)) || c.file.V != "/x" {
		t.Errorf("%+v, %v", c, err)
	}
	if _, err := gears("pair on;", rows()...); err == nil || err.Error() != `invalid number of arguments in "pair" directive in /srv/conf/n:1` {
		t.Errorf("%v", err)
	}
	if s := Or("off", Pair{}, KeyVal).String(); s != "name value | off" {
		t.Errorf("syntax %q", s)
	}
	if a := Or("off", Pair{}, KeyVal).Arity(); a != Take12 {
		t.Errorf("arity %v", a)
	}
	if s := Bits("a", "b").String(); s != "a | b ..." {
		t.Errorf("syntax %q", s)
	}
}

func TestBadDefault(t *testing.T) {
	_, err := gears("\n", Directive{Name: "speed", Default: "fast", Set: speed(Number)})
	if err == nil || err.Error() != `"speed" directive invalid number` {
		t.Errorf("%v", err)
	}
	_, err = gears("\n", Directive{Name: "speed", Default: `"fast`, Set: speed(Number)})
	if err == nil || err.Error() != `default "\"fast" of "speed" cannot be read` {
		t.Errorf("%v", err)
	}
}

func TestOpt(t *testing.T) {
	if Some(3).Or(4) != 3 || (Opt[int]{}).Or(4) != 4 {
		t.Error("Or")
	}
}

func TestErrorForms(t *testing.T) {
	type form func(c *Cmd) error
	for want, f := range map[string]form{
		`invalid parameter "v"`:              func(c *Cmd) error { return c.InvalidParameter(c.Args[0]) },
		`invalid value "v"`:                  func(c *Cmd) error { return c.Invalid(c.Args[0]) },
		`invalid value "v" in "x" directive`: func(c *Cmd) error { return c.InvalidIn(c.Args[0], "") },
		`"x" directive is duplicate`:         func(c *Cmd) error { return c.Duplicate() },
		`stat() failed (13: Permission denied)`: func(c *Cmd) error {
			return c.Errorf("stat() failed %s", SysError(&os.PathError{Op: "stat", Path: "/x", Err: syscall.EACCES}))
		},
	} {
		_, err := gears("\nx v;", Directive{Name: "x", Args: Take1, Set: Func(f)})
		if err == nil || err.Error() != want+" in /srv/conf/n:2" {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestBlockIsReadOnce(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a directive without block reads one")
		}
	}()
	_, _ = gears("x;", Directive{Name: "x", Set: Func(func(c *Cmd) error { return c.Block(Main, c.Scope) })})
}
