package conf

import (
	"strings"
	"testing"
)

var dumped = &Module{Name: "sample", Directives: []Directive{
	{Name: "sendfile", In: InRequest, Default: "off", Since: "1.2", Set: Slot(locationLevel, Flag, func(c *locationConf) *Opt[bool] { return &c.sendfile }),
		Doc: "Sends files\n\tby the kernel."},
	{Name: "upstream", Syntax: "name", In: HTTP, Args: Take1 | Block, Set: Ignore(), Doc: "Names a group."},
	{Name: "off", In: Stream | StreamServer, Set: Ignore()},
}}

func TestDump(t *testing.T) {
	var b strings.Builder
	if err := Dump(&b, []*Module{dumped}); err != nil {
		t.Fatal(err)
	}
	want := "name\tcontexts\targuments\tsyntax\tdefault\tmodule\tsince\tdoc\n" +
		"sendfile\thttp, server, location, if in location\t1\ton | off\toff\tsample\t1.2\tSends files by the kernel.\n" +
		"upstream\thttp\t1 {}\tname\t-\tsample\t-\tNames a group.\n" +
		"off\tstream, server\t0\t-\t-\tsample\t-\t-\n"
	if b.String() != want {
		t.Errorf("got\n%s", b.String())
	}
}

func TestReference(t *testing.T) {
	var b strings.Builder
	if err := Reference(&b, dumped); err != nil {
		t.Fatal(err)
	}
	want := "# sample\n" +
		"\n## sendfile\n\n- **Syntax:** `sendfile on | off;`\n- **Default:** `sendfile off;`\n" +
		"- **Context:** http, server, location, if in location\n- **Since:** 1.2\n\nSends files\n\tby the kernel.\n" +
		"\n## upstream\n\n- **Syntax:** `upstream name { ... }`\n- **Default:** none\n- **Context:** http\n\nNames a group.\n" +
		"\n## off\n\n- **Syntax:** `off;`\n- **Default:** none\n- **Context:** stream, server\n"
	if b.String() != want {
		t.Errorf("got\n%s", b.String())
	}
}

func TestCheck(t *testing.T) {
	if err := Check(testModules); err != nil {
		t.Errorf("good rows: %v", err)
	}
	sendfile := Slot(locationLevel, Flag, func(c *locationConf) *Opt[bool] { return &c.sendfile })
	bad := &Module{Name: "bad", Directives: []Directive{
		{Name: "nothing"},
		{Name: "undocumented", In: HTTP, Set: Ignore()},
		{Name: "default", In: HTTP, Default: "maybe", Set: sendfile, Doc: "."},
		{Name: "count", In: HTTP, Default: "on on", Set: sendfile, Doc: "."},
		{Name: "unreachable", In: HTTP | Stream, Set: sendfile, Doc: "."},
		{Name: "twice", In: HTTP | Server, Set: Ignore(), Doc: "."},
		{Name: "twice", In: Server, Set: Ignore(), Doc: "."},
	}}
	err := Check([]*Module{bad})
	if err == nil {
		t.Fatal("bad rows pass")
	}
	want := []string{
		"bad: nothing: a row needs Name, In and Set",
		"bad: undocumented: no Doc",
		`bad: default: default: invalid value "maybe" in "default" directive, it must be "on" or "off"`,
		`bad: count: default: invalid number of arguments in "count" directive`,
		"bad: unreachable: its struct cannot be reached in stream",
		"bad: twice: two rows for server",
		"bad: twice: two rows for server",
	}
	if got := err.Error(); got != strings.Join(want, "\n") {
		t.Errorf("got\n%s", got)
	}
}
