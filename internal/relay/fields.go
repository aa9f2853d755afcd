package relay

import (
	"bytes"
	"strconv"
	"strings"

	"moongate/internal/base/ascii"
	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/h2client"
	"moongate/internal/http1"
	"moongate/internal/http2"
)

// FieldSet is the fields that requests over HTTP/2 get: what "set_header" says, the defaults that it leaves, and the
// client's own.
type FieldSet struct {
	// Host is the value that was set for Host, nil when there is none.
	Host   *engine.Template
	fields []setField
	skip   names // of the client's
}

// setField is a field that is set. Without a value it is one of the protocol's own.
type setField struct {
	name  []byte
	value *engine.Template
	own   func(x *Exchange) []byte
}

// NewFieldSet compiles pairs of "set_header". own has the fields that the protocol makes itself unless they are named; the
// client's fields in drop are not passed on.
func NewFieldSet(s *conf.Scope, pairs []conf.Pair, own map[string]func(x *Exchange) []byte, drop []string) (*FieldSet, error) {
	h := engine.FromConfig(s.Config())
	fs := &FieldSet{}
	named := map[string]bool{}
	for _, p := range pairs {
		key := strings.ToLower(p.Key)
		named[key] = true
		fs.skip.add(p.Key)
		if p.Value == "" || http2.ConnectionSpecific([]byte(key)) {
			continue
		}
		t, err := h.Compile(p.Value)
		if err != nil {
			return nil, s.Errorf("%s", err)
		}
		if key == "host" {
			fs.Host = t
			continue
		}
		fs.fields = append(fs.fields, setField{name: []byte(key), value: t})
	}
	for _, d := range drop {
		fs.skip.add(d)
		if f := own[strings.ToLower(d)]; f != nil && !named[strings.ToLower(d)] {
			fs.fields = append(fs.fields, setField{name: []byte(strings.ToLower(d)), own: f})
		}
	}
	return fs, nil
}

// Append appends the fields of a request to x.Fields; the client's only with pass.
func (fs *FieldSet) Append(x *Exchange, pass bool) {
	list := x.Fields
	for i := range fs.fields {
		f := &fs.fields[i]
		var v []byte
		if f.own != nil {
			v = f.own(x)
		} else {
			v = f.value.Eval(x.R)
		}
		if len(v) > 0 {
			list = append(list, h2client.Field{Name: f.name, Value: v, Mode: mode(0, f.name)})
		}
	}
	if pass {
		in := x.R.In.List
		for i := range in {
			if h := &in[i]; !fs.skip.has(h.ID, h.Name) && h.Name != nil {
				list = append(list, h2client.Field{Name: h.Name, Value: h.Value, Mode: mode(h.ID, h.Name)})
			}
		}
	}
	x.Fields = list
}

// mode says what may become of a field in the table of a connection that requests of several clients share: secrets are
// never indexed (RFC 7541 7.1.3).
func mode(id http1.HeaderID, name []byte) http2.Mode {
	switch id {
	case http1.HAuthorization, http1.HProxyAuthorization, http1.HCookie:
		return http2.Never
	case http1.HContentLength:
		return http2.Plain
	case http1.HUnknown:
		switch string(name) {
		case "authorization", "proxy-authorization", "cookie":
			return http2.Never
		case "content-length":
			return http2.Plain
		}
	}
	return http2.Indexed
}

// Begin begins x.Fields with the pseudo fields; without an authority there is none.
func (x *Exchange) Begin(method, path, authority []byte) {
	scheme := schemeHTTP
	if x.SSL != nil {
		scheme = schemeHTTPS
	}
	x.Fields = append(x.Fields[:0], h2client.Field{Static: http2.PMethod, Value: method}, h2client.Field{Static: http2.PScheme, Value: scheme},
		h2client.Field{Static: http2.PPath, Value: path})
	if len(authority) > 0 {
		x.Fields = append(x.Fields, h2client.Field{Static: http2.PAuthority, Value: authority})
	}
}

var schemeHTTP, schemeHTTPS, trailers = []byte("http"), []byte("https"), []byte("trailers")

// Number is n as the value of a field, nil when it is negative.
func (x *Exchange) Number(n int64) []byte {
	if n < 0 {
		return nil
	}
	return strconv.AppendInt(x.R.Alloc(20)[:0], n, 10)
}

// WantsTrailers is "trailers" when the client says so in TE, else nil.
func (x *Exchange) WantsTrailers() []byte {
	in := x.R.In
	for i := in.Index(http1.HTE); i >= 0; i = in.Next(i) {
		for v := in.List[i].Value; len(v) > 0; {
			var word []byte
			if word, v = nextWord(v); ascii.EqualFold(word, "trailers") {
				return trailers
			}
		}
	}
	return nil
}

// nextWord cuts the first word off a list with commas; a word ends before its parameters.
func nextWord(v []byte) (word, rest []byte) {
	end := 0
	for end < len(v) && v[end] != ',' {
		end++
	}
	word, rest = v[:end], v[min(end+1, len(v)):]
	for i, c := range word {
		if c == ';' {
			word = word[:i]
			break
		}
	}
	return bytes.TrimSpace(word), rest
}
