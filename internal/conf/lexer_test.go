package conf

import (
	"slices"
	"strings"
	"testing"
)

// read is one directive in short: its words, then its end.
func read(text string) []string {
	var out []string
	lx := newLexer("test", text)
	for {
		words, end, problem := lx.next()
		switch {
		case problem != "":
			return append(out, "!"+problem)
		case end == endFile:
			return out
		case end == endClose:
			out = append(out, "}")
			continue
		}
		out = append(out, strings.Join(words, "|")+string(";{"[end]))
	}
}

func TestLexer(t *testing.T) {
	tests := []struct {
		text string
		want []string
	}{
		{"", nil},
		{" \t\r\n", nil},
		{"# only a comment", nil},
		{"a;b c;", []string{"a;", "b|c;"}},
		{"a b{c d;}", []string{"a|b{", "c|d;", "}"}},
		{"a\n\tb\r\n  c ;", []string{"a|b|c;"}},
		{"a # b;\n c;", []string{"a|c;"}},
		{"a#b c#;", []string{"a#b|c#;"}},
		{`a "b c" 'd "e"';`, []string{`a|b c|d "e";`}},
		{`a "b;{}#" '${x}';`, []string{"a|b;{}#|${x};"}},
		{`a "" '';`, []string{"a||;"}},
		{`a b"c d"e;`, []string{`a|b"c|d"e;`}},
		{"a $b ${c} x${d}y{", []string{"a|$b|${c}|x${d}y{"}},
		{"a $b{", []string{"a|$b{"}},
		{"a ${b}{", []string{"a|${b}{"}},
		{"a b};", []string{"a|b};"}},
		{`a "${b}" "$c{";`, []string{"a|${b}|$c{;"}},
		{`a "\"\'\\\t\r\n\x\$";`, []string{"a|\"'\\\t\r\n\\x\\$;"}},
		{`a \;\ b\{ \# \"c;`, []string{`a|\;\ b\{|\#|"c;`}},
		{`a \\;`, []string{`a|\;`}},
		{"a b\\\nc;", []string{"a|b\\\nc;"}},
		{`if ($a = "b") {`, []string{"if|($a|=|b|){"}},
		{`if ($a ~ 'b'){`, []string{"if|($a|~|b|){"}},
		{`a "b"{`, []string{"a|b{"}},
		{"a \"b\nc\";", []string{"a|b\nc;"}},
		{`location ~ \.php$ {`, []string{`location|~|\.php${`}},
		{`rewrite ^/(.*)$ /x?a=$1 last;`, []string{"rewrite|^/(.*)$|/x?a=$1|last;"}},
		{`a ^\d{2};`, []string{`a|^\d{`, "2};"}}, // an unquoted brace ends the directive
		{"\xef\xbb\xbfa;", []string{"\xef\xbb\xbfa;"}},
	}
	for _, tt := range tests {
		if got := read(tt.text); !slices.Equal(got, tt.want) {
			t.Errorf("%q:\n got %q\nwant %q", tt.text, got, tt.want)
		}
	}
}

func TestLuaBody(t *testing.T) {
	bodies := []string{
		"",
		" ngx.say('hello') ",
		"\n local a = { b = { 1, 2 } }\n",
		` ngx.say("}1, 2)", '{1', "\"}", '\'{', "\\") `,
		" --[[ {{{ ]=] ' \" } ]]\n --[==[ }}} ]] ]==] x() ",
		" --}} {} ' \" [[\n y() ",
		" --[ } \n --[=x } \n z() ",
		" say([[ok--]], [==[ ok-- } ]==]) --[[ --]] done() ",
		" local t1, t2 = {'a'}, {1} say(t1[t2[1]]) ",
		" ]=] ",
		" it's not Lua \n but { } balances ",
		" x = \"unclosed \n { } ",
		" s = 'a\\\n}b' ",
		" s = \"a\\z   \n  }b\" ",
		" s = [[\n}\n]] .. '}' ",
		" a = b - c -- }\n",
		" a[b[1]] = [[ } ]] ",
		" return 2 ^ -[[x]] ",
		" # not a comment ; { ' } ' }",
	}
	for _, body := range bodies {
		lx := newLexer("test", body+"} rest;\n")
		got, problem := lx.luaBody()
		if got != body || problem != "" {
			t.Errorf("body %q, %q, want %q", got, problem, body)
			continue
		}
		if line := 1 + strings.Count(body, "\n"); lx.line != line {
			t.Errorf("%q: at line %d, want %d", body, lx.line, line)
		}
		if words, end, _ := lx.next(); len(words) != 1 || words[0] != "rest" || end != endSemicolon {
			t.Errorf("%q: followed by %q", body, words)
		}
	}
}

// quoteWord writes a word so that the lexer reads it back.
func quoteWord(w string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(w) + `"`
}

func FuzzLexer(f *testing.F) {
	for _, s := range []string{
		"http { server { listen 80; } }",
		`a "b\n" 'c\'' ${d}e \;f;`,
		"content_by_lua_block { say([==[}]==], \"}\\\"\", '}') --[[ } ]] -- }\n }",
		"if ($a ~ \"b\") { return 200; } # end",
		"init_by_lua_block { [[",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		lx := newLexer("test", text)
		for pos := -1; ; {
			words, end, problem := lx.next()
			if problem != "" || end == endFile {
				return
			}
			if lx.pos <= pos || lx.pos > len(text) || lx.line > 1+strings.Count(text[:lx.pos], "\n") {
				t.Fatalf("at %d line %d after %d", lx.pos, lx.line, pos)
			}
			pos = lx.pos
			if end == endClose {
				continue
			}
			again := make([]string, len(words))
			for i, w := range words {
				again[i] = quoteWord(w)
			}
			copied := newLexer("copy", strings.Join(again, " ")+";")
			copied.param = true // no limit: quoting makes words longer
			back, _, problem := copied.next()
			if problem != "" || !slices.Equal(back, words) {
				t.Fatalf("%q reads back as %q, %s", words, back, problem)
			}
			if end == endOpen && strings.HasSuffix(words[0], "_by_lua_block") {
				from := lx.pos
				body, problem := lx.luaBody()
				if problem != "" {
					return
				}
				if text[from:lx.pos] != body+"}" {
					t.Fatalf("body %q of %q", body, text[from:])
				}
			}
		}
	})
}

func BenchmarkLexer(b *testing.B) {
	text := strings.Repeat("location /path { proxy_pass http://$host:80; # comment\n add_header X \"a b\"; }\n", 100)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		read(text)
	}
}
