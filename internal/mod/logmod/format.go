package logmod

import (
	"errors"
	"fmt"
	"strconv"

	"moongate/internal/base/ascii"
	"moongate/internal/engine"
)

// escape is how values of variables are written.
type escape uint8

const (
	escapeHex escape = iota // escape=default
	escapeJSON
	escapeNone
)

// format is a log_format, compiled.
type format struct {
	name   string
	escape escape
	ops    []op
}

// op appends one piece of a line: a text, a value made on the spot, or a variable.
type op struct {
	kind kind
	lit  []byte
	v    *engine.Var
}

type kind uint8

const (
	literal kind = iota
	variable
	pipe
	timeLocal
	timeISO
	msec
	requestTime
	status
	bytesSent
	bodyBytesSent
	requestLength
	remoteAddr
)

// direct are the variables whose values are made on the spot. All but the last are so in nginx, too, whatever else is
// done to variables of these names.
var direct = map[string]kind{
	"pipe": pipe, "time_local": timeLocal, "time_iso8601": timeISO, "msec": msec, "request_time": requestTime,
	"status": status, "bytes_sent": bytesSent, "body_bytes_sent": bodyBytesSent, "request_length": requestLength,
	"remote_addr": remoteAddr,
}

// compile turns the texts of a log_format into operations. The errors are nginx's.
func (f *format) compile(h *engine.HTTP, texts []string) error {
	for _, s := range texts {
		for i := 0; i < len(s); {
			start := i
			if s[i] != '$' {
				for i < len(s) && s[i] != '$' {
					i++
				}
				f.ops = append(f.ops, op{kind: literal, lit: []byte(s[start:i])})
				continue
			}
			name, next, err := variableName(s, i+1)
			if err != nil {
				return err
			}
			i = next
			if k, ok := direct[name]; ok {
				f.ops = append(f.ops, op{kind: k})
			} else {
				f.ops = append(f.ops, op{kind: variable, v: h.Var(name)})
			}
		}
	}
	return nil
}

// variableName reads a name behind a "$".
func variableName(s string, i int) (name string, next int, err error) {
	dollar := i - 1
	bracket := i < len(s) && s[i] == '{'
	if bracket {
		i++
	}
	start := i
	for i < len(s) && (ascii.IsAlpha(s[i]) || ascii.IsDigit(s[i]) || s[i] == '_') {
		i++
	}
	name = s[start:i]
	switch {
	case start >= len(s):
		return "", 0, fmt.Errorf("invalid parameter \"%s\"", s[dollar:])
	case bracket && (i == len(s) || s[i] != '}'):
		return "", 0, fmt.Errorf("the closing bracket in \"%s\" variable is missing", name)
	case name == "":
		return "", 0, errors.New("invalid parameter \"" + s[dollar:] + "\"")
	case bracket:
		i++
	}
	return name, i, nil
}

// append writes the line of a request, without line feed.
func (f *format) append(b []byte, r *engine.Request) []byte {
	for i := range f.ops {
		o := &f.ops[i]
		switch o.kind {
		case literal:
			b = append(b, o.lit...)
		case variable:
			b = f.value(b, r, o.v)
		case pipe:
			c := byte('.')
			if r.Main.Pipelined {
				c = 'p'
			}
			b = append(b, c)
		case timeLocal:
			b = append(b, r.W.TimeLocal()...)
		case timeISO:
			b = append(b, r.W.TimeISO()...)
		case msec:
			b = seconds(b, r.W.Loop.Wall())
		case requestTime:
			b = seconds(b, r.W.Loop.Now()-r.Start)
		case status:
			b = ascii.AppendPadded(b, uint64(max(r.LogStatus(), 0)), 3)
		case bytesSent:
			b = strconv.AppendInt(b, r.Main.Sent, 10)
		case bodyBytesSent:
			b = strconv.AppendInt(b, max(r.Main.Sent-r.HeaderSize, 0), 10)
		case requestLength:
			b = strconv.AppendInt(b, r.RequestLen, 10)
		case remoteAddr:
			b = r.Client().AppendIP(b)
		}
	}
	return b
}

// seconds writes nanoseconds as seconds with milliseconds.
func seconds(b []byte, ns int64) []byte {
	ms := uint64(max(ns, 0) / 1e6)
	b = strconv.AppendUint(b, ms/1000, 10)
	return ascii.AppendPadded(append(b, '.'), ms%1000, 3)
}

func (f *format) value(b []byte, r *engine.Request, v *engine.Var) []byte {
	val, found := r.Var(v)
	switch {
	case !found && f.escape == escapeHex:
		return append(b, '-')
	case !found:
		return b
	case f.escape == escapeHex:
		return appendHex(b, val)
	case f.escape == escapeJSON:
		return appendJSON(b, val)
	}
	return append(b, val...)
}

// hexed marks the bytes that escape=default replaces: control bytes, quotes, backslashes and what is not ASCII.
var hexed = func() (t [256]bool) {
	for i := range t {
		t[i] = i < ' ' || i >= 0x7f || i == '"' || i == '\\'
	}
	return t
}()

func appendHex(b, val []byte) []byte {
	start := 0
	for i, c := range val {
		if hexed[c] {
			b = append(append(b, val[start:i]...), '\\', 'x')
			b = ascii.AppendHexByte(b, c)
			start = i + 1
		}
	}
	return append(b, val[start:]...)
}

func appendJSON(b, val []byte) []byte {
	start := 0
	for i, c := range val {
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		b = append(b, val[start:i]...)
		start = i + 1
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		case '\b':
			b = append(b, '\\', 'b')
		case '\f':
			b = append(b, '\\', 'f')
		default:
			b = ascii.AppendHexByte(append(b, `\u00`...), c)
		}
	}
	return append(b, val[start:]...)
}
