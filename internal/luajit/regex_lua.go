package luajit

/*
#include "regex_log.h"
*/
import "C"

import (
	"runtime/cgo"
)

// RegexStats counts the work of ngx.re in one VM.
type RegexStats struct {
	Hits         uint64 // calls served by a pattern compiled before
	Compiled     uint64 // patterns compiled, failures included
	Evicted      uint64
	CachedMatch  int    // patterns with "o" of match, find, gmatch, split
	CachedSub    int    // patterns with "o" of sub, gsub
	CachedRecent int    // the last patterns used without "o"
	CodeBytes    uint64 // memory of compiled patterns
}

// RegexLog receives a message of ngx.re with its level, nginx's number (4 error, 5 warn, 7 info, 8 debug). It is called
// while Lua runs and must not touch the VM.
type RegexLog func(level int, msg string)

// SetRegexLimits sets lua_regex_cache_max_entries (0 for no cache) and lua_regex_match_limit (0 for PCRE2's own).
func (s *State) SetRegexLimits(cacheMax, matchLimit int) { setRegexLimits(s.l, cacheMax, matchLimit) }

// SetRegexLog sends the messages up to maxLevel to log until stop is called.
func (s *State) SetRegexLog(maxLevel int, log RegexLog) (stop func()) {
	h := setRegexLog(s.l, maxLevel, log)
	return func() {
		if s.l != nil {
			C.mg_re_set_go_log(s.l, 0, 0)
		}
		h.Delete()
	}
}

// RegexStats returns the counters.
func (s *State) RegexStats() RegexStats { return regexStats(s.l) }

// The three functions below serve whoever owns a VM; ngx.re must have been opened in it.

func setRegexLimits(l *C.lua_State, cacheMax, matchLimit int) {
	C.mg_re_set_limits(l, C.int(cacheMax), C.int(matchLimit))
}

// setRegexLog returns a handle which the owner deletes after closing the VM.
func setRegexLog(l *C.lua_State, maxLevel int, log RegexLog) cgo.Handle {
	h := cgo.NewHandle(log)
	C.mg_re_set_go_log(l, C.uintptr_t(h), C.int(maxLevel))
	return h
}

func regexStats(l *C.lua_State) RegexStats {
	var st C.mg_re_stats
	C.mg_re_get_stats(l, &st)
	return RegexStats{
		Hits: uint64(st.hits), Compiled: uint64(st.compiled), Evicted: uint64(st.evicted),
		CachedMatch: int(st.cached_match), CachedSub: int(st.cached_sub), CachedRecent: int(st.cached_recent),
		CodeBytes: uint64(st.code_bytes),
	}
}

//export mgRegexLog
func mgRegexLog(handle C.uintptr_t, level C.int, msg *C.char, n C.size_t) {
	cgo.Handle(handle).Value().(RegexLog)(int(level), C.GoStringN(msg, C.int(n)))
}
