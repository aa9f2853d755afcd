package runner

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"moongate/internal/testkit/mock"
	"moongate/internal/testkit/pattern"
	"moongate/internal/testkit/perl"
	"moongate/internal/testkit/poll"
	"moongate/internal/testkit/report"
)

// mocks are the mock servers of one repetition.
type mocks struct{ tcp, udp *mock.Server }

func (m *mocks) stop() {
	if m.tcp != nil {
		m.tcp.Close()
	}
	if m.udp != nil {
		m.udp.Close()
	}
}

func (t *test) startMocks() (*mocks, error) {
	m := &mocks{}
	var err error
	if t.has("tcp_listen") {
		var o mock.Options
		if o, err = t.mockOptions("tcp"); err == nil {
			m.tcp, err = mock.TCP(o)
		}
	}
	if err == nil && t.has("udp_listen") {
		var o mock.Options
		if o, err = t.mockOptions("udp"); err == nil {
			m.udp, err = mock.UDP(o)
		}
	}
	if err != nil {
		m.stop()
		return nil, err
	}
	return m, nil
}

func (t *test) mockOptions(proto string) (o mock.Options, err error) {
	if o.Target, err = t.expand(t.text(proto + "_listen")); err != nil {
		return o, err
	}
	if o.ReplyDelay, err = t.duration(proto + "_reply_delay"); err != nil {
		return o, err
	}
	reply, hasReply := t.get(proto + "_reply")
	if hasReply {
		o.Reply = t.reply(reply)
	} else if !t.has(proto + "_shutdown") {
		return o, fmt.Errorf("section %s_listen without %s_reply", proto, proto)
	}
	o.Shutdown = -1
	if proto == "udp" {
		return o, nil
	}
	o.NoClose = t.has("tcp_no_close")
	if t.has("tcp_shutdown") {
		o.Shutdown, _ = strconv.Atoi(strings.TrimSpace(t.text("tcp_shutdown")))
	}
	if o.ShutdownDelay, err = t.duration("tcp_shutdown_delay"); err != nil {
		return o, err
	}
	if t.has("tcp_query_auto_timeout") {
		if o.AutoTimeout, err = t.duration("tcp_query_auto_timeout"); o.AutoTimeout == 0 {
			o.AutoTimeout = 100 * time.Millisecond
		}
	}
	if t.has("tcp_query_len") {
		o.QueryLen, _ = strconv.Atoi(strings.TrimSpace(t.text("tcp_query_len")))
	} else if q, ok := t.get("tcp_query"); ok {
		if _, isRe := q.(*pattern.Regexp); !isRe {
			o.QueryLen = len(perl.String(q))
		}
	}
	return o, err
}

// reply makes a mock's reply of a text, a list of pieces or code.
func (t *test) reply(v perl.Value) mock.Reply {
	return func(query string) []string {
		if code, ok := v.(*perl.Code); ok {
			vals, err := t.f.call(code, query)
			if err != nil {
				return nil
			}
			if len(vals) == 1 {
				return texts(perl.Elems(vals[0]))
			}
			return texts(vals)
		}
		return texts(perl.Elems(v))
	}
}

// check compares what came in with the query sections. The server may still be
// writing when its answer is complete, so there is a moment of patience.
func (m *mocks) check(t *test) {
	if m.tcp != nil {
		t.checkQuery("tcp_query", m.tcp)
		if v, ok := t.get("tcp_query_len"); ok {
			want := strings.TrimSpace(perl.String(v))
			got := t.awaitQuery(m.tcp, func(q string) bool { return strconv.Itoa(len(q)) == want })
			t.add(report.Assert{Name: "TCP query length ok", OK: strconv.Itoa(len(got)) == want,
				Diag: report.Diff(want, strconv.Itoa(len(got)))})
		}
	}
	if m.udp != nil {
		t.checkQuery("udp_query", m.udp)
	}
}

func (t *test) checkQuery(section string, s *mock.Server) {
	v, ok := t.get(section)
	if !ok {
		return
	}
	matches := func(q string) bool { return q == perl.String(v) }
	if re, ok := v.(*pattern.Regexp); ok {
		matches = re.Match
	}
	got := t.awaitQuery(s, matches)
	t.add(report.Assert{Name: section + " ok", OK: matches(got), Diag: report.Diff(perl.String(v), got)})
}

func (t *test) awaitQuery(s *mock.Server, matches func(string) bool) string {
	poll.Until(t.f.r.opts.Log.Wait, func() bool { return matches(s.Query()) })
	return s.Query()
}
