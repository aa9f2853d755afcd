package nlog

import (
	"sync/atomic"
	"time"
)

// stamp is the text of one second.
type stamp struct {
	sec  int64
	text [19]byte
}

var lastStamp atomic.Pointer[stamp]

// appendTime appends "2026/01/31 12:00:00" in local time.
func appendTime(b []byte) []byte {
	now := time.Now()
	s := lastStamp.Load()
	if s == nil || s.sec != now.Unix() {
		s = &stamp{sec: now.Unix()}
		now.AppendFormat(s.text[:0], "2006/01/02 15:04:05")
		lastStamp.Store(s)
	}
	return append(b, s.text[:]...)
}
