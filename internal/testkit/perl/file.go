package perl

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
)

// File is an open file handle.
type File struct {
	f *os.File
	r *bufio.Reader
	w io.Writer
}

func formOpen(f *frame, e *call, _ bool) []Value {
	if len(e.args) < 2 {
		f.in.die("Perl construct not supported here: open with %d arguments", len(e.args))
	}
	mode := strings.TrimSpace(String(f.scalar(e.args[1])))
	var name Value
	if len(e.args) > 2 {
		name = f.scalar(e.args[2])
	} else {
		path := strings.TrimLeft(mode, "<>+ ")
		name, mode = path, strings.TrimSpace(strings.TrimSuffix(mode, path))
	}
	fh, err := f.open(mode, name)
	if err != nil {
		f.in.SetGlobal("!", errorText(err))
		return one(0)
	}
	f.store(e.args[0], fh)
	return one(1)
}

func (f *frame) open(mode string, name Value) (*File, error) {
	if s, ok := name.(*Scalar); ok { // reading from a string
		return &File{r: bufio.NewReader(strings.NewReader(String(s.V)))}, nil
	}
	path := f.in.path(String(name))
	switch mode, _, _ := strings.Cut(mode, ":"); strings.TrimSpace(mode) {
	case "", "<":
		file, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		return &File{f: file, r: bufio.NewReader(file)}, nil
	case ">":
		file, err := os.Create(path)
		return &File{f: file, w: file}, err
	case ">>":
		file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o666)
		return &File{f: file, w: file}, err
	}
	f.in.die("Perl construct not supported here: open mode %q", mode)
	return nil, nil
}

// errorText is the reason alone, as $! gives it.
func errorText(err error) string {
	var pe *os.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return upperFirst(err.Error())
}

func formClose(f *frame, e *call, _ bool) []Value {
	if fh, ok := f.argument(e).(*File); ok && fh.f != nil {
		return one(Bool(fh.f.Close() == nil))
	}
	return one("")
}

func formPrint(f *frame, e *call, _ bool) []Value {
	text := ""
	if vals := f.listOf(e.args[1:]); e.name == "printf" {
		text = f.sprintf(vals)
	} else {
		text = joinValues("", vals)
	}
	if len(e.args) == 1 {
		text = String(f.scalar(topic))
	}
	if e.name == "say" {
		text += "\n"
	}
	// The standard output belongs to the report, so what a script prints goes to
	// the standard error.
	var w io.Writer = os.Stderr
	if fh, ok := f.scalar(e.args[0]).(*File); ok {
		if fh.w == nil {
			return one("")
		}
		w = fh.w
	}
	_, err := io.WriteString(w, text)
	return one(Bool(err == nil))
}

func (e *readLine) eval(f *frame, list bool) (vals []Value) {
	fh, ok := f.scalar(e.from).(*File)
	if !ok || fh.r == nil {
		return one(nil)
	}
	if sep, _ := f.in.globals["$/"].(*Scalar); sep == nil || sep.V == nil {
		all, _ := io.ReadAll(fh.r)
		return one(string(all))
	}
	for {
		line, err := fh.r.ReadString('\n')
		if line == "" && err != nil {
			break
		}
		vals = append(vals, line)
		if !list {
			return vals
		}
	}
	if !list {
		return one(nil)
	}
	return vals
}

func (e *backtick) eval(f *frame, list bool) []Value {
	out, err := f.in.Command(String(f.scalar(e.cmd))).Output()
	f.in.exitStatus(err)
	if !list {
		return one(string(out))
	}
	var vals []Value
	for _, l := range strings.SplitAfter(string(out), "\n") {
		if l != "" {
			vals = append(vals, l)
		}
	}
	return vals
}

// exitStatus sets $? from the end of a command and returns it.
func (in *Interp) exitStatus(err error) int {
	status := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		status = exit.ExitCode() << 8
	} else if err != nil {
		status = -1
	}
	in.SetGlobal("?", status)
	return status
}

func (e *fileTest) eval(f *frame, _ bool) []Value {
	st, err := os.Stat(f.in.path(String(f.scalar(e.e))))
	if err != nil {
		return one(nil)
	}
	switch e.op {
	case 'd':
		return one(Bool(st.IsDir()))
	case 'f':
		return one(Bool(st.Mode().IsRegular()))
	case 's':
		if st.Size() == 0 {
			return one("")
		}
		return one(int(st.Size()))
	case 'z':
		return one(Bool(st.Size() == 0))
	case 'x':
		return one(Bool(st.Mode()&0o111 != 0))
	}
	return one(1)
}
