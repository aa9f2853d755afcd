package health

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// TCP connects and, where that is asked for, sends a text and waits for another.
var TCP = &Kind{
	Name: "tcp",
	New:  func(c *Check) { c.Params = &tcpParams{} },
	Param: func(c *Check, name, value string) bool {
		p := c.Params.(*tcpParams)
		switch name {
		case "send":
			p.send = unescape(value)
		case "receive":
			p.receive = unescape(value)
		default:
			return false
		}
		return len(value) > 0
	},
	Probe: probeTCP,
}

type tcpParams struct{ send, receive []byte }

// unescape reads \r, \n, \\ and \xHH.
func unescape(s string) []byte {
	if u, err := strconv.Unquote(`"` + strings.ReplaceAll(s, `"`, `\"`) + `"`); err == nil {
		return []byte(u)
	}
	return []byte(s)
}

// maxAnswer is how much of an answer is looked at.
const maxAnswer = 16 << 10

func probeTCP(p *Probe) error {
	t := p.Check.Params.(*tcpParams)
	if err := p.Write(t.send); err != nil || len(t.receive) == 0 {
		return err
	}
	buf := make([]byte, maxAnswer)
	n := 0
	for n < len(buf) {
		m, err := p.Read(buf[n:])
		if err != nil {
			return err
		}
		if n += m; bytes.Contains(buf[:n], t.receive) {
			return nil
		}
	}
	return fmt.Errorf("unexpected answer")
}

// HTTP sends a request and looks at the status of the response.
var HTTP = &Kind{
	Name:      "http",
	Protocols: []string{"http/1.1"},
	New:       func(c *Check) { c.Params = &httpParams{method: "GET", path: "/", statuses: []span{{200, 200}}} },
	Param:     httpParam,
	Probe:     probeHTTP,
}

type httpParams struct {
	method, path string
	statuses     []span
}

// span is a range of statuses, both ends included.
type span struct{ low, high int }

func httpParam(c *Check, name, value string) bool {
	p := c.Params.(*httpParams)
	switch name {
	case "path":
		p.path = value
		return strings.HasPrefix(value, "/") && !strings.ContainsAny(value, " \r\n")
	case "method":
		p.method = value
		return value != "" && strings.Trim(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
	case "expected_statuses":
		var ok bool
		p.statuses, ok = spans(value)
		return ok
	}
	return false
}

// spans reads "200,204,300-399".
func spans(text string) (list []span, ok bool) {
	for _, part := range strings.Split(text, ",") {
		low, high, is := strings.Cut(part, "-")
		if !is {
			high = low
		}
		a, err1 := strconv.Atoi(low)
		b, err2 := strconv.Atoi(high)
		if err1 != nil || err2 != nil || a < 100 || b > 599 || a > b {
			return nil, false
		}
		list = append(list, span{a, b})
	}
	return list, true
}

func probeHTTP(p *Probe) error {
	h := p.Check.Params.(*httpParams)
	req := h.method + " " + h.path + " HTTP/1.1\r\nHost: " + p.Check.Host + "\r\nUser-Agent: moongate health check\r\nConnection: close\r\n\r\n"
	if err := p.Write([]byte(req)); err != nil {
		return err
	}
	buf := make([]byte, 0, 512)
	for {
		n, err := p.Read(buf[len(buf):cap(buf)])
		if err != nil {
			return err
		}
		buf = buf[:len(buf)+n]
		line, _, whole := bytes.Cut(buf, []byte("\n"))
		if !whole && len(buf) < cap(buf) {
			continue
		}
		status, ok := statusOf(line)
		if !ok {
			return fmt.Errorf("no response of HTTP/1")
		}
		for _, s := range h.statuses {
			if status >= s.low && status <= s.high {
				return nil
			}
		}
		return fmt.Errorf("status %d", status)
	}
}

// statusOf reads a status line.
func statusOf(line []byte) (int, bool) {
	if len(line) < len("HTTP/1.1 200") || string(line[:7]) != "HTTP/1." || line[8] != ' ' {
		return 0, false
	}
	n, err := strconv.Atoi(string(line[9:12]))
	return n, err == nil && n >= 100
}
