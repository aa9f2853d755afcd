package conf

import "fmt"

// tokenLimit is the size of the buffer nginx reads its configuration through: no
// token, and no comment, may be longer.
const tokenLimit = 4096

// ending says what ended the directive the lexer has read.
type ending int

const (
	endSemicolon ending = iota // ";"
	endOpen                    // "{"
	endClose                   // "}", with no words before it
	endFile                    // nothing more to read
)

// lexer splits one file, or the text of -g, into directives. pos and line always
// stand right after what was read last, which is where nginx reports errors.
type lexer struct {
	name  string // the file's name, "" for -g
	src   string
	pos   int
	line  int
	begun int  // the line in which the last directive began
	param bool // the text of -g

	advice string // what may help where there was a problem; see Error.Advice
}

func newLexer(name, src string) *lexer { return &lexer{name: name, src: src, line: 1} }

// wordState is what next knows about the word it is in.
type wordState struct {
	start     int  // of the current word, or of the comment
	startLine int  // where it began
	between   bool // before a word
	needSpace bool // a quoted word has just ended
	quote     byte // inside a quoted word: its quote
	escaped   bool // the next byte was escaped
	dollar    bool // a "$" came before, so that "{" belongs to the word
	comment   bool
	hasEscape bool // the word holds a backslash
}

// next reads the words up to the end of a directive. A non-empty problem is the text
// of a syntax error. The words are substrings of the source where nothing was escaped.
func (lx *lexer) next() (words []string, end ending, problem string) {
	w := wordState{start: lx.pos, startLine: lx.line, between: true}
	for {
		if lx.pos >= len(lx.src) {
			if len(words) > 0 || !w.between {
				return nil, endFile, lx.cutShort(&w)
			}
			return nil, endFile, ""
		}
		if lx.pos-w.start >= tokenLimit && !lx.param {
			return nil, endFile, lx.tooLong(&w)
		}
		ch := lx.src[lx.pos]
		lx.pos++
		if ch == '\n' {
			lx.line++
			w.comment = false
		}
		if w.comment {
			continue
		}
		if w.escaped {
			w.escaped = false
			continue
		}
		if w.needSpace {
			switch ch {
			case ' ', '\t', '\r', '\n':
				w.between, w.needSpace = true, false
				continue
			case ';':
				return words, endSemicolon, ""
			case '{':
				return words, endOpen, ""
			case ')': // if ($a = "b")
				w.between, w.needSpace = true, false
			default:
				return nil, endFile, unexpected(ch)
			}
		}
		if w.between {
			done, end, problem := lx.begin(&w, ch, len(words))
			if done {
				return words, end, problem
			}
			continue
		}
		if !w.inside(ch) {
			continue
		}
		word := lx.src[w.start : lx.pos-1]
		if w.hasEscape {
			word = unescape(word)
		}
		words = append(words, word)
		switch ch {
		case ';':
			return words, endSemicolon, ""
		case '{':
			return words, endOpen, ""
		}
	}
}

// begin handles a byte met between words: n words precede it. done means the
// directive, or the reading, ends here.
func (lx *lexer) begin(w *wordState, ch byte, n int) (done bool, end ending, problem string) {
	w.start, w.startLine, w.hasEscape = lx.pos-1, lx.line, false
	switch ch {
	case ' ', '\t', '\r', '\n':
		return false, 0, ""
	case ';', '{':
		if n == 0 {
			return true, endFile, unexpected(ch)
		}
		if ch == '{' {
			return true, endOpen, ""
		}
		return true, endSemicolon, ""
	case '}':
		if n != 0 {
			lx.advice = fmt.Sprintf("is a \";\" missing behind the directive that begins in line %d?", lx.begun)
			return true, endFile, unexpected(ch)
		}
		return true, endClose, ""
	case '#':
		w.comment = true
		return false, 0, ""
	case '\\':
		w.escaped, w.hasEscape = true, true
	case '"', '\'':
		w.start++
		w.quote = ch
	case '$':
		w.dollar = true
	}
	if n == 0 {
		lx.begun = lx.line
	}
	w.between = false
	return false, 0, ""
}

// inside handles a byte of a word and reports whether it ends the word.
func (w *wordState) inside(ch byte) (ended bool) {
	if ch == '{' && w.dollar {
		return false
	}
	w.dollar = false
	switch {
	case ch == '\\':
		w.escaped, w.hasEscape = true, true
	case ch == '$':
		w.dollar = true
	case w.quote != 0:
		if ch == w.quote {
			w.quote, w.needSpace = 0, true
			return true
		}
	default:
		switch ch {
		case ' ', '\t', '\r', '\n', ';', '{':
			w.between = true
			return true
		}
	}
	return false
}

func unexpected(ch byte) string { return `unexpected "` + string([]byte{ch}) + `"` }

func (lx *lexer) cutShort(w *wordState) string {
	if lx.param {
		return `unexpected end of parameter, expecting ";"`
	}
	if w.quote != 0 {
		lx.advice = fmt.Sprintf("the quote in line %d is not closed, or one further up is not", w.startLine)
	} else {
		lx.advice = fmt.Sprintf("is a \";\" missing behind the directive that begins in line %d?", lx.begun)
	}
	return `unexpected end of file, expecting ";" or "}"`
}

func (lx *lexer) tooLong(w *wordState) string {
	lx.line = w.startLine
	if w.quote != 0 {
		return fmt.Sprintf(`too long parameter, probably missing terminating "%c" character`, w.quote)
	}
	return `too long parameter "` + lx.src[w.start:w.start+10] + `..." started`
}

// unescape resolves \" \' \\ \t \r \n; any other backslash stays.
func unescape(s string) string {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '\\' && i+1 < len(s) {
			switch s[i+1] {
			case '"', '\'', '\\':
				i++
				c = s[i]
			case 't':
				i++
				c = '\t'
			case 'r':
				i++
				c = '\r'
			case 'n':
				i++
				c = '\n'
			}
		}
		out = append(out, c)
	}
	return string(out)
}
