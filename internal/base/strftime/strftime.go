// Package strftime writes times in the formats of strftime(3), in the C locale.
package strftime

import (
	"strconv"
	"time"
)

// Append writes a time as strftime does in the C locale, with the zone by its given name. A conversion that is not known stays as it is.
func Append(dst, format []byte, t time.Time, zone string) []byte {
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			dst = append(dst, format[i])
			continue
		}
		start, pad := i, byte(0)
		i++
		for i < len(format) && (format[i] == '-' || format[i] == '_' || format[i] == '0') {
			pad = format[i]
			i++
		}
		if i < len(format)-1 && (format[i] == 'E' || format[i] == 'O') {
			i++ // other forms of the locale: C has none
		}
		if i == len(format) {
			return append(dst, format[start:]...)
		}
		var ok bool
		if dst, ok = appendConversion(dst, format[i], pad, t, zone); !ok {
			dst = append(dst, format[start:i+1]...)
		}
	}
	return dst
}

// layouts are conversions that a layout of Go says, or that consist of others ("%").
var layouts = map[byte]string{
	'a': "Mon", 'A': "Monday", 'b': "Jan", 'h': "Jan", 'B': "January", 'p': "PM", 'P': "pm", 'z': "-0700",
	'c': "%a %b %e %H:%M:%S %Y", 'D': "%m/%d/%y", 'x': "%m/%d/%y", 'F': "%Y-%m-%d", 'r': "%I:%M:%S %p", 'R': "%H:%M",
	'T': "%H:%M:%S", 'X': "%H:%M:%S", 'n': "\n", 't': "\t", '%': "%%",
}

func appendConversion(dst []byte, c, pad byte, t time.Time, zone string) ([]byte, bool) {
	if l, ok := layouts[c]; ok {
		switch {
		case c == '%':
			return append(dst, '%'), true
		case l[0] == '%':
			return Append(dst, []byte(l), t, zone), true
		}
		return t.AppendFormat(dst, l), true
	}
	if c == 'Z' {
		return append(dst, zone...), true
	}
	n, width, fill, ok := numberOf(c, t)
	if !ok {
		return dst, false
	}
	switch pad {
	case '-':
		width = 0
	case '_':
		fill = ' '
	case '0':
		fill = '0'
	}
	digits := strconv.AppendInt(nil, n, 10)
	for range width - len(digits) {
		dst = append(dst, fill)
	}
	return append(dst, digits...), true
}

// numberOf gives the conversions that are numbers, with their width and what it is filled up with.
func numberOf(c byte, t time.Time) (n int64, width int, fill byte, ok bool) {
	num := func(n, width int) (int64, int, byte, bool) { return int64(n), width, '0', true }
	spaced := func(n int) (int64, int, byte, bool) { return int64(n), 2, ' ', true }
	hour := (t.Hour()+11)%12 + 1
	year, week := t.ISOWeek()
	weekday := int(t.Weekday())
	switch c {
	case 'C':
		return num(t.Year()/100, 2)
	case 'd':
		return num(t.Day(), 2)
	case 'e':
		return spaced(t.Day())
	case 'G':
		return num(year, 0)
	case 'g':
		return num(year%100, 2)
	case 'H':
		return num(t.Hour(), 2)
	case 'k':
		return spaced(t.Hour())
	case 'I':
		return num(hour, 2)
	case 'l':
		return spaced(hour)
	case 'j':
		return num(t.YearDay(), 3)
	case 'm':
		return num(int(t.Month()), 2)
	case 'M':
		return num(t.Minute(), 2)
	case 's':
		return t.Unix(), 0, '0', true
	case 'S':
		return num(t.Second(), 2)
	case 'u':
		return num((weekday+6)%7+1, 0)
	case 'U':
		return num((t.YearDay()+6-weekday)/7, 2)
	case 'V':
		return num(week, 2)
	case 'w':
		return num(weekday, 0)
	case 'W':
		return num((t.YearDay()+6-(weekday+6)%7)/7, 2)
	case 'y':
		return num(t.Year()%100, 2)
	case 'Y':
		return num(t.Year(), 0)
	}
	return 0, 0, 0, false
}
