package lua

// Tier says how a function is carried out.
type Tier uint8

const (
	// Sync calls Run at once, on the caller's stack: it must not wait.
	Sync Tier = iota
	// Async suspends the Lua coroutine first and calls Run from outside of Lua: Run may park its goroutine, others use
	// the VM meanwhile. In phases which may not wait, and are in the mask In, it behaves as Sync (see Call.MayWait).
	Async
	// View returns the value of a slot which the host keeps up to date with VM.SetView: no crossing.
	View
	// C is a function of the built-in C library CName ("mg.strings.escape_uri": library, field). Masks and signatures
	// are its own matter.
	C
	// Lua is Source: a chunk run once per VM, which returns the function (or whatever else belongs there).
	Lua
)

// Output says that a function prints or logs: its arguments are made into one string for Run.
type Output uint8

const (
	// Plain functions get their arguments.
	Plain Output = iota
	// Print concatenates as ngx.print does. With Context.SetFastOutput the bytes go to a buffer and Run is not called.
	Print
	// Say is Print and adds a newline.
	Say
	// Log is ngx.log: Run gets the level and "[lua] file:line: name(): " with the concatenated arguments, and is not
	// called when the level is above Context.SetLogLevel.
	Log
	// LogPrint is Log with the level Notice and only messages as arguments: Lua's print.
	LogPrint
)

// Func declares a Lua function. The zero In means Anywhere.
type Func struct {
	// Name is the dotted place below _G ("ngx.req.get_method"), or "@class:method" for a class of the library. Names that
	// begin with "moongate." are those of the module "moongate".
	Name string
	// Sig describes the parameters: "self:@tcpsock, data:any, timeout?:number, ... -> bytes, err". Types are string,
	// number, integer, boolean, table, function, thread, any and @class; they are checked, and strings and numbers
	// converted into each other, before Run. Parameters after "..." and those beyond the last are not looked at.
	Sig  string
	Tier Tier
	In   PhaseMask
	Doc  string

	// Run serves Sync and Async. It must return what a method of its Call returned.
	Run func(c *Call) Outcome

	Output Output
	Slot   int    // View
	CName  string // C
	Source string // Lua
	// NoRequest is the error text in the init phase; "no request found" when empty.
	NoRequest string
	// Filters says that Run may run handlers of other phases, header and body filters. With Options.Unlimited, where these
	// may wait, a Sync function is then carried out as an Async one, one at a time for a Context.
	Filters bool
	// Free are phases that Options.Unlimited adds to In. An In of Yieldable becomes Free anyway.
	Free PhaseMask
}

// Prop declares a property of the ngx table: ngx.status, ngx.headers_sent. Get returns the value. Set finds it as
// argument 1; without Set an assignment raises "attempt to write a read-only value". ngx.ctx is built in.
type Prop struct {
	Name     string
	Get, Set func(c *Call) Outcome
	In       PhaseMask
	Doc      string
}

// Object declares a table with metamethods: ngx.var, ngx.header. Index sees table and key, NewIndex table, key and
// value, Exe the table and the call's arguments.
type Object struct {
	Name                 string
	Index, NewIndex, Exe func(c *Call) Outcome
	In                   PhaseMask
	NoRequest            string
	Doc                  string
}

// Class declares the metatable of objects which Go makes with Writer.Object. Its methods are Funcs "@name:method".
type Class struct {
	Name string
	Doc  string
}

// Const declares a constant: a bool, int, float64, string, or Null.
type Const struct {
	Name  string
	Value any
}

// Null is the value of ngx.null.
var Null = nullValue{}

type nullValue struct{}

// Module declares a Lua module which require finds before any file. Its chunk gets the module name.
type Module struct {
	Name   string
	Source string
	// Table, instead of Source, names a table below _G which is the module: "ngx.re".
	Table string
	// Private says that the table is found by require only: _G has no such field.
	Private bool
}

// Library is a list of declarations, the unit in which packages offer them.
type Library struct {
	Name    string
	Doc     string
	Funcs   []*Func
	Props   []*Prop
	Objects []*Object
	Classes []*Class
	Consts  []Const
	Modules []Module
}
