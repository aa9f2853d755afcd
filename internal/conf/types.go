package conf

import (
	"math"
	"strings"

	"moongate/internal/base/units"
)

// stock is a Type made of its parts.
type stock[V any] struct {
	syntax string
	arity  Arity
	parse  func(c *Cmd) (V, error)
}

// NewType makes a Type of its reference syntax, its arity and its parser.
func NewType[V any](syntax string, arity Arity, parse func(c *Cmd) (V, error)) Type[V] {
	return &stock[V]{syntax, arity, parse}
}

func (t *stock[V]) Parse(c *Cmd) (V, error) { return t.parse(c) }
func (t *stock[V]) Arity() Arity            { return t.arity }
func (t *stock[V]) String() string          { return t.syntax }

// What to know about quantities, for those who wrote one wrong.
const (
	sizeAdvice   = `a size is a number of bytes, or has "k" or "m" behind it: 10m`
	offsetAdvice = `a size is a number of bytes, or has "k", "m" or "g" behind it: 10m`
	timeAdvice   = `a time is a number of seconds, or has its unit behind it: 500ms, 30s, 5m, 1h, 7d`
)

// quantity makes a Type of a parser that only knows good from bad.
func quantity[V any](syntax, problem, advice string, parse func(string) (V, bool)) Type[V] {
	return NewType(syntax, Take1, func(c *Cmd) (V, error) {
		v, ok := parse(c.Args[0])
		if !ok {
			return v, Advise(c.Bad(problem), advice)
		}
		return v, nil
	})
}

// Types of one argument.
var (
	// Flag is on or off.
	Flag = NewType("on | off", Take1, parseFlag)

	// Number is any decimal number.
	Number = quantity("number", "invalid number", "", parseInt)

	// Size is a number of bytes: 4k, 1m.
	Size = quantity("size", "invalid value", sizeAdvice, units.Size)

	// Offset is a number of bytes that may be large: 1g.
	Offset = quantity("size", "invalid value", offsetAdvice, units.Offset)

	// Msec is a time in milliseconds resolution; bare numbers are seconds.
	Msec = quantity("time", "invalid value", timeAdvice, units.Msec)

	// Sec is a time in seconds.
	Sec = quantity("time", "invalid value", timeAdvice, units.Sec)

	// Str is any string.
	Str = NewType("string", Take1, func(c *Cmd) (string, error) { return c.Args[0], nil })

	// Path is a file name; relative names start at the prefix.
	Path = NewType("path", Take1, func(c *Cmd) (string, error) {
		return c.Config().FullName(c.Args[0]), nil
	})

	// ConfPath is a file name; relative names start at the main file's directory.
	ConfPath = NewType("file", Take1, func(c *Cmd) (string, error) {
		return c.Config().FullConfName(c.Args[0]), nil
	})
)

// Types of several arguments.
var (
	// Strs is a list of strings.
	Strs = NewType("string ...", OneMore, func(c *Cmd) ([]string, error) { return c.Args, nil })

	// Bufs is a number of buffers and their size: 4 8k.
	Bufs = NewType("number size", Take2, parseBufs)

	// KeyVal is a pair of strings.
	KeyVal = NewType("name value", Take2, func(c *Cmd) (Pair, error) {
		return Pair{c.Args[0], c.Args[1]}, nil
	})

	// Access is file permissions: user:rw group:r all:r.
	Access = NewType("users:permissions ...", Take123, parseAccess)

	// Dir is a directory of temporary or cached files and the lengths of the names of its
	// subdirectories: proxy_temp 1 2.
	Dir = NewType("path [level1 [level2 [level3]]]", Take1234, parseDir)
)

// Buffers is a value of Bufs.
type Buffers struct {
	Num  int
	Size int64
}

// Pair is a value of KeyVal.
type Pair struct{ Key, Value string }

// Directory is a value of Dir.
type Directory struct {
	Path   string // full, without a slash at its end
	Levels []int
}

func parseFlag(c *Cmd) (bool, error) {
	switch {
	case strings.EqualFold(c.Args[0], "on"):
		return true, nil
	case strings.EqualFold(c.Args[0], "off"):
		return false, nil
	}
	return false, c.InvalidIn(c.Args[0], `it must be "on" or "off"`)
}

func parseInt(s string) (int, bool) {
	n, ok := units.Number(s)
	return int(n), ok && n <= math.MaxInt
}

func parseBufs(c *Cmd) (Buffers, error) {
	num, ok := parseInt(c.Args[0])
	size, ok2 := units.Size(c.Args[1])
	if !ok || !ok2 || num == 0 || size == 0 {
		return Buffers{}, c.Bad("invalid value")
	}
	return Buffers{num, size}, nil
}

func parseAccess(c *Cmd) (uint32, error) {
	mode, user := uint32(0), uint32(0o600)
	for _, arg := range c.Args {
		who, what, _ := strings.Cut(arg, ":")
		right, ok := map[string]uint32{"r": 4, "rw": 6}[what]
		shift, ok2 := map[string]int{"user": 6, "group": 3, "all": 0}[who]
		if !ok || !ok2 {
			return 0, c.Invalid(arg)
		}
		if who == "user" {
			user = 0
		}
		mode |= right << shift
	}
	return mode | user, nil
}

func parseDir(c *Cmd) (Directory, error) {
	d := Directory{Path: c.Config().FullName(strings.TrimSuffix(c.Args[0], "/"))}
	length := 0
	for _, arg := range c.Args[1:] {
		n, ok := parseInt(arg)
		if !ok || n == 0 || n > 16 {
			return d, c.Bad("invalid value")
		}
		d.Levels = append(d.Levels, n)
		length += n + 1
	}
	if length > 10+len(d.Levels) { // names are cut from ten digits
		return d, c.Bad("invalid value")
	}
	return d, nil
}

// Unbounded as the upper bound of Int means there is none.
const Unbounded = -1

// Int is a number from low to high.
func Int(low, high int) Type[int] {
	return NewType("number", Take1, func(c *Cmd) (int, error) {
		n, err := Number.Parse(c)
		if err != nil {
			return 0, err
		}
		if high == Unbounded && n < low {
			return 0, c.Errorf("value must be equal to or greater than %d", low)
		}
		if high != Unbounded && (n < low || n > high) {
			return 0, c.Errorf("value must be between %d and %d", low, high)
		}
		return n, nil
	})
}

// Choice is a word of an Enum and what it means.
type Choice[V any] struct {
	Word string
	V    V
}

// Case makes a Choice.
func Case[V any](word string, v V) Choice[V] { return Choice[V]{word, v} }

// Enum is one of a few words, in any case.
func Enum[V any](choices ...Choice[V]) Type[V] {
	words := make([]string, len(choices))
	for i, ch := range choices {
		words[i] = ch.Word
	}
	return NewType(strings.Join(words, " | "), Take1, func(c *Cmd) (V, error) {
		for _, ch := range choices {
			if strings.EqualFold(ch.Word, c.Args[0]) {
				return ch.V, nil
			}
		}
		var none V
		return none, c.Invalid(c.Args[0])
	})
}

// Or is typ that also takes a single word, which stands for v.
func Or[V any](word string, v V, typ Type[V]) Type[V] {
	return NewType(typ.String()+" | "+word, typ.Arity()|Take1, func(c *Cmd) (V, error) {
		if len(c.Args) == 1 && c.Args[0] == word {
			return v, nil
		}
		if !typ.Arity().accepts(len(c.Args)) {
			var none V
			return none, c.badArity()
		}
		return typ.Parse(c)
	})
}

// bits is a set of words; see Bits.
type bits struct{ names []string }

// Bits is a set of the given words, as a mask: the first word is bit 0. The directive
// may be repeated in a block and adds to the set, as in nginx.
func Bits(names ...string) Type[uint32] { return bits{names} }

func (t bits) Arity() Arity   { return OneMore }
func (t bits) String() string { return strings.Join(t.names, " | ") + " ..." }

func (t bits) Parse(c *Cmd) (uint32, error) { return t.add(c, 0) }

func (t bits) add(c *Cmd, mask uint32) (uint32, error) {
next:
	for _, arg := range c.Args {
		for i, name := range t.names {
			if !strings.EqualFold(name, arg) {
				continue
			}
			if mask&(1<<i) != 0 {
				c.Warnf("duplicate value \"%s\"", arg)
			}
			mask |= 1 << i
			continue next
		}
		return 0, c.Invalid(arg)
	}
	return mask, nil
}
