package corevars

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"moongate/internal/base/nlog"
	"moongate/internal/base/version"
	"moongate/internal/engine"
	"moongate/internal/http1"
)

var (
	nginxVersion = []byte(version.Nginx)
	pid          = []byte(strconv.Itoa(os.Getpid()))
	hostname     = lowerHostname()
)

func lowerHostname() []byte {
	name, _ := os.Hostname()
	return []byte(strings.ToLower(name))
}

// fixed is the Get of a value that never changes.
func fixed(value []byte) get {
	return func(*engine.Request, *engine.Var) ([]byte, bool) { return value, true }
}

// number writes n into the request's memory.
func number(r *engine.Request, n int64) ([]byte, bool) {
	return strconv.AppendInt(r.Alloc(20)[:0], n, 10), true
}

// present tells an absent value from an empty one.
func present(b []byte) ([]byte, bool) { return b, b != nil }

// flag is s when yes, else empty.
func flag(yes bool, s []byte) ([]byte, bool) {
	if yes {
		return s, true
	}
	return nil, true
}

func request(r *engine.Request, _ *engine.Var) ([]byte, bool)    { return present(r.In.RequestLine) }
func method(r *engine.Request, _ *engine.Var) ([]byte, bool)     { return present(r.Main.MethodName) }
func requestURI(r *engine.Request, _ *engine.Var) ([]byte, bool) { return present(r.In.Unparsed) }
func uri(r *engine.Request, _ *engine.Var) ([]byte, bool)        { return present(r.URI) }
func args(r *engine.Request, _ *engine.Var) ([]byte, bool)       { return present(r.Args) }
func protocol(r *engine.Request, _ *engine.Var) ([]byte, bool)   { return present(r.In.Protocol) }

func setArgs(r *engine.Request, _ *engine.Var, val []byte) {
	r.Args = val
	r.ValidUnparsed = false
}

var (
	questionMark = []byte("?")
	colon        = []byte(":")
)

func isArgs(r *engine.Request, _ *engine.Var) ([]byte, bool) {
	return flag(len(r.Args) > 0, questionMark)
}

func arg(r *engine.Request, v *engine.Var) ([]byte, bool) {
	return http1.Arg(r.Args, v.Name[len("arg_"):])
}

func requestPort(r *engine.Request, _ *engine.Var) ([]byte, bool) {
	if r.In.Port == 0 {
		return nil, true
	}
	return number(r, int64(r.In.Port))
}

func isRequestPort(r *engine.Request, _ *engine.Var) ([]byte, bool) {
	return flag(r.In.Port != 0, colon)
}

// header looks a known name up in the index; only where names may hold underscores a line of another spelling can count.
func header(r *engine.Request, v *engine.Var) ([]byte, bool) {
	name := v.Name[len("http_"):]
	var buf [48]byte
	if c := r.Server.Conf; len(name) <= len(buf) && len(name) > 0 && !c.Underscores.V && c.IgnoreInvalidHeaders.V {
		for i := range len(name) {
			buf[i] = name[i]
			if name[i] == '_' {
				buf[i] = '-'
			}
		}
		if id := http1.LookupHeader(buf[:len(name)]); id != http1.HUnknown {
			return lines(r, &r.In.Headers, id, ", ")
		}
	}
	return named(r, r.In.List, name)
}

func cookies(r *engine.Request, _ *engine.Var) ([]byte, bool) {
	return lines(r, &r.In.Headers, http1.HCookie, "; ")
}

// lines joins the lines of a known name.
func lines(r *engine.Request, h *http1.Headers, id http1.HeaderID, sep string) ([]byte, bool) {
	i := h.Index(id)
	if i < 0 {
		return nil, false
	}
	value, found := h.List[i].Value, h.List[i].Name != nil
	for i = h.Next(i); i >= 0; i = h.Next(i) {
		if h.List[i].Name != nil {
			value, found = join(r, value, h.List[i].Value, sep, found), true
		}
	}
	return value, found
}

// named joins the lines of a name as variables spell it.
func named(r *engine.Request, list []http1.Header, name string) (value []byte, found bool) {
	for i := range list {
		if h := &list[i]; h.Name != nil && spells(name, h.Name) {
			value, found = join(r, value, h.Value, ", ", found), true
		}
	}
	return value, found
}

// join appends a line to those before it, if there are any.
func join(r *engine.Request, before, value []byte, sep string, any bool) []byte {
	if !any {
		return value
	}
	b := append(r.Alloc(len(before) + len(sep) + len(value))[:0], before...)
	return append(append(b, sep...), value...)
}

// spells reports whether name is the header's in lower case with "_" for "-".
func spells(name string, header []byte) bool {
	if len(name) != len(header) {
		return false
	}
	for i, c := range header {
		switch {
		case c >= 'A' && c <= 'Z':
			c |= 0x20
		case c == '-':
			c = '_'
		}
		if name[i] != c {
			return false
		}
	}
	return true
}

func cookie(r *engine.Request, v *engine.Var) ([]byte, bool) {
	for i := r.In.Index(http1.HCookie); i >= 0; i = r.In.Next(i) {
		if r.In.List[i].Name == nil {
			continue
		}
		if value, ok := http1.ListValue(r.In.List[i].Value, v.Name[len("cookie_"):], ';'); ok {
			return value, true
		}
	}
	return nil, false
}

func contentType(r *engine.Request, _ *engine.Var) ([]byte, bool) {
	return lines(r, &r.In.Headers, http1.HContentType, ", ")
}

// contentLength is the header's text, else, when the body was read (or made), its length.
func contentLength(r *engine.Request, _ *engine.Var) ([]byte, bool) {
	if v := r.In.Get(http1.HContentLength); v != nil {
		return v, true
	}
	if r.ContentLength >= 0 {
		return number(r, r.ContentLength)
	}
	if r.ChunkedBody {
		if r.Body.Read {
			return number(r, r.Body.Size())
		}
		r.DontCache()
	}
	return nil, false
}

func host(r *engine.Request, _ *engine.Var) ([]byte, bool) {
	if len(r.In.Server) > 0 {
		return r.In.Server, true
	}
	return r.CopyString(r.Server.Name), true
}

func remoteUser(r *engine.Request, _ *engine.Var) ([]byte, bool) {
	value := r.In.Get(http1.HAuthorization)
	if value == nil {
		return nil, false
	}
	user, _, ok := http1.BasicAuth(r.Alloc(len(value))[:0], value)
	return user, ok
}

func requestBody(r *engine.Request, _ *engine.Var) ([]byte, bool) {
	b := &r.Body
	return b.Mem, b.Read && b.File == nil && len(b.Mem) > 0
}

func requestBodyFile(r *engine.Request, _ *engine.Var) ([]byte, bool) {
	if r.Body.File == nil {
		return nil, false
	}
	return r.CopyString(r.Body.File.Name()), true
}

func requestLength(r *engine.Request, _ *engine.Var) ([]byte, bool) { return number(r, r.RequestLen) }

func serverName(r *engine.Request, _ *engine.Var) ([]byte, bool) {
	return r.CopyString(r.Server.Name), true
}

func documentRoot(r *engine.Request, _ *engine.Var) ([]byte, bool) {
	if root := r.Core().Root.V; root.IsLiteral() {
		return root.Eval(r), true
	}
	return r.Copy(r.DocumentRoot(nil)), true
}

func realpathRoot(r *engine.Request, _ *engine.Var) ([]byte, bool) {
	root := string(r.DocumentRoot(nil))
	real, err := filepath.EvalSymlinks(root)
	if err != nil {
		r.LogErr(nlog.Crit, err, "realpath() \"%s\" failed", root)
		return nil, false
	}
	return r.CopyString(real), true
}

func requestFilename(r *engine.Request, _ *engine.Var) ([]byte, bool) {
	name, _ := r.FileName(0)
	return present(name)
}

// requestID needs no secrecy beyond that nobody guesses it: the generator is seeded by the system.
func requestID(r *engine.Request, _ *engine.Var) ([]byte, bool) {
	var raw [16]byte
	binary.NativeEndian.PutUint64(raw[:], rand.Uint64())
	binary.NativeEndian.PutUint64(raw[8:], rand.Uint64())
	return hex.AppendEncode(r.Alloc(32)[:0], raw[:]), true
}
