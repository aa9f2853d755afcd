// Package units reads the sizes, offsets, times and numbers of the configuration
// language: "4k", "10m", "1g", "1h30m", "500ms".
//
// Every function accepts exactly what nginx accepts: digits and suffixes only, no
// sign, no fraction, no surrounding blanks, and reports failure as ok == false,
// because the words of the error belong to the directive that met it.
package units

import (
	"math"
	"time"
)

// Number parses an unsigned decimal number.
func Number(s string) (n int64, ok bool) {
	if s == "" {
		return 0, false
	}
	for i := 0; i < len(s); i++ {
		d := int64(s[i]) - '0'
		if d < 0 || d > 9 || n > (math.MaxInt64-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	return n, true
}

// Fixed parses a decimal number with at most point digits after its dot and returns
// it scaled by 10^point: Fixed("10.5", 2) is 1050.
func Fixed(s string, point int) (n int64, ok bool) {
	if s == "" {
		return 0, false
	}
	dot := false
	for i := 0; i < len(s); i++ {
		if point == 0 {
			return 0, false // nginx refuses anything after the last digit it has room for
		}
		if s[i] == '.' {
			if dot {
				return 0, false
			}
			dot = true
			continue
		}
		d := int64(s[i]) - '0'
		if d < 0 || d > 9 || n > (math.MaxInt64-d)/10 {
			return 0, false
		}
		n = n*10 + d
		if dot {
			point--
		}
	}
	for ; point > 0; point-- {
		if n > math.MaxInt64/10 {
			return 0, false
		}
		n *= 10
	}
	return n, true
}

// Size parses a number of bytes with an optional suffix k or m, in either case.
func Size(s string) (int64, bool) {
	return scaled(s, false)
}

// Offset is Size that also knows g: nginx grants gigabytes to positions in files and
// lengths of bodies, not to sizes of memory.
func Offset(s string) (int64, bool) {
	return scaled(s, true)
}

func scaled(s string, giga bool) (int64, bool) {
	if s == "" {
		return 0, false
	}
	shift := uint(0)
	switch s[len(s)-1] {
	case 'k', 'K':
		shift = 10
	case 'm', 'M':
		shift = 20
	case 'g', 'G':
		if giga {
			shift = 30
		}
	}
	if shift != 0 {
		s = s[:len(s)-1]
	}
	n, ok := Number(s)
	if !ok || n > math.MaxInt64>>shift {
		return 0, false
	}
	return n << shift, true
}

// Msec parses a time with millisecond resolution; a bare number counts seconds.
// Values beyond what a Duration holds (292 years) become the longest whole number of
// milliseconds it does hold.
func Msec(s string) (time.Duration, bool) {
	n, ok := Time(s, false)
	return saturate(n, time.Millisecond), ok
}

// Sec parses a time with second resolution, saturating as Msec does. It knows years
// and months but, as nginx, refuses "ms".
func Sec(s string) (time.Duration, bool) {
	n, ok := Time(s, true)
	return saturate(n, time.Second), ok
}

func saturate(n int64, unit time.Duration) time.Duration {
	if most := math.MaxInt64 / int64(unit); n > most {
		n = most
	}
	return time.Duration(n) * unit
}

// suffix is one unit of time. Units of a value must come in descending order, each at
// most once; rank says where a unit stands in that order.
type suffix struct {
	rank  int
	scale int64 // seconds, except for rankMsec
}

const (
	rankStart = iota
	rankYear
	rankMonth
	rankWeek
	rankDay
	rankHour
	rankMin
	rankSec
	rankMsec
	rankLast
)

func suffixOf(c byte) (suffix, bool) {
	switch c {
	case 'y':
		return suffix{rankYear, 365 * 86400}, true
	case 'M':
		return suffix{rankMonth, 30 * 86400}, true
	case 'w':
		return suffix{rankWeek, 7 * 86400}, true
	case 'd':
		return suffix{rankDay, 86400}, true
	case 'h':
		return suffix{rankHour, 3600}, true
	case 'm':
		return suffix{rankMin, 60}, true
	case 's':
		return suffix{rankSec, 1}, true
	case ' ':
		// A blank ends the seconds of a quoted value such as "1h 30".
		return suffix{rankLast, 1}, true
	}
	return suffix{}, false
}

// Time parses a combination of units, in seconds (sec) or milliseconds, without
// rounding. Years and months exist only in whole seconds.
func Time(s string, sec bool) (total int64, ok bool) {
	var (
		value int64
		valid bool
		rank  = rankMonth
		unit  = int64(1000)
	)
	if sec {
		rank, unit = rankStart, 1
	}
	for i := 0; i < len(s); {
		if d := int64(s[i]) - '0'; d >= 0 && d <= 9 {
			if value > (math.MaxInt64-d)/10 {
				return 0, false
			}
			value = value*10 + d
			valid = true
			i++
			continue
		}
		u, known := suffixOf(s[i])
		i++
		if !known {
			return 0, false
		}
		scale := u.scale * unit
		limit := u.rank // the value may not have got as far as this rank
		switch {
		case u.rank == rankMin && i < len(s) && s[i] == 's':
			if sec {
				return 0, false
			}
			i++
			u.rank, limit, scale = rankMsec, rankMsec, 1
		case u.rank == rankLast:
			limit = rankSec
		}
		if rank >= limit || value > math.MaxInt64/scale || total > math.MaxInt64-value*scale {
			return 0, false
		}
		rank = u.rank
		total += value * scale
		value = 0
		for i < len(s) && s[i] == ' ' {
			i++
		}
	}
	if !valid || value > math.MaxInt64/unit || total > math.MaxInt64-value*unit {
		return 0, false
	}
	return total + value*unit, true
}
