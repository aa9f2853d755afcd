// Package nlog writes the error log.
//
// A Logger is an immutable snapshot of what one configuration scope logs and
// where; it is shared freely between goroutines. A line is one write(2) on a
// descriptor opened with O_APPEND, so lines of several writers never mix, and
// its form is nginx's:
//
//	2026/01/31 12:00:00 [error] 7#7: *3 message (2: No such file or directory), client: ...
//
// Callers ask On first when building the message costs anything; a line below
// the level costs one integer compare. The package knows nothing of requests:
// what they add to their lines comes from a Source.
package nlog

import (
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
)

// Level is a severity; as the level of a target it may be a mask of debug
// classes instead, and those compare greater than every severity.
type Level uint32

// Severities, numbered as nginx and ngx.log do.
const (
	Stderr Level = iota
	Emerg
	Alert
	Crit
	Error
	Warn
	Notice
	Info
	Debug
)

// Debug classes, the bits of a debug mask.
const (
	DebugCore Level = 0x10 << iota
	DebugAlloc
	DebugMutex
	DebugEvent
	DebugHTTP
	DebugMail
	DebugStream

	DebugAll Level = 0x7ffffff0
)

// MaxLine bounds a line with its line feed; what is longer is cut.
const MaxLine = 4096

var levelNames = [...]string{"", "emerg", "alert", "crit", "error", "warn", "notice", "info", "debug"}

var debugNames = [...]string{"debug_core", "debug_alloc", "debug_mutex", "debug_event", "debug_http", "debug_mail", "debug_stream"}

// String returns the name of a severity as it stands between the brackets.
func (l Level) String() string {
	if int(l) < len(levelNames) {
		return levelNames[l]
	}
	return "debug"
}

// Source is the connection or request a line is about.
type Source interface {
	// LogNumber returns the connection's number, 0 for none.
	LogNumber() uint64
	// AppendLog appends ", client: ..., server: ..." and returns dst grown.
	AppendLog(dst []byte) []byte
}

// Logger writes lines to the targets of one scope. The zero of *Logger, nil,
// logs nothing.
type Logger struct {
	level   Level
	targets []Target
}

// Target is one place lines go to.
type Target struct {
	Level Level
	// Exactly one of these is set. File is opened (Files.Open) before the
	// first line is written; Writer gets whole lines with their line feed and
	// must not keep them.
	File   *File
	Writer func(level Level, line []byte)
}

// New returns a logger of targets; the order of equal levels is kept.
func New(targets ...Target) *Logger {
	l := &Logger{}
	for _, t := range targets {
		l.Add(t)
	}
	return l
}

// Add adds a target. Only who makes a logger may, before others write to it:
// a configuration adds targets while it is read.
func (l *Logger) Add(t Target) {
	// Descending levels, so that a line stops at the first target which does
	// not want it.
	i := len(l.targets)
	for i > 0 && t.Level > l.targets[i-1].Level {
		i--
	}
	l.targets = append(l.targets, Target{})
	copy(l.targets[i+1:], l.targets[i:])
	l.targets[i] = t
	l.level = l.targets[0].Level
}

// Targets returns the targets; the caller does not change them.
func (l *Logger) Targets() []Target {
	if l == nil {
		return nil
	}
	return l.targets
}

// On reports whether a line of this severity is written.
func (l *Logger) On(level Level) bool { return l != nil && level <= l.level }

// Debugs reports whether debug lines of a class (DebugHTTP, ...) are written.
func (l *Logger) Debugs(class Level) bool { return l != nil && l.level&class != 0 && l.level > Debug }

// Level returns the greatest severity written; any debug mask is Debug.
func (l *Logger) Level() Level {
	if l == nil {
		return Stderr
	}
	return min(l.level, Debug)
}

// Log writes msg. err, when not nil, is appended as " (2: No such file or
// directory)"; src, when not nil, adds the connection's number and context.
func (l *Logger) Log(level Level, src Source, err error, msg string) {
	if !l.On(level) {
		return
	}
	n := l.Begin(level, src)
	n.B = append(n.B, msg...)
	n.End(err)
}

// Logf writes a formatted message; see Log. It allocates: for places that are
// not hot.
func (l *Logger) Logf(level Level, src Source, err error, format string, args ...any) {
	if !l.On(level) {
		return
	}
	n := l.Begin(level, src)
	n.B = fmt.Appendf(n.B, format, args...)
	n.End(err)
}

// Line is a line being built. The message is appended to B, then End writes
// and forgets it.
type Line struct {
	B     []byte
	log   *Logger
	src   Source
	level Level
	msg   int // where the message begins in B
}

var lines = sync.Pool{New: func() any { return &Line{B: make([]byte, 0, MaxLine)} }}

// ident is the "PID#TID: " of this process.
var ident = func() []byte {
	pid := strconv.Itoa(os.Getpid())
	return []byte("] " + pid + "#" + pid + ": ")
}()

// Begin starts a line. The caller has asked On, and calls End.
func (l *Logger) Begin(level Level, src Source) *Line {
	n := lines.Get().(*Line)
	n.log, n.src, n.level = l, src, level
	b := appendTime(n.B[:0])
	b = append(b, " ["...)
	b = append(b, level.String()...)
	b = append(b, ident...)
	if src != nil {
		if num := src.LogNumber(); num != 0 {
			b = append(b, '*')
			b = strconv.AppendUint(b, num, 10)
			b = append(b, ' ')
		}
	}
	n.msg = len(b)
	n.B = b
	return n
}

// End appends err and the source's context and writes the line.
func (n *Line) End(err error) {
	b := n.B
	if len(b) > MaxLine {
		b = b[:MaxLine]
	}
	if err != nil {
		// Keep room for the error: it is what the line is about.
		if len(b) > MaxLine-50 {
			b = append(b[:MaxLine-50], "..."...)
		}
		b = AppendErr(b, err)
	}
	// nginx leaves the context out of debug lines.
	if n.src != nil && n.level != Debug {
		b = n.src.AppendLog(b)
	}
	if len(b) > MaxLine-1 {
		b = b[:MaxLine-1]
	}
	b = append(b, '\n')
	n.log.write(n.level, b, n.msg)

	if cap(b) > 4*MaxLine {
		b = make([]byte, 0, MaxLine)
	}
	n.B, n.log, n.src = b, nil, nil
	lines.Put(n)
}

func (l *Logger) write(level Level, line []byte, msg int) {
	if c := capture.Load(); c != nil {
		(*c)(level, line, msg)
	}
	tty := false
	for i := range l.targets {
		t := &l.targets[i]
		if t.Level < level {
			break
		}
		if t.Writer != nil {
			t.Writer(level, line)
			continue
		}
		t.File.Write(line)
		tty = tty || t.File.isStderr()
	}
	if level <= Warn && !tty && console.Load() {
		writeConsole(level, line[msg:])
	}
}

// capture sees every line that passes its logger's level.
var capture atomic.Pointer[func(level Level, line []byte, msg int)]

// SetCapture has f called with each line written and the offset of its
// message; nil ends that. f must not keep the line, nor log.
func SetCapture(f func(level Level, line []byte, msg int)) {
	if f == nil {
		capture.Store(nil)
		return
	}
	capture.Store(&f)
}

// console: while the process starts, warnings and worse go to stderr as well.
var console atomic.Bool

// SetConsole switches the copies to stderr, "nginx: [emerg] message", which a
// process makes until it serves.
func SetConsole(on bool) { console.Store(on) }

func writeConsole(level Level, msg []byte) {
	b := make([]byte, 0, len(msg)+20)
	b = append(b, "nginx: ["...)
	b = append(b, level.String()...)
	b = append(b, "] "...)
	b = append(b, msg...)
	os.Stderr.Write(b)
}

// ParseLevel returns the level or debug class a configuration word names; ok
// is false for an unknown one.
func ParseLevel(word string) (l Level, ok bool) {
	for i := Emerg; i <= Debug; i++ {
		if levelNames[i] == word {
			return i, true
		}
	}
	for i, name := range debugNames {
		if name == word {
			return DebugCore << i, true
		}
	}
	return 0, false
}
