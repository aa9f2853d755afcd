package setvar

import (
	"time"

	"moongate/internal/base/strftime"
	"moongate/internal/engine"
)

func localToday(r *engine.Request, _ [][]byte) ([]byte, engine.Status) {
	return now(r).AppendFormat(alloc(r, 16)[:0], time.DateOnly), engine.OK
}

func gmtTime(r *engine.Request, args [][]byte) ([]byte, engine.Status) {
	return strftime.Append(nil, args[0], now(r).UTC(), "GMT"), engine.OK
}

func localTime(r *engine.Request, args [][]byte) ([]byte, engine.Status) {
	t := now(r)
	zone, _ := t.Zone()
	return strftime.Append(nil, args[0], t, zone), engine.OK
}
