package luahost

import (
	"crypto/md5"
	"encoding/hex"
	"strings"

	"moongate/internal/base/nlog"
	"moongate/internal/lua"
)

// Lines of the debug log that OpenResty's users know. Nothing here runs unless debug lines are written.

// codeRefs numbers the code that was loaded, as OpenResty's cache of code does.
type codeRefs struct {
	refs map[string]int
	seen map[*lua.Code]bool
}

// logger is what lines are about.
type logger interface {
	Logf(level nlog.Level, format string, args ...any)
}

// logLoad tells what the cache of code does with a piece of code that is about to run.
func (w *Worker) logLoad(code *lua.Code, on logger) {
	if w.code.refs == nil {
		w.code = codeRefs{refs: map[string]int{}, seen: map[*lua.Code]bool{}}
	}
	key, ref := codeKey(code, w.H.Config.Prefix), -1
	known, seen := w.code.refs[key], w.code.seen[code]
	if seen {
		ref = known
	}
	on.Logf(nlog.Debug, "code cache lookup (key='%s', ref=%d)", key, ref)
	switch {
	case known == 0:
		on.Logf(nlog.Debug, "code cache miss (key='%s', ref=%d)", key, ref)
		w.code.refs[key] = len(w.code.refs) + 1
	default:
		if !seen {
			on.Logf(nlog.Debug, "code cache setting ref (key='%s', ref=%d)", key, known)
		}
		on.Logf(nlog.Debug, "code cache hit (key='%s', ref=%d)", key, known)
	}
	w.code.seen[code] = true
}

// codeKey is OpenResty's: of a file its name as configured, of other code the directive and the code itself.
func codeKey(code *lua.Code, prefix string) string {
	if file := code.File(); file != "" {
		sum := md5.Sum([]byte(strings.TrimPrefix(file, prefix)))
		return "nhlf_" + hex.EncodeToString(sum[:])
	}
	tag, _, _ := strings.Cut(strings.TrimPrefix(code.Name(), "="), "(")
	sum := md5.Sum(code.Source())
	return tag + "_nhli_" + hex.EncodeToString(sum[:])
}

func (x *Ctx) logReuse() {
	if n, _ := x.W.VM.IdleThreads(); n > 0 {
		x.Logf(nlog.Debug, "lua reusing cached lua thread")
	}
}

func (x *Ctx) logKept() {
	if n, _ := x.W.VM.IdleThreads(); n > 0 {
		x.Logf(nlog.Debug, "lua caching unused lua thread")
	}
}
