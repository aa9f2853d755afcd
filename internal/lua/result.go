package lua

import (
	"fmt"

	"moongate/internal/luajit"
)

// Outcome is how a call ended; the methods of Call make it.
type Outcome int32

const (
	returned Outcome = luajit.KindOK
	failed   Outcome = luajit.KindErr
	badArg   Outcome = luajit.KindErrArg
	raised   Outcome = luajit.KindErrRaw
	ended    Outcome = 100
)

func (o Outcome) kind() int32 {
	if o == ended {
		return luajit.KindOK
	}
	return int32(o)
}

// Return ends the call with the results pushed so far.
func (c *Call) Return() Outcome { return returned }

// ReturnNil pushes nil and returns.
func (c *Call) ReturnNil() Outcome { c.out.Nil(); return returned }

// ReturnBool pushes a boolean and returns.
func (c *Call) ReturnBool(v bool) Outcome { c.out.Bool(v); return returned }

// ReturnNum pushes a number and returns.
func (c *Call) ReturnNum(v float64) Outcome { c.out.Num(v); return returned }

// ReturnInt pushes an integer and returns.
func (c *Call) ReturnInt(v int) Outcome { c.out.Int(int64(v)); return returned }

// ReturnStr pushes a string, copying b, and returns.
func (c *Call) ReturnStr(b []byte) Outcome { c.out.Bytes(b); return returned }

// ReturnString pushes a string and returns.
func (c *Call) ReturnString(s string) Outcome { c.out.Str(s); return returned }

// ReturnOK pushes 1, which is how many functions say that all went well, and returns.
func (c *Call) ReturnOK() Outcome { c.out.Int(1); return returned }

// ReturnNilErr returns nil and a message.
func (c *Call) ReturnNilErr(msg string) Outcome {
	c.out.Nil()
	c.out.Str(msg)
	return returned
}

// ReturnFalseErr returns false and a message.
func (c *Call) ReturnFalseErr(msg string) Outcome {
	c.out.Bool(false)
	c.out.Str(msg)
	return returned
}

// Table returns one table.
func (c *Call) Table(fill func(w *Writer)) Outcome {
	c.Push().Table(0, 0, fill)
	return returned
}

// Errorf raises a Lua error; position and traceback are those of the caller's line.
func (c *Call) Errorf(format string, args ...any) Outcome {
	c.out.Reset()
	if len(args) == 0 {
		c.out.B = append(c.out.B, format...)
	} else {
		c.out.B = fmt.Appendf(c.out.B, format, args...)
	}
	return failed
}

// ArgError raises "bad argument #i to 'name' (msg)".
func (c *Call) ArgError(i int, msg string) Outcome {
	c.out.Reset()
	c.out.B = append(c.out.B, msg...)
	c.errArg = int32(i)
	return badArg
}

// TypeError raises "bad argument #i to 'name' (want expected, got type)".
func (c *Call) TypeError(i int, want string) Outcome {
	return c.ArgError(i, want+" expected, got "+c.Type(i).String())
}

// Raise raises a message without a position.
func (c *Call) Raise(msg string) Outcome {
	c.out.Reset()
	c.out.Str(msg)
	return raised
}

// Fail raises err: a *BadArg as ArgError, anything else as Errorf.
func (c *Call) Fail(err error) Outcome {
	if b, ok := err.(*BadArg); ok {
		return c.ArgError(b.Arg, b.Why)
	}
	return c.Errorf("%s", err.Error())
}

// End ends the whole run of the handler where it stands, as ngx.exit does; Result.Code is code. In phases which may
// not wait (see MayWait) the call returns without results instead and the handler goes on.
func (c *Call) End(code int) Outcome {
	c.out.Reset()
	c.code = code
	return ended
}

// Push gives the writer for results one by one; finish with Return.
func (c *Call) Push() *Writer { return (*Writer)(c) }

// Writer appends Lua values: results of a call, entries of a table, arguments of a handler.
type Writer Call

// Nil appends nil.
func (w *Writer) Nil() { w.out.Nil() }

// Bool appends a boolean.
func (w *Writer) Bool(v bool) { w.out.Bool(v) }

// Num appends a number.
func (w *Writer) Num(v float64) { w.out.Num(v) }

// Int appends an integer.
func (w *Writer) Int(v int) { w.out.Int(int64(v)) }

// Str appends a string, copying b.
func (w *Writer) Str(b []byte) { w.out.Bytes(b) }

// String appends a string.
func (w *Writer) String(s string) { w.out.Str(s) }

// Null appends ngx.null.
func (w *Writer) Null() { w.out.Light(0) }

// Light appends a light userdata.
func (w *Writer) Light(addr uintptr) { w.out.Light(addr) }

// Ref appends an anchored value.
func (w *Writer) Ref(r Ref) { w.out.Ref(int32(r)) }

// Object appends a new object of a class: a table with the class as its metatable, which holds o until Lua collects it
// (see Collected).
func (w *Writer) Object(class string, o any) {
	n := w.vm.rt.classes[class]
	if n == 0 {
		panic("lua: unknown class " + class)
	}
	w.out.Object(int32(n), w.vm.keep(o))
}

// Table appends a table; narr and nrec are hints of its size. In fill, values are appended to its array part and the
// Key and Set methods set fields.
func (w *Writer) Table(narr, nrec int, fill func(w *Writer)) {
	w.out.Table(narr, nrec)
	fill(w)
	w.out.End()
}

// Begin appends a table which End closes, for loops which do not want a closure.
func (w *Writer) Begin(narr, nrec int) { w.out.Table(narr, nrec) }

// End closes the innermost table.
func (w *Writer) End() { w.out.End() }

// Key makes the next value the field k of the table.
func (w *Writer) Key(k string) {
	w.out.Key()
	w.out.Str(k)
}

// NextKey makes the next value a key of the table and the one after it its value.
func (w *Writer) NextKey() { w.out.Key() }

// KeyInt makes the next value the element k of the table.
func (w *Writer) KeyInt(k int) {
	w.out.Key()
	w.out.Int(int64(k))
}

// Multi is KeyBytes for a field which may come several times: then it becomes an array of its values.
func (w *Writer) Multi(k []byte) {
	w.out.Multi()
	w.out.Bytes(k)
}

// SetString sets a field to a string.
func (w *Writer) SetString(k, v string) { w.Key(k); w.out.Str(v) }

// SetInt sets a field to an integer.
func (w *Writer) SetInt(k string, v int) { w.Key(k); w.out.Int(int64(v)) }

// SetNum sets a field to a number.
func (w *Writer) SetNum(k string, v float64) { w.Key(k); w.out.Num(v) }

// SetBool sets a field to a boolean.
func (w *Writer) SetBool(k string, v bool) { w.Key(k); w.out.Bool(v) }

// ReturnArgs returns the table of a query string as ngx.req.get_uri_args does: at most limit arguments, 100 when it is
// negative, all when it is 0; "truncated" follows when there are more.
func (c *Call) ReturnArgs(query []byte, limit int) Outcome {
	return c.bulk(luajit.BulkArgs, query, limit, 0)
}

// ReturnArgsIn is ReturnArgs with the table that is argument i, which is cleared first.
func (c *Call) ReturnArgsIn(i int, query []byte, limit int) Outcome {
	return c.bulk(luajit.BulkFillArgs, query, limit, int(c.args[i-1].Aux))
}

// ReturnPostArgs is ReturnArgs as ngx.req.get_post_args counts: no limit when it is not positive.
func (c *Call) ReturnPostArgs(query []byte, limit int) Outcome {
	return c.bulk(luajit.BulkPostArgs, query, limit, 0)
}

func (c *Call) bulk(kind byte, b []byte, limit, tab int) Outcome {
	at := c.out.Bulk(kind, limit, tab)
	c.out.B = append(c.out.B, b...)
	c.out.EndBulk(at)
	return returned
}

// ReturnHeaders returns the table of the headers that fill adds with Writer.Header: limit as in ReturnArgs; names in lower
// case and found in other spellings, unless raw.
func (c *Call) ReturnHeaders(limit int, raw bool, fill func(w *Writer)) Outcome {
	kind := byte(luajit.BulkHeaders)
	if raw {
		kind = luajit.BulkRawHeaders
	}
	at := c.out.Bulk(kind, limit, 0)
	fill((*Writer)(c))
	c.out.EndBulk(at)
	return returned
}

// Header adds a header within ReturnHeaders.
func (w *Writer) Header(name, value []byte) { w.out.Header(name, value) }
