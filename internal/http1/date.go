package http1

import "moongate/internal/base/ascii"

var (
	weekdays = [...]string{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"}
	months   = [...]string{"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"}
	monthEnd = [...]int64{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}
)

// TimeLen is the length of the form AppendTime writes.
const TimeLen = len("Sun, 06 Nov 1994 08:49:37 GMT")

// AppendTime appends Unix seconds as an HTTP date (RFC 9110 5.6.7).
func AppendTime(dst []byte, unix int64) []byte {
	t := civil(unix)
	dst = append(dst, weekdays[t.weekday]...)
	dst = append(dst, ',', ' ')
	dst = ascii.AppendPadded(dst, uint64(t.day), 2)
	dst = append(dst, ' ')
	dst = append(dst, months[t.month]...)
	dst = append(dst, ' ')
	dst = ascii.AppendPadded(dst, uint64(t.year), 4)
	return t.appendClock(append(dst, ' '))
}

type civilTime struct{ year, month, day, weekday, hour, minute, second int64 }

func (t *civilTime) appendClock(dst []byte) []byte {
	dst = ascii.AppendPadded(dst, uint64(t.hour), 2)
	dst = append(dst, ':')
	dst = ascii.AppendPadded(dst, uint64(t.minute), 2)
	dst = append(dst, ':')
	dst = ascii.AppendPadded(dst, uint64(t.second), 2)
	return append(dst, " GMT"...)
}

// Days of a cycle of the Gregorian calendar, and from 1 March of year 0 to 1970.
const (
	cycleDays = 146097
	epochDays = 719468
)

// lastSecond is the end of the year 9999, beyond which the form has no room.
const lastSecond = 253402300799

// civil splits Unix seconds, kept within the years 1970 to 9999. Years are
// counted from March, so that the leap day is the last of the year.
func civil(unix int64) civilTime {
	unix = max(0, min(unix, lastSecond))
	days, second := unix/86400, unix%86400
	t := civilTime{weekday: (days + 4) % 7, hour: second / 3600, minute: second / 60 % 60, second: second % 60}
	days += epochDays
	cycle, day := days/cycleDays, days%cycleDays
	year := (day - day/1460 + day/36524 - day/146096) / 365
	day -= 365*year + year/4 - year/100
	month := (5*day + 2) / 153
	t.day = day - (153*month+2)/5 + 1
	t.month = (month + 2) % 12
	t.year = cycle*400 + year
	if t.month < 2 {
		t.year++
	}
	return t
}

// daysTo is the inverse: days from the epoch to a date, month counted from 0.
func daysTo(year, month, day int64) int64 {
	if month < 2 {
		year--
	}
	cycle := year / 400
	year %= 400
	month = (month + 10) % 12
	return cycle*cycleDays + year*365 + year/4 - year/100 + (153*month+2)/5 + day - 1 - epochDays
}

// ParseTime reads an HTTP date in any of its three forms, with the leniency of nginx's
// ngx_parse_http_time: the weekday is not looked at, a month by as many letters
// as tell it apart, nothing after the seconds (or the year of the asctime form).
func ParseTime(b []byte) (unix int64, ok bool) {
	p := timeReader{rest: b, ok: true}
	asctime := p.weekday()
	if len(p.rest) < 18 {
		return 0, false
	}
	var day, month, year int64
	if asctime {
		month = p.month()
		p.want(' ')
		if p.peek() == ' ' {
			p.want(' ')
		}
		day = p.digits(1)
		if p.peek() != ' ' {
			day = day*10 + p.digits(1)
		}
	} else {
		day = p.digits(2)
		sep := p.peek()
		if sep != ' ' && sep != '-' || sep == ' ' && len(p.rest) < 18 {
			return 0, false
		}
		p.want(sep)
		month = p.month()
		p.want(sep)
		if sep == ' ' {
			year = p.digits(4)
		} else if year = p.digits(2); year < 70 {
			year += 2000
		} else {
			year += 1900
		}
	}
	p.want(' ')
	hour := p.digits(2)
	p.want(':')
	minute := p.digits(2)
	p.want(':')
	second := p.digits(2)
	if asctime {
		p.want(' ')
		year = p.digits(4)
	}
	if !p.ok || hour > 23 || minute > 59 || second > 59 || !validDay(year, month, day) {
		return 0, false
	}
	return daysTo(year, month, day)*86400 + hour*3600 + minute*60 + second, true
}

func validDay(year, month, day int64) bool {
	if day == 29 && month == 1 {
		return year%4 == 0 && (year%100 != 0 || year%400 == 0)
	}
	return day <= monthEnd[month]
}

// timeReader reads the parts of a date; after a failure everything reads as 0.
type timeReader struct {
	rest []byte
	ok   bool
}

// weekday passes over "Sun, ", "Sunday, " or "Sun " and reports whether it was
// the last, the asctime form.
func (p *timeReader) weekday() (asctime bool) {
	i := 0
	for i < len(p.rest) && p.rest[i] != ',' && p.rest[i] != ' ' {
		i++
	}
	if i == len(p.rest) {
		p.rest = nil
		return false
	}
	asctime = p.rest[i] == ' '
	p.rest = skipSpaces(p.rest[i+1:])
	return asctime
}

func (p *timeReader) peek() byte {
	if len(p.rest) == 0 {
		return 0
	}
	return p.rest[0]
}

func (p *timeReader) want(c byte) {
	if p.peek() != c || len(p.rest) == 0 {
		p.ok = false
		return
	}
	p.rest = p.rest[1:]
}

func (p *timeReader) digits(n int) (v int64) {
	if len(p.rest) < n {
		p.ok = false
		return 0
	}
	for _, c := range p.rest[:n] {
		if !ascii.IsDigit(c) {
			p.ok = false
			return 0
		}
		v = v*10 + int64(c-'0')
	}
	p.rest = p.rest[n:]
	return v
}

func (p *timeReader) month() int64 {
	if len(p.rest) < 3 {
		p.ok = false
		return 0
	}
	a, b, c := p.rest[0], p.rest[1], p.rest[2]
	p.rest = p.rest[3:]
	pick := func(first bool, yes, no int64) int64 {
		if first {
			return yes
		}
		return no
	}
	switch a {
	case 'J':
		return pick(b == 'a', 0, pick(c == 'n', 5, 6))
	case 'F':
		return 1
	case 'M':
		return pick(c == 'r', 2, 4)
	case 'A':
		return pick(b == 'p', 3, 7)
	case 'S':
		return 8
	case 'O':
		return 9
	case 'N':
		return 10
	case 'D':
		return 11
	}
	p.ok = false
	return 0
}
