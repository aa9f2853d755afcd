package strftime

import (
	"testing"
	"time"
)

func TestAppend(t *testing.T) {
	at := time.Date(2024, 2, 3, 4, 5, 6, 0, time.UTC)
	for _, x := range []struct{ format, want string }{
		{"", ""},
		{"plain", "plain"},
		{"%Y-%m-%d %H:%M:%S", "2024-02-03 04:05:06"},
		{"%a %A %b %B", "Sat Saturday Feb February"},
		{"%e|%-d|%_d|%k|%l|%I %p", " 3|3| 3| 4| 4|04 AM"},
		{"%j %U %W %V %u %w %G %g", "034 04 05 05 6 6 2024 24"},
		{"%c", "Sat Feb  3 04:05:06 2024"},
		{"%D %F %T %R %r", "02/03/24 2024-02-03 04:05:06 04:05 04:05:06 AM"},
		{"%s %C %y %Z %z", "1706933106 20 24 GMT +0000"},
		{"%Ey %Od %%", "24 03 %"},
		{"%Q|%E|%", "%Q|%E|%"},
	} {
		if got := string(Append(nil, []byte(x.format), at, "GMT")); got != x.want {
			t.Errorf("%q: %q, want %q", x.format, got, x.want)
		}
	}
}

func FuzzAppend(f *testing.F) {
	f.Add([]byte("%-_0E%Y"))
	f.Fuzz(func(t *testing.T, format []byte) {
		Append(nil, format, time.Unix(0, 0), "GMT")
	})
}
