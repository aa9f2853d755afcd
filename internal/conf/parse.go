package conf

import (
	"os"
	"strings"
	"syscall"
)

// row is a directive made ready for a load.
type row struct {
	Directive
	module *Module
	args   Arity // resolved
}

// parser is the state of one load.
type parser struct {
	config   *Config
	all      []*row            // in order of modules
	rows     map[string][]*row // by name, in order of modules
	merging  [numKinds][]*row  // rows that inherit, by kind, in order of modules
	defaults map[*row]any      // parsed default texts
	lex      *lexer            // the file being read; nil before and after
	depth    int               // of files including files
}

// maxDepth stops files that include each other; nginx runs out of descriptors then.
const maxDepth = 1000

// frame is a block being parsed.
type frame struct {
	in    Context
	scope *Scope
	entry func(*Cmd) error // free-form entries instead of directives
}

// source is what kind of text is being parsed: it decides what may end it.
type source int

const (
	inFile source = iota
	inBlock
	inParam
)

func newParser(cfg *Config) *parser {
	p := &parser{config: cfg, rows: map[string][]*row{}, defaults: map[*row]any{}}
	for _, m := range cfg.Modules {
		for i := range m.Directives {
			r := &row{Directive: m.Directives[i], module: m, args: m.Directives[i].arity()}
			p.all = append(p.all, r)
			p.rows[r.Name] = append(p.rows[r.Name], r)
			if g, ok := r.Set.(merger); ok {
				p.merging[g.kind()] = append(p.merging[g.kind()], r)
			}
		}
	}
	return p
}

// parse reads directives into f up to the end of the source.
func (p *parser) parse(f *frame, src source) error {
	for {
		words, end, problem := p.lex.next()
		switch {
		case problem != "":
			return Advise(p.here().errorf("%s", problem), p.lex.advice)
		case end == endClose && src != inBlock:
			return Advise(p.here().errorf(`unexpected "}"`), "there is one \"}\" more than blocks were opened")
		case end == endFile && src == inBlock:
			return p.here().errorf(`unexpected end of file, expecting "}"`)
		case end == endClose || end == endFile:
			return nil
		case end == endOpen && src == inParam:
			return p.here().errorf("block directives are not supported in -g option")
		case end == endOpen && f.entry != nil:
			return p.here().errorf(`unexpected "{"`)
		}
		at := p.here()
		c := &Cmd{Name: words[0], Args: words[1:], File: at.file, Line: at.line,
			Scope: f.scope, In: f.in, p: p, frame: f, param: at.param}
		var err error
		if f.entry != nil {
			err = f.entry(c)
		} else {
			err = p.run(c, end)
		}
		if err != nil {
			return c.place().wrap(err)
		}
	}
}

// run finds the row of a directive and lets it take effect. The order of the checks is
// nginx's.
func (p *parser) run(c *Cmd, end ending) error {
	rows := p.rows[c.Name]
	for _, r := range rows {
		if r.In&c.In == 0 {
			continue
		}
		if r.args&Block == 0 && end == endOpen {
			return Advise(c.Errorf("directive \"%s\" is not terminated by \";\"", c.Name), p.unfinished(c))
		}
		if r.args&Block != 0 && end != endOpen {
			return Advise(c.Errorf("directive \"%s\" has no opening \"{\"", c.Name), "what belongs to \""+c.Name+"\" stands between \"{\" and \"}\"")
		}
		if !r.args.accepts(len(c.Args)) {
			return p.swallowed(c, c.badArity(), "it is written: "+r.usage())
		}
		c.row = r
		return p.swallowed(c, p.set(c), "")
	}
	if p.config.skipUnknown {
		return p.skip(c, end)
	}
	if len(rows) > 0 {
		return Advise(c.Errorf("\"%s\" directive is not allowed here", c.Name), p.whereAllowed(rows))
	}
	return Advise(c.Errorf("unknown directive \"%s\"", c.Name), p.similar(c))
}

func (p *parser) set(c *Cmd) error {
	lua := c.row.luaBlock()
	if lua {
		body, problem := p.lex.luaBody()
		if problem != "" {
			return p.here().errorf("%s", problem)
		}
		c.Body, c.BodyLine = body, c.Line
		c.read, c.endLine = true, p.lex.line
	}
	if err := c.row.Set.set(c); err != nil {
		return err
	}
	if c.row.args&Block != 0 && !c.read {
		return p.skipBlock(c)
	}
	return nil
}

// skip steps over a directive without a row.
func (p *parser) skip(c *Cmd, end ending) error {
	if end != endOpen {
		return nil
	}
	if strings.HasSuffix(c.Name, "_by_lua_block") {
		if _, problem := p.lex.luaBody(); problem != "" {
			return p.here().errorf("%s", problem)
		}
		return nil
	}
	return p.skipBlock(c)
}

// skipBlock steps over a block nobody has read.
func (p *parser) skipBlock(c *Cmd) error {
	c.read = true
	for depth := 1; depth > 0; {
		words, end, problem := p.lex.next()
		switch {
		case problem != "":
			return Advise(p.here().errorf("%s", problem), p.lex.advice)
		case end == endFile:
			return p.here().errorf(`unexpected end of file, expecting "}"`)
		case end == endClose:
			depth--
		case end == endOpen && strings.HasSuffix(words[0], "_by_lua_block"):
			if _, problem := p.lex.luaBody(); problem != "" {
				return p.here().errorf("%s", problem)
			}
		case end == endOpen:
			depth++
		}
	}
	c.endLine = p.lex.line
	return nil
}

// include parses the files c names, in the block c stands in.
func (p *parser) include(c *Cmd) error {
	name := p.config.fullConfName(c.Args[0])
	if !strings.ContainsAny(name, "*?[") {
		return p.file(name, c.frame)
	}
	for _, match := range p.config.glob(name) {
		if err := p.file(match, c.frame); err != nil {
			return err
		}
	}
	return nil
}

// file parses one file.
func (p *parser) file(name string, f *frame) error {
	var text []byte
	err := error(syscall.EMFILE)
	if p.depth < maxDepth {
		text, err = p.config.readFile(name)
	}
	if pathErr, ok := err.(*os.PathError); ok && pathErr.Op == "read" {
		// nginx reports this where no configuration position is known.
		return &Error{Level: "crit", Msg: "pread() \"" + name + "\" failed " + SysError(err)}
	}
	if err != nil {
		return p.here().errorf("open() \"%s\" failed %s", name, SysError(err))
	}
	p.config.addFile(name, text)
	p.depth++
	defer func() { p.depth-- }()
	return p.text(newLexer(name, string(text)), f, inFile)
}

// text parses lx to its end, then goes on where the parser was.
func (p *parser) text(lx *lexer, f *frame, src source) error {
	outer := p.lex
	p.lex = lx
	err := p.parse(f, src)
	p.lex = outer
	return err
}
