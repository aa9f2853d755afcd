package lua

import (
	"fmt"
	"strconv"
	"strings"

	"moongate/internal/luajit"
)

// Type is the Lua type of an argument.
type Type uint32

// The types. None is an argument which was not given.
const (
	None          Type = luajit.TypeNone
	Nil           Type = luajit.TypeNil
	Bool          Type = luajit.TypeBool
	LightUserdata Type = luajit.TypeLight
	Number        Type = luajit.TypeNum
	Str           Type = luajit.TypeStr
	Table         Type = luajit.TypeTable
	Function      Type = luajit.TypeFunc
	Userdata      Type = luajit.TypeUserdata
	Coroutine     Type = luajit.TypeThread
	Cdata         Type = luajit.TypeCdata
)

var typeNames = map[Type]string{None: "no value", Nil: "nil", Bool: "boolean", LightUserdata: "userdata", Number: "number",
	Str: "string", Table: "table", Function: "function", Userdata: "userdata", Coroutine: "thread", Cdata: "cdata"}

// String is the name Lua gives the type.
func (t Type) String() string { return typeNames[t] }

// Call is one call of a declared function: its arguments, counted from 1, and its results. It is valid until Run
// returns.
type Call struct {
	vm     *VM
	thread *Thread
	l      luajit.LState
	args   []luajit.Val
	out    *luajit.Wire
	errArg int32
	code   int
	sync   bool
	packed []byte
}

// release ends the call; Lua reads the results only now, so their memory stays until the next use.
func (c *Call) release() {
	c.thread, c.args, c.errArg, c.code = nil, nil, 0, 0
	c.packed = c.packed[:0]
}

// VM is the caller's VM.
func (c *Call) VM() *VM { return c.vm }

// Context is the request's, nil when the handler has none.
func (c *Call) Context() *Context {
	if c.thread == nil {
		return nil
	}
	return c.thread.ctx
}

// Phase is the phase of the handler.
func (c *Call) Phase() Phase {
	if c.thread == nil {
		return PhaseInit
	}
	return c.thread.phase
}

// Thread is the light thread which calls.
func (c *Call) Thread() *Thread { return c.thread }

// MayWait says whether Run may park its goroutine: true for Async functions in phases which may wait.
func (c *Call) MayWait() bool { return !c.sync }

// NArgs is the number of arguments given.
func (c *Call) NArgs() int { return len(c.args) }

// Type of argument i.
func (c *Call) Type(i int) Type {
	if i > len(c.args) {
		return None
	}
	return Type(c.args[i-1].Type)
}

// IsNil says that argument i is nil or was not given.
func (c *Call) IsNil(i int) bool { return i > len(c.args) || c.args[i-1].Type == luajit.TypeNil }

// IsNull says that argument i is ngx.null.
func (c *Call) IsNull(i int) bool {
	return i <= len(c.args) && c.args[i-1].Type == luajit.TypeLight && c.args[i-1].Ptr == nil
}

// Num is argument i as a number: 0 when it is none (see Func.Sig for checks). Numeric strings count.
func (c *Call) Num(i int) float64 {
	if i > len(c.args) {
		return 0
	}
	v := &c.args[i-1]
	switch v.Type {
	case luajit.TypeNum:
		return v.Num
	case luajit.TypeStr:
		n, _ := parseNum(v.Bytes())
		return n
	}
	return 0
}

// IsNumber says that argument i is a number or a string which reads as one.
func (c *Call) IsNumber(i int) bool {
	if c.Type(i) != Str {
		return c.Type(i) == Number
	}
	_, ok := parseNum(c.Str(i))
	return ok
}

// Int is argument i as an integer, truncated.
func (c *Call) Int(i int) int { return int(c.Num(i)) }

// IntOr is Int, or d when the argument is nil or missing.
func (c *Call) IntOr(i, d int) int {
	if c.IsNil(i) {
		return d
	}
	return c.Int(i)
}

// Bool is argument i as a condition: everything but nil and false is true.
func (c *Call) Bool(i int) bool {
	if i > len(c.args) {
		return false
	}
	v := &c.args[i-1]
	return v.Type != luajit.TypeNil && (v.Type != luajit.TypeBool || v.Num != 0)
}

// Str is the bytes of argument i in place: valid until Run returns, not to be written to. nil when it is no string; a
// number must have been declared as string to be one.
func (c *Call) Str(i int) []byte {
	if i > len(c.args) || c.args[i-1].Type != luajit.TypeStr {
		return nil
	}
	return c.args[i-1].Bytes()
}

// String is a copy of argument i, "" when it is no string.
func (c *Call) String(i int) string { return string(c.Str(i)) }

// Pointer is the address of argument i: of a light userdata its value, of anything else an identity.
func (c *Call) Pointer(i int) uintptr {
	if i > len(c.args) {
		return 0
	}
	return uintptr(c.args[i-1].Ptr)
}

// Object is the Go object behind argument i, nil when it is none. Declare the parameter as @class to be sure of it.
func (c *Call) Object(i int) any {
	if i > len(c.args) || c.args[i-1].Type != luajit.TypeTable || c.args[i-1].Len == 0 {
		return nil
	}
	h := int(c.args[i-1].Num)
	if h < 0 || h >= len(c.vm.objects) {
		return nil
	}
	return c.vm.objects[h]
}

// Ref anchors argument i for later: a function to call, a table to return. Unref it.
func (c *Call) Ref(i int) (Ref, error) {
	r, err := c.vm.lj.Ref(c.l, int(c.args[i-1].Aux))
	return Ref(r), err
}

// Pack reads the table which is argument i, with the tables in it, in one piece.
func (c *Call) Pack(i int) (Packed, error) {
	b, err := c.vm.lj.Pack(c.l, int(c.args[i-1].Aux), maxPacked)
	if err != nil {
		return Packed{}, err
	}
	off := len(c.packed)
	if off == 0 && cap(c.packed) > wireKeep {
		c.packed = nil
	}
	c.packed = append(c.packed, b...)
	p, _ := readValue(c.packed[off:])
	return p.Table(), nil
}

// Concat is the bytes which ngx.print would send for n arguments from first on; valid until Lua runs again. When an
// argument cannot be printed the error is a *BadArg.
func (c *Call) Concat(first, n int) ([]byte, error) {
	if n <= 0 {
		return nil, nil
	}
	b, bad, why := c.vm.lj.Concat(c.l, int(c.args[first-1].Aux), n)
	if bad != 0 {
		return nil, &BadArg{Arg: first + bad - 1, Why: why}
	}
	return b, nil
}

// BadArg says what is wrong with an argument.
type BadArg struct {
	Arg int
	Why string
}

func (e *BadArg) Error() string { return fmt.Sprintf("bad argument #%d (%s)", e.Arg, e.Why) }

// Where is the Lua code at a level above the call: 1 is the caller. line is -1 and name "" when they are unknown.
func (c *Call) Where(level int) (source string, line int, name string, ok bool) {
	return c.vm.lj.Where(c.l, level)
}

// FuncInfo tells where the Lua function which is argument i was defined: source as a chunk name with its "=" or "@".
func (c *Call) FuncInfo(i int) (source string, line int, ok bool) {
	if i > len(c.args) {
		return "", -1, false
	}
	return c.vm.lj.FuncInfo(c.l, int(c.args[i-1].Aux))
}

// parseNum reads a number as Lua's tonumber does.
func parseNum(b []byte) (float64, bool) {
	s := strings.TrimSpace(string(b))
	if n, err := strconv.ParseFloat(s, 64); err == nil && !strings.ContainsAny(s, "_iInNpP") {
		return n, true
	}
	neg := strings.HasPrefix(s, "-")
	h := strings.TrimPrefix(s, "-")
	if strings.HasPrefix(h, "0x") || strings.HasPrefix(h, "0X") {
		if n, err := strconv.ParseUint(h[2:], 16, 64); err == nil {
			if neg {
				return -float64(n), true
			}
			return float64(n), true
		}
	}
	return 0, false
}

// Payload is the bytes which a socket sends for argument i: of a string its own, else made and valid until Lua runs
// again, which own tells. When the argument cannot be sent the error is a *BadArg.
func (c *Call) Payload(i int) (b []byte, own bool, err error) {
	if c.args[i-1].Type == luajit.TypeStr {
		return c.args[i-1].Bytes(), false, nil
	}
	b, bad, why := c.vm.lj.Concat(c.l, int(c.args[i-1].Aux), 0)
	if bad != 0 {
		return nil, false, &BadArg{Arg: i, Why: why}
	}
	return b, true, nil
}
