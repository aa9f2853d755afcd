package luahost

import (
	"fmt"
	"html"
	"os"
	"regexp"
	"strconv"
	"strings"

	"moongate/internal/lua"
)

// Development has errors of Lua shown to clients, with the lines they come from. `moongate run` sets it before it starts the
// server, and nothing else may: who asks a site in service is not to read its code.
var Development bool

// explain makes the page that answers for an error of the code, unless the site has an error_page for that.
func (x *Ctx) explain(code *lua.Code, err error) {
	if Development && !x.R.HeaderSent {
		x.R.Explanation = explanation(code, err)
	}
}

// shownLines is how many lines an excerpt has before and after the one it is about.
const shownLines = 4

// atLine is how Lua names a place: FILE:LINE: or content_by_lua(nginx.conf:40):LINE:
var atLine = regexp.MustCompile(`([^\s"':]+(?:\([^)\s]+:\d+\))?):(\d+):`)

func explanation(code *lua.Code, err error) []byte {
	msg, trace := err.Error(), ""
	if e, ok := err.(*lua.RunError); ok {
		msg, trace = e.Msg, e.Trace
	}
	var b strings.Builder
	b.WriteString("<!doctype html>\n<html lang=\"en\">\n<meta name=\"viewport\" content=\"width=device-width\">\n<title>Error in Lua</title>\n" +
		"<style>body{font:16px/1.5 sans-serif;max-width:60em;margin:2em auto;padding:0 1em}pre{background:#f4f4f2;padding:.7em;overflow:auto}" +
		"mark{background:#ffd9c7;display:block}</style>\n<h1>Error in Lua</h1>\n")
	fmt.Fprintf(&b, "<p><b>%s</b>\n", html.EscapeString(msg))
	shown := ""
	if m := atLine.FindStringSubmatch(msg); m != nil {
		shown = excerpt(code, m[1], m[2])
	}
	if what := remedy(msg, shown); what != "" {
		b.WriteString("<p>" + html.EscapeString(what) + "\n")
	}
	b.WriteString(shown)
	if trace != "" {
		fmt.Fprintf(&b, "<pre>%s</pre>\n", html.EscapeString(trace))
	}
	b.WriteString("<p>The error log has the same. <code>moongate run</code> shows this page; a server in service answers with its own page for the status.\n")
	return []byte(b.String())
}

// Errors that have a usual reason outside of the code.
var (
	noModule = regexp.MustCompile(`module '([^']+)' not found`)
	sharedIn = regexp.MustCompile(`<mark>[^<]*ngx\.shared\.(\w+)`)
)

// remedy says what usually helps; "" for most errors.
func remedy(msg, shown string) string {
	if m := noModule.FindStringSubmatch(msg); m != nil {
		return fmt.Sprintf("A module is a file: lua/%s.lua of the site, where nginx.conf says lua_package_path \"$prefix/lua/?.lua;;\" in the http block.", strings.ReplaceAll(m[1], ".", "/"))
	}
	if strings.Contains(msg, "no resolver defined") {
		return "Names are asked for at the name server that \"resolver\" in the http block gives; addresses need none."
	}
	if m := sharedIn.FindStringSubmatch(shown); m != nil && strings.Contains(msg, "'"+m[1]+"' (a nil value)") {
		return fmt.Sprintf("\"lua_shared_dict %s 1m;\" in the http block makes that dictionary.", m[1])
	}
	return ""
}

// excerpt shows the lines around a place: those of a file, or those of the code in the configuration.
func excerpt(code *lua.Code, where, number string) string {
	line, _ := strconv.Atoi(number)
	text := code.Source()
	if "="+where != code.Name() {
		var err error
		if text, err = os.ReadFile(where); err != nil {
			return ""
		}
	}
	lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	if line < 1 || line > len(lines)+1 {
		return ""
	}
	line = min(line, len(lines)) // code that ends too early fails behind its last line
	var b strings.Builder
	fmt.Fprintf(&b, "<p>%s, line %d:\n<pre>", html.EscapeString(where), line)
	for n := max(1, line-shownLines); n <= min(len(lines), line+shownLines); n++ {
		shown := fmt.Sprintf("%4d  %s", n, html.EscapeString(lines[n-1]))
		if n == line {
			fmt.Fprintf(&b, "<mark>%s</mark>", shown)
		} else {
			b.WriteString(shown + "\n")
		}
	}
	return b.String() + "</pre>\n"
}
