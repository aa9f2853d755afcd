// Package authbasic lets clients in by name and password (auth_basic), which a file of lines NAME:HASH knows. The file is
// read for each request, so that changes count at once.
package authbasic

import (
	"bytes"
	"strings"
	"syscall"

	"moongate/internal/base/nlog"
	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/http1"
	"moongate/internal/openfile"
)

type config struct {
	realm conf.Opt[*engine.Template]
	file  conf.Opt[*engine.Template]
}

var loc = conf.NewLevel[config](conf.KindLocation)

const contexts = conf.HTTPServerLocation | conf.LimitExcept

// fileType is a file name with variables; relative ones begin where the main configuration file is.
var fileType = conf.NewType("file", conf.Take1, func(c *conf.Cmd) (*engine.Template, error) {
	name := c.Args[0]
	if !strings.HasPrefix(name, "$") {
		name = c.Config().FullConfName(name)
	}
	return engine.CompileArg(c, name)
})

// fileName is the name of the file for a request.
func (c *config) fileName(r *engine.Request) []byte {
	name := c.file.V.Eval(r)
	if len(name) > 0 && name[0] != '/' {
		name = r.CopyString(r.H.Config.FullConfName(string(name)))
	}
	return name
}

// Module is the auth_basic family. auth_delay belongs to the core.
var Module = engine.Module{
	Module: conf.Module{Name: "auth_basic", Directives: []conf.Directive{
		{Name: "auth_basic", Syntax: "string | off", Default: "off", In: contexts,
			Set: conf.Slot(loc, engine.TemplateType(), func(c *config) *conf.Opt[*engine.Template] { return &c.realm }),
			Doc: "Asks for a name and a password in the realm of this name, which may have variables; `off` does not."},
		{Name: "auth_basic_user_file", In: contexts,
			Set: conf.Slot(loc, fileType, func(c *config) *conf.Opt[*engine.Template] { return &c.file }),
			Doc: "The file of names and passwords, which may have variables: a line NAME:HASH for each, where the hash is one of crypt(3), Apache's `$apr1$`, `{SSHA}`, `{SHA}` or `{PLAIN}`."},
	}},
	Steps: []engine.Step{{Phase: engine.Access, Active: active, Run: check}},
}

func active(s *conf.Scope) bool {
	c := loc.Of(s)
	return c.realm.V != nil && c.realm.V.Text != "off" && c.file.IsSet
}

func check(r *engine.Request) engine.Status {
	c := loc.Of(r.Scope)
	realm := c.realm.V.Eval(r)
	if string(realm) == "off" {
		return engine.Declined
	}
	value := r.In.Get(http1.HAuthorization)
	user, password, ok := http1.BasicAuth(r.Alloc(len(value))[:0], value)
	if !ok {
		r.Logf(nlog.Info, "no user/password was provided for basic authentication")
		return ask(r, realm)
	}
	name := c.fileName(r)
	text, st := read(r, name)
	if st != engine.OK {
		return st
	}
	hash, ok := find(text, user)
	hash = r.Copy(hash)
	clear(text)
	r.W.FreeBuffer(text)
	if !ok {
		r.Logf(nlog.Error, "user \"%s\" was not found in \"%s\"", user, name)
		return ask(r, realm)
	}
	v := verify(r, password, hash)
	clear(hash)
	switch v {
	case right:
		return engine.OK
	case broken:
		return 500
	}
	r.Logf(nlog.Error, "user \"%s\": password mismatch", user)
	return ask(r, realm)
}

var nameWWWAuthenticate = []byte("WWW-Authenticate")

// ask refuses with a challenge.
func ask(r *engine.Request, realm []byte) engine.Status {
	const before, after = `Basic realm="`, `"`
	b := r.Alloc(len(before) + len(realm) + len(after))[:0]
	b = append(append(append(b, before...), realm...), after...)
	r.AddHeader(http1.HWWWAuthenticate, nameWWWAuthenticate, b)
	return 401
}

// firstRead is the size of most files, and more.
const firstRead = 4 << 10

// read gives the file, in a buffer of the worker's that the caller gives back.
func read(r *engine.Request, name []byte) ([]byte, engine.Status) {
	path := append(append(r.Alloc(len(name) + 1)[:0], name...), 0)
	fd, err := openfile.OpenRead(path)
	if err != 0 {
		if err == syscall.ENOENT {
			r.LogErr(nlog.Error, err, "open() \"%s\" failed", name)
			return nil, 403
		}
		r.LogErr(nlog.Crit, err, "open() \"%s\" failed", name)
		return nil, 500
	}
	defer openfile.Close(fd)
	b := r.W.Buffer(firstRead)
	for {
		if len(b) == cap(b) {
			more := append(r.W.Buffer(2*cap(b)), b...)
			clear(b)
			r.W.FreeBuffer(b)
			b = more
		}
		room := cap(b) - len(b)
		n, err := syscall.Read(fd, b[len(b):cap(b)])
		switch {
		case err == syscall.EINTR:
		case err != nil:
			r.LogErr(nlog.Crit, err, "read() \"%s\" failed", name)
			r.W.FreeBuffer(b)
			return nil, 500
		default:
			if b = b[:len(b)+n]; n < room { // less than asked for is the end of a file
				return b, engine.OK
			}
		}
	}
}

// find gives the hash of a user, which ends at a colon or with the line.
func find(text, user []byte) ([]byte, bool) {
	for len(text) > 0 {
		line := text
		if i := bytes.IndexByte(text, '\n'); i >= 0 {
			line, text = text[:i], text[i+1:]
		} else {
			text = nil
		}
		if len(line) > 0 && line[0] == '#' || !bytes.HasPrefix(line, user) || len(line) == len(user) || line[len(user)] != ':' {
			continue
		}
		hash := line[len(user)+1:]
		if i := bytes.IndexAny(hash, "\r:"); i >= 0 {
			hash = hash[:i]
		}
		return hash, true
	}
	return nil, false
}
