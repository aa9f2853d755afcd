package perl

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"moongate/internal/testkit/pattern"
)

func (e *call) eval(f *frame, list bool) []Value {
	if c := f.in.function(e.name); c != nil {
		return f.in.call(c, f.listOf(e.args), list)
	}
	if form := formFor(e.name); form != nil {
		return form(f, e, list)
	}
	if fn, ok := scalarFuncs[e.name]; ok {
		return one(fn(f.argument(e)))
	}
	if fn := listFuncFor(e.name); fn != nil {
		return fn(f, f.listOf(e.args))
	}
	if e.bare && e.name != "" && e.name[0] >= 'A' && e.name[0] <= 'Z' {
		return one(e.name) // a bareword: a class or a file handle
	}
	panic(&Error{fmt.Sprintf("Undefined subroutine &main::%s called at %s line %d", e.name, f.in.file, e.line)})
}

// function finds a subroutine of the script or the host, whatever package the
// call names.
func (in *Interp) function(name string) *Code {
	if c := in.funcs[name]; c != nil {
		return c
	}
	if i := strings.LastIndex(name, "::"); i >= 0 {
		return in.funcs[name[i+2:]]
	}
	return nil
}

// argument is the one argument of a unary function, by default $_.
func (f *frame) argument(e *call) Value {
	if len(e.args) == 0 {
		return f.scalar(topic)
	}
	return f.scalar(e.args[0])
}

// scalarFuncs map one value to one.
var scalarFuncs = map[string]func(Value) Value{
	"ref":       func(v Value) Value { return RefName(v) },
	"lc":        func(v Value) Value { return strings.ToLower(String(v)) },
	"uc":        func(v Value) Value { return strings.ToUpper(String(v)) },
	"lcfirst":   func(v Value) Value { return lowerFirst(String(v)) },
	"ucfirst":   func(v Value) Value { return upperFirst(String(v)) },
	"quotemeta": func(v Value) Value { return pattern.Quote(String(v)) },
	"chr":       func(v Value) Value { return string([]byte{byte(Number(v))}) },
	"int":       func(v Value) Value { return number(math.Trunc(Number(v))) },
	"abs":       func(v Value) Value { return number(math.Abs(Number(v))) },
	"sqrt":      func(v Value) Value { return number(math.Sqrt(Number(v))) },
	"rand":      func(v Value) Value { return rand.Float64() * max(1, Number(v)) },
	"length": func(v Value) Value {
		if v == nil {
			return nil
		}
		return len(String(v))
	},
	"ord": func(v Value) Value {
		if s := String(v); s != "" {
			return int(s[0])
		}
		return 0
	},
	"hex": func(v Value) Value { return parseInt(strings.TrimPrefix(strings.ToLower(String(v)), "0x"), 16) },
	"oct": func(v Value) Value {
		s := strings.ToLower(String(v))
		switch {
		case strings.HasPrefix(s, "0x"):
			return parseInt(s[2:], 16)
		case strings.HasPrefix(s, "0b"):
			return parseInt(s[2:], 2)
		}
		return parseInt(s, 8)
	},
	"localtime": func(v Value) Value { return time.Now().Format(time.ANSIC) },
	"gmtime":    func(v Value) Value { return time.Now().UTC().Format(time.ANSIC) },
	"require":   func(Value) Value { return 1 },
	"lock":      func(v Value) Value { return v },
}

func parseInt(s string, base int) Value {
	n, _ := strconv.ParseInt(s, base, 64)
	return int(n)
}

func arg(args []Value, i int) Value {
	if i < len(args) {
		return args[i]
	}
	return nil
}

func fnJoin(_ *frame, args []Value) []Value {
	if len(args) == 0 {
		return one("")
	}
	return one(joinValues(String(args[0]), args[1:]))
}

func fnReverse(_ *frame, args []Value) []Value {
	out := make([]Value, len(args))
	for i, v := range args {
		out[len(args)-1-i] = v
	}
	return out
}

func fnIndex(_ *frame, args []Value) []Value {
	s, sub := String(arg(args, 0)), String(arg(args, 1))
	from := min(max(0, integer(arg(args, 2))), len(s))
	if i := strings.Index(s[from:], sub); i >= 0 {
		return one(from + i)
	}
	return one(-1)
}

func fnRindex(_ *frame, args []Value) []Value {
	return one(strings.LastIndex(String(arg(args, 0)), String(arg(args, 1))))
}

func fnSubstr(_ *frame, args []Value) []Value {
	s := String(arg(args, 0))
	from := integer(arg(args, 1))
	if from < 0 {
		from = max(0, from+len(s))
	}
	if from > len(s) {
		return one(nil)
	}
	to := len(s)
	if n := arg(args, 2); n != nil {
		if n := integer(n); n < 0 {
			to = max(from, len(s)+n)
		} else {
			to = min(len(s), from+n)
		}
	}
	return one(s[from:to])
}

func fnDie(f *frame, args []Value) []Value {
	msg := joinValues("", args)
	if msg == "" {
		msg = "Died"
	}
	if !strings.HasSuffix(msg, "\n") {
		msg += " at " + f.in.file
	}
	panic(&Error{msg})
}

func fnWarn(_ *frame, args []Value) []Value {
	fmt.Fprint(os.Stderr, joinValues("", args))
	return one(1)
}

func fnSprintf(f *frame, args []Value) []Value { return one(f.sprintf(args)) }

func (f *frame) sprintf(args []Value) string {
	if len(args) == 0 {
		return ""
	}
	format, args := String(args[0]), args[1:]
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			b.WriteByte(format[i])
			continue
		}
		start := i
		for i++; i < len(format) && strings.IndexByte("0123456789-+ #.lh", format[i]) >= 0; i++ {
		}
		if i >= len(format) {
			b.WriteString(format[start:])
			break
		}
		spec := strings.Trim(format[start:i], "lh")
		if format[i] == '%' {
			b.WriteByte('%')
			continue
		}
		var v Value
		if len(args) > 0 {
			v, args = args[0], args[1:]
		}
		switch c := format[i]; c {
		case 's':
			fmt.Fprintf(&b, spec+"s", String(v))
		case 'c':
			b.WriteByte(byte(Number(v)))
		case 'd', 'i', 'u':
			fmt.Fprintf(&b, spec+"d", int64(Number(v)))
		case 'x', 'X', 'o', 'b':
			fmt.Fprintf(&b, spec+string(c), uint64(Number(v)))
		case 'f', 'g', 'e', 'G', 'E':
			fmt.Fprintf(&b, spec+string(c), Number(v))
		default:
			f.in.die("Invalid conversion in sprintf: \"%%%c\"", c)
		}
	}
	return b.String()
}

// fnPack knows the templates a A n N C v V H with counts.
func fnPack(f *frame, args []Value) []Value {
	template, args := String(arg(args, 0)), args[min(1, len(args)):]
	var b []byte
	for i := 0; i < len(template); {
		c := template[i]
		i++
		if c == ' ' {
			continue
		}
		n, star, start := 1, false, i
		for i < len(template) && isDigit(template[i]) {
			i++
		}
		if i > start {
			n, _ = strconv.Atoi(template[start:i])
		} else if i < len(template) && template[i] == '*' {
			star = true
			i++
		}
		if c == 'a' || c == 'A' || c == 'H' {
			s := String(arg(args, 0))
			args = args[min(1, len(args)):]
			b = packString(b, c, s, n, star)
			continue
		}
		for k := 0; (star || k < n) && len(args) > 0; k++ {
			v := int64(Number(args[0]))
			args = args[1:]
			switch c {
			case 'C', 'c':
				b = append(b, byte(v))
			case 'n':
				b = append(b, byte(v>>8), byte(v))
			case 'N':
				b = append(b, byte(v>>24), byte(v>>16), byte(v>>8), byte(v))
			case 'v':
				b = append(b, byte(v), byte(v>>8))
			case 'V':
				b = append(b, byte(v), byte(v>>8), byte(v>>16), byte(v>>24))
			default:
				f.in.die("Perl construct not supported here: pack %q", string(c))
			}
		}
	}
	return one(string(b))
}

func packString(b []byte, c byte, s string, n int, star bool) []byte {
	if c == 'H' {
		for i := 0; i+1 < len(s)+len(s)%2; i += 2 {
			pair := s[i:min(i+2, len(s))]
			v, _ := strconv.ParseUint(pair, 16, 8)
			if len(pair) == 1 {
				v <<= 4
			}
			b = append(b, byte(v))
		}
		return b
	}
	if star {
		return append(b, s...)
	}
	pad := byte(0)
	if c == 'A' {
		pad = ' '
	}
	for i := range n {
		if i < len(s) {
			b = append(b, s[i])
		} else {
			b = append(b, pad)
		}
	}
	return b
}

func fnSystem(f *frame, args []Value) []Value {
	err := f.in.Command(joinValues(" ", args)).Run()
	return one(f.in.exitStatus(err))
}

func fnCwd(f *frame, _ []Value) []Value {
	dir, err := filepath.Abs(f.in.Dir)
	if err != nil {
		f.in.die("%v", err)
	}
	return one(dir)
}

func fnDirname(f *frame, args []Value) []Value { return one(filepath.Dir(String(arg(args, 0)))) }

func fnBasename(f *frame, args []Value) []Value { return one(filepath.Base(String(arg(args, 0)))) }

func fnAbsPath(f *frame, args []Value) []Value {
	path, err := filepath.Abs(f.in.path(String(arg(args, 0))))
	if err != nil {
		return one(nil)
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	return one(path)
}

func fnUnlink(f *frame, args []Value) []Value {
	n := 0
	for _, a := range args {
		if os.Remove(f.in.path(String(a))) == nil {
			n++
		}
	}
	return one(n)
}

func fnMkdir(f *frame, args []Value) []Value {
	return one(Bool(os.Mkdir(f.in.path(String(arg(args, 0))), 0o777) == nil))
}

func fnRename(f *frame, args []Value) []Value {
	return one(Bool(os.Rename(f.in.path(String(arg(args, 0))), f.in.path(String(arg(args, 1)))) == nil))
}

func fnCatfile(_ *frame, args []Value) []Value {
	parts := make([]string, len(args))
	for i, a := range args {
		parts[i] = String(a)
	}
	return one(filepath.Join(parts...))
}

func fnRemoveTree(f *frame, args []Value) []Value {
	for _, a := range args {
		if RefName(a) == "" {
			os.RemoveAll(f.in.path(String(a)))
		}
	}
	return one(1)
}

func fnMakePath(f *frame, args []Value) []Value {
	for _, a := range args {
		if RefName(a) == "" && os.MkdirAll(f.in.path(String(a)), 0o777) != nil {
			return one(0)
		}
	}
	return one(len(args))
}
