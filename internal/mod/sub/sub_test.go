package sub_test

import (
	"fmt"
	"strings"
	"testing"

	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/engine/enginetest"
	"moongate/internal/mod/corevars"
	"moongate/internal/mod/sub"
)

// pieces answers with a body in pieces of the size in the arguments.
var pieces = engine.Module{Module: conf.Module{Name: "pieces"}, Steps: []engine.Step{{Phase: engine.Content, Run: func(r *engine.Request) engine.Status {
	n := int(r.Args[len(r.Args)-1] - '0')
	if d := len(r.Args) - 2; r.Args[d] != '=' {
		n += 10 * int(r.Args[d]-'0')
	}
	r.Out.ContentType = html
	if st := r.SendHead(); st != engine.OK {
		return st
	}
	for p := text; len(p) > 0; p = p[min(n, len(p)):] {
		if r.Output(&engine.Chunk{Data: p[:min(n, len(p))]}) != nil {
			return engine.Error
		}
	}
	r.Output(&engine.Chunk{Last: true})
	return engine.OK
}}}}

const body = "The abracadabra of the Abbot: ABRA, abr; cadabra abcabdabcabe end of ab"

func set() *engine.Set {
	return &engine.Set{Modules: []*engine.Module{&corevars.Module, &sub.Module, &pieces}, Filters: []*engine.Filter{engine.Copy, &sub.Filter}}
}

var text, html = []byte(body), []byte("text/html")

// plain is what the filter does, done place by place.
func plain(once bool, pairs ...string) string {
	var out strings.Builder
	used := map[int]bool{}
next:
	for i := 0; i < len(body); {
		for k := 0; k < len(pairs); k += 2 {
			if n := len(pairs[k]); !used[k] && i+n <= len(body) && strings.EqualFold(body[i:i+n], pairs[k]) {
				out.WriteString(pairs[k+1])
				used[k] = once
				i += n
				continue next
			}
		}
		out.WriteByte(body[i])
		i++
	}
	return out.String()
}

// TestBorders: wherever a body is cut into pieces, it comes out the same.
func TestBorders(t *testing.T) {
	s := enginetest.Start(t, set(), `
		sub_filter_once off;
		location /one { sub_filter abra <$uri>; }
		location /some { sub_filter abcabe 1; sub_filter abr 2; sub_filter abracadabra 3; sub_filter "d" ""; }
		location /long { sub_filter abracadabra 1; sub_filter abr 2; sub_filter "of the abbot: abra" x; }
		location /once { sub_filter_once on; sub_filter a A; sub_filter ab 2; sub_filter none 3; sub_filter abr 4; }
		location /all { sub_filter_once on; sub_filter ABR 1; sub_filter "the " 2; }
		location /var { sub_filter "$arg_none" x; sub_filter "${arg_w}d" y; sub_filter "${arg_w}abr" Z; }
		location /types { sub_filter_types text/plain; sub_filter abr x; default_type text/plain; }`)
	for uri, want := range map[string]string{
		"/one?":      plain(false, "abra", "</one>"),
		"/some?":     plain(false, "abcabe", "1", "abr", "2", "abracadabra", "3", "d", ""),
		"/long?":     plain(false, "abracadabra", "1", "abr", "2", "of the abbot: abra", "x"),
		"/once?":     plain(true, "a", "A", "ab", "2", "none", "3", "abr", "4"),
		"/all?":      plain(true, "abr", "1", "the ", "2"),
		"/var?w=cA&": plain(false, "cad", "y", "caabr", "Z"),
		"/var?":      plain(false, "d", "y", "abr", "Z"),
	} {
		for n := 1; n <= len(body); n++ {
			response := s.Raw(fmt.Sprintf("GET %sn=%d HTTP/1.0\r\n\r\n", uri, n))
			if got := enginetest.Body(response); got != want {
				t.Errorf("%s in pieces of %d:\n%s, want\n%s", uri, n, got, want)
				break
			}
		}
	}
}

func TestAllocs(t *testing.T) {
	s := enginetest.Start(t, set(), `location / { sub_filter_once off; sub_filter abra <$uri>; sub_filter "the abbot" x; }`)
	if n := s.Allocs("GET /?n=50 HTTP/1.1\r\nHost: a\r\n\r\n"); n >= 1 {
		t.Error(n, "allocations")
	}
}
