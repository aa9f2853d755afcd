package conf

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"syscall"
)

// Error is a failure to load, in nginx's words. Whoever started the load prints it
// once, as "[Level] Error()".
type Error struct {
	Level       string // "emerg" but for a few read errors
	Msg         string
	File        string // "" where nginx names no place
	Line        int
	CommandLine bool // met in the text of -g

	advice string
}

// Error is the message with its place: `unknown directive "x" in /etc/nginx.conf:3`.
func (e *Error) Error() string {
	switch {
	case e.CommandLine:
		return e.Msg + " in command line"
	case e.File != "":
		return e.Msg + " in " + e.File + ":" + strconv.Itoa(e.Line)
	}
	return e.Msg
}

// place is a position to report at.
type place struct {
	file  string
	line  int
	param bool
}

func (at place) errorf(format string, a ...any) *Error {
	return &Error{Level: "emerg", Msg: fmt.Sprintf(format, a...), File: at.file, Line: at.line, CommandLine: at.param}
}

// wrap gives err a place unless it has one.
func (at place) wrap(err error) error {
	var placed *Error
	if err == nil || errors.As(err, &placed) {
		return err
	}
	return at.errorf("%s", err.Error())
}

// here is where the parser stands; nowhere once everything is read.
func (p *parser) here() place {
	if p == nil || p.lex == nil {
		return place{}
	}
	return place{p.lex.name, p.lex.line, p.lex.param}
}

// SysError is the text of a failed system call as nginx ends its messages with:
// "(2: No such file or directory)". Errors without a number come as they are.
func SysError(err error) string {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		err = pathErr.Err
	}
	var no syscall.Errno
	if !errors.As(err, &no) {
		return "(" + err.Error() + ")"
	}
	text := []byte(no.Error())
	if len(text) > 0 && 'a' <= text[0] && text[0] <= 'z' {
		text[0] -= 'a' - 'A' // Go lowers the first letter of the C library's text
	}
	return "(" + strconv.Itoa(int(no)) + ": " + string(text) + ")"
}
