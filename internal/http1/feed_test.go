package http1

import (
	"bytes"
	"fmt"
	"strings"
)

// describe writes down everything a request parse has found, so that two
// parses can be compared.
func describe(p *RequestParser, st State, head int, l *Limits) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s|%d|%s\n", st, st.Status(), p.AppendError(nil, st))
	line := p.RequestLine
	if st.Failed() && st < firstHeaderFail && st != ErrURITooLong {
		line = nil // as much as has come in
	}
	fmt.Fprintf(&b, "line %q method %d %q unparsed %q scheme %q host %q protocol %q version %d flags %v\n", line, p.Method,
		p.MethodName, p.Unparsed, p.Scheme, p.LineHost, p.Protocol, p.Version, []bool{p.EmptyPath, p.Complex, p.Quoted, p.Plus})
	for i, list := range [][]Header{p.List, p.Ignored} {
		for _, h := range list {
			fmt.Fprintf(&b, "%d %q %q %d %v\n", i, h.Name, h.Value, h.ID, h.Invalid)
		}
	}
	if st != Done {
		return b.String()
	}
	check := p.Check(l)
	fmt.Fprintf(&b, "head %d of %d check %s %s\n", p.HeadLen, head, check, p.AppendError(nil, check))
	fmt.Fprintf(&b, "server %q %d length %d chunked %v keepalive %v\n", p.Server, p.Port, p.ContentLength, p.Chunked, p.KeepAlive)
	_, uri := p.DecodeURI(nil, true)
	fmt.Fprintf(&b, "uri %s %q %q %q\n", uri, p.URI, p.Args, p.Exten)
	return b.String()
}

// feed parses text given in pieces that end at the cuts, the buffer in a new
// place for every call, and returns the description.
func feed(text string, l *Limits, cuts func(at int) int) string {
	var p RequestParser
	skipped := 0
	for at := 0; ; {
		at = min(cuts(at), len(text))
		buf := []byte(text[skipped:at])
		n, st := p.Parse(bytes.Clone(buf), l)
		if st == More && at < len(text) {
			skipped += n
			continue
		}
		if st == More {
			return "more"
		}
		return describe(&p, st, skipped+n, l)
	}
}

func whole(int) int      { return 1 << 30 }
func bytewise(n int) int { return n + 1 }

// until returns the pieces that the bytes of seed call for.
func until(seed []byte) func(int) int {
	i := 0
	return func(at int) int {
		step := 1
		if len(seed) > 0 {
			step += int(seed[i%len(seed)])
			i++
		}
		return at + step
	}
}
