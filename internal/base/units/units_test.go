package units

import (
	"math"
	"testing"
	"time"
)

func TestSizeAndOffset(t *testing.T) {
	const bad = -1
	tests := []struct {
		in           string
		size, offset int64
	}{
		{"", bad, bad},
		{"0", 0, 0},
		{"1", 1, 1},
		{"4k", 4096, 4096},
		{"4K", 4096, 4096},
		{"10m", 10 << 20, 10 << 20},
		{"10M", 10 << 20, 10 << 20},
		{"1g", bad, 1 << 30},
		{"2G", bad, 2 << 30},
		{"k", bad, bad},
		{"-1", bad, bad},
		{"+1", bad, bad},
		{" 1", bad, bad},
		{"1.5k", bad, bad},
		{"1kb", bad, bad},
		{"9223372036854775807", math.MaxInt64, math.MaxInt64},
		{"9223372036854775808", bad, bad},
		{"9007199254740991k", 9007199254740991 << 10, 9007199254740991 << 10},
		{"9007199254740992k", bad, bad},
		{"8589934592g", bad, bad},
	}
	check := func(name, in string, n int64, ok bool, want int64) {
		if ok != (want != bad) || ok && n != want {
			t.Errorf("%s(%q) = %d, %v, want %d", name, in, n, ok, want)
		}
	}
	for _, tt := range tests {
		n, ok := Size(tt.in)
		check("Size", tt.in, n, ok, tt.size)
		n, ok = Offset(tt.in)
		check("Offset", tt.in, n, ok, tt.offset)
	}
}

func TestTime(t *testing.T) {
	const bad = -1
	const day = 86400
	tests := []struct {
		in        string
		sec, msec int64
	}{
		{"", bad, bad},
		{"0", 0, 0},
		{"60", 60, 60000},
		{"30s", 30, 30000},
		{"500ms", bad, 500},
		{"1s500ms", bad, 1500},
		{"1m", 60, 60000},
		{"1h30m", 5400, 5400000},
		{"1h 30m", 5400, 5400000},
		{"1h 30m 10", 5410, 5410000},
		{"1d", day, day * 1000},
		{"1w2d", 9 * day, 9 * day * 1000},
		{"1M", 30 * day, bad},
		{"1y", 365 * day, bad},
		{"1y2M3w4d5h6m7s", 365*day + 60*day + 21*day + 4*day + 5*3600 + 6*60 + 7, bad},
		{"1m1h", bad, bad},
		{"1m1m", bad, bad},
		{"1s1s", bad, bad},
		{"1s 1", 2, 2000},
		{"1 2", 3, 3000},
		{"1 2 3", bad, bad},
		{"1 s", bad, bad},
		{"h", bad, bad},
		{"h5", 5, 5000},
		{"-1", bad, bad},
		{"1x", bad, bad},
		{"1H", bad, bad},
		{"9223372036854775807", math.MaxInt64, bad},
		{"9223372036854775808", bad, bad},
		{"9223372036854775807m", bad, bad},
		{"9223372036854775s", 9223372036854775, 9223372036854775000},
	}
	for _, tt := range tests {
		for _, sec := range []bool{true, false} {
			want := tt.msec
			if sec {
				want = tt.sec
			}
			n, ok := Time(tt.in, sec)
			if ok != (want != bad) || ok && n != want {
				t.Errorf("Time(%q, %v) = %d, %v, want %d", tt.in, sec, n, ok, want)
			}
		}
	}
}

func TestDurations(t *testing.T) {
	if d, ok := Msec("1s5ms"); !ok || d != 1005*time.Millisecond {
		t.Errorf("Msec = %v, %v", d, ok)
	}
	if d, ok := Sec("2m"); !ok || d != 2*time.Minute {
		t.Errorf("Sec = %v, %v", d, ok)
	}
	if d, ok := Sec("1000y"); !ok || d <= 292*365*24*time.Hour || d%time.Second != 0 {
		t.Errorf("Sec(1000y) = %v, %v, want it saturated", d, ok)
	}
	if _, ok := Sec("5ms"); ok {
		t.Error("Sec accepts milliseconds")
	}
}

func TestFixed(t *testing.T) {
	tests := []struct {
		in    string
		point int
		want  int64
		ok    bool
	}{
		{"10.5", 2, 1050, true},
		{"10", 2, 1000, true},
		{"0.25", 2, 25, true},
		{"10.555", 2, 0, false},
		{"1.2.3", 3, 0, false},
		{"", 2, 0, false},
		{"a", 2, 0, false},
		{".5", 2, 50, true},
		{"9223372036854775807", 1, 0, false},
	}
	for _, tt := range tests {
		if n, ok := Fixed(tt.in, tt.point); n != tt.want && ok || ok != tt.ok {
			t.Errorf("Fixed(%q, %d) = %d, %v, want %d, %v", tt.in, tt.point, n, ok, tt.want, tt.ok)
		}
	}
}

func FuzzTime(f *testing.F) {
	for _, s := range []string{"1y2M", "500ms", "1 2", "9223372036854775807w"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, sec := range []bool{true, false} {
			if n, ok := Time(s, sec); ok && n < 0 {
				t.Fatalf("Time(%q, %v) = %d", s, sec, n)
			}
		}
		if d, ok := Msec(s); ok && d < 0 {
			t.Fatalf("Msec(%q) = %v", s, d)
		}
	})
}
