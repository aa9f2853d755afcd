package perl

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"moongate/internal/testkit/pattern"
)

// show prints a value so that structures can be compared as text.
func show(v Value) string {
	switch v := v.(type) {
	case nil:
		return "undef"
	case *Array:
		parts := make([]string, len(v.Elems))
		for i, e := range v.Elems {
			parts[i] = show(e)
		}
		return "[" + strings.Join(parts, ",") + "]"
	case *Hash:
		var parts []string
		for _, k := range v.keys() {
			parts = append(parts, k+"="+show(v.M[k]))
		}
		return "{" + strings.Join(parts, ",") + "}"
	case *pattern.Regexp:
		return v.String()
	}
	return String(v)
}

var expressions = []struct{ src, want string }{
	{`"a" . "x" x 3 . "b"`, "axxxb"},
	{`'it''s'`, "!"},
	{`'a\n\'b\\'`, `a\n'b\`},
	{`"a\tb\r\n\x41\x{42}\0\101\e"`, "a\tb\r\nAB\x00A\x1b"},
	{`"\x{4e2d}"`, "中"},
	{`"a\$b\@c\"d"`, `a$b@c"d`},
	{`qq{a{b}c}`, "a{b}c"},
	{`q(a(b)c\)\\)`, `a(b)c)\`},
	{`qq/a\/b/`, "a/b"},
	{`"mail me@example.org"`, "mail me@example.org"},
	{`("hello world" x 2) . "\n"`, "hello worldhello world\n"},
	{`"POST /x
" . ('a' x 4)`, "POST /x\naaaa"},
	{`["a", qr/b+/i, ["c", {value => "d", delay_before => 0.01}]]`, "[a,(?^i:b+),[c,{delay_before=0.01,value=d}]]"},
	{`qr{a/b\{}ms`, `(?^ms:a/b\{)`},
	{`qr{(\Qx: (5)\E|y)}`, `(?^:(x\:\ \(5\)|y))`},
	{`my $r = qr/a.b/s; qr/^$r$/`, `(?^:^(?^s:a.b)$)`},
	{`my $s; my $i = 1; while ($i <= 3) { $s .= "A$i: $i\n"; if ($i == 2) { $s .= "x\n"; } $i++; } $s`, "A1: 1\nA2: 2\nx\nA3: 3\n"},
	{`my @k; for my $i (1 .. 3) { push @k, "x-$i" } @k = sort @k; for my $k (@k) { if ($k =~ /\d+/) { $k .= ": $&;" } } CORE::join("", @k)`, "x-1: 1;x-2: 2;x-3: 3;"},
	{`my $s = ""; for my $i ('a' .. 'd') { $s .= uc($i) . "$i " } $s`, "Aa Bb Cc Dd "},
	{`$ENV{X} ? "yes" : "no"`, "no"},
	{`$ENV{HOME_DIR}`, "/srv/x"},
	{`"dir $ENV{HOME_DIR}/lib"`, "dir /srv/x/lib"},
	{`"path '$::HtmlDir/?.lua;;';"`, "path '/html/?.lua;;';"},
	{`$main::HtmlDir`, "/html"},
	{`defined $ENV{NOPE} || !defined($ENV{HOME_DIR})`, ""},
	{`my $e; if ($ENV{NOPE}) { $e = qr|a| } else { $e = qr/b/ } $e;`, "(?^:b)"},
	{"<<'_E_' . \"x\"\na $b\n_E_\n", "a $b\nx"},
	{"my $v = 'V'; my @l = (<<A, <<\"B\");\n$v 1\nA\n@{[1 + 1]}\nB\njoin('|', @l)", "V 1\n|2\n"},
	{"<<~X;\n    a\n      b\n    X\n", "a\n  b\n"},
	{`my ($a1, @r) = (1, 2, 3); "$a1:@r:$r[1]:$#r"`, "1:2 3:3:1"},
	{`my %h = (a => 1, 'b' => [5, 6]); $h{c}{d} = 7; "$h{a} $h{b}[1] $h{b}->[0] $h{c}{d}"`, "1 6 5 7"},
	{`my $h = {k => sub { return $_[0] * 2 }}; $h->{k}->(21)`, "42"},
	{`sub f { my ($x) = @_; return "none" unless defined $x; "got $x" } f() . f(3)`, "nonegot 3"},
	{`join ",", map { $_ * 2 } grep { $_ % 2 } 1 .. 5`, "2,6,10"},
	{`my $x = "foobar"; (my $y = $x) =~ s/o+/0/; $x =~ s/(b)(a)/$2$1/; "$x $y"`, "fooabr f0bar"},
	{`my $x = "a-b"; $x =~ tr/a-z/A-Z/; $x`, "A-B"},
	{`my $t = "k=v"; my ($k, $v) = $t =~ /(\w)=(\w)/; "$v$k"`, "vk"},
	{`join "|", split /,/, "a,b,,c,,"`, "a|b||c"},
	{`join "|", "aXbXc" =~ /[a-z]/g`, "a|b|c"},
	{`my ($ip) = split /\n/, "1\n2"; $ip`, "1"},
	{`sprintf("%03d|%-4s|%x|%%|%.2f", 7, "ab", 255, 1.5)`, "007|ab  |ff|%|1.50"},
	{`length("abc") . substr("hello", 1, 3) . index("abc", "c") . ucfirst lc "ABC"`, "3ell2Abc"},
	{`eval { die "boom\n" }; "caught $@"`, "caught boom\n"},
	{`1_000 + 0x10 + 1.5e1`, "1031"},
	{`10 / 4`, "2.5"},
	{`-7 % 3`, "2"},
	{`my $n = 0; $n += $_ for 1 .. 4; $n`, "10"},
	{`my @a = (3, 1, 2); join "", sort { $b <=> $a } @a`, "321"},
	{`my $u; $u //= "d"; $u ||= "e"; $u .= "f"; $u`, "df"},
	{`(4, 5, 6)[1]`, "5"},
	{`my $s = "x"; "${s}y $s->[0]"`, "!"},
	{`my $s = "x"; "${s}y"`, "xy"},
	{`"a", "b"`, "a"},
	{`pack("C*", 72, 105) . pack("n", 258) . pack("H*", "4142")`, "Hi\x01\x02AB"},
	{`my $i = 0; my $s = ""; for (;;) { last if $i > 3; $i++; next if $i == 2; $s .= $i } $s`, "134"},
	{`ref([]) . ref({}) . ref(qr/x/) . ref(sub {})`, "ARRAYHASHRegexpCODE"},
	{`"a" lt "b" and not 0 ? "t" : "f"`, ""},
	{`my @x = (1) x 3; scalar(@x)`, "3"},
	{`"\Qa.b\E.c" . "\Uab\E" . "\uxy"`, `a\.b.cABXy`},
	{`wantarray() ? 1 : 0`, "0"},
	{`undef_function(1)`, "!"},
	{`$undeclared`, "!"},
	{`{ my $inner = 1; } $inner`, "!"},
	{`"a" =~ /(`, "!"},
	{`qw(a b c)`, "a"},
	{`do { local $/; defined $/ ? 1 : 0 } . (defined $/ ? 1 : 0)`, "01"},
	{`# comment
	"x" # another
	. "y"`, "xy"},
}

func newTest(t *testing.T) *Interp {
	in := New(t.TempDir())
	in.Env.M["HOME_DIR"] = "/srv/x"
	in.Env.M["PATH"] = os.Getenv("PATH")
	in.SetGlobal("HtmlDir", "/html")
	return in
}

func TestEval(t *testing.T) {
	for _, c := range expressions {
		vals, err := newTest(t).Eval(c.src, "test", 1)
		got := "!"
		if err == nil {
			got = "undef"
			if len(vals) > 0 {
				got = show(vals[0])
			}
		}
		if got != c.want {
			t.Errorf("%s\n got %q (%v)\nwant %q", c.src, got, err, c.want)
		}
	}
}

// TestAgainstPerl holds the same expressions against perl, where it is installed.
func TestAgainstPerl(t *testing.T) {
	bin, err := exec.LookPath("perl")
	if err != nil {
		t.Skip("perl, which the evaluator is compared with, is not installed")
	}
	const wrap = `use strict; our $HtmlDir = "/html"; $ENV{HOME_DIR} = "/srv/x"; local $/; my $src = <STDIN>; $/ = "\n";
sub show { my $v = shift; my $r = ref $v; !defined $v ? "undef" : $r eq "ARRAY" ? "[" . join(",", map { show($_) } @$v) . "]"
 : $r eq "HASH" ? "{" . join(",", map { "$_=" . show($v->{$_}) } sort keys %$v) . "}" : "$v" }
package T; use strict; no warnings; my @v = eval $src; if ($@) { print "!" } else { my $s = main::show($v[0]); utf8::encode($s) if utf8::is_utf8($s); print $s }`
	for _, c := range expressions {
		if strings.Contains(c.src, "me@") || strings.Contains(c.src, "wantarray") {
			continue // strict perl refuses @example; the context of eval differs
		}
		cmd := exec.Command(bin, "-e", wrap)
		cmd.Stdin = strings.NewReader(c.src)
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v", c.src, err)
		}
		if got := string(out); got != c.want {
			t.Errorf("%s\nperl says %q\n    want %q", c.src, got, c.want)
		}
	}
}

func TestRunPrelude(t *testing.T) {
	in := newTest(t)
	os.MkdirAll(filepath.Join(in.Dir, "t", "cert"), 0o755)
	os.WriteFile(filepath.Join(in.Dir, "t", "cert", "a.crt"), []byte("CERT\nTEXT\n"), 0o644)
	os.WriteFile(filepath.Join(in.Dir, "t", "Extra.pm"), []byte("package t::Extra;\nuse strict;\nour $Text = <<'X';\nextra\nX\n1;\n"), 0o644)
	repeat, used := 0, []string{}
	in.Define("repeat_each", func(_ *Interp, args []Value, _ bool) ([]Value, error) {
		if len(args) > 0 {
			repeat = integer(args[0])
		}
		return []Value{repeat}, nil
	})
	in.Define("blocks", func(*Interp, []Value, bool) ([]Value, error) { return []Value{3}, nil })
	in.Define("plan", func(_ *Interp, args []Value, _ bool) ([]Value, error) {
		if String(arg(args, 0)) != "tests" || String(arg(args, 1)) != "14" {
			t.Errorf("plan got %v", args)
		}
		return nil, nil
	})
	in.Define("log_level", func(_ *Interp, args []Value, _ bool) ([]Value, error) { return nil, nil })
	in.Define("no_long_string", func(*Interp, []Value, bool) ([]Value, error) { return nil, nil })
	in.Use = func(m string, args []Value) error {
		used = append(used, m)
		return nil
	}
	var hook *Code
	in.Define("add_block_preprocessor", func(_ *Interp, args []Value, _ bool) ([]Value, error) {
		hook, _ = args[0].(*Code)
		return nil, nil
	})
	err := in.Run(`# vim:set ft= ts=4:
our $SkipReason;
BEGIN {
    if (!$ENV{SKIP}) { $Loose = "undeclared before strict"; }
    if ($ENV{SKIP}) { $SkipReason = "because"; }
}
use lib 'lib';
use Some::Framework $SkipReason ? (skip_all => $SkipReason) : ();
use t::Extra;

repeat_each(2);
sub resolve($$);
plan tests => repeat_each() * (blocks() * 2 + 1);
$ENV{PORT} ||= 11211;
$ENV{PORT} ||= 1;
my $shell = eval { `+"`echo v1.2`"+` };
our $Major = $shell =~ /v(\d+)/ ? $1 : 0;
#no_diff();
log_level 'debug';
no_long_string();
sub read_file {
    my $infile = shift;
    open my $in, $infile
        or die "cannot open $infile for reading: $!";
    my $text = do { local $/; <$in> };
    close $in;
    $text;
}
our $Cert = read_file("t/cert/a.crt");
our $Extra = $t::Extra::Text;
our $Config = <<"_EOC_";
    set \$x "$ENV{PORT}";
_EOC_
add_block_preprocessor(sub {
    my $block = shift;
    if (!defined $block->request) {
        $block->set_value("request", "GET /t");
    }
});
run_nothing() if 0;
`, "t/a.t", 1)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"Cert": "CERT\nTEXT\n", "Extra": "extra\n", "Config": "    set $x \"11211\";\n", "Major": "1"} {
		vals, err := in.Eval("$::"+name, "x", 1)
		if err != nil || String(vals[0]) != want {
			t.Errorf("$%s is %q (%v)", name, vals, err)
		}
	}
	if strings.Join(used, " ") != "lib Some::Framework t::Extra strict" {
		t.Errorf("used %v", used)
	}
	sections := map[string]Value{}
	block := &Object{Class: "Block", Call: func(m string, args []Value) ([]Value, error) {
		if m == "set_value" {
			sections[String(args[0])] = args[1]
			return nil, nil
		}
		return []Value{sections[m]}, nil
	}}
	if _, err := in.Call(hook, block); err != nil || sections["request"] != "GET /t" {
		t.Errorf("preprocessor: %v, %v", err, sections)
	}
}

func TestErrorsNameTheLine(t *testing.T) {
	err := newTest(t).Run("my $x = 1;\n\n]\n", "t/b.t", 1)
	if err == nil || !strings.Contains(err.Error(), "t/b.t line 3") {
		t.Errorf("got %v", err)
	}
	err = newTest(t).Run("open my $f, '/nonexistent/x' or die \"no: $!\";", "t/b.t", 1)
	if err == nil || !strings.Contains(err.Error(), "No such file or directory") {
		t.Errorf("got %v", err)
	}
}

func TestRunawaysEnd(t *testing.T) {
	for _, src := range []string{`sub f { f() } f()`, `"x" x 1e9 x 10`, `while (1) { }`} {
		if _, err := newTest(t).Eval(src, "x", 1); err == nil {
			t.Errorf("%s: no error", src)
		}
	}
}

func FuzzEval(f *testing.F) {
	for _, c := range expressions {
		f.Add(c.src)
	}
	f.Fuzz(func(t *testing.T, src string) {
		for _, w := range []string{"`", "qx", "system", "open", "unlink", "mkdir", "rename", "sleep", "while", "until", "for", "eval", "x", "..", "exit"} {
			if strings.Contains(src, w) {
				return // touches the machine or takes its time
			}
		}
		New("/nonexistent").Eval(src, "fuzz", 1)
	})
}
