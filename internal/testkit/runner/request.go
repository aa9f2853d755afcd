package runner

import (
	"crypto/tls"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"moongate/internal/testkit/client"
	"moongate/internal/testkit/pattern"
	"moongate/internal/testkit/perl"
)

// exchange is one connection: what is sent and how many answers it brings.
type exchange struct {
	addr    string
	tls     *tls.Config // nil: none
	request client.Request
	answers int
	plain   bool // the answer is no HTTP
}

// plan is all that one repetition of a block sends.
type plan struct{ exchanges []exchange }

func (p *plan) answers() (n int) {
	for _, e := range p.exchanges {
		n += e.answers
	}
	return n
}

func (t *test) addr(port int) string {
	host := t.f.set.serverAddr
	if t.has("server_addr_for_client") {
		host = strings.TrimSpace(t.text("server_addr_for_client"))
	}
	return net.JoinHostPort(host, strconv.Itoa(port))
}

// plan builds the requests from the block's sections.
func (t *test) plan() (*plan, error) {
	p := &plan{}
	port, secure, err := t.target()
	if err != nil {
		return nil, err
	}
	handshake, err := t.handshake(secure)
	if err != nil {
		return nil, err
	}
	add := func(r client.Request, answers int) {
		p.exchanges = append(p.exchanges, exchange{addr: t.addr(port), tls: handshake, request: r, answers: answers})
	}
	switch {
	case t.has("raw_request"):
		v, _ := t.get("raw_request")
		add(client.Raw(texts(perl.Elems(v))...), 1)
	case t.has("pipelined_requests"):
		v, _ := t.get("pipelined_requests")
		list, ok := v.(*perl.Array)
		if !ok {
			return nil, fmt.Errorf("section pipelined_requests must be a list")
		}
		r, err := t.pipelined(list.Elems)
		if err != nil {
			return nil, err
		}
		add(r, len(list.Elems))
	case !t.has("request") && t.isStream():
		t.planStreams(p)
	default:
		v, ok := t.get("request")
		if !ok {
			return nil, fmt.Errorf("the block has no request section")
		}
		list, ok := v.(*perl.Array)
		if !ok {
			list = &perl.Array{Elems: []perl.Value{stripComments(perl.String(v))}}
		}
		for i, one := range list.Elems {
			r, err := t.build(one, i, "close")
			if err != nil {
				return nil, err
			}
			add(r, 1)
		}
	}
	return p, nil
}

// handshake is how a client begins on a port with TLS. Certificates of the site are not judged: a test has its own names.
func (t *test) handshake(secure bool) (*tls.Config, error) {
	if !secure {
		return nil, nil
	}
	cfg := &tls.Config{InsecureSkipVerify: true, ServerName: t.f.set.serverName}
	if host, ok := strings.CutPrefix(strings.ToLower(t.text("more_headers")), "host:"); ok {
		host, _, _ = strings.Cut(strings.TrimSpace(host), "\n")
		cfg.ServerName, _, _ = strings.Cut(strings.TrimSpace(host), ":")
	}
	if files := strings.Fields(t.text("client_certificate")); len(files) > 0 {
		key := files[0]
		if len(files) > 1 {
			key = files[1]
		}
		pair, err := tls.LoadX509KeyPair(t.path(files[0]), t.path(key))
		if err != nil {
			return nil, fmt.Errorf("section client_certificate: %w", err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg, nil
}

// path finds a file of the site, or of the project.
func (t *test) path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	if t.f.site != "" {
		return filepath.Join(t.f.site, name)
	}
	return filepath.Join(t.f.r.opts.Dir, name)
}

func texts(vals []perl.Value) []string {
	out := make([]string, len(vals))
	for i, v := range vals {
		out[i] = perl.String(v)
	}
	return out
}

var leading = pattern.MustCompile(`\A(?:\s*#[^\n]+\s+|\s+)`, "")

// stripComments removes comment lines and white space in front of a request.
func stripComments(s string) string {
	for {
		m := leading.Find(s, 0)
		if m == nil {
			return s
		}
		s = s[m[1]:]
	}
}

func (t *test) pipelined(list []perl.Value) (client.Request, error) {
	var all strings.Builder
	for i, one := range list {
		connection := "keep-alive"
		if i == len(list)-1 {
			connection = "close"
		}
		text, err := t.expand(perl.String(one))
		if err != nil {
			return nil, err
		}
		r, err := t.build(text, i, connection)
		if err != nil {
			return nil, err
		}
		all.WriteString(r.Text())
	}
	return client.Raw(all.String()), nil
}

// build makes request i from a text, or from a list of pieces which are texts or
// hashes with value and delay_before.
func (t *test) build(v perl.Value, i int, connection string) (client.Request, error) {
	headers := perl.Value("")
	if h, ok := t.get("more_headers"); ok {
		headers = h
	}
	if list, ok := headers.(*perl.Array); ok {
		if i >= len(list.Elems) {
			return nil, fmt.Errorf("section more_headers has nothing for request %d", i)
		}
		headers = list.Elems[i]
	}
	lines, chunked := client.ParseHeaders(t.lenient(perl.String(headers)))
	pieces, err := t.pieces(v)
	if err != nil {
		return nil, err
	}
	tpl := client.Template{Host: t.f.set.serverName, Connection: connection, Headers: lines, Chunked: chunked}
	return tpl.Build(pieces)
}

func (t *test) pieces(v perl.Value) ([]client.Piece, error) {
	list, ok := v.(*perl.Array)
	if !ok {
		return []client.Piece{{Text: t.lenient(perl.String(v))}}, nil
	}
	var out []client.Piece
	for _, e := range list.Elems {
		h, ok := e.(*perl.Hash)
		if !ok {
			if perl.RefName(e) != "" {
				return nil, fmt.Errorf("a piece of a request must be a string or a hash with a value")
			}
			out = append(out, client.Piece{Text: perl.String(e)})
			continue
		}
		p := client.Piece{Text: perl.String(h.M["value"])}
		if d, ok := h.M["delay_before"]; ok {
			p.HasDelay = true
			p.Delay = time.Duration(perl.Number(d) * float64(time.Second))
		}
		out = append(out, p)
	}
	return out, nil
}

func (t *test) isStream() bool { return t.has("stream_server_config") || t.has("stream_config") }

// planStreams sends to each stream server its request as it is.
func (t *test) planStreams(p *plan) {
	for i, suffix := range []string{"", "2", "3"} {
		if i > 0 && !t.has("stream_server_config"+suffix) {
			continue
		}
		p.exchanges = append(p.exchanges, exchange{addr: t.addr(t.f.extra[i]), answers: 1, plain: true,
			request: client.Raw(t.lenient(t.text("stream_request" + suffix)))})
	}
}
