// Package autoindex lists folders: the content step for URIs that end in a slash and have no index file (autoindex).
package autoindex

import (
	"bytes"
	"cmp"
	"os"
	"slices"
	"strings"
	"syscall"

	"moongate/internal/base/ascii"
	"moongate/internal/base/nlog"
	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/http1"
)

// format is autoindex_format.
type format uint8

const (
	formatHTML format = iota
	formatJSON
	formatJSONP
	formatXML
)

type config struct {
	on        conf.Opt[bool]
	format    conf.Opt[format]
	local     conf.Opt[bool]
	exactSize conf.Opt[bool]
}

var loc = conf.NewLevel[config](conf.KindLocation)

var formatType = conf.Enum(conf.Case("html", formatHTML), conf.Case("json", formatJSON), conf.Case("jsonp", formatJSONP), conf.Case("xml", formatXML))

// Module has the directives of listing and the step, which stands between those of index and static.
var Module = engine.Module{
	Module: conf.Module{Name: "autoindex", Directives: []conf.Directive{
		{Name: "autoindex", In: conf.HTTPServerLocation, Default: "off", Set: conf.Slot(loc, conf.Flag, func(c *config) *conf.Opt[bool] { return &c.on }),
			Doc: "Lists a folder that has no index file."},
		{Name: "autoindex_format", In: conf.HTTPServerLocation, Default: "html", Set: conf.Slot(loc, formatType, func(c *config) *conf.Opt[format] { return &c.format }),
			Doc: "The form of the list; jsonp needs the name of a function in the argument callback, else it is json."},
		{Name: "autoindex_localtime", In: conf.HTTPServerLocation, Default: "off", Set: conf.Slot(loc, conf.Flag, func(c *config) *conf.Opt[bool] { return &c.local }),
			Doc: "Shows local times instead of UTC in the html form."},
		{Name: "autoindex_exact_size", In: conf.HTTPServerLocation, Default: "on", Set: conf.Slot(loc, conf.Flag, func(c *config) *conf.Opt[bool] { return &c.exactSize }),
			Doc: "Shows sizes in bytes instead of rounded to kilobytes, megabytes and gigabytes in the html form."},
	}},
	Steps: []engine.Step{{Phase: engine.Content, Active: func(s *conf.Scope) bool { return loc.Of(s).on.V }, Run: serve}},
}

// entry is a file of the folder.
type entry struct {
	name      string
	dir, file bool
	mtime     int64
	size      int64
}

var (
	contentTypes = [...][]byte{formatHTML: []byte("text/html"), formatJSON: []byte("application/json"), formatJSONP: []byte("application/javascript"), formatXML: []byte("text/xml")}
	charsetUTF8  = []byte("utf-8")
)

func serve(r *engine.Request) engine.Status {
	if n := len(r.URI); n == 0 || r.URI[n-1] != '/' || r.Method&(http1.MethodGet|http1.MethodHead) == 0 {
		return engine.Declined
	}
	c := loc.Of(r.Scope)
	if st := r.DiscardBody(); st != engine.OK {
		return st
	}
	name, _ := r.FileName(0)
	if name == nil {
		return 500
	}
	dir := string(name)
	if len(dir) > 1 {
		dir = dir[:len(dir)-1]
	}
	form := c.format.V
	var callback []byte
	if form == formatJSONP {
		var ok bool
		if callback, ok = function(r); !ok {
			return 400
		}
		if len(callback) == 0 {
			form, callback = formatJSON, nil
		}
	}
	f, err := os.Open(dir)
	if err == nil {
		defer f.Close()
		if fi, e := f.Stat(); e == nil && !fi.IsDir() {
			err = syscall.ENOTDIR
		}
	}
	if err != nil {
		return failed(r, dir, err)
	}
	r.Out.Status = 200
	r.Out.ContentType = contentTypes[form]
	if form == formatXML {
		r.Out.Charset = charsetUTF8
	}
	if st := r.SendHead(); st != engine.OK || r.HeadOnly {
		return st
	}
	entries, ok := list(r, f, dir)
	if !ok {
		return engine.Error
	}
	var b []byte
	switch form {
	case formatHTML:
		b = html(r, c, entries)
	case formatXML:
		b = xml(entries)
	default:
		b = json(entries, callback)
	}
	if r.Output(&engine.Chunk{Data: b, Last: true}) != nil {
		return engine.Error
	}
	return engine.OK
}

func failed(r *engine.Request, dir string, err error) engine.Status {
	level, st := nlog.Crit, engine.Status(500)
	no := errno(err)
	switch no {
	case syscall.ENOENT, syscall.ENOTDIR, syscall.ENAMETOOLONG:
		level, st = nlog.Error, 404
	case syscall.EACCES:
		level, st = nlog.Error, 403
	}
	r.LogErr(level, no, "opendir() \"%s\" failed", dir)
	return st
}

func errno(err error) syscall.Errno {
	if p, ok := err.(*os.PathError); ok {
		err = p.Err
	}
	if p, ok := err.(*os.SyscallError); ok {
		err = p.Err
	}
	no, _ := err.(syscall.Errno)
	return no
}

// list reads the folder: folders first, then by name. Names that begin with a dot are left out.
func list(r *engine.Request, f *os.File, dir string) ([]entry, bool) {
	names, err := f.Readdirnames(-1)
	if err != nil {
		r.LogErr(nlog.Crit, errno(err), "readdir() \"%s\" failed", dir)
		return nil, false
	}
	var all []entry
	for _, n := range names {
		if n[0] == '.' {
			continue
		}
		full := dir + "/" + n
		fi, err := os.Stat(full)
		if err != nil {
			no := errno(err)
			if no != syscall.ENOENT && no != syscall.ELOOP {
				r.LogErr(nlog.Crit, no, "stat() \"%s\" failed", full)
				if no == syscall.EACCES {
					continue
				}
				return nil, false
			}
			if fi, err = os.Lstat(full); err != nil { // a link to nowhere is shown
				r.LogErr(nlog.Crit, errno(err), "lstat() \"%s\" failed", full)
				return nil, false
			}
		}
		all = append(all, entry{name: n, dir: fi.IsDir(), file: fi.Mode().IsRegular(), mtime: fi.ModTime().Unix(), size: fi.Size()})
	}
	slices.SortFunc(all, func(a, b entry) int {
		if a.dir != b.dir {
			if a.dir {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.name, b.name)
	})
	return all, true
}

// function is the argument callback, if it is a name that may stand in a script.
func function(r *engine.Request) (name []byte, ok bool) {
	name = argument(r.Args, "callback")
	if len(name) > 128 {
		r.Logf(nlog.Info, "client sent too long callback name: \"%s\"", name)
		return nil, false
	}
	for _, c := range name {
		if !ascii.IsAlpha(c) && !ascii.IsDigit(c) && c != '_' && c != '.' {
			r.Logf(nlog.Info, "client sent invalid callback name: \"%s\"", name)
			return nil, false
		}
	}
	return name, true
}

// argument finds an argument by its name, without regard to case.
func argument(args []byte, name string) []byte {
	for a := range bytes.SplitSeq(args, []byte("&")) {
		if k, v, ok := bytes.Cut(a, []byte("=")); ok && strings.EqualFold(string(k), name) {
			return v
		}
	}
	return nil
}
