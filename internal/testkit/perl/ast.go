package perl

// expr is a node of the syntax tree. eval runs it; in scalar context (list
// false) the last value of the result counts, and none is undef.
type expr interface {
	eval(f *frame, list bool) []Value
}

// lvalue is an expr that one value can be stored in.
type lvalue interface {
	expr
	set(f *frame, v Value)
}

type (
	constant struct{ v Value }

	// interpolated is a quoted string: parts are constants and expressions, arrays
	// joined by a space.
	interpolated struct{ parts []expr }
	// cased applies \Q \U \L \u \l to what it holds.
	cased struct {
		how  byte
		part expr
	}

	// variable is $name, @name or %name.
	variable struct {
		sigil byte
		name  string
		line  int
	}
	// declared is my/our/local before variables.
	declared struct {
		how  string
		vars []expr
		list bool // in parentheses
	}
	index   struct{ array, at expr } // array yields *Array
	lookup  struct{ hash, key expr } // hash yields *Hash
	lastIdx struct{ array expr }
	slice   struct{ list, at expr }

	// deref turns a reference (the value of e) into the variable it points to.
	deref struct {
		sigil byte
		e     expr
	}

	anonArray struct{ items expr }
	anonHash  struct{ items expr }
	anonSub   struct{ body *block }
	refTo     struct{ e expr }

	call struct {
		name string
		args []expr
		line int
		bare bool // no argument list was written
	}
	callRef struct {
		code expr
		args []expr
	}
	method struct {
		obj  expr
		name string
		args []expr
		line int
	}

	unary struct {
		op string
		e  expr
	}
	binary struct {
		op   string
		l, r expr
	}
	logical struct {
		op   string
		l, r expr
	}
	ternary struct{ cond, yes, no expr }
	assign  struct {
		op   string // "" for plain =
		l, r expr
	}
	step struct { // ++ and --
		by      int
		postfix bool
		e       expr
	}
	listExpr struct{ items []expr }
	rangeOp  struct{ from, to expr }

	regex struct { // qr//
		pat   expr
		flags string
	}
	match struct {
		target expr
		re     expr // a regex, or anything that yields a pattern
		global bool
		neg    bool
	}
	subst struct {
		target expr
		re     *regex
		with   expr
		flags  string
	}
	translit struct {
		target   expr
		from, to string
		flags    string
	}

	readLine struct{ from expr }
	backtick struct{ cmd expr }
	fileTest struct {
		op byte
		e  expr
	}
	blockExpr struct { // do {}, eval {}
		body  *block
		catch bool
	}
	evalString struct{ e expr }
	mapExpr    struct {
		op   string // map, grep, sort
		fn   expr   // nil for plain sort
		list expr
	}
	control struct { // return, last, next
		what string
		e    expr
	}
)

// stmt is a statement. Its value is that of the last expression it evaluated.
type stmt interface {
	run(f *frame, list bool) []Value
}

type (
	block    struct{ stmts []stmt }
	exprStmt struct{ e expr }
	ifStmt   struct {
		conds []expr // one more block than conditions: the else
		then  []*block
	}
	whileStmt struct {
		cond, step expr
		init       expr
		body       *block
		until      bool
		post       bool // do {} while
	}
	foreachStmt struct {
		name string // variable; $_ when empty
		mine bool
		list expr
		body *block
	}
	subDef struct {
		name string
		body *block
	}
	useStmt struct {
		module string
		args   expr
		no     bool
	}
	packageStmt struct{ name string }
)
