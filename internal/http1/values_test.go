package http1

import (
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestArg(t *testing.T) {
	for _, c := range []struct {
		args, name, value string
		ok                bool
	}{
		{"a=1&b=2", "a", "1", true}, {"a=1&b=2", "b", "2", true}, {"a=1&A=2", "A", "1", true}, {"xa=1&a=2", "a", "2", true},
		{"a&a=3", "a", "3", true}, {"a=", "a", "", true}, {"a", "a", "", false}, {"a=1&", "a", "1", true}, {"", "a", "", false},
		{"b=a=1", "a", "", false}, {"a=b=c", "a", "b=c", true}, {"&&a=1", "a", "1", true}, {"ab=1", "a", "", false},
		{"a%20=1", "a%20", "1", true}, {"a=1", "", "", false}, {"=1", "", "", false}, {"b&c", "c", "", false},
	} {
		value, ok := Arg([]byte(c.args), c.name)
		if string(value) != c.value || ok != c.ok {
			t.Errorf("%q in %q: %q %v", c.name, c.args, value, ok)
		}
	}
}

func TestCookie(t *testing.T) {
	var h Headers
	for _, line := range []string{"a=1; b = 2 ;c=3", "", "d", "e=5;a=6;;f=", "long=x=y"} {
		h.Add([]byte("Cookie"), []byte(line))
	}
	for name, want := range map[string]string{"a": "1", "A": "1", "b": "2 ", "c": "3", "e": "5", "f": "", "long": "x=y"} {
		if got, ok := h.Cookie([]byte(name)); !ok || string(got) != want {
			t.Errorf("%s: %q %v", name, got, ok)
		}
	}
	for _, name := range []string{"d", "x", "lon", "1"} {
		if got, ok := h.Cookie([]byte(name)); ok {
			t.Errorf("%s: %q", name, got)
		}
	}
	if got, ok := ListValue([]byte("no-cache, Max-Age=60, private"), "max-age", ','); !ok || string(got) != "60" {
		t.Errorf("max-age: %q", got)
	}
}

func TestParseRange(t *testing.T) {
	for _, c := range []struct {
		value  string
		length int64
		most   int
		want   []Range
		result RangeResult
	}{
		{"bytes=0-0", 100, UnlimitedRanges, []Range{{0, 1}}, RangeOK},
		{"BYTES=10-", 100, UnlimitedRanges, []Range{{10, 100}}, RangeOK},
		{"bytes=-10", 100, UnlimitedRanges, []Range{{90, 100}}, RangeOK},
		{"bytes=-200", 100, UnlimitedRanges, []Range{{0, 100}}, RangeOK},
		{"bytes=0-999", 100, UnlimitedRanges, []Range{{0, 100}}, RangeOK},
		{"bytes= 1 - 2 , 5 - 6 ", 100, UnlimitedRanges, []Range{{1, 3}, {5, 7}}, RangeOK},
		{"bytes=90-80", 100, UnlimitedRanges, nil, RangeFailed},
		{"bytes=0-10,100-", 100, UnlimitedRanges, []Range{{0, 11}}, RangeOK},
		{"bytes=100-", 100, UnlimitedRanges, nil, RangeFailed},
		{"bytes=100-200", 100, UnlimitedRanges, nil, RangeFailed},
		{"bytes=-0", 100, UnlimitedRanges, nil, RangeFailed},
		{"bytes=0-", 0, UnlimitedRanges, nil, RangeNone},
		{"bytes=-5", 0, UnlimitedRanges, nil, RangeNone},
		{"bytes=0-1,2-3", 100, 1, nil, RangeNone},
		{"bytes=0-1,2-3", 100, 2, []Range{{0, 2}, {2, 4}}, RangeOK},
		{"bytes=0-1", 100, 0, nil, RangeNone},
		{"bytes=0-99,0-99", 100, 5, nil, RangeNone},
		{"bytes=0-49,50-99", 100, 5, []Range{{0, 50}, {50, 100}}, RangeOK},
		{"bytes=" + strings.Repeat("0-0,", 20) + "1-1", 100, UnlimitedRanges, nil, RangeNone},
		{"bytes=" + strings.Repeat("0-0,", 20) + "1-1", 1000, 100, append(repeat(Range{0, 1}, 20), Range{1, 2}), RangeOK},
		{"bytes=x-1", 100, UnlimitedRanges, nil, RangeFailed},
		{"bytes=1-x", 100, UnlimitedRanges, nil, RangeFailed},
		{"bytes=1x-2", 100, UnlimitedRanges, nil, RangeFailed},
		{"bytes=1-2x", 100, UnlimitedRanges, nil, RangeFailed},
		{"bytes=1-2,", 100, UnlimitedRanges, nil, RangeFailed},
		{"bytes=1-2;3-4", 100, UnlimitedRanges, nil, RangeFailed},
		{"bytes=-", 100, UnlimitedRanges, nil, RangeFailed},
		{"bytes=--1", 100, UnlimitedRanges, nil, RangeFailed},
		{"bytes=9223372036854775808-", 100, UnlimitedRanges, nil, RangeFailed},
		{"bytes=0-9223372036854775807", 100, UnlimitedRanges, []Range{{0, 100}}, RangeOK},
		{"bytes=0-9223372036854775808", 100, UnlimitedRanges, nil, RangeFailed},
		{"bytes=-9223372036854775807", math.MaxInt64, UnlimitedRanges, []Range{{0, math.MaxInt64}}, RangeOK},
		{"bytes=0-,0-", math.MaxInt64, UnlimitedRanges, nil, RangeFailed},
		{"bytes=", 100, UnlimitedRanges, nil, RangeNone},
		{"items=0-1", 100, UnlimitedRanges, nil, RangeNone},
		{"", 100, UnlimitedRanges, nil, RangeNone},
	} {
		had := Range{7, 8}
		got, result := ParseRange([]Range{had}, []byte(c.value), c.length, c.most)
		if result != c.result || len(got) != len(c.want)+1 || got[0] != had || len(c.want) > 0 && !reflect.DeepEqual(got[1:], c.want) {
			t.Errorf("%q of %d, at most %d: %v %d", c.value, c.length, c.most, got, result)
		}
	}
}

func repeat(r Range, n int) (list []Range) {
	for range n {
		list = append(list, r)
	}
	return list
}

func TestIfRange(t *testing.T) {
	const date, unix = "Sun, 06 Nov 1994 08:49:37 GMT", 784111777
	for _, c := range []struct {
		value, etag string
		modified    int64
		want        bool
	}{
		{`"a"`, `"a"`, -1, true}, {`"a"`, `"b"`, -1, false}, {`W/"a"`, `W/"a"`, -1, true}, {`"a"`, "", unix, false},
		{date, `"a"`, unix, true}, {date, "", unix + 1, false}, {date, "", -1, false}, {"nonsense", "", unix, false},
	} {
		if got := IfRange([]byte(c.value), []byte(c.etag), c.modified); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

func TestTimes(t *testing.T) {
	for _, unix := range []int64{0, 1, 68169599, 68169600, 784111777, 951782400, 951868799, 1709164800, 2147483648,
		4102444800, 4107542400, 7258118400, lastSecond} {
		at := time.Unix(unix, 0).UTC()
		want := at.Format("Mon, 02 Jan 2006 15:04:05 GMT")
		if got := string(AppendTime(nil, unix)); got != want {
			t.Errorf("%d: %q, want %q", unix, got, want)
		}
		forms := []string{want, at.Format(time.ANSIC)}
		if y := at.Year(); y >= 1970 && y < 2070 {
			forms = append(forms, at.Format("Monday, 02-Jan-06 15:04:05 GMT"))
		}
		for _, form := range forms {
			if got, ok := ParseTime([]byte(form)); !ok || got != unix {
				t.Errorf("%q: %d %v, want %d", form, got, ok, unix)
			}
		}
	}
	for day := int64(0); day < 366*140; day++ { // every day of 140 years there and back
		text := AppendTime(nil, day*86400+43200)
		if got, ok := ParseTime(text); !ok || got != day*86400+43200 {
			t.Fatalf("%q: %d %v", text, got, ok)
		}
		if want := time.Unix(day*86400, 0).UTC().Format("Mon, 02 Jan 2006"); string(text[:16]) != want {
			t.Fatalf("day %d: %q, want %q", day, text[:16], want)
		}
	}
	if got := string(AppendTime(nil, -5)); got != "Thu, 01 Jan 1970 00:00:00 GMT" {
		t.Errorf("before the epoch: %q", got)
	}
	if len(AppendTime(nil, math.MaxInt64)) != TimeLen {
		t.Error("the far future does not fit")
	}
}

func TestParseTimeLenient(t *testing.T) {
	for text, want := range map[string]int64{
		"x, 06 Nov 1994 08:49:37":                    784111777,
		",06 Nov 1994 08:49:37 anything":             784111777,
		"Sun Nov 6 08:49:37 1994":                    784111777,
		"Sun, 06 Nxx 1994 08:49:37 GMT":              784111777,
		"Thu, 29 Feb 2024 00:00:00 GMT":              1709164800,
		"Thu, 29 Feb 2023 00:00:00 GMT":              -1,
		"Thu, 29 Feb 2100 00:00:00 GMT":              -1,
		"Thu, 31 Apr 2024 00:00:00 GMT":              -1,
		"Thu, 01 Apr 2024 24:00:00 GMT":              -1,
		"Thu, 01 Apr 2024 00:60:00 GMT":              -1,
		"Thu, 01 Apr 2024 00:00:60 GMT":              -1,
		"Thu, 1 Apr 2024 00:00:00 GMT":               -1,
		"Thu, 01 Xpr 2024 00:00:00 GMT":              -1,
		"Thu, 01 Apr 24 00:00:00 GMT":                -1,
		"Thu, 01 Apr 2024":                           -1,
		"Thursday, 01-Apr 24 00:00:00 GMT":           -1,
		"":                                           -1,
		"0":                                          -1,
		"Sun Nov  6 08:49:37 19x4":                   -1,
		"Sun Nov  6 08:49:37":                        -1,
		"no separator at all............":            -1,
		"Sun, 06 Nov 1994 08:49:3":                   -1,
		"Sun Nov xx 08:49:37 1994":                   -1,
		"Sun, 06 Nov 1994 08.49.37 GMT":              -1,
		"Sunday, 06-Nov-94 08:49:37 GMT and so on":   784111777,
		"Sunday,                 06-Nov-94 08:49:37": 784111777,
	} {
		got, ok := ParseTime([]byte(text))
		if ok != (want >= 0) || ok && got != want {
			t.Errorf("%q: %d %v", text, got, ok)
		}
	}
}

func TestAcceptsGzip(t *testing.T) {
	for value, want := range map[string]bool{
		"gzip": true, "GZIP": true, "deflate, gzip": true, "deflate,gzip;q=1": true, "gzip, br": true, "gzip ,br": true,
		"gzip;q=0.5": true, "gzip; q=0.001": true, "gzip;q=1.000": true, "gzip;q=0": false, "gzip;q=0.000": false, "gzip;q=1.001": false,
		"gzip;q=0.0001": false, "gzip;q=2": false, "gzip;q=": false, "gzip;q": false, "gzip;x=1": false, "gzip;": true, "gzip;q=0,br": false,
		"gzip;q=0.5,br": true, "gzip;q=0x": false, "gzip;q=0.x": false, "x-gzip": false, "x-gzip, gzip": true, "gzipx": false, "": false,
		"*": false, "br": false, "gzip;Q=1 ": true,
	} {
		if got := AcceptsGzip([]byte(value)); got != want {
			t.Errorf("%q: %v", value, got)
		}
	}
	if !AcceptsCoding([]byte("gzip, br;q=0.9"), "br") || AcceptsCoding([]byte("gzip"), "br") {
		t.Error("br")
	}
}

func TestMatchETag(t *testing.T) {
	for _, c := range []struct {
		list, etag   string
		strong, weak bool
	}{
		{"*", "", true, true}, {"*", `"a"`, true, true}, {`"a"`, "", false, false}, {`"a"`, `"a"`, true, true},
		{`"b", "a"`, `"a"`, true, true}, {"\"b\"\t,\t\"a\"\t", `"a"`, true, true}, {`"ab"`, `"a"`, false, false},
		{`W/"a"`, `"a"`, false, true}, {`"a"`, `W/"a"`, false, true}, {`W/"a"`, `W/"a"`, true, true},
		{`"x", W/"a"`, `W/"a"`, true, true}, {`"a"x, "a"`, `"a"`, true, true}, {`"a"x`, `"a"`, false, false}, {"", `"a"`, false, false},
		{`,, "a"`, `"a"`, true, true},
	} {
		if got := MatchETag([]byte(c.list), []byte(c.etag), false); got != c.strong {
			t.Errorf("strong, %q in %q: %v", c.etag, c.list, got)
		}
		if got := MatchETag([]byte(c.list), []byte(c.etag), true); got != c.weak {
			t.Errorf("weak, %q in %q: %v", c.etag, c.list, got)
		}
	}
}

func TestValuesAllocateNothing(t *testing.T) {
	buf := make([]byte, 0, 100)
	ranges := make([]Range, 0, 4)
	values := map[string][]byte{}
	for _, text := range []string{"a=1&b=2", "bytes=0-1,5-6", "Sun, 06 Nov 1994 08:49:37 GMT", "deflate, gzip;q=0.5", `"b", W/"a"`} {
		values[text] = []byte(text)
	}
	args, spec, date := values["a=1&b=2"], values["bytes=0-1,5-6"], values["Sun, 06 Nov 1994 08:49:37 GMT"]
	coding, etags, name := values["deflate, gzip;q=0.5"], values[`"b", W/"a"`], []byte("b")
	if n := testing.AllocsPerRun(100, func() {
		Arg(args, name)
		ListValue(args, "b", '&')
		ParseRange(ranges, spec, 100, 4)
		ParseTime(date)
		AppendTime(buf, 1)
		AcceptsGzip(coding)
		MatchETag(etags, name, true)
		AppendStatusLine(buf, Version11, 200, "")
		AppendHeader(buf, "Content-Type", coding)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzValues(f *testing.F) {
	f.Add([]byte("bytes=0-1, -5"), int64(100))
	f.Add([]byte("Sun, 06 Nov 1994 08:49:37 GMT"), int64(0))
	f.Add([]byte("Sun Nov  6 08:49:37 1994"), int64(0))
	f.Add([]byte("gzip;q=0.5, a=b; c=d&e=f"), int64(5))
	f.Fuzz(func(t *testing.T, b []byte, n int64) {
		if n < 0 {
			return
		}
		ranges, result := ParseRange(nil, b, n, 5)
		if (result == RangeOK) != (len(ranges) > 0) || len(ranges) > 5 {
			t.Fatalf("%q: %v %d", b, ranges, result)
		}
		for _, r := range ranges {
			if r.Start < 0 || r.Start >= r.End || r.End > n {
				t.Fatalf("%q of %d: %v", b, n, ranges)
			}
		}
		if unix, ok := ParseTime(b); ok && unix >= 0 && unix <= lastSecond {
			if again, ok := ParseTime(AppendTime(nil, unix)); !ok || again != unix {
				t.Fatalf("%q: %d, again %d", b, unix, again)
			}
		}
		AcceptsGzip(b)
		Arg(b, "a")
		ListValue(b, "a", ';')
		MatchETag(b, fmt.Appendf(nil, "%q", b), true)
		ValidateHost(nil, b)
		AppendUnescape(nil, b, UnescapeRedirect)
		ParseUnsafeURI(nil, b)
	})
}
